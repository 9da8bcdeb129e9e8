/* ModelCheckpoint: writes checkpoints, keeps the k best by a monitored metric and the last one. Lightning's callback of that name.
 * It asks the host for saves; the host takes the snapshot when the hook round is over, so that all parts are at the same instant. */
#include <lt/callback.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum mode { MIN, MAX };
enum when { AUTO, YES, NO };
enum { PATH = 512, KEEP = 256 };

typedef struct { char path[PATH]; double score; } kept;
typedef struct checkpoint {
    const char *dirpath, *filename, *monitor;
    enum mode mode;
    enum when save_on_train_epoch_end;
    bool verbose, save_last, save_weights_only, auto_insert_metric_name, enable_version_counter;
    int64_t save_top_k;
    lt_opt_int every_n_train_steps, every_n_epochs;
    lt_opt_float train_time_interval;
    /* state */
    kept *items; /* best first is not promised; the worst is searched */
    int64_t count, last_step;
    double best_score, last_time;
    bool any, warned, validated;
    char best_path[PATH], last_path[PATH];
    struct checkpoint *next; /* of all in this process: none may take a file that another keeps */
} checkpoint;
static checkpoint *all;

LT_PARAMS(checkpoint,
    LT_PARAM(dirpath, "", "Folder for the files; empty: checkpoints/ in the run folder.", LT_PATH),
    LT_PARAM(filename, "{epoch}-{step}", "Name of the files; {epoch}, {step}, {metric} and {metric:.3f} stand for values."),
    LT_PARAM(monitor, "", "Metric that decides which are best; empty: the newest is."),
    LT_CHOICE(mode, "min|max", "min", "Whether lower or higher is better."),
    LT_PARAM(save_last, "true", "Also keep last.h5, the newest state."),
    LT_PARAM(save_top_k, "1", "How many best ones to keep; 0 none, -1 all.", LT_RANGE("-1..256")),
    LT_PARAM(save_weights_only, "false", "Save the weights alone; training cannot be resumed from such a file."),
    LT_PARAM(auto_insert_metric_name, "true", "Write epoch=2 for {epoch}, not 2."),
    LT_PARAM(every_n_train_steps, "null", "Save every so many optimizer steps.", LT_RANGE("1..")),
    LT_PARAM(train_time_interval, "null", "Save every so many seconds.", LT_RANGE(">0"), LT_UNIT("s")),
    LT_PARAM(every_n_epochs, "null", "Save every so many epochs; 1 if neither steps nor time are given.", LT_RANGE("0..")),
    LT_CHOICE(save_on_train_epoch_end, "auto|true|false", "auto",
        "true: when a training epoch ends; false: after validation; auto: true if that runs once an epoch."),
    LT_PARAM(enable_version_counter, "true", "Add -v1, -v2, ... rather than overwrite an existing file."),
    LT_PARAM(verbose, "false", "Say what is saved."));

static void construct(void *self) {
    checkpoint *c = self;

    c->best_score = NAN;
    c->next = all;
    all = c;
}

static void destroy(void *self) {
    checkpoint **at = &all;

    while (*at && *at != self) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = (*at)->next;
    }
    free(((checkpoint *)self)->items);
}

/* ---- names ---- */

/* The value of a template key; false if nothing of that name has been logged. */
static bool lookup(lt_ctx *ctx, const char *key, double *value, bool *whole) {
    const lt_moment *now = lt_now(ctx);

    *whole = true;
    if (!strcmp(key, "epoch") || !strcmp(key, "step")) {
        *value = (double)(key[0] == 'e' ? now->epoch : now->global_step);
        return true;
    }
    *whole = false;
    *value = lt_metric(ctx, key);
    return lt_has_metric(ctx, key);
}

/* One {key} or {key:.3f} into out; returns how much of the template it took, or 0 with the failure reported. */
static size_t put_key(lt_ctx *ctx, checkpoint *c, const char *from, char *out, size_t size) {
    const char *end = strchr(from, '}'), *colon = memchr(from, ':', end ? (size_t)(end - from) : 0);
    char key[128], precision[16] = ".2f";
    size_t length = end ? (size_t)((colon ? colon : end) - from - 1) : 0;
    double value;
    bool whole;

    if (!end || length == 0 || length >= sizeof key) {
        lt_fail(ctx, LT_ECONFIG, "filename \"%s\": a { without its key and }", c->filename);
        return 0;
    }
    memcpy(key, from + 1, length);
    key[length] = 0;
    if (!lookup(ctx, key, &value, &whole)) {
        lt_fail(ctx, LT_ECONFIG, "filename \"%s\" names {%s}, but no metric of that name has been logged; log it, or take it out of the name",
                c->filename, key);
        return 0;
    }
    if (colon) {
        size_t n = (size_t)(end - colon - 1);

        snprintf(precision, sizeof precision, "%.*s", (int)(n < sizeof precision ? n : sizeof precision - 1), colon + 1);
    }
    if (whole) {
        int width = colon ? (int)strtol(precision, NULL, 10) : 0; /* {epoch:02d} */

        snprintf(out, size, c->auto_insert_metric_name ? "%s=%0*lld" : "%.0s%0*lld", key, width, (long long)value);
    } else {
        int digits = precision[0] == '.' ? (int)strtol(precision + 1, NULL, 10) : 2;

        snprintf(out, size, c->auto_insert_metric_name ? "%s=%.*f" : "%.0s%.*f", key, digits, value);
    }
    for (char *p = out; *p; p++) {
        *p = *p == '/' ? '_' : *p; /* a metric named a/b makes no folder */
    }
    return (size_t)(end - from) + 1;
}

static lt_status format_name(lt_ctx *ctx, checkpoint *c, char *out, size_t size) {
    size_t used = 0;

    for (const char *from = c->filename; *from && used + 1 < size;) {
        if (*from == '{') {
            size_t took = put_key(ctx, c, from, out + used, size - used);

            if (!took) {
                return lt_ctx_status(ctx);
            }
            from += took;
            used += strlen(out + used);
        } else {
            out[used++] = *from++;
        }
    }
    out[used] = 0;
    return LT_OK;
}

static bool is_ours(const checkpoint *c, const char *path) {
    for (int64_t i = 0; i < c->count; i++) {
        if (!strcmp(c->items[i].path, path)) {
            return true;
        }
    }
    return false;
}

/* Another callback keeps it: it may be on its way to the disk, so that looking at the folder is not enough. */
static bool is_others(const checkpoint *c, const char *path) {
    for (const checkpoint *other = all; other; other = other->next) {
        if (other != c && is_ours(other, path)) {
            return true;
        }
    }
    return false;
}

/* dir/name.h5, or name-v1.h5, ... when there is one already that this callback does not keep. */
static lt_status full_path(lt_ctx *ctx, checkpoint *c, const char *name, bool versions, char *out) {
    const char *dir = c->dirpath && *c->dirpath ? c->dirpath : lt_checkpoint_dir(ctx);
    int length = snprintf(out, PATH, "%s/%s.h5", dir ? dir : ".", name);

    for (int v = 1; length < PATH && (is_others(c, out) || (versions && access(out, F_OK) == 0 && !is_ours(c, out))); v++) {
        length = snprintf(out, PATH, "%s/%s-v%d.h5", dir ? dir : ".", name, v);
    }
    return length < PATH ? LT_OK : lt_fail(ctx, LT_EINVAL, "the path of the checkpoint is longer than %d bytes: %s", PATH, out);
}

/* ---- saving ---- */

static bool better(const checkpoint *c, double a, double b) { return c->mode == MIN ? a < b : a > b; }

static void find_best(checkpoint *c) {
    for (int64_t i = 0; i < c->count; i++) {
        if (i == 0 || better(c, c->items[i].score, c->best_score)) {
            c->best_score = c->items[i].score;
            memcpy(c->best_path, c->items[i].path, PATH);
        }
    }
}

static int64_t worst(const checkpoint *c) {
    int64_t at = 0;

    for (int64_t i = 1; i < c->count; i++) {
        at = better(c, c->items[at].score, c->items[i].score) ? i : at;
    }
    return at;
}

static lt_status keep(lt_ctx *ctx, checkpoint *c, const char *path, double score) {
    kept *items = realloc(c->items, (size_t)(c->count + 1) * sizeof *items);

    if (!items) {
        return lt_fail(ctx, LT_ENOMEM, "out of memory");
    }
    c->items = items;
    memcpy(items[c->count].path, path, PATH);
    items[c->count++].score = score;
    return LT_OK;
}

/* The score that decides, finite or the worst possible; false: nothing to judge by yet. */
static bool score_now(lt_ctx *ctx, checkpoint *c, double *score) {
    *score = (double)lt_now(ctx)->global_step * (c->mode == MIN ? -1 : 1); /* without a monitor the newest is best */
    if (!*c->monitor) {
        return true;
    }
    if (!lt_has_metric(ctx, c->monitor)) {
        if (!c->warned) {
            lt_warn(ctx, "monitor \"%s\" has not been logged yet: only last.h5 is written", c->monitor);
            c->warned = true;
        }
        return false;
    }
    *score = lt_metric(ctx, c->monitor);
    if (isnan(*score)) {
        *score = c->mode == MIN ? INFINITY : -INFINITY;
    }
    return true;
}

static lt_status save_best(lt_ctx *ctx, checkpoint *c) {
    uint32_t flags = c->save_weights_only ? LT_SAVE_WEIGHTS_ONLY : LT_SAVE_FULL;
    char name[PATH / 2], path[PATH];
    double score;
    int64_t evict = -1;

    if (c->save_top_k == 0 || !score_now(ctx, c, &score)) {
        return LT_OK;
    }
    if (c->save_top_k > 0 && c->count >= c->save_top_k) {
        evict = worst(c);
        if (!better(c, score, c->items[evict].score)) {
            return LT_OK;
        }
    }
    if (format_name(ctx, c, name, sizeof name) || full_path(ctx, c, name, c->enable_version_counter, path) || lt_save_checkpoint(ctx, path, flags)) {
        return lt_ctx_status(ctx);
    }
    if (evict >= 0) {
        if (strcmp(c->items[evict].path, path) && lt_remove_checkpoint(ctx, c->items[evict].path)) {
            return lt_ctx_status(ctx);
        }
        c->items[evict] = c->items[--c->count];
    }
    if (keep(ctx, c, path, score)) {
        return lt_ctx_status(ctx);
    }
    find_best(c);
    if (!*c->monitor) {
        c->best_score = NAN;
    }
    if (c->verbose) {
        lt_print(ctx, "epoch %lld, step %lld: saving %s", (long long)lt_now(ctx)->epoch, (long long)lt_now(ctx)->global_step, path);
    }
    return LT_OK;
}

static lt_status save_now(lt_ctx *ctx, checkpoint *c) {
    const lt_moment *now = lt_now(ctx);

    if (now->fast_dev_run || now->stage != LT_STAGE_FIT || now->phase == LT_PHASE_SANITY || (c->any && c->last_step == now->global_step)) {
        return LT_OK;
    }
    c->any = true;
    c->last_step = now->global_step;
    c->last_time = now->seconds;
    if (save_best(ctx, c)) {
        return lt_ctx_status(ctx);
    }
    if (c->save_last) {
        if (full_path(ctx, c, "last", false, c->last_path)) {
            return lt_ctx_status(ctx);
        }
        return lt_save_checkpoint(ctx, c->last_path, LT_SAVE_FULL);
    }
    return LT_OK;
}

/* ---- when ---- */

static bool by_epoch(const checkpoint *c) {
    if (c->every_n_epochs.given) {
        return c->every_n_epochs.value > 0;
    }
    return !c->every_n_train_steps.given && !c->train_time_interval.given;
}

static bool epoch_due(lt_ctx *ctx, const checkpoint *c) {
    int64_t every = c->every_n_epochs.given ? c->every_n_epochs.value : 1;

    return by_epoch(c) && (lt_now(ctx)->epoch + 1) % every == 0;
}

static bool at_train_epoch_end(lt_ctx *ctx, const checkpoint *c) {
    const lt_moment *now = lt_now(ctx);

    if (c->save_on_train_epoch_end != AUTO) {
        return c->save_on_train_epoch_end == YES;
    }
    return now->num_val_batches == 0 || (now->check_val_every_n_epoch == 1 && now->val_check_interval == 1.0);
}

static lt_status check(lt_ctx *ctx, void *self) {
    checkpoint *c = self;

    if ((c->every_n_train_steps.given != 0) + (c->every_n_epochs.given != 0) + (c->train_time_interval.given != 0) > 1) {
        return lt_fail(ctx, LT_ECONFIG, "every_n_train_steps, every_n_epochs and train_time_interval exclude each other; give one of them");
    }
    if (!*c->monitor && c->save_top_k > 1) {
        return lt_fail(ctx, LT_ECONFIG, "save_top_k = %lld needs a monitor; without one only -1, 0 and 1 have a meaning", (long long)c->save_top_k);
    }
    return LT_OK;
}

static lt_status on_train_batch_end(lt_ctx *ctx, void *self) {
    checkpoint *c = self;
    const lt_moment *now = lt_now(ctx);
    bool due = c->every_n_train_steps.given && now->global_step > 0 && now->global_step % c->every_n_train_steps.value == 0;

    due |= c->train_time_interval.given && now->seconds - c->last_time >= c->train_time_interval.value;
    return due && !now->accumulating ? save_now(ctx, c) : LT_OK;
}

static lt_status on_validation_end(lt_ctx *ctx, void *self) {
    checkpoint *c = self;

    c->validated |= lt_now(ctx)->phase == LT_PHASE_VALIDATE;
    return lt_now(ctx)->phase == LT_PHASE_VALIDATE && !at_train_epoch_end(ctx, c) && epoch_due(ctx, c) ? save_now(ctx, c) : LT_OK;
}

/* "; logged so far: val_loss, val_acc", or that there is nothing. */
static const char *logged_so_far(lt_ctx *ctx, char *out, size_t size) {
    int32_t count = lt_metric_count(ctx, LT_METRICS_CALLBACK);
    size_t used = (size_t)snprintf(out, size, count ? "; logged so far:" : "; nothing has been logged");

    for (int32_t i = 0; i < count && used + 60 < size; i++) {
        double value;
        const char *name = lt_metric_at(ctx, LT_METRICS_CALLBACK, i, &value);

        used += name ? (size_t)snprintf(out + used, size - used, "%s %.50s", i ? "," : "", name) : 0;
    }
    return out;
}

static lt_status on_train_epoch_end(lt_ctx *ctx, void *self) {
    checkpoint *c = self;

    if (at_train_epoch_end(ctx, c) && epoch_due(ctx, c)) {
        if (*c->monitor && c->validated && !lt_has_metric(ctx, c->monitor)) { /* before the first validation it may still come */
            char names[400];

            return lt_fail(ctx, LT_ECONFIG, "monitor \"%s\" has not been logged by the end of epoch %lld%s", c->monitor,
                           (long long)lt_now(ctx)->epoch, logged_so_far(ctx, names, sizeof names));
        }
        return save_now(ctx, c);
    }
    return LT_OK;
}

static lt_status on_train_end(lt_ctx *ctx, void *self) {
    checkpoint *c = self;

    return c->any || !c->save_last ? LT_OK : save_now(ctx, c);
}

/* ---- state ---- */

static lt_status save(lt_ctx *ctx, void *self, lt_state_writer *out) {
    checkpoint *c = self;
    char key[40];

    lt_state_put_text(ctx, out, "monitor", c->monitor);
    lt_state_put_text(ctx, out, "best_model_path", c->best_path);
    lt_state_put_text(ctx, out, "last_model_path", c->last_path);
    lt_state_put_f64(ctx, out, "best_model_score", c->best_score);
    lt_state_put_i64(ctx, out, "last_step", c->last_step);
    lt_state_put_i64(ctx, out, "any", c->any);
    lt_state_put_i64(ctx, out, "kept", c->count);
    for (int64_t i = 0; i < c->count; i++) {
        snprintf(key, sizeof key, "kept_%lld_path", (long long)i);
        lt_state_put_text(ctx, out, key, c->items[i].path);
        snprintf(key, sizeof key, "kept_%lld_score", (long long)i);
        lt_state_put_f64(ctx, out, key, c->items[i].score);
    }
    return lt_ctx_status(ctx);
}

static lt_status load(lt_ctx *ctx, void *self, const lt_state_reader *in) {
    checkpoint *c = self;
    int64_t count = lt_state_get_i64(ctx, in, "kept", 0);
    char key[40], path[PATH];

    snprintf(c->best_path, PATH, "%s", lt_state_get_text(ctx, in, "best_model_path", ""));
    snprintf(c->last_path, PATH, "%s", lt_state_get_text(ctx, in, "last_model_path", ""));
    c->best_score = lt_state_get_f64(ctx, in, "best_model_score", NAN);
    c->last_step = lt_state_get_i64(ctx, in, "last_step", 0);
    c->any = lt_state_get_i64(ctx, in, "any", 0) != 0;
    if (strcmp(lt_state_get_text(ctx, in, "monitor", ""), c->monitor)) {
        return lt_ctx_status(ctx); /* another metric: old scores cannot be compared with new ones */
    }
    for (int64_t i = 0; i < count && i < KEEP && !lt_ctx_status(ctx); i++) {
        snprintf(key, sizeof key, "kept_%lld_path", (long long)i);
        snprintf(path, sizeof path, "%s", lt_state_get_text(ctx, in, key, ""));
        snprintf(key, sizeof key, "kept_%lld_score", (long long)i);
        if (access(path, F_OK) == 0) {
            keep(ctx, c, path, lt_state_get_f64(ctx, in, key, NAN));
        }
    }
    return lt_ctx_status(ctx);
}

/* ---- what the trainer asks ---- */

static const char *best_path(lt_ctx *ctx, void *self) { (void)ctx; return ((checkpoint *)self)->best_path; }
static const char *last_path(lt_ctx *ctx, void *self) { (void)ctx; return ((checkpoint *)self)->last_path; }
static double best_score(lt_ctx *ctx, void *self) { (void)ctx; return ((checkpoint *)self)->best_score; }
static const char *monitor(lt_ctx *ctx, void *self) { (void)ctx; return ((checkpoint *)self)->monitor; }
static bool higher_is_better(lt_ctx *ctx, void *self) { (void)ctx; return ((checkpoint *)self)->mode == MAX; }

static const void *get_interface(void *self, const char *id) {
    static const lt_checkpointing checkpointing = {sizeof checkpointing, 0, best_path, last_path, best_score, monitor, higher_is_better};

    (void)self;
    return strcmp(id, LT_CHECKPOINTING) ? NULL : &checkpointing;
}

LT_CALLBACK(ModelCheckpoint, checkpoint, "Saves checkpoints: the best by a metric, and the last.",
    .base.flags = LT_CALLBACK_LAST,
    .base.construct = construct,
    .base.destroy = destroy,
    .base.get_interface = get_interface,
    .on_fit_start = check,
    .on_train_batch_end = on_train_batch_end,
    .on_validation_end = on_validation_end,
    .on_train_epoch_end = on_train_epoch_end,
    .on_train_end = on_train_end,
    .save = save,
    .load = load);
LT_PLUGIN("org.lthost.model-checkpoint", "0.1.0", callback(ModelCheckpoint));
