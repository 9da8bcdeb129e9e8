/* text_file/source.c - see text_file.h. */
#include "text_file.h"
#include <string.h>

static int64_t line_of(const text_source *source, int64_t at) {
    int64_t line = 1;
    for (int64_t i = 0; i < at; i++) {
        line += source->file.bytes[i] == '\n';
    }
    return line;
}

/* Both parts, by the vocabulary; characters, of which `first` come before the cut. */
static lt_status encode_characters(text_source *source, int64_t first, int64_t rest, const char *path, char why[FILE_WHY_MAX]) {
    const uint8_t *start = source->file.bytes, *at = start, *end = start + source->file.size;
    lt_status status = tokens_open(&source->tokens[0], first, source->vocab.count, why);
    if (!status) {
        status = tokens_open(&source->tokens[1], rest, source->vocab.count, why);
    }
    while (!status && at < end) {
        uint32_t point = 0;
        int bytes = utf8_next(at, end, &point); /* checked when the vocabulary was made */
        int32_t token = bytes ? vocab_find(&source->vocab, point) : -1;
        if (token < 0) {
            return file_fail(LT_EFORMAT, why, "%s:%lld: character U+%04X is not in the vocabulary of the checkpoint (%d characters)", path,
                             (long long)line_of(source, at - start), point, source->vocab.count);
        }
        tokens_add(&source->tokens[at - start >= source->cut], token);
        at += bytes;
    }
    return status;
}

/* The byte at which character number `characters` begins. */
static int64_t byte_of(const mapped_file *file, int64_t characters) {
    int64_t at = 0;
    for (; at < file->size; at++) {
        if ((file->bytes[at] & 0xc0) != 0x80 && characters-- == 0) {
            break;
        }
    }
    return at;
}

static lt_status open_characters(text_source *source, const text_options *options, char why[FILE_WHY_MAX]) {
    int64_t length = 0;
    lt_status status = vocab_of_text(&source->vocab, &source->file, options->path, &length, why);
    if (status) {
        return status;
    }
    int64_t first = (int64_t)((double)length * options->train_fraction);
    source->cut = byte_of(&source->file, first);
    return encode_characters(source, first, length - first, options->path, why);
}

/* The same cut, in characters; each part is encoded by itself, so that no token lies across. */
static lt_status open_pairs(text_source *source, const text_options *options, char why[FILE_WHY_MAX]) {
    int64_t length = 0;
    char_vocab unused;
    lt_status status = bpe_open(&source->bpe, options->vocab, options->merges, why);
    if (!status) {
        status = vocab_of_text(&unused, &source->file, options->path, &length, why); /* checks the UTF-8 and counts */
        vocab_free(&unused);
    }
    source->cut = status ? 0 : byte_of(&source->file, (int64_t)((double)length * options->train_fraction));
    for (int i = 0; i < 2 && !status; i++) {
        int64_t from = i ? source->cut : 0, size = i ? source->file.size - source->cut : source->cut;
        status = tokens_open(&source->tokens[i], size, source->bpe.vocabulary, why);
        if (!status) {
            status = bpe_encode(&source->bpe, source->file.bytes + from, size, &source->tokens[i], why);
        }
    }
    source->hash = source->bpe.hash;
    return status;
}

lt_status text_open(text_source *source, const text_options *options, char why[FILE_WHY_MAX]) {
    text_close(source);
    lt_status status = file_map(&source->file, options->path, why);
    if (!status) {
        status = options->level == TEXT_BPE ? open_pairs(source, options, why) : open_characters(source, options, why);
    }
    if (status) {
        text_close(source);
    }
    return status;
}

void text_close(text_source *source) {
    file_unmap(&source->file);
    vocab_free(&source->vocab);
    bpe_close(&source->bpe);
    tokens_free(&source->tokens[0]);
    tokens_free(&source->tokens[1]);
    *source = (text_source){0};
}

int64_t text_vocabulary(const text_source *source) { return source->bpe.tokens ? source->bpe.vocabulary : source->vocab.count; }

lt_status text_use_characters(text_source *source, const uint32_t *points, int64_t count, const char *path, char why[FILE_WHY_MAX]) {
    if (count == source->vocab.count && !memcmp(points, source->vocab.points, (size_t)count * sizeof *points)) {
        return LT_OK;
    }
    char_vocab saved;
    lt_status status = vocab_of_points(&saved, points, count, why);
    if (status) {
        return status;
    }
    vocab_free(&source->vocab);
    source->vocab = saved;
    return encode_characters(source, source->tokens[0].count, source->tokens[1].count, path, why);
}
