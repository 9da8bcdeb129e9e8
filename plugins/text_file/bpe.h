/* text_file/bpe.h - GPT-2's byte-pair encoding: vocab.json, merges.txt, and its rule for cutting text into words,
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * Special tokens have no special meaning in a text. Knows nothing of the host: errors are texts. Trains no vocabulary. */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H
#include "tokens.h"

typedef struct bpe_token { size_t at; int32_t length, id; } bpe_token; /* bytes[at..at+length) */
typedef struct bpe_merge { int32_t left, right, rank, result; } bpe_merge;

typedef struct bpe {
    uint8_t *bytes; /* of all tokens */
    size_t used, room;
    bpe_token *tokens; /* hash table by bytes; length 0: free */
    int64_t token_slots, n_tokens;
    bpe_merge *merges; /* hash table by pair; rank -1: free */
    int64_t merge_slots, n_merges;
    int64_t *where; /* slot of id in tokens + 1, 0: no such id */
    int32_t vocabulary; /* largest id + 1 */
    int32_t single[256]; /* id of each byte */
    uint64_t hash; /* of both files */
    struct bpe_word *word; /* memory for encoding */
} bpe;

/* On failure it is empty and `why` names file, line and reason. */
lt_status bpe_open(bpe *b, const char *vocab_path, const char *merges_path, char why[FILE_WHY_MAX]);
void bpe_close(bpe *b); /* an empty one too */
/* Appends the tokens of valid UTF-8; tokens has room for one per byte. LT_ENOMEM. */
lt_status bpe_encode(bpe *b, const uint8_t *text, int64_t size, token_array *tokens, char why[FILE_WHY_MAX]);
/* Bytes of a token; NULL: there is no such id. */
const uint8_t *bpe_bytes(const bpe *b, int64_t id, int32_t *length);
/* Bytes of the word that begins at `at`, by the rule above. */
int64_t bpe_word_length(const uint8_t *at, const uint8_t *end);
#endif
