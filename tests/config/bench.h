/* tests/config/bench.h - what the tests of config share: files in a folder of their own, loading them, looking for messages. */
#ifndef TEST_CONFIG_BENCH_H
#define TEST_CONFIG_BENCH_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* wants those above first */

#include "base/mem.h"
#include "config/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
enum { MOST_FILES = 4 };

typedef struct bench {
    char dir[64];
    char files[MOST_FILES][96];
    size_t n_files;
    lth_config_override overrides[16];
    size_t n_overrides;
    lth_diags diags;
    lth_config *config;
    int64_t live;
} bench;

static UNUSED int bench_start(void **state) {
    static bench b;
    b = (bench){.live = lth_alloc_live()};
    snprintf(b.dir, sizeof b.dir, "/tmp/lthost-config-XXXXXX");
    *state = &b;
    return mkdtemp(b.dir) ? 0 : -1;
}

static UNUSED void bench_clear(bench *b) {
    lth_config_free(b->config);
    lth_diags_release(&b->diags);
    for (size_t i = 0; i < b->n_files; i++) {
        unlink(b->files[i]);
    }
    b->config = NULL;
    b->n_files = b->n_overrides = 0;
}

static UNUSED int bench_end(void **state) {
    bench *b = *state;
    bench_clear(b);
    rmdir(b->dir);
    return lth_alloc_live() == b->live ? 0 : -1;
}

static UNUSED void add_bytes(bench *b, const char *text, size_t size) {
    char path[96];
    snprintf(path, sizeof path, "%s/%zu.yaml", b->dir, b->n_files);
    memcpy(b->files[b->n_files++], path, sizeof path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static UNUSED void add_file(bench *b, const char *text) { add_bytes(b, text, strlen(text)); }

/* "trainer.max_epochs=3", "trainer.callbacks+=X" */
static UNUSED void add_override(bench *b, const char *text) {
    static char keys[16][128];
    const char *equals = strchr(text, '=');
    size_t length = (size_t)(equals - text);
    bool append = equals[-1] == '+';
    snprintf(keys[b->n_overrides], sizeof keys[0], "%.*s", (int)(length - append), text);
    b->overrides[b->n_overrides] = (lth_config_override){keys[b->n_overrides], equals + 1, append};
    b->n_overrides++;
}

static UNUSED lt_status load(bench *b, bool need_model) {
    const char *files[MOST_FILES];
    for (size_t i = 0; i < b->n_files; i++) {
        files[i] = b->files[i];
    }
    lth_config_source source = {
        .files = files, .n_files = b->n_files, .overrides = b->overrides, .n_overrides = b->n_overrides, .need_model = need_model};
    lth_config_free(b->config);
    lth_diags_release(&b->diags);
    lt_status status = lth_config_load(&source, &b->diags, &b->config);
    assert_int_equal(status == LT_OK, b->diags.count == 0);
    assert_int_equal(status == LT_OK, b->config != NULL);
    return status;
}

static UNUSED lth_config *load_good(bench *b) {
    if (load(b, false) != LT_OK) {
        lth_diags_print(&b->diags, stderr);
        fail();
    }
    return b->config;
}

/* The diagnostic that contains text, which must stand at the line (0: none). */
static UNUSED const lth_diag *expect_error(const lth_diags *diags, int line, const char *text) {
    for (size_t i = 0; i < diags->count; i++) {
        if (strstr(diags->items[i].text, text) && diags->items[i].line == line) {
            return &diags->items[i];
        }
    }
    lth_diags_print(diags, stderr);
    fail_msg("no message on line %d contains: %s", line, text);
    return NULL;
}

/* Loads one file that must give exactly one error. */
static UNUSED const lth_diag *one_error(bench *b, const char *yaml, int line, const char *text) {
    bench_clear(b);
    add_file(b, yaml);
    load(b, false);
    const lth_diag *found = expect_error(&b->diags, line, text);
    if (b->diags.count != 1) {
        lth_diags_print(&b->diags, stderr);
    }
    assert_int_equal(b->diags.count, 1);
    return found;
}

static UNUSED const char *text_at(const lth_config *config, const char *dotted) {
    const lth_node *node = lth_node_at(config->root, dotted);
    return node && node->text ? node->text : "(none)";
}
#endif
