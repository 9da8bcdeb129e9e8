/* text_file/tokens.h - encoded text: token numbers in 2 bytes each where they fit, else in 4, and the windows that batches are made of.
 * Knows no vocabulary. */
#ifndef TEXT_TOKENS_H
#define TEXT_TOKENS_H
#include "../shared/files.h"

typedef struct token_array {
    int64_t count, room;
    bool wide; /* u32 items, else u16 */
    void *items;
} token_array;

/* Makes room for `room` tokens of a vocabulary of that size; it is empty after. */
lt_status tokens_open(token_array *tokens, int64_t room, int64_t vocabulary, char why[FILE_WHY_MAX]);
void tokens_free(token_array *tokens); /* an empty one too */
static inline void tokens_add(token_array *tokens, int32_t token) { /* there is room */
    if (tokens->wide) {
        ((uint32_t *)tokens->items)[tokens->count++] = (uint32_t)token;
    } else {
        ((uint16_t *)tokens->items)[tokens->count++] = (uint16_t)token;
    }
}
/* out[0..count) = tokens from `start` on. */
void tokens_read(const token_array *tokens, int64_t start, int64_t count, int64_t *out);
#endif
