/* ModelSummary: a table of the model's modules at the start of fit: names, types, parameters, sizes in and out. */
#include <lt/callback.h>
#include <stdio.h>
#include <string.h>

typedef struct { int64_t max_depth; } summary;

LT_PARAMS(summary,
    LT_PARAM(max_depth, "1", "How deep to look into the modules; -1 all, 0 off.", LT_RANGE("-1..")));

enum { NAME = 28, TYPE = 14, SIZE = 20, LINE = 160, TEXT = 64 * 1024 };

static void shape_text(char *out, size_t size, int32_t ndim, const int64_t *shape) {
    size_t used = 0;

    out[0] = 0;
    if (ndim < 0) {
        snprintf(out, size, "?");
        return;
    }
    for (int32_t i = 0; i < ndim && used + 24 < size; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "[", (long long)shape[i]);
    }
    snprintf(out + used, size - used, ndim ? "]" : "[]");
}

/* 61706 -> "61.7 K" */
static void count_text(char *out, size_t size, int64_t n) {
    static const char units[] = {' ', 'K', 'M', 'B', 'T'};
    double value = (double)n;
    int unit = 0;

    for (; value >= 1000 && unit < 4; unit++) {
        value /= 1000;
    }
    snprintf(out, size, unit ? "%.1f %c" : "%.0f", value, units[unit]);
}

static size_t row(lt_ctx *ctx, int64_t index, bool sizes, char *out, size_t room) {
    lt_module_info info = {.struct_size = sizeof info};
    char params[32], in[80], to[80], name[120];

    if (lt_module_info_at(ctx, index, &info)) {
        return 0;
    }
    count_text(params, sizeof params, info.parameters);
    shape_text(in, sizeof in, info.in_ndim, info.in_shape);
    shape_text(to, sizeof to, info.out_ndim, info.out_shape);
    snprintf(name, sizeof name, "%s", info.name);
    const char *format = sizes ? "%3lld | %-*s | %-*s | %8s | %-5s | %-*s | %-*s\n" : "%3lld | %-*s | %-*s | %8s | %-5s\n";

    return (size_t)snprintf(out, room, format, (long long)index, NAME, name, TYPE, info.type, params, info.training ? "train" : "eval", SIZE,
                            in, SIZE, to);
}

static bool has_sizes(lt_ctx *ctx) {
    lt_module_info info = {.struct_size = sizeof info};

    for (int64_t i = 0; i < lt_module_count(ctx); i++) {
        if (!lt_module_info_at(ctx, i, &info) && info.in_ndim >= 0) {
            return true;
        }
    }
    return false;
}

static void totals(lt_ctx *ctx, char *out, size_t room) {
    lt_module_info info = {.struct_size = sizeof info};
    int64_t all = 0, trainable = 0;
    char texts[3][32];

    for (int64_t i = 0; i < lt_module_count(ctx); i++) {
        if (!lt_module_info_at(ctx, i, &info) && info.depth == 0) {
            all += info.parameters;
            trainable += info.trainable;
        }
    }
    count_text(texts[0], sizeof texts[0], trainable);
    count_text(texts[1], sizeof texts[1], all - trainable);
    count_text(texts[2], sizeof texts[2], all);
    snprintf(out, room, "%-9s trainable parameters\n%-9s non-trainable parameters\n%-9s parameters in all\n%-9.3f MB of parameters", texts[0],
             texts[1], texts[2], (double)all * 4 / 1e6);
}

static lt_status on_fit_start(lt_ctx *ctx, void *self) {
    summary *s = self;
    bool sizes = has_sizes(ctx);
    char *text = s->max_depth == 0 ? NULL : lt_alloc(ctx, TEXT);
    size_t used = 0;

    if (!text) {
        return lt_ctx_status(ctx);
    }
    used += (size_t)snprintf(text, TEXT, sizes ? "    | %-*s | %-*s | %8s | Mode  | %-*s | %-*s\n" : "    | %-*s | %-*s | %8s | Mode\n", NAME,
                             "Name", TYPE, "Type", "Params", SIZE, "In sizes", SIZE, "Out sizes");
    for (int64_t i = 0; i < lt_module_count(ctx) && used + 2 * LINE < TEXT; i++) {
        lt_module_info info = {.struct_size = sizeof info};

        if (!lt_module_info_at(ctx, i, &info) && (s->max_depth < 0 || info.depth < s->max_depth)) {
            used += row(ctx, i, sizes, text + used, TEXT - used);
        }
    }
    totals(ctx, text + used, TEXT - used);
    lt_print(ctx, "%s", text);
    lt_free(ctx, text);
    return lt_ctx_status(ctx);
}

LT_CALLBACK(ModelSummary, summary, "Prints the model's modules when fit starts.", .on_fit_start = on_fit_start);
LT_PLUGIN("org.lthost.model-summary", "0.1.0", callback(ModelSummary));
