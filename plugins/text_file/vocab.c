/* text_file/vocab.c - see vocab.h. */
#include "vocab.h"
#include <stdlib.h>
#include <string.h>

int utf8_next(const uint8_t *at, const uint8_t *end, uint32_t *point) {
    uint32_t first = at[0];
    if (first < 0x80) {
        *point = first;
        return 1;
    }
    int length = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xc2 && first < 0xe0 ? 2 : 0;
    if (!length || end - at < length) {
        return 0;
    }
    uint32_t value = first & (0x7fu >> length);
    for (int i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (at[i] & 0x3fu);
    }
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < smallest[length] || value >= CODE_POINTS || (value >= 0xd800 && value < 0xe000)) {
        return 0;
    }
    *point = value;
    return length;
}

int utf8_put(uint8_t out[4], uint32_t point) {
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    int length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, point >>= 6) {
        out[i] = (uint8_t)(0x80 | (point & 0x3f));
    }
    out[0] = (uint8_t)(0xf00 >> length | point);
    return length;
}

static lt_status not_utf8(const mapped_file *text, int64_t at, const char *path, char why[FILE_WHY_MAX]) {
    int64_t line = 1;
    for (int64_t i = 0; i < at; i++) {
        line += text->bytes[i] == '\n';
    }
    return file_fail(LT_EFORMAT, why, "%s:%lld: byte %lld (0x%02x) is no UTF-8; convert the file, say with iconv -t utf-8", path,
                     (long long)line, (long long)at, text->bytes[at]);
}

/* Marks every code point of the text in a bitmap. */
static lt_status mark(uint64_t *seen, const mapped_file *text, const char *path, int64_t *length, char why[FILE_WHY_MAX]) {
    const uint8_t *at = text->bytes, *end = at + text->size;
    int64_t characters = 0;
    while (at < end) {
        uint32_t point;
        int bytes = utf8_next(at, end, &point);
        if (!bytes) {
            return not_utf8(text, at - text->bytes, path, why);
        }
        seen[point / 64] |= (uint64_t)1 << point % 64;
        characters++;
        at += bytes;
    }
    *length = characters;
    return LT_OK;
}

static void index_ascii(char_vocab *vocab) {
    memset(vocab->ascii, -1, sizeof vocab->ascii);
    for (int32_t i = 0; i < vocab->count && vocab->points[i] < 128; i++) {
        vocab->ascii[vocab->points[i]] = i;
    }
}

static lt_status list(char_vocab *vocab, const uint64_t *seen, char why[FILE_WHY_MAX]) {
    int32_t count = 0;
    for (int i = 0; i < CODE_POINTS / 64; i++) {
        count += __builtin_popcountll(seen[i]);
    }
    vocab->points = malloc((size_t)(count ? count : 1) * sizeof *vocab->points);
    if (!vocab->points) {
        return file_fail(LT_ENOMEM, why, "no memory for a vocabulary of %d characters", count);
    }
    for (uint32_t point = 0; point < CODE_POINTS; point++) {
        if (seen[point / 64] >> point % 64 & 1) {
            vocab->points[vocab->count++] = point;
        }
    }
    index_ascii(vocab);
    return LT_OK;
}

lt_status vocab_of_text(char_vocab *vocab, const mapped_file *text, const char *path, int64_t *length, char why[FILE_WHY_MAX]) {
    *vocab = (char_vocab){0};
    uint64_t *seen = calloc(CODE_POINTS / 64, sizeof *seen);
    if (!seen) {
        return file_fail(LT_ENOMEM, why, "no memory for the characters of %s", path);
    }
    lt_status status = mark(seen, text, path, length, why);
    if (!status) {
        status = list(vocab, seen, why);
    }
    free(seen);
    return status;
}

lt_status vocab_of_points(char_vocab *vocab, const uint32_t *points, int64_t count, char why[FILE_WHY_MAX]) {
    *vocab = (char_vocab){0};
    for (int64_t i = 0; i < count; i++) {
        if (points[i] >= CODE_POINTS || (i && points[i] <= points[i - 1])) {
            return file_fail(LT_EFORMAT, why, "the checkpoint's vocabulary is damaged at character %lld of %lld", (long long)i,
                             (long long)count);
        }
    }
    vocab->points = malloc((size_t)(count ? count : 1) * sizeof *points);
    if (!vocab->points) {
        return file_fail(LT_ENOMEM, why, "no memory for a vocabulary of %lld characters", (long long)count);
    }
    memcpy(vocab->points, points, (size_t)count * sizeof *points);
    vocab->count = (int32_t)count;
    index_ascii(vocab);
    return LT_OK;
}

void vocab_free(char_vocab *vocab) {
    free(vocab->points);
    *vocab = (char_vocab){0};
}

int32_t vocab_find(const char_vocab *vocab, uint32_t point) {
    if (point < 128) {
        return vocab->count ? vocab->ascii[point] : -1;
    }
    int32_t low = 0, high = vocab->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (vocab->points[middle] < point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < vocab->count && vocab->points[low] == point ? low : -1;
}
