/* text_file/text_file.h - a text file, cut in two and encoded. Knows nothing of the host: errors are texts. */
#ifndef TEXT_FILE_H
#define TEXT_FILE_H
#include "bpe.h"
#include "tokens.h"
#include "vocab.h"

enum text_level { TEXT_CHARS, TEXT_BPE };

typedef struct text_options {
    const char *path;
    enum text_level level;
    const char *vocab, *merges; /* byte pairs only */
    double train_fraction;      /* of the characters, rounded down as int(n * fraction) */
} text_options;

typedef struct text_source {
    mapped_file file;
    int64_t cut;      /* byte at which the second part begins */
    char_vocab vocab; /* characters */
    bpe bpe;          /* or byte pairs */
    uint64_t hash;    /* of the byte pairs' vocabulary */
    token_array tokens[2];
} text_source;

/* Maps, cuts and encodes. On failure it is closed and `why` says path, line and reason. */
lt_status text_open(text_source *source, const text_options *options, char why[FILE_WHY_MAX]);
void text_close(text_source *source); /* an empty one too */
int64_t text_vocabulary(const text_source *source); /* tokens there are */
/* Numbers the characters as a checkpoint did; the tokens are encoded anew, in place. LT_EFORMAT: the text has one that is not in it. */
lt_status text_use_characters(text_source *source, const uint32_t *points, int64_t count, const char *path, char why[FILE_WHY_MAX]);
#endif
