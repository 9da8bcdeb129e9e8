/* LinesLogger: every row of metrics as one line of JSON. A resumed run goes on at the line that its checkpoint knew. */
#include <inttypes.h>
#include <lt/logger.h>
#include <math.h>

typedef struct {
    const char *path;
    lt_file *file;
} lines;

LT_PARAMS(lines, LT_PARAM(path, "metrics.jsonl", "File, relative to the run folder."));

static lt_status open_file(lt_ctx *ctx, void *self) {
    lines *s = self;
    s->file = lt_file_append(ctx, s->path); /* the host flushes and closes it, and has cut it back if the run was resumed */
    return lt_ctx_status(ctx);
}

static lt_status scalars(lt_ctx *ctx, void *self, const lt_scalars *const *rows, uint32_t count) {
    lines *s = self;
    for (uint32_t r = 0; r < count; r++) {
        lt_file_print(ctx, s->file, "{\"step\": %" PRId64 ", \"epoch\": %" PRId64, rows[r]->step, rows[r]->epoch);
        for (uint32_t i = 0; i < rows[r]->count; i++) {
            if (isfinite(rows[r]->values[i])) { /* JSON has no NaN */
                lt_file_print(ctx, s->file, ", \"%s\": %.17g", rows[r]->names[i], rows[r]->values[i]);
            }
        }
        lt_file_print(ctx, s->file, "}\n");
    }
    return lt_ctx_status(ctx);
}

LT_LOGGER(LinesLogger, lines, "Metrics as lines of JSON.",
    .open = open_file,
    .scalars = scalars);
LT_PLUGIN("org.example.lines-logger", "1.0.0", logger(LinesLogger));
