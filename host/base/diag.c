/* base/diag.c - collects diagnostics. Even without memory an error leaves a trace: the count never stays 0. */
#include "base/diag.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>

/* Stands for whatever could not be kept; capacity 0 says that the list is not on the heap. Never written. */
static lth_diag lost = {.text = "out of memory while reporting an error", .code = LT_ENOMEM};

static lth_diag *next_slot(lth_diags *diags) {
    if (diags->count < diags->capacity) {
        return &diags->items[diags->count];
    }
    size_t capacity = diags->capacity ? diags->capacity * 2 : 16;
    lth_diag *grown = lth_realloc(diags->capacity ? diags->items : NULL, diags->capacity * sizeof *grown, capacity * sizeof *grown);
    if (!grown) {
        return NULL;
    }
    if (!diags->capacity && diags->count) {
        grown[0] = lost;
    }
    diags->items = grown;
    diags->capacity = capacity;
    return &grown[diags->count];
}

static const char *copy(lth_diags *diags, const char *text) {
    if (!text || !*text) {
        return NULL;
    }
    const char *kept = lth_arena_strdup(&diags->arena, text);
    return kept ? kept : "(out of memory)";
}

void lth_diag_add(lth_diags *diags, lt_status code, const char *file, int line, const char *hint, const char *format, ...) {
    lth_diag *slot = next_slot(diags);
    if (!slot) {
        if (!diags->count) {
            diags->items = &lost;
            diags->count = 1;
        }
        return;
    }
    lth_error text = {0}; /* for its buffer and its way to cut */
    va_list args;
    va_start(args, format);
    lth_vfail(&text, code, format, args);
    va_end(args);
    const char *kept = lth_arena_strdup(&diags->arena, text.text);
    *slot = (lth_diag){
        .code = text.code,
        .file = copy(diags, file),
        .line = line,
        .hint = copy(diags, hint),
        .text = kept ? kept : lth_status_text(text.code),
    };
    diags->count++;
}

void lth_diags_print(const lth_diags *diags, void *stream) {
    FILE *out = stream;
    for (size_t i = 0; i < diags->count; i++) {
        const lth_diag *d = &diags->items[i];
        fputs("error: ", out);
        if (d->file && d->line > 0) {
            fprintf(out, "%s:%d: ", d->file, d->line);
        } else if (d->file) {
            fprintf(out, "%s: ", d->file);
        }
        fputs(d->text, out);
        if (d->hint) {
            fprintf(out, " (%s)", d->hint);
        }
        fputc('\n', out);
    }
}

void lth_diags_release(lth_diags *diags) {
    if (diags->capacity) {
        lth_free(diags->items);
    }
    lth_arena_release(&diags->arena);
    *diags = (lth_diags){0};
}
