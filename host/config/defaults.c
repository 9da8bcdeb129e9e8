/* config/defaults.c - defaults.yaml as part of the program, and what it says. A damaged one is a bug of the build, found by the tests. */
#include "config/internal.h"
#include <string.h>

/* The assembler finds the file through the include path, so that no generator and no absolute path is needed. */
__asm__(".pushsection .rodata\n"
        ".globl lth_defaults_yaml\n"
        ".hidden lth_defaults_yaml\n"
        ".type lth_defaults_yaml, @object\n"
        "lth_defaults_yaml:\n"
        ".incbin \"config/defaults.yaml\"\n"
        ".byte 0\n"
        ".size lth_defaults_yaml, . - lth_defaults_yaml\n"
        ".popsection\n");

static void mark_defaults(lth_node *node) {
    node->origin = LTH_FROM_DEFAULT;
    for (lth_node *child = node->first; child; child = child->next) {
        mark_defaults(child);
    }
}

static lt_status read_callbacks(lth_arena *arena, const lth_node *list, lth_defaults *out) {
    size_t count = lth_node_count(list);
    out->callbacks = lth_arena_alloc(arena, (count + 1) * sizeof *out->callbacks);
    for (lth_node *item = list ? list->first : NULL; item && out->callbacks; item = item->next) {
        lth_node *flag = lth_node_get(item, "enabled_by");
        if (!flag || !flag->text) {
            return LT_ECONFIG;
        }
        lth_config_take(item, flag);
        out->callbacks[out->n_callbacks++] = (lth_default_callback){flag->text, item};
    }
    return out->callbacks ? LT_OK : LT_ENOMEM;
}

lt_status lth_config_defaults(lth_arena *arena, lth_defaults *out, lth_diags *diags) {
    *out = (lth_defaults){0};
    out->tree = lth_yaml_read(lth_defaults_yaml, strlen(lth_defaults_yaml), "defaults.yaml", LTH_FROM_DEFAULT, arena, diags);
    const lth_node *loggers = lth_node_at(out->tree, "trainer.logger"), *own = lth_node_get(out->tree, "defaults");
    const lth_node *seed = lth_node_get(own, "seed");
    if (!out->tree) {
        return LT_ECONFIG;
    }
    mark_defaults(out->tree);
    bool good = loggers && seed && seed->text && lth_parse_i64(seed->text, &out->seed);
    lt_status status = good ? read_callbacks(arena, lth_node_get(own, "callbacks"), out) : LT_ECONFIG;
    if (status == LT_ECONFIG) {
        lth_diag_add(diags, status, "defaults.yaml", 0, "this is a fault of the build", "seed, callbacks or loggers are missing");
    }
    out->loggers = lth_node_copy(arena, loggers); /* the tree's own is changed by merging */
    lth_config_take(out->tree, own);
    return status;
}
