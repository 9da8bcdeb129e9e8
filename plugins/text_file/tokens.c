/* text_file/tokens.c - see tokens.h. */
#include "tokens.h"
#include <stdlib.h>

lt_status tokens_open(token_array *tokens, int64_t room, int64_t vocabulary, char why[FILE_WHY_MAX]) {
    tokens_free(tokens);
    bool wide = vocabulary > 65536;
    void *items = malloc((size_t)(room ? room : 1) * (wide ? 4 : 2));
    if (!items) {
        return file_fail(LT_ENOMEM, why, "no memory for %lld tokens", (long long)room);
    }
    *tokens = (token_array){.room = room, .wide = wide, .items = items};
    return LT_OK;
}

void tokens_free(token_array *tokens) {
    free(tokens->items);
    *tokens = (token_array){0};
}

void tokens_read(const token_array *tokens, int64_t start, int64_t count, int64_t *out) {
    if (tokens->wide) {
        const uint32_t *in = (const uint32_t *)tokens->items + start;
        for (int64_t i = 0; i < count; i++) {
            out[i] = in[i];
        }
    } else {
        const uint16_t *in = (const uint16_t *)tokens->items + start;
        for (int64_t i = 0; i < count; i++) {
            out[i] = in[i];
        }
    }
}
