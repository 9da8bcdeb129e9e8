/* Schemas: binding with every mistake named and placed, live changes, values and help, saved fields, the trainer's arguments. */
#include "base_test.h"
#include "base/schema.h"
#include "base/snapshot.h"
#include "base/trainer_opts.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum direction { LOWER, HIGHER };
typedef struct { int64_t channels, kernel; } conv_layer;
LT_PARAMS(conv_layer, LT_PARAM(channels, LT_REQUIRED, "Output channels.", LT_RANGE("1..")),
          LT_PARAM(kernel, "3", "Side.", LT_RANGE("1..7")));

typedef struct {
    int64_t hidden;
    double dropout;
    bool bias;
    const char *name, *data_dir, *token;
    enum direction mode;
    lt_opt_int depth;
    lt_opt_float clip;
    lt_ints sizes;
    lt_floats betas;
    lt_texts tags;
    LT_LIST(conv_layer) layers;
    double best;
    int64_t waited;
    bool done;
    lt_opt_int last;
    lt_floats history;
    lt_texts seen;
    const char *note;
} net;
LT_PARAMS(net,
    LT_PARAM(hidden, "64", "Width of the hidden layers.", LT_RANGE("1.."), LT_LIVE),
    LT_PARAM(dropout, "0.1", "Share of zeroed activations.", LT_RANGE("0..<1"), LT_LIVE),
    LT_PARAM(bias, "true", "Add a bias."),
    LT_PARAM(name, "net", "Name."),
    LT_PARAM(data_dir, LT_REQUIRED, "Where the data is.", LT_PATH, LT_ALIAS("root_dir")),
    LT_PARAM(token, "", "For downloads.", LT_SECRET),
    LT_CHOICE(mode, "min|max", "min", "Lower or higher is better."),
    LT_PARAM(depth, "null", "Layers.", LT_RANGE(">0")),
    LT_PARAM(clip, "null", "Clip.", LT_UNIT("s")),
    LT_PARAM(sizes, "1, 2", "Sizes.", LT_RANGE("..100")),
    LT_PARAM(betas, "[0.9, 0.999]", "Betas.", LT_RANGE("0..<1")),
    LT_PARAM(tags, "[a, 'b, c']", "Tags."),
    LT_RECORD_LIST(layers, conv_layer, "[]", "Convolutions."),
    LT_SAVED(best, "nan"),
    LT_SAVED(waited, "0"),
    LT_SAVED(done, "false"),
    LT_SAVED(last, "null"),
    LT_SAVED(history, "[]"),
    LT_SAVED(seen, "[]"),
    LT_SAVED(note, "null"));

/* ---- a small world for each test ---- */

typedef struct world { lth_arena arena; lth_diags diags; lth_node *map; net self; int line; } world;

static world *new_world(void) {
    world *w = lth_alloc(sizeof *w);
    w->map = lth_node_new(&w->arena, LTH_NODE_MAP);
    w->map->file = "conf/run.yaml";
    w->map->line = 1;
    return w;
}

static void free_world(world *w) {
    lth_diags_release(&w->diags);
    lth_arena_release(&w->arena);
    lth_free(w);
}

/* Nodes come from lines 2, 3, ... of conf/run.yaml. */
static lth_node *place(world *w, lth_node *node) {
    node->file = "conf/run.yaml";
    node->line = node->key_line = ++w->line + 1;
    node->origin = LTH_FROM_FILE;
    return node;
}

static lth_node *give(world *w, const char *key, const char *text) {
    lth_node *node = place(w, lth_node_text(&w->arena, text));
    node->key = key;
    lth_node_append(w->map, node); /* as a parser would: also a key that is there already */
    return node;
}

static lth_node *give_list(world *w, const char *key, const char *const *texts, size_t count) {
    lth_node *list = place(w, lth_node_new(&w->arena, LTH_NODE_LIST));
    for (size_t i = 0; i < count; i++) {
        lth_node *item = lth_node_text(&w->arena, texts[i]);
        item->file = list->file;
        item->line = list->line;
        lth_node_append(list, item);
    }
    list->key = key;
    lth_node_append(w->map, list);
    return list;
}

static size_t bind(world *w) { return lth_schema_bind(net_params(), "LeNet", w->map, &w->self, &w->arena, &w->diags); }

/* Binds {data_dir: d, key: text} and expects one error with this text. */
static void assert_refused(const char *key, const char *text, bool quoted, const char *expected) {
    world *w = new_world();
    give(w, "data_dir", "d");
    give(w, key, text)->quoted = quoted;
    assert_int_equal(bind(w), 1);
    assert_int_equal(w->diags.count, 1);
    assert_string_equal(w->diags.items[0].text, expected);
    assert_string_equal(w->diags.items[0].file, "conf/run.yaml");
    assert_int_equal(w->diags.items[0].line, 3);
    assert_int_equal(w->diags.items[0].code, LT_ECONFIG);
    free_world(w);
}

/* ---- binding ---- */

static void defaults(void **state) {
    (void)state;
    world *w = new_world();
    give(w, "data_dir", "/d");
    memset(&w->self, 0xff, sizeof w->self);
    assert_int_equal(bind(w), 0);
    assert_int_equal(w->self.hidden, 64);
    assert_true(w->self.dropout == 0.1 && w->self.bias);
    assert_string_equal(w->self.name, "net");
    assert_string_equal(w->self.token, "");
    assert_string_equal(w->self.data_dir, "/d");
    assert_int_equal(w->self.mode, LOWER);
    assert_false(w->self.depth.given || w->self.clip.given);
    assert_int_equal(w->self.sizes.count, 2);
    assert_int_equal(w->self.sizes.items[1], 2);
    assert_true(w->self.betas.items[1] == 0.999);
    assert_int_equal(w->self.tags.count, 2);
    assert_string_equal(w->self.tags.items[1], "b, c");
    assert_int_equal(w->self.layers.count, 0);
    assert_true(isnan(w->self.best));
    assert_null(w->self.note);
    free_world(w);
}

static void given_values(void **state) {
    (void)state;
    world *w = new_world();
    give(w, "hidden", "1_000");
    give(w, "dropout", "0");
    give(w, "bias", "Off");
    give(w, "name", "1.0");
    give(w, "root_dir", "/alias");
    give(w, "mode", "max");
    give(w, "depth", "1e3");
    give(w, "clip", "2");
    give_list(w, "sizes", (const char *[]){"100", "-5"}, 2);
    give_list(w, "betas", NULL, 0);
    give_list(w, "tags", (const char *[]){"x", "7"}, 2);
    assert_int_equal(bind(w), 0);
    assert_int_equal(w->self.hidden, 1000);
    assert_true(w->self.dropout == 0.0 && !w->self.bias);
    assert_string_equal(w->self.name, "1.0");
    assert_string_equal(w->self.data_dir, "/alias");
    assert_int_equal(w->self.mode, HIGHER);
    assert_true(w->self.depth.given && w->self.depth.value == 1000);
    assert_true(w->self.clip.given && w->self.clip.value == 2.0);
    assert_int_equal(w->self.sizes.items[1], -5);
    assert_int_equal(w->self.betas.count, 0);
    assert_string_equal(w->self.tags.items[1], "7");
    free_world(w);
}

static void null_is_for_what_may_be_absent(void **state) {
    (void)state;
    world *w = new_world();
    give(w, "data_dir", "d");
    give(w, "depth", "~");
    give(w, "clip", "null");
    give(w, "name", "null");
    assert_int_equal(bind(w), 0);
    assert_false(w->self.depth.given || w->self.clip.given);
    assert_null(w->self.name);
    free_world(w);
    assert_refused("hidden", "null", false, "hidden of LeNet must be an integer, not null");
    assert_refused("bias", "~", false, "bias of LeNet must be true or false, not null");
    assert_refused("sizes", "null", false, "sizes of LeNet must be a list of integers, not null");
    assert_refused("mode", "null", false, "mode of LeNet must be one of min, max, not null");
}

static void wrong_types(void **state) {
    (void)state;
    assert_refused("token", "***", false, "token of LeNet is a secret and was not saved: give it again");
    assert_refused("hidden", "abc", false, "hidden of LeNet must be an integer, not \"abc\"");
    assert_refused("hidden", "1.0", false, "hidden of LeNet must be an integer, not \"1.0\"");
    assert_refused("hidden", "", false, "hidden of LeNet must be an integer, not \"\"");
    assert_refused("hidden", "64", true, "hidden of LeNet must be an integer, not \"64\"");
    assert_refused(
        "hidden", "99999999999999999999", false,
        "hidden of LeNet must lie within 64 bits (-9223372036854775808 to 9223372036854775807), and \"99999999999999999999\" does not");
    assert_refused("dropout", "much", false, "dropout of LeNet must be a number, not \"much\"");
    assert_refused("dropout", "1e999", false, "dropout of LeNet must be a number, not \"1e999\"");
    assert_refused("bias", "1", false, "bias of LeNet must be true or false, not \"1\"");
    assert_refused("bias", "true", true, "bias of LeNet must be true or false, not \"true\"");
    assert_refused("depth", "x", false, "depth of LeNet must be an integer or null, not \"x\"");
    assert_refused("mode", "mxa", false, "mode of LeNet must be one of min, max, not \"mxa\"; did you mean \"max\"?");
    assert_refused("mode", "sideways", false, "mode of LeNet must be one of min, max, not \"sideways\"");
    assert_refused("sizes", "3", false, "sizes of LeNet must be a list of integers, not \"3\"");
}

static void out_of_range(void **state) {
    (void)state;
    assert_refused("hidden", "0", false, "hidden of LeNet must be at least 1, not 0");
    assert_refused("dropout", "1", false, "dropout of LeNet must be at least 0 and below 1, not 1");
    assert_refused("dropout", "nan", false, "dropout of LeNet must be at least 0 and below 1, not nan");
    assert_refused("depth", "0", false, "depth of LeNet must be above 0, not 0");
    assert_refused("betas", "1", false, "betas of LeNet must be at least 0 and below 1, not 1"); /* a list of one */
}

static void items_of_lists_are_named(void **state) {
    (void)state;
    world *w = new_world();
    give(w, "data_dir", "d");
    give_list(w, "sizes", (const char *[]){"1", "x", "101"}, 3);
    assert_int_equal(bind(w), 2);
    assert_string_equal(w->diags.items[0].text, "sizes[1] of LeNet must be an integer, not \"x\"");
    assert_string_equal(w->diags.items[1].text, "sizes[2] of LeNet must be at most 100, not 101");
    free_world(w);
}

static void records(void **state) {
    (void)state;
    world *w = new_world();
    give(w, "data_dir", "d");
    lth_node *list = give_list(w, "layers", NULL, 0);
    for (int i = 0; i < 3; i++) {
        lth_node *layer = lth_node_new(&w->arena, LTH_NODE_MAP);
        lth_node_set(&w->arena, layer, "channels", lth_node_text(&w->arena, i == 1 ? "many" : "16"));
        if (i == 2) {
            lth_node_set(&w->arena, layer, "kernle", lth_node_text(&w->arena, "5"));
        }
        lth_node_append(list, layer);
    }
    lth_node_append(list, lth_node_new(&w->arena, LTH_NODE_MAP));
    lth_node_append(list, lth_node_text(&w->arena, "16"));
    assert_int_equal(bind(w), 4);
    assert_string_equal(w->diags.items[0].text, "channels of layers[1] of LeNet must be an integer, not \"many\"");
    assert_string_equal(w->diags.items[1].text, "unknown parameter \"kernle\" of layers[2] of LeNet; did you mean \"kernel\"?");
    assert_string_equal(w->diags.items[2].text, "channels of layers[3] of LeNet must be given");
    assert_string_equal(w->diags.items[3].text, "layers[4] of LeNet must be a map of its fields, not \"16\"");
    list->first->next = NULL;
    lth_diags_release(&w->diags);
    assert_int_equal(bind(w), 0);
    assert_int_equal(w->self.layers.count, 1);
    assert_int_equal(w->self.layers.items[0].channels, 16);
    assert_int_equal(w->self.layers.items[0].kernel, 3);
    free_world(w);
}

static void keys(void **state) {
    (void)state;
    assert_refused("hiden", "3", false, "unknown parameter \"hiden\" of LeNet; did you mean \"hidden\"?");
    assert_refused("rootdir", "3", false, "unknown parameter \"rootdir\" of LeNet; did you mean \"root_dir\"?");
    assert_refused("zzz", "3", false, "unknown parameter \"zzz\" of LeNet");
    assert_refused("best", "3", false, "best of LeNet is state that checkpoints keep; it cannot be set");
    assert_refused("data_dir", "3", false, "data_dir of LeNet is given twice");
    assert_refused("root_dir", "3", false, "data_dir and root_dir of LeNet are the same parameter; give only data_dir");
    world *w = new_world();
    assert_int_equal(bind(w), 1);
    assert_string_equal(w->diags.items[0].text, "data_dir of LeNet must be given");
    assert_string_equal(w->diags.items[0].hint, "Where the data is.");
    assert_int_equal(w->diags.items[0].line, 1);
    free_world(w);
}

static void all_mistakes_at_once(void **state) {
    (void)state;
    world *w = new_world();
    give(w, "hidden", "x");
    give(w, "zzz", "1");
    give(w, "dropout", "2");
    assert_int_equal(bind(w), 4);
    free_world(w);
}

static void what_is_no_map(void **state) {
    (void)state;
    world *w = new_world();
    w->map->kind = LTH_NODE_LIST;
    assert_int_equal(bind(w), 1);
    assert_string_equal(w->diags.items[0].text, "the parameters of LeNet must be a map of names and values, not a list");
    lth_diags_release(&w->diags);
    w->map->kind = LTH_NODE_NULL;
    assert_int_equal(bind(w), 1); /* as good as nothing: data_dir is missing */
    assert_contains(w->diags.items[0].text, "must be given");
    free_world(w);
}

static void paths(void **state) {
    (void)state;
    char here[PATH_MAX], expected[PATH_MAX + 64];
    assert_non_null(getcwd(here, sizeof here));
    setenv("HOME", "/users/me", 1);
    static const struct { const char *text; lth_origin origin; const char *expected; bool below_here; } cases[] = {
        {"mnist", LTH_FROM_FILE, "/conf/mnist", true},
        {"../mnist", LTH_FROM_FILE, "/conf/../mnist", true},
        {"mnist", LTH_FROM_COMMAND_LINE, "/mnist", true},
        {"/abs//mnist/", LTH_FROM_FILE, "/abs/mnist", false},
        {"~/mnist", LTH_FROM_FILE, "/users/me/mnist", false},
        {"https://host/a//b", LTH_FROM_FILE, "https://host/a//b", false},
        {"", LTH_FROM_FILE, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world *w = new_world();
        give(w, "data_dir", cases[i].text)->origin = cases[i].origin;
        assert_int_equal(bind(w), 0);
        snprintf(expected, sizeof expected, "%s%s", cases[i].below_here ? here : "", cases[i].expected);
        assert_string_equal(w->self.data_dir, expected);
        free_world(w);
    }
}

/* ---- a plugin's mistakes ---- */

static void broken_schemas(void **state) {
    (void)state;
    const lt_param items[] = {
        {.struct_size = sizeof(lt_param), .type = LT_PARAM_INT, .offset = 4, .key = "outside", .initial = "1"},
        {.struct_size = sizeof(lt_param), .type = 99, .key = "strange", .initial = "1"},
        {.struct_size = sizeof(lt_param), .type = LT_PARAM_CHOICE, .key = "choiceless", .initial = "1"},
        {.struct_size = sizeof(lt_param), .type = LT_PARAM_INT, .initial = "1"},
        {.struct_size = sizeof(lt_param), .type = LT_PARAM_RECORDS, .key = "recordless", .initial = "[]"},
        {.struct_size = sizeof(lt_param), .type = LT_PARAM_INT, .key = "ill", .initial = "many"},
        {.struct_size = sizeof(lt_param), .type = LT_PARAM_INT, .key = "low", .initial = "0", .range = "1.."},
        {.struct_size = sizeof(lt_param), .type = LT_PARAM_INT, .key = "ranged", .initial = "0", .range = "1-2"},
        {.struct_size = sizeof(lt_param), .type = LT_PARAM_INT, .key = "low", .initial = "1", .range = "5..1"},
    };
    const lt_params schema = {sizeof(lt_params), sizeof(lt_param), 8, sizeof items / sizeof *items, items};
    lth_diags diags = {0};
    lth_arena arena = {0};
    int64_t self[2] = {0};
    assert_int_equal(lth_schema_check(&schema, "Bad", &diags), 10);
    for (size_t i = 0; i < diags.count; i++) {
        assert_int_equal(diags.items[i].code, LT_EPLUGIN);
    }
    assert_string_equal(diags.items[0].text, "parameter outside of Bad lies outside of its struct");
    lth_diags_release(&diags);
    assert_true(lth_schema_bind(&schema, "Bad", NULL, self, &arena, &diags) >= 8);
    lth_diags_release(&diags);
    assert_int_equal(lth_schema_check(net_params(), "LeNet", &diags), 0);
    lth_arena_release(&arena);
}

static void a_longer_stride_is_honoured(void **state) {
    (void)state;
    struct { lt_param param; char newer[24]; } items[2] = {
        {.param = {.struct_size = sizeof items[0], .type = LT_PARAM_INT, .offset = 0, .key = "a", .initial = "1"}},
        {.param = {.struct_size = sizeof items[0], .type = LT_PARAM_INT, .offset = 8, .key = "b", .initial = "2"}},
    };
    const lt_params schema = {sizeof(lt_params), sizeof items[0], 16, 2, &items[0].param};
    int64_t self[2];
    lth_arena arena = {0};
    lth_diags diags = {0};
    assert_int_equal(lth_schema_bind(&schema, "New", NULL, self, &arena, &diags), 0);
    assert_int_equal(self[0] * 10 + self[1], 12);
    assert_string_equal(lth_schema_param(&schema, 1)->key, "b");
    assert_null(lth_schema_param(&schema, 2));
    assert_null(lth_schema_find(&schema, "c"));
    lth_arena_release(&arena);
}

/* ---- live, values, help ---- */

static void live_changes(void **state) {
    (void)state;
    world *w = new_world();
    lth_error err = {0};
    give(w, "data_dir", "d");
    assert_int_equal(bind(w), 0);
    lth_node *value = lth_node_text(&w->arena, "128");
    assert_int_equal(lth_schema_set(net_params(), "LeNet", &w->self, "hidden", value, &w->arena, &err), LT_OK);
    assert_int_equal(w->self.hidden, 128);
    value->text = "0";
    assert_int_equal(lth_schema_set(net_params(), "LeNet", &w->self, "hidden", value, &w->arena, &err), LT_ECONFIG);
    assert_string_equal(err.text, "hidden of LeNet must be at least 1, not 0");
    assert_int_equal(w->self.hidden, 128);
    lth_error_clear(&err);
    assert_int_equal(lth_schema_set(net_params(), "LeNet", &w->self, "bias", value, &w->arena, &err), LT_ESTATE);
    assert_contains(err.text, "cannot be changed in a run");
    lth_error_clear(&err);
    assert_int_equal(lth_schema_set(net_params(), "LeNet", &w->self, "hiden", value, &w->arena, &err), LT_EABSENT);
    assert_contains(err.text, "did you mean \"hidden\"?");
    lth_error_clear(&err);
    assert_int_equal(lth_schema_set(net_params(), "LeNet", &w->self, "best", value, &w->arena, &err), LT_EABSENT);
    lth_error_clear(&err);
    assert_int_equal(lth_schema_set(net_params(), "LeNet", &w->self, "hidden", NULL, &w->arena, &err), LT_ECONFIG);
    free_world(w);
}

static void values_bind_again(void **state) {
    (void)state;
    world *w = new_world();
    give(w, "data_dir", "/d");
    give(w, "name", "null")->quoted = true;
    give(w, "dropout", "0");
    give(w, "clip", "inf");
    give(w, "depth", "3");
    give(w, "token", "s3cret");
    give(w, "mode", "max");
    assert_int_equal(bind(w), 0);
    lth_node *values = lth_schema_values(net_params(), &w->self, &w->arena, false);
    assert_int_equal(lth_node_count(values), 13);
    assert_string_equal(lth_node_get(values, "token")->text, "***");
    assert_string_equal(lth_node_get(values, "dropout")->text, "0.0");
    assert_string_equal(lth_node_get(values, "clip")->text, ".inf");
    assert_string_equal(lth_node_get(values, "mode")->text, "max");
    assert_true(lth_node_get(values, "name")->quoted);
    assert_null(lth_node_get(values, "best"));
    values = lth_schema_values(net_params(), &w->self, &w->arena, true);
    assert_string_equal(lth_node_get(values, "token")->text, "s3cret");
    net again;
    assert_int_equal(lth_schema_bind(net_params(), "LeNet", values, &again, &w->arena, &w->diags), 0);
    assert_true(lth_node_equal(values, lth_schema_values(net_params(), &again, &w->arena, true)));
    assert_string_equal(again.name, "null");
    free_world(w);
}

static void help_lines(void **state) {
    (void)state;
    lth_buf out = {0};
    lth_schema_help(net_params(), "--model.", &out);
    const char *text = lth_buf_text(&out);
    assert_contains(text, "  --model.hidden (int) = 64 ");
    assert_contains(text, "Width of the hidden layers. [1..] (live)\n");
    assert_contains(text, "  --model.data_dir (path, required) ");
    assert_contains(text, "Where the data is. (also: root_dir)\n");
    assert_contains(text, "  --model.mode (min|max) = min ");
    assert_contains(text, "  --model.token (text) = \"\" ");
    assert_contains(text, "For downloads. (secret)\n");
    assert_contains(text, "Clip. [s]\n");
    assert_contains(text, "  --model.layers[].channels (int, required) ");
    assert_null(strstr(text, "waited"));
    assert_null(strstr(text, " \n"));
    lth_buf_release(&out);
}

/* ---- saved fields ---- */

static void saved_fields_come_back(void **state) {
    (void)state;
    world *w = new_world();
    lth_error err = {0};
    give(w, "data_dir", "d");
    assert_int_equal(bind(w), 0);
    w->self.best = 0.1 + 0.2;
    w->self.waited = INT64_MAX;
    w->self.done = true;
    w->self.last = (lt_opt_int){.value = 5, .given = true};
    w->self.history = (lt_floats){.items = (const double[]){1.5, NAN}, .count = 2};
    w->self.seen = (lt_texts){.items = (const char *const[]){"x", "", "long text"}, .count = 3};
    lth_snapshot *s = lth_snapshot_new();
    assert_int_equal(lth_schema_save(net_params(), &w->self, s, "callbacks/net", &err), LT_OK);
    assert_int_equal(lth_snapshot_count(s), 7);
    net loaded;
    assert_int_equal(lth_schema_bind(net_params(), "LeNet", w->map, &loaded, &w->arena, &w->diags), 0);
    loaded.note = "to be replaced by NULL";
    assert_int_equal(lth_schema_load(net_params(), &loaded, s, "callbacks/net", &w->arena, &err), LT_OK);
    lth_snapshot_free(s);
    assert_true(loaded.best == 0.1 + 0.2 && loaded.done);
    assert_int_equal(loaded.waited, INT64_MAX);
    assert_true(loaded.last.given && loaded.last.value == 5);
    assert_int_equal(loaded.history.count, 2);
    assert_true(loaded.history.items[0] == 1.5 && isnan(loaded.history.items[1]));
    assert_int_equal(loaded.seen.count, 3);
    assert_string_equal(loaded.seen.items[1], "");
    assert_string_equal(loaded.seen.items[2], "long text");
    assert_null(loaded.note);
    assert_int_equal(loaded.hidden, 64); /* parameters are no state */
    free_world(w);
}

static void saved_fields_of_another_kind(void **state) {
    (void)state;
    world *w = new_world();
    lth_error err = {0};
    give(w, "data_dir", "d");
    assert_int_equal(bind(w), 0);
    lth_snapshot *s = lth_snapshot_new();
    lth_snapshot_add_text(s, "x/waited", "12", NULL);
    w->self.waited = 7;
    assert_int_equal(lth_schema_load(net_params(), &w->self, s, "nowhere", &w->arena, &err), LT_OK); /* absent: kept */
    assert_int_equal(w->self.waited, 7);
    assert_int_equal(lth_schema_load(net_params(), &w->self, s, "x", &w->arena, &err), LT_EFORMAT);
    assert_contains(err.text, "x/waited");
    assert_contains(err.text, "another version");
    assert_int_equal(w->self.waited, 7);
    lth_snapshot_free(s);
    s = lth_snapshot_new();
    lth_error_clear(&err);
    lth_snapshot_add(s, "x/seen", LT_U8, 1, (int64_t[]){3}, "abc", NULL); /* no NUL at the end: damaged */
    assert_int_equal(lth_schema_load(net_params(), &w->self, s, "x", &w->arena, &err), LT_EFORMAT);
    lth_snapshot_free(s);
    free_world(w);
}

/* ---- the trainer's arguments ---- */

static void trainer_defaults(void **state) {
    (void)state;
    lth_arena arena = {0};
    lth_diags diags = {0};
    lth_trainer_opts opts;
    assert_int_equal(lth_schema_check(lth_trainer_opts_params(), "trainer", &diags), 0);
    assert_int_equal(lth_schema_bind(lth_trainer_opts_params(), "trainer", NULL, &opts, &arena, &diags), 0);
    assert_false(opts.max_epochs.given || opts.gradient_clip_val.given);
    assert_int_equal(opts.max_steps, -1);
    assert_true(opts.check_val_every_n_epoch.given && opts.check_val_every_n_epoch.value == 1);
    assert_int_equal(opts.num_sanity_val_steps, 2);
    assert_int_equal(opts.log_every_n_steps, 50);
    assert_int_equal(opts.accumulate_grad_batches, 1);
    assert_string_equal(opts.limit_train_batches, "1.0");
    assert_string_equal(opts.overfit_batches, "0.0");
    assert_string_equal(opts.precision, "32-true");
    assert_true(opts.enable_checkpointing && !opts.deterministic);
    assert_null(opts.default_root_dir);
    for (uint32_t i = 0; i < lth_trainer_opts_params()->count; i++) {
        assert_non_null(lth_schema_param(lth_trainer_opts_params(), i)->doc);
    }
    lth_node *map = lth_node_new(&arena, LTH_NODE_MAP);
    lth_node_set(&arena, map, "max_epoch", lth_node_text(&arena, "3"));
    lth_node_set(&arena, map, "accumulate_grad_batches", lth_node_text(&arena, "0"));
    assert_int_equal(lth_schema_bind(lth_trainer_opts_params(), "trainer", map, &opts, &arena, &diags), 2);
    assert_string_equal(diags.items[0].text, "unknown parameter \"max_epoch\" of trainer; did you mean \"max_epochs\"?");
    assert_string_equal(diags.items[1].text, "accumulate_grad_batches of trainer must be at least 1, not 0");
    lth_diags_release(&diags);
    lth_arena_release(&arena);
}

static void limits(void **state) {
    (void)state;
    lth_limit limit;
    lth_error err = {0};
    assert_int_equal(lth_limit_parse("limit", "1", &limit, &err), LT_OK);
    assert_true(limit.value == 1.0 && !limit.is_fraction);
    assert_int_equal(lth_limit_parse("limit", "1.0", &limit, &err), LT_OK);
    assert_true(limit.value == 1.0 && limit.is_fraction);
    assert_int_equal(lth_limit_parse("limit", "0.25", &limit, &err), LT_OK);
    assert_true(limit.value == 0.25 && limit.is_fraction);
    assert_int_equal(lth_limit_parse("limit", "10.0", &limit, &err), LT_OK);
    assert_true(limit.value == 10.0 && !limit.is_fraction);
    assert_int_equal(lth_limit_parse("limit", "0", &limit, &err), LT_OK);
    assert_false(limit.is_fraction);
    static const char *const bad[] = {"-1", "1.5", "-0.5", "nan", "inf", "all", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lth_error_clear(&err);
        assert_int_equal(lth_limit_parse("limit_val_batches", bad[i], &limit, &err), LT_ECONFIG);
        assert_contains(err.text, "limit_val_batches must be");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(given_values),
        TEST(null_is_for_what_may_be_absent),
        TEST(wrong_types),
        TEST(out_of_range),
        TEST(items_of_lists_are_named),
        TEST(records),
        TEST(keys),
        TEST(all_mistakes_at_once),
        TEST(what_is_no_map),
        TEST(paths),
        TEST(broken_schemas),
        TEST(a_longer_stride_is_honoured),
        TEST(live_changes),
        TEST(values_bind_again),
        TEST(help_lines),
        TEST(saved_fields_come_back),
        TEST(saved_fields_of_another_kind),
        TEST(trainer_defaults),
        TEST(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
