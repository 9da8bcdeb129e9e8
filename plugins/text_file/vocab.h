/* text_file/vocab.h - the character vocabulary: every code point of a text, sorted, numbered from 0 (nanoGPT's). And UTF-8, strictly.
 * Knows nothing of the host: errors are texts. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H
#include "../shared/files.h"

enum { CODE_POINTS = 0x110000 };

/* Bytes of the code point at `at`, which is put into *point; 0: no valid UTF-8 (too long, cut off, a surrogate, too large). */
int utf8_next(const uint8_t *at, const uint8_t *end, uint32_t *point);
int utf8_put(uint8_t out[4], uint32_t point); /* its bytes; 1 to 4 */

typedef struct char_vocab {
    int32_t count;
    uint32_t *points;   /* sorted; the number of a character is its place here */
    int32_t ascii[128]; /* the numbers of these; -1: not in it */
} char_vocab;

/* Of a text; *length gets its characters. On failure `why` names path, line and byte. LT_EFORMAT, LT_ENOMEM. */
lt_status vocab_of_text(char_vocab *vocab, const mapped_file *text, const char *path, int64_t *length, char why[FILE_WHY_MAX]);
/* Of a list of code points as saved in a checkpoint. LT_EFORMAT, LT_ENOMEM. */
lt_status vocab_of_points(char_vocab *vocab, const uint32_t *points, int64_t count, char why[FILE_WHY_MAX]);
void vocab_free(char_vocab *vocab);
int32_t vocab_find(const char_vocab *vocab, uint32_t point); /* -1: not in it */
#endif
