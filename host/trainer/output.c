/* trainer/output.c - what a run leaves behind: its folder, config.yaml, loggers, checkpoints, summary.json. */
#include "base/log.h"
#include "base/mem.h"
#include "trainer/session.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* ---- folder and loggers ---- */

static const char *verb(const lth_session *s) {
    static const char *const names[] = {"", "fit", "validate", "test", "predict"};

    return names[s->job->stage];
}

/* Where the first logger wants the run, else default_root_dir, else the working directory. */
lt_status lth_session_location(lth_session *s, lt_log_location *out) {
    const char *root = s->opts->default_root_dir && *s->opts->default_root_dir ? s->opts->default_root_dir : ".";

    *out = (lt_log_location){.struct_size = sizeof *out, .version = -1};
    if (s->job->n_loggers && s->job->loggers[0]->logger->location) {
        lth_session_call(s, s->job->loggers[0], "location");
        if (lth_hook_done(&s->ctx, s->job->loggers[0]->logger->location(&s->ctx, s->job->loggers[0]->self, out)) < 0) {
            return s->ctx.error.code;
        }
        s->ctx.where = (lth_where){0};
    }
    out->save_dir = out->save_dir && *out->save_dir ? out->save_dir : root;
    out->name = out->name && *out->name ? out->name : "lthost_logs";
    return LT_OK;
}

/* A run has one folder, the first logger's; a place that another one names is not used, and that is said. */
static lt_status warn_of_other_places(lth_session *s, const lt_log_location *used) {
    for (size_t i = 1; i < s->job->n_loggers; i++) {
        const lth_instance *logger = s->job->loggers[i];
        lt_log_location place = {.struct_size = sizeof place, .version = -1};

        if (!logger->logger->location) {
            continue;
        }
        lth_session_call(s, logger, "location");
        if (lth_hook_done(&s->ctx, logger->logger->location(&s->ctx, logger->self, &place)) < 0) {
            return s->ctx.error.code;
        }
        s->ctx.where = (lth_where){0};
        if ((place.save_dir && *place.save_dir && strcmp(place.save_dir, used->save_dir)) ||
            (place.name && *place.name && strcmp(place.name, "lthost_logs") && strcmp(place.name, used->name)) ||
            (place.version >= 0 && place.version != used->version)) {
            lth_log(LTH_WARNING, "%s: its save_dir, name and version are not used; all loggers write to the folder of the first, %s",
                    logger->where.component, s->folder.dir);
        }
    }
    return LT_OK;
}

static lt_status write_config(lth_session *s) {
    char *path = lth_path_join(s->folder.dir, "config.yaml");
    lth_buf text = {0};

    lth_yaml_print(s->job->config->root, false, &text);
    if (!path || text.failed) {
        lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory");
    } else {
        lth_write_file(path, lth_buf_text(&text), text.size, &s->ctx.error);
    }
    lth_buf_release(&text);
    lth_free(path);
    return s->ctx.error.code;
}

static lt_status make_folder(lth_session *s, bool resume) {
    char *run = s->checkpoint ? lth_folder_of_checkpoint(s->checkpoint) : NULL;
    lt_log_location place;

    if (s->job->stage == LT_STAGE_FIT && resume && run) {
        lth_folder_reopen(&s->folder, run, &s->ctx.error);
    } else if (s->job->stage != LT_STAGE_FIT && run) {
        lth_folder_inside(&s->folder, run, verb(s), &s->ctx.error);
    } else if (!lth_session_location(s, &place) && !lth_folder_create(&s->folder, place.save_dir, place.name, place.version, &s->ctx.error)) {
        warn_of_other_places(s, &place);
    }
    lth_free(run);
    return s->ctx.error.code;
}

lt_status lth_session_folder(lth_session *s, const lth_snapshot *resume) {
    bool fit = s->job->stage == LT_STAGE_FIT;
    int64_t resume_step = resume ? lth_snapshot_i64(resume, "loops/fit/stepped", -1) : -1;

    if (s->limits.fast_dev_run) {
        return LT_OK; /* a test of the code leaves nothing behind */
    }
    if (make_folder(s, resume != NULL)) {
        return s->ctx.error.code;
    }
    s->run.moment.run_dir = s->folder.dir;
    if (fit) {
        s->run.checkpoint_dir = lth_path_join(s->folder.dir, "checkpoints");
        if (!s->run.checkpoint_dir) {
            return lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory");
        }
        if (lth_ckpt_writer_new(&s->writer, &s->ctx.error)) {
            return s->ctx.error.code;
        }
    }
    if (resume && lth_records_cut(s->folder.dir, resume, "loggers", &s->ctx.error)) {
        return s->ctx.error.code;
    }
    if (write_config(s)) {
        return s->ctx.error.code;
    }
    return s->job->n_loggers
               ? lth_records_open(&s->run.records, s->job->loggers, s->job->n_loggers, s->folder.dir, resume_step, &s->ctx.error)
               : LT_OK;
}

/* ---- hyper-parameters ---- */

typedef struct flat {
    const char **names, **values;
    uint32_t count, capacity;
    lth_arena *arena;
    bool failed;
} flat;

static void add_pair(flat *f, const char *name, const char *value) {
    if (f->count == f->capacity) {
        uint32_t capacity = f->capacity ? 2 * f->capacity : 32;
        const char **names = lth_realloc(f->names, f->capacity * sizeof *names, capacity * sizeof *names);
        const char **values = lth_realloc(f->values, f->capacity * sizeof *values, capacity * sizeof *values);

        f->names = names ? names : f->names;
        f->values = values ? values : f->values;
        if (!names || !values) {
            f->failed = true;
            return;
        }
        f->capacity = capacity;
    }
    f->names[f->count] = name;
    f->values[f->count++] = value;
}

static void flatten(flat *f, const char *prefix, const lth_node *node) {
    lth_buf text = {0};

    if (node->kind == LTH_NODE_MAP) {
        for (const lth_node *child = node->first; child; child = child->next) {
            flatten(f, lth_arena_printf(f->arena, "%s/%s", prefix, child->key), child);
        }
        return;
    }
    if (node->kind == LTH_NODE_LIST) {
        lth_buf_add(&text, "[");
        for (const lth_node *child = node->first; child; child = child->next) {
            lth_buf_printf(&text, "%s%s", child->text ? child->text : "...", child->next ? ", " : "");
        }
        lth_buf_add(&text, "]");
    } else {
        lth_buf_add(&text, node->kind == LTH_NODE_NULL ? "null" : node->text);
    }
    add_pair(f, prefix, lth_arena_strdup(f->arena, lth_buf_text(&text)));
    lth_buf_release(&text);
}

/* Parameters of model and data, of optimizer and scheduler, secrets left out, to every logger. */
lt_status lth_session_hparams(lth_session *s) {
    const struct {
        const char *name;
        const lth_instance *instance;
    } groups[] = {{"model", s->job->model},
                  {"data", s->job->data},
                  {"optimizer", s->job->optimizer ? s->job->optimizer : s->own_optimizer},
                  {"lr_scheduler", s->job->lr_scheduler ? s->job->lr_scheduler : s->own_scheduler}};
    lth_arena arena = {0};
    flat f = {.arena = &arena};

    for (size_t i = 0; s->run.records && i < sizeof groups / sizeof *groups; i++) {
        if (groups[i].instance) {
            add_pair(&f, groups[i].name, groups[i].instance->where.component);
            flatten(&f, groups[i].name, lth_schema_values(groups[i].instance->schema, groups[i].instance->self, &arena, false));
        }
    }
    if (!f.failed) {
        lth_records_hparams(s->run.records, f.count, f.names, f.values);
    }
    lth_free(f.names);
    lth_free(f.values);
    lth_arena_release(&arena);
    return LT_OK;
}

/* ---- checkpoints ---- */

lt_status lth_session_save(lth_session *s, const char *path, uint32_t flags) {
    char *full = lth_path_join(s->run.checkpoint_dir ? s->run.checkpoint_dir : ".", path), *dir = full ? lth_path_dir(full) : NULL;
    lth_snapshot *snapshot = NULL;
    lth_ckpt_facts facts;

    if (!full || !dir) {
        lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory");
    } else if (s->writer && !lth_make_dirs(dir, &s->ctx.error)) {
        snapshot = lth_state_collect(s, flags);
        if (snapshot) {
            lth_state_facts(s, flags, &facts);
            lth_ckpt_writer_save(s->writer, full, snapshot, &facts, &s->ctx.error);
        }
    }
    lth_free(full);
    lth_free(dir);
    return s->ctx.error.code;
}

lt_status lth_session_saves(lth_session *s) {
    int count = s->run.n_requests;

    s->run.n_requests = 0;
    for (int i = 0; i < count && !s->ctx.error.code; i++) {
        const lth_save_request *request = &s->run.requests[i];

        if (request->remove) {
            lth_ckpt_writer_remove(s->writer, request->path, &s->ctx.error);
        } else {
            lth_session_save(s, request->path, request->flags);
        }
    }
    return s->ctx.error.code;
}

/* A kill can fall between the files of one save: the newest is there, the `last` that its state speaks of is still an older one. Equal
 * instants make equal files, so the resumed run begins by finishing that save. */
static lt_status finish_last(lth_session *s, const char *last) {
    char *dir = lth_path_dir(last), *mine = lth_path_dir(s->checkpoint), *data = NULL;
    bool beside = dir && mine && !strcmp(dir, mine) && strcmp(last, s->checkpoint) != 0;
    lth_ckpt_facts loaded, old;
    lth_error ignored = {0};
    size_t size;

    lth_free(dir);
    lth_free(mine);
    if (!beside || lth_ckpt_probe(s->checkpoint, &loaded, &ignored)) {
        return LT_OK;
    }
    if (lth_ckpt_probe(last, &old, &ignored)) {
        old.batches = -1; /* absent or damaged: older than anything */
    }
    if (old.batches >= loaded.batches || lth_read_file(s->checkpoint, SIZE_MAX / 2, &data, &size, &s->ctx.error)) {
        return s->ctx.error.code;
    }
    lth_write_file(last, data, size, &s->ctx.error);
    lth_free(data);
    return s->ctx.error.code;
}

lt_status lth_session_finish_saves(lth_session *s) {
    for (size_t i = 0; s->resumed && s->folder.dir && i < s->job->n_callbacks && !s->ctx.error.code; i++) {
        const lt_checkpointing *c = lth_instance_interface(s->job->callbacks[i], LT_CHECKPOINTING);
        const char *last = c ? c->last_path(&s->ctx, s->job->callbacks[i]->self) : "";

        if (*last) {
            finish_last(s, last);
        }
    }
    return s->ctx.error.code;
}

/* ---- summary.json ---- */

static void json_text(lth_buf *out, const char *text) {
    lth_buf_add(out, "\"");
    for (; text && *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            lth_buf_printf(out, "\\%c", c);
        } else if (c < 0x20) {
            lth_buf_printf(out, "\\u%04x", c);
        } else {
            lth_buf_add_bytes(out, text, 1);
        }
    }
    lth_buf_add(out, "\"");
}

static void json_number(lth_buf *out, double value) {
    char text[40];

    lth_format_f64(text, sizeof text, value);
    lth_buf_add(out, isfinite(value) ? text : "null"); /* JSON has no NaN */
}

static void json_metrics(lth_session *s, lth_buf *out) {
    int32_t count = lth_logged_count(s->run.logged, LT_METRICS_CALLBACK);

    lth_buf_add(out, "  \"metrics\": {");
    for (int32_t i = 0; i < count; i++) {
        double value = NAN;
        const char *name = lth_logged_at(s->run.logged, LT_METRICS_CALLBACK, i, &value);

        lth_buf_add(out, i ? ", " : "");
        json_text(out, name);
        lth_buf_add(out, ": ");
        json_number(out, value);
    }
    lth_buf_add(out, "},\n");
}

static void json_checkpoints(lth_session *s, lth_buf *out) {
    const char *best = "", *last = "";

    for (size_t i = 0; i < s->job->n_callbacks && !*best; i++) {
        const lt_checkpointing *c = lth_instance_interface(s->job->callbacks[i], LT_CHECKPOINTING);

        best = c ? c->best_path(&s->ctx, s->job->callbacks[i]->self) : best;
        last = c ? c->last_path(&s->ctx, s->job->callbacks[i]->self) : last;
    }
    lth_buf_add(out, "  \"checkpoint\": {\"loaded\": ");
    json_text(out, s->checkpoint ? s->checkpoint : "");
    lth_buf_add(out, ", \"best\": ");
    json_text(out, best);
    lth_buf_add(out, ", \"last\": ");
    json_text(out, last);
    lth_buf_add(out, "},\n");
}

lt_status lth_session_summary(lth_session *s, const char *status) {
    double seconds = lth_base_table.seconds(&s->ctx) - s->began;
    char *path = lth_path_join(s->folder.dir, "summary.json");
    struct rusage usage;
    lth_buf out = {0};

    getrusage(RUSAGE_SELF, &usage);
    lth_buf_printf(&out,
                   "{\n  \"status\": \"%s\",\n  \"verb\": \"%s\",\n  \"epochs\": %lld,\n  \"steps\": %lld,\n  \"batches\": %lld,\n  "
                   "\"samples\": %lld,\n",
                   status, verb(s), (long long)s->progress.epoch, (long long)s->progress.global_step, (long long)s->progress.batches,
                   (long long)s->progress.samples);
    lth_buf_printf(&out, "  \"resumed\": %s,\n", s->resumed ? "true" : "false");
    json_metrics(s, &out);
    json_checkpoints(s, &out);
    lth_buf_add(&out, "  \"seconds\": ");
    json_number(&out, seconds);
    lth_buf_add(&out, ",\n  \"train_seconds\": ");
    json_number(&out, s->train_seconds);
    lth_buf_add(&out, ",\n  \"samples_per_second\": ");
    json_number(&out, s->train_seconds > 0 ? (double)(s->progress.samples - s->began_samples) / s->train_seconds : NAN);
    lth_buf_printf(&out, ",\n  \"peak_memory_bytes\": %lld,\n  \"versions\": {\"lthost\": ", (long long)usage.ru_maxrss * 1024);
    json_text(&out, s->job->version);
    lth_buf_add(&out, ", \"device\": ");
    json_text(&out, s->engine ? s->engine->backend->describe(s->engine->device) : "");
    lth_buf_add(&out, "}\n}\n");
    if (!path || out.failed) {
        lth_fail(&s->ctx.error, LT_ENOMEM, "out of memory");
    } else {
        lth_write_file(path, lth_buf_text(&out), out.size, &s->ctx.error);
    }
    lth_buf_release(&out);
    lth_free(path);
    return s->ctx.error.code;
}
