/* ModelSummary: a table of the model's modules at the start of fit: names, types, parameters, sizes in and out. */
#include <lt/callback.h>
#include <stdio.h>
#include <string.h>

typedef struct { int64_t max_depth; } summary;

LT_PARAMS(summary,
    LT_PARAM(max_depth, "1", "How deep to look into the modules; -1 all, 0 off.", LT_RANGE("-1..")));

enum { WIDEST = 40, LINE = 400, TEXT = 64 * 1024 };

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

/* What the columns need; sizes: In and Out sizes are shown. */
typedef struct { int name, type, in; bool sizes; } columns;

static bool is_shown(lt_ctx *ctx, const summary *s, int64_t index, lt_module_info *info) {
    *info = (lt_module_info){.struct_size = sizeof *info};
    return !lt_module_info_at(ctx, index, info) && (s->max_depth < 0 || info->depth < s->max_depth);
}

static void widen(int *width, const char *text, int most) {
    int length = (int)strlen(text);

    length = length > most ? most : length;
    *width = length > *width ? length : *width;
}

/* As wide as the content; without sizes where none are known or where the terminal is too narrow for them. */
static columns measure(lt_ctx *ctx, const summary *s) {
    columns c = {.name = 4, .type = 4, .in = 8};
    int out = 9, fixed = (int)strlen("  0 |  |  |   Params | Mode  |  | ");
    lt_module_info info;
    char text[80];

    for (int64_t i = 0; i < lt_module_count(ctx); i++) {
        if (is_shown(ctx, s, i, &info)) {
            widen(&c.name, info.name, WIDEST);
            widen(&c.type, info.type, WIDEST);
            shape_text(text, sizeof text, info.in_ndim, info.in_shape);
            widen(&c.in, text, WIDEST);
            shape_text(text, sizeof text, info.out_ndim, info.out_shape);
            widen(&out, text, WIDEST);
            c.sizes |= info.in_ndim >= 0;
        }
    }
    c.sizes &= !lt_terminal_width(ctx) || fixed + c.name + c.type + c.in + out <= lt_terminal_width(ctx);
    return c;
}

static size_t row(const columns *c, int64_t index, const lt_module_info *info, char *out, size_t room) {
    const char *mode = info->training ? "train" : "eval";
    char params[32], in[80], to[80];

    count_text(params, sizeof params, info->parameters);
    if (!c->sizes) {
        return (size_t)snprintf(out, room, "%3lld | %-*.100s | %-*.40s | %8s | %s\n", (long long)index, c->name, info->name, c->type, info->type,
                                params, mode);
    }
    shape_text(in, sizeof in, info->in_ndim, info->in_shape);
    shape_text(to, sizeof to, info->out_ndim, info->out_shape);
    return (size_t)snprintf(out, room, "%3lld | %-*.100s | %-*.40s | %8s | %-5s | %-*s | %s\n", (long long)index, c->name, info->name, c->type,
                            info->type, params, mode, c->in, in, to);
}

static void totals(lt_ctx *ctx, char *out, size_t room) {
    lt_module_info info = {.struct_size = sizeof info};
    char texts[3][32];

    lt_module_info_at(ctx, -1, &info); /* the sum over the rows would count shared parameters twice */
    count_text(texts[0], sizeof texts[0], info.trainable);
    count_text(texts[1], sizeof texts[1], info.parameters - info.trainable);
    count_text(texts[2], sizeof texts[2], info.parameters);
    snprintf(out, room, "%-9s trainable parameters\n%-9s non-trainable parameters\n%-9s parameters in all\n%-9.3f MB of parameters", texts[0],
             texts[1], texts[2], (double)info.parameter_bytes / 1e6);
}

static lt_status on_fit_start(lt_ctx *ctx, void *self) {
    summary *s = self;
    char *text = s->max_depth == 0 ? NULL : lt_alloc(ctx, TEXT);
    lt_module_info info;
    size_t used = 0;

    if (!text) {
        return lt_ctx_status(ctx);
    }
    columns c = measure(ctx, s);

    used += (size_t)snprintf(text, TEXT, "    | %-*s | %-*s | %8s | Mode", c.name, "Name", c.type, "Type", "Params");
    used += (size_t)(c.sizes ? snprintf(text + used, TEXT - used, "  | %-*s | Out sizes\n", c.in, "In sizes") : snprintf(text + used, TEXT - used, "\n"));
    for (int64_t i = 0; i < lt_module_count(ctx) && used + 2 * LINE < TEXT; i++) {
        if (is_shown(ctx, s, i, &info)) {
            used += row(&c, i, &info, text + used, TEXT - used);
        }
    }
    totals(ctx, text + used, TEXT - used);
    lt_print(ctx, "%s", text);
    lt_free(ctx, text);
    return lt_ctx_status(ctx);
}

LT_CALLBACK(ModelSummary, summary, "Prints the model's modules when fit starts.", .on_fit_start = on_fit_start);
LT_PLUGIN("org.lthost.model-summary", "0.1.0", callback(ModelSummary));
