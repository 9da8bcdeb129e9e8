/* TensorBoardLogger: scalars, texts and hyper-parameters as TensorBoard event files, written by hand: a record is
 * u64 length, u32 masked CRC-32C of it, bytes, u32 masked CRC-32C of them; the bytes are a tensorboard.Event protobuf.
 * Formats: tensorboard/compat/proto/{event,summary,tensor}.proto, plugins/hparams/plugin_data.proto. Needs no protobuf library. */
#include <lt/logger.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    const char *save_dir, *name, *prefix;
    lt_opt_int version;
    bool default_hp_metric;
    lt_file *file;
    int64_t files; /* opened by this run so far: part of the name, so that a resumed run begins a new one */
} tensorboard;

LT_PARAMS(tensorboard,
    LT_PARAM(save_dir, "", "Folder of the runs; empty: the trainer's default_root_dir.", LT_PATH),
    LT_PARAM(name, "lthost_logs", "Folder of this experiment, below save_dir."),
    LT_PARAM(version, "null", "Number of the run; null: the next free one.", LT_RANGE("0..")),
    LT_PARAM(default_hp_metric, "true", "Write hp_metric = -1 so that TensorBoard's hparams tab lists the run."),
    LT_PARAM(prefix, "", "Put before each metric's name, with a \"-\" between."),
    LT_SAVED(files, "0"));

static lt_status location(lt_ctx *ctx, void *self, lt_log_location *out) {
    tensorboard *t = self;

    (void)ctx;
    out->save_dir = t->save_dir;
    out->name = t->name;
    out->version = t->version.given ? t->version.value : -1;
    return LT_OK;
}

/* ---- bytes: a buffer that protobuf messages are written into ---- */

typedef struct bytes { uint8_t *data; size_t size, room; bool failed; } bytes;

static void put(bytes *b, const void *data, size_t size) {
    if (b->size + size > b->room) {
        size_t room = 2 * (b->size + size) + 256;
        uint8_t *grown = realloc(b->data, room);

        if (!grown) {
            b->failed = true;
            return;
        }
        b->data = grown;
        b->room = room;
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void put_varint(bytes *b, uint64_t value) {
    uint8_t out[10];
    size_t n = 0;

    do {
        out[n] = (uint8_t)(value & 0x7f);
        value >>= 7;
        out[n++] |= value ? 0x80 : 0;
    } while (value);
    put(b, out, n);
}

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
static void put_key(bytes *b, uint32_t field, uint32_t wire) { put_varint(b, field << 3 | wire); }
static void put_int(bytes *b, uint32_t field, int64_t value) { put_key(b, field, VARINT); put_varint(b, (uint64_t)value); }
static void put_double(bytes *b, uint32_t field, double value) { put_key(b, field, FIXED64); put(b, &value, sizeof value); }
static void put_float(bytes *b, uint32_t field, float value) { put_key(b, field, FIXED32); put(b, &value, sizeof value); }

static void put_bytes(bytes *b, uint32_t field, const void *data, size_t size) {
    put_key(b, field, BYTES);
    put_varint(b, size);
    put(b, data, size);
}

static void put_text(bytes *b, uint32_t field, const char *text) { put_bytes(b, field, text, strlen(text)); }

/* Puts an inner message as a field and frees it. */
static void put_message(bytes *b, uint32_t field, bytes *inner) {
    b->failed |= inner->failed;
    put_bytes(b, field, inner->data ? inner->data : (const void *)"", inner->size);
    free(inner->data);
    *inner = (bytes){0};
}

/* ---- records ---- */

/* CRC-32C (Castagnoli, reflected 0x82f63b78), four bits at a time: rows are short and rare. */
static uint32_t crc32c(const uint8_t *data, size_t size) {
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static uint32_t masked(const void *data, size_t size) {
    uint32_t crc = crc32c(data, size);

    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* Event{1 wall_time, 2 step, 3 file_version | 5 summary | 7 session_log}; frees what was put in. */
static lt_status write_event(lt_ctx *ctx, tensorboard *t, double wall_time, int64_t step, uint32_t field, bytes *content) {
    bytes event = {0};
    uint64_t length;
    uint32_t crc;

    put_double(&event, 1, wall_time);
    if (step) {
        put_int(&event, 2, step);
    }
    put_message(&event, field, content);
    if (event.failed) {
        free(event.data);
        return lt_fail(ctx, LT_ENOMEM, "out of memory for an event");
    }
    length = event.size;
    crc = masked(&length, sizeof length);
    lt_file_write(ctx, t->file, &length, sizeof length);
    lt_file_write(ctx, t->file, &crc, sizeof crc);
    lt_file_write(ctx, t->file, event.data, event.size);
    crc = masked(event.data, event.size);
    lt_file_write(ctx, t->file, &crc, sizeof crc);
    free(event.data);
    return lt_ctx_status(ctx);
}

static double wall_time(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Summary.Value of a scalar: 1 tag, 2 simple_value. */
static void put_scalar(bytes *summary, const char *prefix, const char *name, double number) {
    bytes value = {0};
    char tag[300];

    snprintf(tag, sizeof tag, *prefix ? "%s-%s" : "%s%s", prefix, name);
    put_text(&value, 1, tag);
    put_float(&value, 2, (float)number);
    put_message(summary, 1, &value);
}

/* Summary.Value of plugin data: 1 tag, 8 tensor, 9 metadata{1 plugin_data{1 name, 2 content}}. */
static void put_plugin_value(bytes *summary, const char *tag, const char *plugin, bytes *content, bytes *tensor) {
    bytes value = {0}, metadata = {0}, data = {0};

    put_text(&value, 1, tag);
    if (tensor) {
        put_message(&value, 8, tensor);
    }
    put_text(&data, 1, plugin);
    if (content) {
        put_message(&data, 2, content);
    }
    put_message(&metadata, 1, &data);
    put_message(&value, 9, &metadata);
    put_message(summary, 1, &value);
}

/* ---- hooks ---- */

static lt_status open_file(lt_ctx *ctx, void *self) {
    tensorboard *t = self;
    char host[128] = "localhost", path[300];
    bytes version = {0};
    double now = wall_time();
    int64_t resumed = lt_resume_step(ctx);

    gethostname(host, sizeof host - 1);
    snprintf(path, sizeof path, "events.out.tfevents.%lld.%s.%d.%lld", (long long)now, host, (int)getpid(), (long long)t->files++);
    t->file = lt_file_append(ctx, path);
    put(&version, "brain.Event:2", 13);
    write_event(ctx, t, now, 0, 3, &version);
    if (resumed >= 0) { /* SessionLog{1 status: START}: what a reader holds of later steps is void */
        bytes session = {0};

        put_int(&session, 1, 1);
        write_event(ctx, t, now, resumed + 1, 7, &session);
    }
    return lt_ctx_status(ctx);
}

static lt_status scalars(lt_ctx *ctx, void *self, const lt_scalars *const *rows, uint32_t count) {
    tensorboard *t = self;

    for (uint32_t r = 0; r < count; r++) {
        bytes summary = {0};

        for (uint32_t i = 0; i < rows[r]->count; i++) {
            put_scalar(&summary, t->prefix, rows[r]->names[i], rows[r]->values[i]);
        }
        put_scalar(&summary, t->prefix, "epoch", (double)rows[r]->epoch);
        if (write_event(ctx, t, rows[r]->wall_time, rows[r]->step, 5, &summary)) {
            return lt_ctx_status(ctx);
        }
    }
    return LT_OK;
}

/* TensorProto{1 dtype DT_STRING, 2 shape{2 dim{1 size 1}}, 8 string_val}. */
static lt_status text_record(lt_ctx *ctx, void *self, const lt_text_record *record) {
    bytes summary = {0}, tensor = {0}, shape = {0}, dim = {0};
    char tag[300];

    snprintf(tag, sizeof tag, "%s/text_summary", record->name);
    put_int(&tensor, 1, 7);
    put_int(&dim, 1, 1);
    put_message(&shape, 2, &dim);
    put_message(&tensor, 2, &shape);
    put_text(&tensor, 8, record->text);
    put_plugin_value(&summary, tag, "text", NULL, &tensor);
    return write_event(ctx, self, record->wall_time, record->step, 5, &summary);
}

/* google.protobuf.Value: 2 number_value, 3 string_value, 4 bool_value. */
static void put_value(bytes *out, const char *text) {
    char *end;
    double number = strtod(text, &end);

    if (*text && !*end) {
        put_double(out, 2, number);
    } else if (!strcmp(text, "true") || !strcmp(text, "false")) {
        put_int(out, 4, text[0] == 't');
    } else {
        put_text(out, 3, text);
    }
}

/* DataType of an HParamInfo: 1 string, 2 bool, 3 float64. */
static int64_t value_type(const char *text) {
    char *end;

    strtod(text, &end);
    return *text && !*end ? 3 : !strcmp(text, "true") || !strcmp(text, "false") ? 2 : 1;
}

/* _hparams_/experiment: HParamsPluginData{2 experiment{4 hparam_infos{1 name, 4 type}, 5 metric_infos{1 name{2 tag}}}}. */
static void put_experiment(bytes *summary, const lt_hparams *h) {
    bytes data = {0}, experiment = {0}, metric = {0}, metric_name = {0};

    for (uint32_t i = 0; i < h->count; i++) {
        bytes info = {0};

        put_text(&info, 1, h->names[i]);
        put_int(&info, 4, value_type(h->values[i]));
        put_message(&experiment, 4, &info);
    }
    put_text(&metric_name, 2, "hp_metric");
    put_message(&metric, 1, &metric_name);
    put_message(&experiment, 5, &metric);
    put_message(&data, 2, &experiment);
    put_plugin_value(summary, "_hparams_/experiment", "hparams", &data, NULL);
}

/* _hparams_/session_start_info: HParamsPluginData{3 session_start_info{1 hparams map{1 key, 2 value}, 5 start_time_secs}}. */
static void put_session_start(bytes *summary, const lt_hparams *h) {
    bytes data = {0}, start = {0};

    for (uint32_t i = 0; i < h->count; i++) {
        bytes entry = {0}, value = {0};

        put_text(&entry, 1, h->names[i]);
        put_value(&value, h->values[i]);
        put_message(&entry, 2, &value);
        put_message(&start, 1, &entry);
    }
    put_double(&start, 5, wall_time());
    put_message(&data, 3, &start);
    put_plugin_value(summary, "_hparams_/session_start_info", "hparams", &data, NULL);
}

static lt_status hparams(lt_ctx *ctx, void *self, const lt_hparams *h) {
    tensorboard *t = self;
    bytes summary = {0};

    put_experiment(&summary, h);
    put_session_start(&summary, h);
    if (t->default_hp_metric) {
        put_scalar(&summary, "", "hp_metric", -1);
    }
    return write_event(ctx, t, wall_time(), 0, 5, &summary);
}

/* _hparams_/session_end_info: HParamsPluginData{4 session_end_info{1 status, 2 end_time_secs}}; 1 success, 2 failure. */
static lt_status close_file(lt_ctx *ctx, void *self, const char *status) {
    bytes summary = {0}, data = {0}, end = {0};

    put_int(&end, 1, strcmp(status, "success") ? 2 : 1);
    put_double(&end, 2, wall_time());
    put_message(&data, 4, &end);
    put_plugin_value(&summary, "_hparams_/session_end_info", "hparams", &data, NULL);
    return write_event(ctx, self, wall_time(), 0, 5, &summary);
}

LT_LOGGER(TensorBoardLogger, tensorboard, "Scalars, texts and hyper-parameters for TensorBoard.",
    .location = location,
    .open = open_file,
    .scalars = scalars,
    .text = text_record,
    .hparams = hparams,
    .close = close_file);
LT_PLUGIN("org.lthost.tensorboard-logger", "0.1.0", logger(TensorBoardLogger));
