/* Scanning, the ladder's messages, class paths, instances and their state, against sound and hostile plugins. */
#include "base/fs.h"
#include "base/mem.h"
#include "registry/registry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

static const void *get_table(const char *id) { return strcmp(id, "lt.base/1") ? NULL : &lth_base_table; }

static lth_registry *open_paths(const char *const *paths, size_t count, lth_diags *diags) {
    lth_registry_opts opts = {.paths = paths, .n_paths = count, .env = "", .no_builtin = true, .get_table = get_table};
    lth_registry *registry = NULL;
    lth_registry_open(&opts, diags, &registry);
    assert_non_null(registry);
    return registry;
}

static lth_registry *open_good(void) {
    lth_diags diags = {0};
    lth_registry *registry = open_paths((const char *const[]){PLUGINS}, 1, &diags);
    assert_int_equal(diags.count, 0);
    lth_diags_release(&diags);
    return registry;
}

static void expect_words(const char *text, const char *const *words) {
    for (; *words; words++) {
        if (!strstr(text, *words)) {
            fail_msg("\"%s\" does not say \"%s\"", text, *words);
        }
    }
}
#define SAYS(text, ...) expect_words(text, (const char *const[]){__VA_ARGS__, NULL})

/* ---- scanning ---- */

static void finds_plugins(void **state) {
    lth_registry *registry = open_good();
    lth_buf out = {0};

    (void)state;
    assert_true(lth_registry_count(registry) >= 1);
    assert_string_equal(lth_registry_at(registry, 0)->id, "org.lthost.test-good");
    assert_false(lth_registry_at(registry, 0)->loaded);
    assert_null(lth_registry_at(registry, 99));
    lth_registry_list(registry, &out);
    SAYS(lth_buf_text(&out), "org.lthost.test-good 1.2.3", "test_good.so", "callback      Watcher", "model         Net", PLUGINS);
    lth_buf_release(&out);
    lth_registry_close(registry);
}

static void reports_paths_that_are_none(void **state) {
    lth_diags diags = {0};
    const char *paths[] = {PLUGINS "/absent.so", HOSTILE "/no_note.so", "/etc/passwd", PLUGINS "/test_good.so", PLUGINS};
    lth_registry *registry = open_paths(paths, 5, &diags);

    (void)state;
    assert_int_equal(diags.count, 3);
    SAYS(diags.items[0].text, "absent.so", "No such file");
    SAYS(diags.items[1].text, "no_note.so", "not an lthost plugin");
    SAYS(diags.items[2].text, "/etc/passwd", "no ELF file");
    lth_diags_release(&diags);
    lth_registry_close(registry);
}

static void environment_needs_absolute_paths(void **state) {
    lth_diags diags = {0};
    lth_registry_opts opts = {.env = "plugins::" PLUGINS "/test_good.so", .no_builtin = true, .get_table = get_table};
    lth_registry *registry;

    (void)state;
    lth_registry_open(&opts, &diags, &registry);
    assert_int_equal(diags.count, 1);
    SAYS(diags.items[0].text, "LTHOST_PLUGIN_PATH", "\"plugins\"", "absolute");
    assert_int_equal(lth_registry_count(registry), 1);
    lth_diags_release(&diags);
    lth_registry_close(registry);
}

/* ---- the ladder ---- */

static void expect_refusal(const char *file, const char *const *words) {
    char class_path[1024];
    lth_diags diags = {0};
    lth_registry *registry = open_paths(NULL, 0, &diags);
    const lth_component_entry *entry;
    lth_error err = {0}, again = {0};

    snprintf(class_path, sizeof class_path, HOSTILE "/%s:Bad", file);
    assert_true(lth_registry_find(registry, LTH_KIND_callback, class_path, &entry, &err) < 0);
    assert_null(entry);
    expect_words(err.text, words);
    SAYS(err.text, file);
    assert_true(lth_registry_find(registry, LTH_KIND_callback, class_path, &entry, &again) < 0);
    assert_string_equal(err.text, again.text); /* the same answer, without a second try */
    lth_diags_release(&diags);
    lth_registry_close(registry);
}
#define REFUSES(file, ...) expect_refusal(file, (const char *const[]){__VA_ARGS__, NULL})

static void each_rung_has_its_message(void **state) {
    (void)state;
    REFUSES("bad_major.so", "org.lthost.bad 1.0.0", "built for plugin ABI 7.3", "this lthost", "Update lthost");
    REFUSES("bad_minor.so", "built for plugin ABI 0.99", "exactly 0.2", "Update lthost");
    REFUSES("bad_undefined.so", "does not load", "lthost_no_such_function", "ldd -r");
    REFUSES("bad_no_entry.so", "does not itself export lt_plugin_entry_v1", "lt_add_plugin");
    REFUSES("bad_null.so", "refused this host", "build it again");
    REFUSES("bad_other_id.so", "note and its descriptor disagree", "org.lthost.other");
    REFUSES("bad_other_kind.so", "note and its descriptor disagree", "lt.logger/1 Bad", "lt.callback/1 Bad");
    REFUSES("bad_fewer.so", "1 components in the note, 0 in the descriptor");
    REFUSES("bad_twice.so", "lt.callback/1 Bad twice");
    REFUSES("bad_no_components.so", "no components");
    REFUSES("bad_other_sizes.so", "other type sizes", "-fshort-enums");
    REFUSES("bad_small_struct.so", "lt.callback/1 struct has");
    REFUSES("bad_huge_struct.so", "1073741824 bytes");
    REFUSES("bad_no_component_size.so", "struct of 4 bytes");
    REFUSES("bad_no_schema.so", "no sound parameter schema", "LT_PARAMS");
    REFUSES("bad_wrong_default.so", "many");
    REFUSES("no_note.so", "not an lthost plugin");
    REFUSES("absent.so", "No such file");
}

static void copy_file(const char *from, const char *to) {
    char *data;
    size_t size;
    lth_error err = {0};
    FILE *file = fopen(to, "wb");

    assert_non_null(file);
    assert_int_equal(lth_read_file(from, 1 << 24, &data, &size, &err), LT_OK);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
    lth_free(data);
}

static void distrusts_what_all_may_write(void **state) {
    char dir[] = "/tmp/lthost-trust-XXXXXX", path[64], class_path[80];
    lth_diags diags = {0};
    lth_registry *registry;
    const lth_component_entry *entry;
    lth_error err = {0}, folder = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/p.so", dir);
    snprintf(class_path, sizeof class_path, "%s:Net", path);
    copy_file(PLUGINS "/test_good.so", path);
    chmod(path, 0666);
    registry = open_paths((const char *const[]){path}, 1, &diags);
    assert_int_equal(diags.count, 0);
    assert_int_equal(lth_registry_find(registry, LTH_KIND_model, class_path, &entry, &err), LT_EPLUGIN);
    SAYS(err.text, "everybody may write", "chmod o-w");
    lth_registry_close(registry);
    chmod(path, 0644);
    chmod(dir, 0777);
    registry = open_paths((const char *const[]){path}, 1, &diags);
    assert_int_equal(lth_registry_find(registry, LTH_KIND_model, class_path, &entry, &folder), LT_EPLUGIN);
    SAYS(folder.text, "folder can be written by all", dir);
    lth_registry_close(registry);
    unlink(path);
    rmdir(dir);
    lth_diags_release(&diags);
}

static void lists_damaged_files_of_a_folder(void **state) {
    char dir[] = "/tmp/lthost-damaged-XXXXXX", path[64];
    lth_diags diags = {0};
    lth_registry *registry;
    lth_buf out = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/p.so", dir);
    copy_file(PLUGINS "/test_good.so", path);
    assert_int_equal(truncate(path, 100), 0);
    registry = open_paths((const char *const[]){dir}, 1, &diags);
    lth_registry_list(registry, &out);
    SAYS(lth_buf_text(&out), "refused", "cut off");
    lth_buf_release(&out);
    lth_registry_close(registry);
    unlink(path);
    rmdir(dir);
    lth_diags_release(&diags);
}

/* ---- class paths ---- */

static void resolves_class_paths(void **state) {
    static const char *const spellings[] = {"Watcher", "lightning.pytorch.callbacks.Watcher", "test_good.so:Watcher", PLUGINS "/test_good.so:Watcher"};
    lth_registry *registry = open_good();

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const lth_component_entry *entry;
        lth_error err = {0};
        assert_int_equal(lth_registry_find(registry, LTH_KIND_callback, spellings[i], &entry, &err), LT_OK);
        assert_string_equal(entry->where.component, "Watcher");
        assert_string_equal(entry->where.plugin, "org.lthost.test-good");
    }
    assert_true(lth_registry_at(registry, 0)->loaded);
    assert_int_equal(lth_registry_at(registry, 0)->generation, 1);
    assert_true(lth_registry_at(registry, 0)->hash.low != 0);
    lth_registry_close(registry);
}

static void names_what_there_is_instead(void **state) {
    lth_registry *registry = open_good();
    const lth_component_entry *entry;
    lth_error near = {0}, kind = {0}, in_file = {0}, empty = {0};

    (void)state;
    assert_int_equal(lth_registry_find(registry, LTH_KIND_callback, "Watchr", &entry, &near), LT_ECONFIG);
    SAYS(near.text, "no callback \"Watchr\"", "did you mean \"Watcher\"", "Plain", PLUGINS);
    assert_int_equal(lth_registry_find(registry, LTH_KIND_callback, "Net", &entry, &kind), LT_ECONFIG);
    SAYS(kind.text, "Net is a component of kind model");
    assert_int_equal(lth_registry_find(registry, LTH_KIND_model, PLUGINS "/test_good.so:Nets", &entry, &in_file), LT_ECONFIG);
    SAYS(in_file.text, "no model \"Nets\"", "Net (model)");
    assert_int_equal(lth_registry_find(registry, LTH_KIND_model, "a.b.", &entry, &empty), LT_ECONFIG);
    SAYS(empty.text, "names no component");
    lth_registry_close(registry);
}

static void two_plugins_with_one_id(void **state) {
    lth_diags diags = {0};
    lth_registry *registry = open_paths((const char *const[]){PLUGINS, TWINS}, 2, &diags);
    const lth_component_entry *entry;
    lth_error err = {0};

    (void)state;
    assert_int_equal(lth_registry_find(registry, LTH_KIND_callback, "Plain", &entry, &err), LT_ECONFIG);
    SAYS(err.text, "2 plugins have a callback \"Plain\"", "test_good.so:Plain", "test_twin.so:Plain");
    lth_error_clear(&err);
    assert_int_equal(lth_registry_find(registry, LTH_KIND_callback, "test_twin.so:Plain", &entry, &err), LT_OK);
    assert_string_equal(entry->where.plugin, "org.lthost.test-twin");
    lth_diags_release(&diags);
    lth_registry_close(registry);
}

/* ---- instances ---- */

typedef struct { int64_t patience, waited; int32_t mode; const char *monitor; double best; int64_t loads; } watcher; /* as in plugins/good.c */

static lth_instance *new_watcher(lth_registry *registry, lth_diags *diags, const char *patience) {
    lth_arena arena = {0};
    lth_node *map = lth_node_new(&arena, LTH_NODE_MAP);
    lth_instance *instance;

    lth_node_set(&arena, map, "monitor", lth_node_text(&arena, "val_loss"));
    lth_node_set(&arena, map, "patience", lth_node_text(&arena, patience));
    lth_instance_new(registry, LTH_KIND_callback, "Watcher", map, NULL, diags, &instance);
    lth_arena_release(&arena);
    return instance;
}

static void binds_parameters(void **state) {
    lth_registry *registry = open_good();
    lth_diags diags = {0};
    lth_instance *instance = new_watcher(registry, &diags, "12");
    const watcher *self = instance->self;

    (void)state;
    assert_int_equal(self->patience, 12);
    assert_int_equal(self->waited, 7);
    assert_string_equal(self->monitor, "val_loss");
    assert_true(self->best != self->best);
    assert_non_null(instance->callback->on_fit_end);
    assert_null(instance->callback->setup);
    assert_int_equal(instance->base->flags, LT_CALLBACK_LAST);
    assert_int_equal(*instance->pins, 1);
    assert_non_null(lth_instance_interface(instance, LT_CHECKPOINTING));
    assert_null(lth_instance_interface(instance, "lt.other/1"));
    lth_instance_free(instance);
    assert_int_equal(diags.count, 0);
    assert_null(new_watcher(registry, &diags, "-3"));
    assert_int_equal(diags.count, 1);
    SAYS(diags.items[0].text, "patience", "Watcher");
    lth_instance_free(NULL);
    lth_diags_release(&diags);
    lth_registry_close(registry);
}

static void reports_a_missing_component_at_its_place(void **state) {
    lth_registry *registry = open_good();
    lth_diags diags = {0};
    lth_node at = {.file = "a.yaml", .line = 12};
    lth_instance *instance;

    (void)state;
    assert_int_equal(lth_instance_new(registry, LTH_KIND_model, "Nett", NULL, &at, &diags, &instance), LT_ECONFIG);
    assert_null(instance);
    assert_string_equal(diags.items[0].file, "a.yaml");
    assert_int_equal(diags.items[0].line, 12);
    lth_diags_release(&diags);
    lth_registry_close(registry);
}

static void state_goes_out_and_comes_back(void **state) {
    lth_registry *registry = open_good();
    lth_diags diags = {0};
    lth_instance *one = new_watcher(registry, &diags, "1"), *two = new_watcher(registry, &diags, "2"), *plain;
    lth_snapshot *snapshot = lth_snapshot_new();
    lt_ctx ctx;
    lth_error err = {0};

    (void)state;
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    ((watcher *)one->self)->best = 0.25;
    ((watcher *)one->self)->waited = 2;
    ((watcher *)one->self)->loads = 41;
    assert_int_equal(lth_instance_save(one, &ctx, snapshot, "callbacks/Watcher", &err), LT_OK);
    assert_int_equal(lth_instance_load(two, &ctx, snapshot, "callbacks/Watcher", &err), LT_OK);
    assert_true(((watcher *)two->self)->best == 0.25);
    assert_int_equal(((watcher *)two->self)->waited, 2);
    assert_int_equal(((watcher *)two->self)->loads, 42 + 400); /* what save wrote, and state_version 4 */
    assert_int_equal(((watcher *)two->self)->patience, 2);     /* parameters are not state */
    assert_int_equal(lth_instance_load(two, &ctx, snapshot, "callbacks/Other", &err), LT_OK);
    assert_int_equal(lth_instance_new(registry, LTH_KIND_callback, "Plain", NULL, NULL, &diags, &plain), LT_OK);
    assert_false(lth_instance_has_state(plain));
    assert_int_equal(lth_instance_save(plain, &ctx, snapshot, "callbacks/Plain", &err), LT_OK);
    assert_null(lth_snapshot_get(snapshot, "callbacks/Plain/@version"));
    lth_snapshot_free(snapshot);
    lth_instance_free(one);
    lth_instance_free(two);
    lth_instance_free(plain);
    lth_diags_release(&diags);
    lth_registry_close(registry);
}

static void info_tells_parameters(void **state) {
    lth_registry *registry = open_good();
    lth_buf out = {0};
    lth_error err = {0};

    (void)state;
    assert_int_equal(lth_registry_info(registry, "Watcher", &out, &err), LT_OK);
    SAYS(lth_buf_text(&out), "org.lthost.test-good 1.2.3", "xxh3-128:", "callback Watcher: Watches.", "patience", "How long.");
    assert_null(strstr(lth_buf_text(&out), "model Net"));
    lth_buf_clear(&out);
    assert_int_equal(lth_registry_info(registry, PLUGINS "/test_good.so", &out, &err), LT_OK);
    SAYS(lth_buf_text(&out), "model Net: A model.", "no parameters");
    assert_true(lth_registry_info(registry, "Watchers", &out, &err) < 0);
    SAYS(err.text, "did you mean \"Watcher\"");
    lth_buf_release(&out);
    lth_registry_close(registry);
}

static void cxx_components_live_and_die(void **state) {
    lth_registry *registry = open_good();
    lth_diags diags = {0};
    lth_instance *instance;
    lt_ctx ctx;

    (void)state;
    if (!lth_path_exists(PLUGINS "/test_watch.so")) {
        lth_registry_close(registry);
        skip();
    }
    assert_int_equal(lth_instance_new(registry, LTH_KIND_callback, "Jumps", NULL, NULL, &diags, &instance), LT_OK);
    const int *alive = lth_instance_interface(instance, "any");
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    ctx.where = instance->where;
    assert_int_equal(*alive, 1);
    assert_int_equal(instance->base->state_version, 3);
    assert_int_equal(instance->base->flags, LT_CALLBACK_LAST);
    assert_null(instance->callback->on_train_start);
    assert_null(instance->callback->save);
    assert_int_equal(instance->callback->on_fit_start(&ctx, instance->self), LT_OK); /* fields bound, the class's own kept */
    instance->callback->on_fit_end(&ctx, instance->self);
    assert_int_equal(ctx.error.code, LT_EPLUGIN);
    SAYS(ctx.error.text, "thrown in on_fit_end");
    lth_instance_free(instance);
    assert_int_equal(*alive, 0);
    lth_diags_release(&diags);
    lth_registry_close(registry);
}

/* Every allocation fails once, one after the other: each time there is an error, no leak, and the next try works. */
static void survives_without_memory(void **state) {
    int64_t before = lth_alloc_live();
    bool done = false;

    (void)state;
    for (int64_t budget = 0; budget < 400 && !done; budget++) {
        lth_diags diags = {0};
        lth_registry_opts opts = {.paths = (const char *const[]){PLUGINS}, .n_paths = 1, .env = "", .no_builtin = true, .get_table = get_table};
        lth_registry *registry = NULL;
        lth_instance *instance = NULL;

        lth_alloc_budget(budget);
        lth_registry_open(&opts, &diags, &registry);
        if (registry) {
            lth_instance_new(registry, LTH_KIND_model, "Net", NULL, NULL, &diags, &instance);
        }
        lth_alloc_budget(-1);
        done = instance && !diags.count;
        lth_instance_free(instance);
        lth_registry_close(registry);
        lth_diags_release(&diags);
        assert_int_equal(lth_alloc_live(), before);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_plugins), cmocka_unit_test(reports_paths_that_are_none), cmocka_unit_test(environment_needs_absolute_paths),
        cmocka_unit_test(each_rung_has_its_message), cmocka_unit_test(distrusts_what_all_may_write), cmocka_unit_test(lists_damaged_files_of_a_folder),
        cmocka_unit_test(resolves_class_paths), cmocka_unit_test(names_what_there_is_instead), cmocka_unit_test(two_plugins_with_one_id),
        cmocka_unit_test(binds_parameters), cmocka_unit_test(reports_a_missing_component_at_its_place), cmocka_unit_test(state_goes_out_and_comes_back),
        cmocka_unit_test(info_tells_parameters), cmocka_unit_test(cxx_components_live_and_die),
        cmocka_unit_test(survives_without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
