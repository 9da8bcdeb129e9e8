/* NpyDataset: rows of arrays saved by numpy.save as samples, mapped into memory: a run starts at once and the files may be larger than
 * memory. Batches are a list of the input (B, ...) and, if there is one, the target (B, ...). Does not write. */
#include "../shared/files.h"
#include "../shared/loaders.h"
#include "../shared/whole.h"
#include <string.h>

enum { TRAIN, VAL, TEST, PARTS, FRONT = 66000 };

typedef struct array {
    mapped_file file;
    lt_npy_header head;
    int64_t row; /* numbers in one row */
    const char *path;
} array;

typedef struct part {
    array input, target; /* target.head.ndim 0: none */
    lt_dtype input_dtype, target_dtype;
    double scale;
} part;

typedef struct {
    const char *input, *target, *val_input, *val_target, *test_input, *test_target;
    enum { INPUT_F32, INPUT_KEEP } input_dtype;
    enum { TARGET_AUTO, TARGET_F32, TARGET_I64 } target_dtype;
    double scale;
    int64_t val_size, split_seed;
    LOADER_FIELDS;
    part parts[PARTS];
    lt_dataset *datasets[PARTS];
} npy_dataset;

LT_PARAMS(npy_dataset,
    LT_PARAM(input, LT_REQUIRED, ".npy file of the training inputs, the first dimension being the samples.", LT_PATH),
    LT_PARAM(target, "null", ".npy file of their targets; null: none.", LT_PATH),
    LT_PARAM(val_input, "null", ".npy file of the validation inputs; default: val_size training rows.", LT_PATH),
    LT_PARAM(val_target, "null", ".npy file of their targets.", LT_PATH),
    LT_PARAM(test_input, "null", ".npy file of the test inputs; default: the validation rows.", LT_PATH),
    LT_PARAM(test_target, "null", ".npy file of their targets.", LT_PATH),
    LT_CHOICE(input_dtype, "f32|keep", "f32", "Inputs are converted to f32, or stay what they are."),
    LT_CHOICE(target_dtype, "auto|f32|i64", "auto", "What targets are converted to; auto: integers to i64, floats to f32. Fractions are refused for i64."),
    LT_PARAM(scale, "1", "Inputs that are converted to f32 are multiplied by it: 0.00392156862745098 for bytes to 0..1."),
    LT_PARAM(val_size, "0", "Training rows set aside for validation, drawn at random.", LT_RANGE("0..")),
    LT_PARAM(split_seed, "42", "Seed of that draw: torch.utils.data.random_split with this generator seed."),
    LOADER_PARAMS("Rows"));

/* ---- rows ---- */

static size_t size_of(lt_dtype dtype) {
    return dtype == LT_F64 || dtype == LT_I64 ? 8 : dtype == LT_F32 || dtype == LT_I32 ? 4 : dtype == LT_F16 ? 2 : 1;
}

static bool is_float(lt_dtype dtype) { return dtype == LT_F64 || dtype == LT_F32 || dtype == LT_F16; }

/* IEEE 754: 5 bits of exponent, 10 of fraction. */
static float half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (!exponent) { /* zero or subnormal: fraction * 2^-24 */
        float value = (float)fraction / 16777216.0f;
        return sign ? -value : value;
    }
    uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A .npy file may begin its data anywhere: numbers are copied out, never read in place. */
#define CONVERT(TYPE, VALUE)                                     \
    for (int64_t i = 0; i < n; i++) {                            \
        TYPE v;                                                  \
        memcpy(&v, in + (size_t)i * sizeof v, sizeof v);         \
        if (to == LT_F32) {                                      \
            ((float *)out)[i] = (float)(VALUE);                  \
        } else if (!is_float(from)) {                            \
            ((int64_t *)out)[i] = (int64_t)(VALUE);              \
        } else if (!whole_number((double)(VALUE), (int64_t *)out + i)) { \
            *bad = (double)(VALUE);                              \
            return false;                                        \
        }                                                        \
    }                                                            \
    break

/* n numbers of dtype `from` as f32 or i64, or as they are. False: *bad is no whole number. */
static bool convert(void *out, lt_dtype to, const uint8_t *in, lt_dtype from, int64_t n, double *bad) {
    if (to == from) {
        memcpy(out, in, (size_t)n * size_of(from));
        return true;
    }
    switch (from) {
    case LT_F64:
        CONVERT(double, v);
    case LT_F32:
        CONVERT(float, v);
    case LT_F16:
        CONVERT(uint16_t, half_to_float(v));
    case LT_I64:
        CONVERT(int64_t, v);
    case LT_I32:
        CONVERT(int32_t, v);
    default:
        CONVERT(uint8_t, v);
    }
    return true;
}

static void *read_batch(lt_ctx *ctx, const array *a, lt_dtype dtype, const int64_t *indices, int64_t count, lt_batch_out *out) {
    int64_t shape[LT_MAX_DIMS];
    memcpy(shape, a->head.shape, sizeof shape);
    shape[0] = count;
    uint8_t *to = lt_batch_tensor(ctx, out, NULL, dtype, a->head.ndim, shape);
    size_t row_in = (size_t)a->row * size_of(a->head.dtype), row_out = (size_t)a->row * size_of(dtype);
    for (int64_t i = 0; to && i < count; i++) {
        double bad;
        if (!convert(to + (size_t)i * row_out, dtype, a->file.bytes + a->head.offset + (size_t)indices[i] * row_in, a->head.dtype, a->row, &bad)) {
            lt_fail(ctx, LT_EFORMAT, "%s: row %lld holds %.9g, which is no whole number; set target_dtype: f32", a->path, (long long)indices[i], bad);
            return NULL;
        }
    }
    return to;
}

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const part *p = data;
    float *x = read_batch(ctx, &p->input, p->input_dtype, indices, count, out);
    if (x && p->input_dtype == LT_F32 && p->scale != 1) {
        for (int64_t i = 0; i < count * p->input.row; i++) {
            x[i] *= (float)p->scale;
        }
    }
    if (x && p->target.head.ndim) {
        read_batch(ctx, &p->target, p->target_dtype, indices, count, out);
    }
    return lt_ctx_status(ctx);
}

/* ---- opening ---- */

static void close_array(array *a) {
    file_unmap(&a->file);
    *a = (array){0};
}

static lt_status open_array(lt_ctx *ctx, array *a, const char *path) {
    char why[FILE_WHY_MAX];
    close_array(a);
    lt_status status = file_map(&a->file, path, why);
    if (status) {
        return lt_fail(ctx, status, "%s", why);
    }
    a->head.struct_size = sizeof a->head;
    status = lt_npy_parse(ctx, path, a->file.bytes, (size_t)(a->file.size < FRONT ? a->file.size : FRONT), a->file.size, &a->head);
    if (status) {
        return status;
    }
    if (!a->head.ndim || !a->head.size) {
        return lt_fail(ctx, LT_EFORMAT, "%s holds %s: it needs rows, the first dimension", path, a->head.ndim ? "nothing" : "a single number");
    }
    a->path = path;
    a->row = a->head.size / (int64_t)size_of(a->head.dtype) / a->head.shape[0];
    return LT_OK;
}

static lt_status open_part(lt_ctx *ctx, npy_dataset *m, int id, const char *input, const char *target) {
    static const char *const names[] = {"NumPy train", "NumPy val", "NumPy test"};
    part *p = &m->parts[id];
    if (open_array(ctx, &p->input, input) || (target && open_array(ctx, &p->target, target))) {
        return lt_ctx_status(ctx);
    }
    if (target && p->target.head.shape[0] != p->input.head.shape[0]) {
        return lt_fail(ctx, LT_EFORMAT, "%s has %lld rows, %s %lld: they do not belong together", input, (long long)p->input.head.shape[0],
                       target, (long long)p->target.head.shape[0]);
    }
    p->input_dtype = m->input_dtype == INPUT_KEEP ? p->input.head.dtype : LT_F32;
    p->target_dtype = m->target_dtype == TARGET_I64 || (m->target_dtype == TARGET_AUTO && !is_float(p->target.head.dtype)) ? LT_I64 : LT_F32;
    if (id != TRAIN && target && m->parts[TRAIN].target.head.ndim && p->target_dtype != m->parts[TRAIN].target_dtype) {
        return lt_fail(ctx, LT_EFORMAT, "%s holds %s, the training targets %s: set target_dtype to f32 or i64", target,
                       p->target_dtype == LT_I64 ? "integers" : "floats", p->target_dtype == LT_I64 ? "floats" : "integers");
    }
    p->scale = m->scale;
    lt_dataset_desc desc = {.struct_size = sizeof desc, .length = p->input.head.shape[0], .name = names[id], .get_batch = get_batch, .data = p};
    m->datasets[id] = lt_data_dataset(ctx, &desc);
    return lt_ctx_status(ctx);
}

static lt_status split(lt_ctx *ctx, npy_dataset *m) {
    int64_t all = m->parts[TRAIN].input.head.shape[0];
    lt_dataset *parts[2] = {NULL};
    if (m->val_size >= all) {
        return lt_fail(ctx, LT_ECONFIG, "val_size is %lld: %s has only %lld rows", (long long)m->val_size, m->input, (long long)all);
    }
    lt_data_random_split(ctx, m->datasets[TRAIN], (int64_t[]){all - m->val_size, m->val_size}, 2, m->split_seed, parts);
    m->datasets[TRAIN] = parts[0];
    m->datasets[VAL] = parts[1];
    return lt_ctx_status(ctx);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    npy_dataset *m = self;
    lt_stage stage = lt_now(ctx)->stage;
    if ((stage == LT_STAGE_TEST || stage == LT_STAGE_PREDICT) && m->test_input) {
        return open_part(ctx, m, TEST, m->test_input, m->test_target);
    }
    if (open_part(ctx, m, TRAIN, m->input, m->target)) {
        return lt_ctx_status(ctx);
    }
    lt_status status = m->val_input ? open_part(ctx, m, VAL, m->val_input, m->val_target) : m->val_size ? split(ctx, m) : LT_OK;
    m->datasets[TEST] = m->datasets[VAL];
    return status;
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    npy_dataset *m = self;
    return TRAIN_LOADER(ctx, m, m->datasets[TRAIN]);
}

static lt_loader *val_dataloader(lt_ctx *ctx, void *self) {
    npy_dataset *m = self;
    return PLAIN_LOADER(ctx, m, m->datasets[VAL]);
}

static lt_loader *test_dataloader(lt_ctx *ctx, void *self) {
    npy_dataset *m = self;
    return PLAIN_LOADER(ctx, m, m->datasets[TEST]);
}

static void release(lt_ctx *ctx, void *self) {
    (void)ctx;
    npy_dataset *m = self;
    for (int i = 0; i < PARTS; i++) {
        close_array(&m->parts[i].input);
        close_array(&m->parts[i].target);
        m->datasets[i] = NULL;
    }
}

LT_DATAMODULE(NpyDataset, npy_dataset, "Rows of arrays saved by numpy.save, mapped into memory.",
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
    .release = release);
LT_PLUGIN("org.lthost.npy-dataset", "0.1.0", datamodule(NpyDataset));
