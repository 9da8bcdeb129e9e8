/* text_file/words.c - GPT-2's rule for cutting text into words (bpe.h). Takes valid UTF-8. */
#include "bpe.h"
#include "vocab.h"
#include <string.h>

#include "unicode.inc"

enum kind { LETTER, NUMBER, SPACE, OTHER };

static bool among(const uint32_t (*ranges)[2], size_t count, uint32_t point) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle][1] < point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && ranges[low][0] <= point;
}

/* Unicode's White_Space. */
static bool is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static enum kind kind_of(uint32_t c) {
    if (c < 128) {
        uint32_t lower = c | 32;
        return lower >= 'a' && lower <= 'z' ? LETTER : c >= '0' && c <= '9' ? NUMBER : is_space(c) ? SPACE : OTHER;
    }
    return is_space(c)                                                       ? SPACE
           : among(letters, sizeof letters / sizeof *letters, c)             ? LETTER
           : among(numbers, sizeof numbers / sizeof *numbers, c)             ? NUMBER
                                                                             : OTHER;
}

static enum kind kind_at(const uint8_t *at, const uint8_t *end, int *bytes) {
    uint32_t point = 0;
    int length = utf8_next(at, end, &point);
    *bytes = length ? length : 1; /* no UTF-8: a byte by itself */
    return length ? kind_of(point) : OTHER;
}

static int64_t contraction(const uint8_t *at, const uint8_t *end) {
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    for (int i = 0; *at == '\'' && i < 7; i++) {
        int64_t length = (int64_t)strlen(endings[i]);
        if (end - at > length && !memcmp(at + 1, endings[i], (size_t)length)) {
            return length + 1;
        }
    }
    return 0;
}

/* All that follows of that kind. */
static const uint8_t *run(const uint8_t *at, const uint8_t *end, enum kind kind) {
    int bytes;
    while (at < end && kind_at(at, end, &bytes) == kind) {
        at += bytes;
    }
    return at;
}

int64_t bpe_word_length(const uint8_t *at, const uint8_t *end) {
    int bytes, next_bytes;
    int64_t length = contraction(at, end);
    if (length) {
        return length;
    }
    enum kind first = kind_at(at, end, &bytes);
    if (first != SPACE) {
        return run(at, end, first) - at;
    }
    if (*at == ' ' && at + 1 < end) {
        enum kind second = kind_at(at + 1, end, &next_bytes);
        if (second != SPACE) {
            return run(at + 1, end, second) - at;
        }
    }
    /* \s+(?!\S): all spaces but the last where something follows; \s+: that last one by itself */
    const uint8_t *last = at, *stop = at;
    while (stop < end && kind_at(stop, end, &next_bytes) == SPACE) {
        last = stop;
        stop += next_bytes;
    }
    return stop == end || last == at ? stop - at : last - at;
}
