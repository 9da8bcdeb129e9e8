/* engine/backends/reference/reference.c - the oracle's vtable, and the element access, walks and activations its kernels share.
 * No threads, no vectors, no cache of anything. Blocked layouts are read and written by COPY only. */
#include "engine/backends/reference/reference.h"
#include "base/mem.h"

/* ---- elements ---- */
static float half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 1023;
    float magnitude = exponent == 31  ? (fraction ? NAN : INFINITY)
                      : exponent == 0 ? ldexpf((float)fraction, -24)
                                      : ldexpf((float)(fraction + 1024), (int)exponent - 25);
    return sign ? -magnitude : magnitude;
}

/* Round to nearest even at `bits` dropped bits of a positive pattern. */
static uint32_t round_bits(uint32_t pattern, int bits) {
    uint32_t half = 1u << (bits - 1), kept = pattern >> bits, rest = pattern & ((1u << bits) - 1);
    return kept + (rest > half || (rest == half && (kept & 1)));
}

static uint16_t float_to_half(float value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    float magnitude = fabsf(value);
    if (isnan(value)) {
        return sign | 0x7e00;
    }
    if (magnitude >= 65520.0f) { /* halfway to the first value beyond the largest */
        return sign | 0x7c00;
    }
    if (magnitude < 0x1p-14f) { /* subnormal: a multiple of 2^-24; nearbyint rounds to even */
        return sign | (uint16_t)nearbyintf(ldexpf(magnitude, 24));
    }
    uint32_t pattern;
    memcpy(&pattern, &magnitude, sizeof pattern);
    return sign | (uint16_t)(round_bits(pattern, 13) - (112u << 10)); /* exponent bias 127 -> 15 */
}

static uint16_t float_to_bf16(float value) {
    uint32_t pattern;
    memcpy(&pattern, &value, sizeof pattern);
    return isnan(value) ? (uint16_t)((pattern >> 16) | 0x40) : (uint16_t)round_bits(pattern, 16);
}

static float bf16_to_float(uint16_t bits) {
    uint32_t pattern = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &pattern, sizeof value);
    return value;
}

double ref_load(const void *data, lt_dtype dtype, int64_t at) {
    switch (dtype) {
    case LT_F64: return ((const double *)data)[at];
    case LT_F32: return ((const float *)data)[at];
    case LT_F16: return half_to_float(((const uint16_t *)data)[at]);
    case LT_BF16: return bf16_to_float(((const uint16_t *)data)[at]);
    default: return (double)ref_load_int(data, dtype, at);
    }
}

void ref_store(void *data, lt_dtype dtype, int64_t at, double value) {
    switch (dtype) {
    case LT_F64: ((double *)data)[at] = value; break;
    case LT_F32: ((float *)data)[at] = (float)value; break;
    case LT_F16: ((uint16_t *)data)[at] = float_to_half((float)value); break;
    case LT_BF16: ((uint16_t *)data)[at] = float_to_bf16((float)value); break;
    case LT_BOOL: ((uint8_t *)data)[at] = value != 0; break;
    default: /* towards zero, as C and PyTorch; what does not fit is the lowest value, as x86's conversion gives */
        ref_store_int(data, dtype, at, value >= -0x1p63 && value < 0x1p63 ? (int64_t)value : INT64_MIN);
    }
}

int64_t ref_load_int(const void *data, lt_dtype dtype, int64_t at) {
    switch (dtype) {
    case LT_I64: return ((const int64_t *)data)[at];
    case LT_I32: return ((const int32_t *)data)[at];
    case LT_U8: return ((const uint8_t *)data)[at];
    case LT_BOOL: return ((const uint8_t *)data)[at] != 0;
    default: return (int64_t)ref_load(data, dtype, at);
    }
}

void ref_store_int(void *data, lt_dtype dtype, int64_t at, int64_t value) {
    switch (dtype) {
    case LT_I64: ((int64_t *)data)[at] = value; break;
    case LT_I32: ((int32_t *)data)[at] = (int32_t)value; break; /* wraps, as PyTorch */
    case LT_U8: ((uint8_t *)data)[at] = (uint8_t)value; break;
    case LT_BOOL: ((uint8_t *)data)[at] = value != 0; break;
    default: ref_store(data, dtype, at, (double)value);
    }
}

double ref_round(lt_dtype dtype, double value) {
    double slot;
    ref_store(&slot, dtype, 0, value);
    return ref_load(&slot, dtype, 0);
}

/* ---- walks ---- */
void ref_walk_init(ref_walk *w, int ndim, const int64_t *shape) {
    memset(w, 0, sizeof *w);
    w->ndim = ndim;
    for (int d = 0; d < ndim; d++) {
        w->shape[d] = shape[d];
    }
}

int ref_walk_add(ref_walk *w, const lth_array *a) {
    int k = w->n_arrays++, shift = w->ndim - a->ndim;
    for (int d = 0; d < a->ndim; d++) {
        w->stride[k][d + shift] = a->shape[d] == 1 ? 0 : a->strides[d];
    }
    return k;
}

bool ref_walk_start(ref_walk *w) {
    for (int d = 0; d < w->ndim; d++) {
        if (w->shape[d] == 0) {
            return false;
        }
        w->index[d] = 0;
    }
    return true;
}

/* Ends where it began: after the last element all places are those of the start again. */
bool ref_walk_next(ref_walk *w) {
    for (int d = w->ndim - 1; d >= 0; d--) {
        bool wraps = ++w->index[d] == w->shape[d];
        int64_t steps = wraps ? 1 - w->shape[d] : 1;
        for (int k = 0; k < w->n_arrays; k++) {
            w->at[k] += steps * w->stride[k][d];
        }
        if (!wraps) {
            return true;
        }
        w->index[d] = 0;
    }
    return false;
}

void ref_walk_part(ref_walk *part, const ref_walk *whole, unsigned mask) {
    memset(part, 0, sizeof *part);
    part->n_arrays = whole->n_arrays;
    for (int d = 0; d < whole->ndim; d++) {
        if (mask >> d & 1) {
            part->shape[part->ndim] = whole->shape[d];
            for (int k = 0; k < whole->n_arrays; k++) {
                part->stride[k][part->ndim] = whole->stride[k][d];
            }
            part->ndim++;
        }
    }
}

void ref_walk_enter(ref_walk *inner, const ref_walk *outer) { memcpy(inner->at, outer->at, sizeof inner->at); }

int64_t ref_row_at(const lth_array *a, int64_t row) {
    int64_t at = 0;
    for (int d = a->ndim - 2; d >= 0; d--) {
        at += row % a->shape[d] * a->strides[d];
        row /= a->shape[d];
    }
    return at;
}

ref_image ref_image_of(const lth_array *a) {
    int d = a->ndim - 3; /* of C */
    ref_image i = {.a = a, .n = 1, .c = a->shape[d], .h = a->shape[d + 1], .w = a->shape[d + 2],
                   .sc = a->strides[d], .sh = a->strides[d + 1], .sw = a->strides[d + 2]};
    if (d == 1) {
        i.n = a->shape[0];
        i.sn = a->strides[0];
    }
    return i;
}

/* ---- activations ---- */
static double gelu_inner(double z) { return M_SQRT2 * M_2_SQRTPI * 0.5 * (z + 0.044715 * z * z * z); } /* sqrt(2/pi) (z + ...) */

double ref_activate(int64_t act, double z) {
    switch (act) {
    case LT_ACT_RELU: return z > 0 || isnan(z) ? z : 0;
    case LT_ACT_TANH: return tanh(z);
    case LT_ACT_SIGMOID: return 1 / (1 + exp(-z));
    case LT_ACT_GELU: return 0.5 * z * (1 + erf(z * M_SQRT1_2));
    case LT_ACT_GELU_TANH: return 0.5 * z * (1 + tanh(gelu_inner(z)));
    case LT_ACT_LEAKY_RELU: return z > 0 ? z : 0.01 * z;
    case LT_ACT_ELU: return z > 0 ? z : expm1(z);
    case LT_ACT_SILU: return z / (1 + exp(-z));
    case LT_ACT_SOFTPLUS: return z > 20 ? z : log1p(exp(z));
    case LT_ACT_HARDSWISH: return z <= -3 ? 0 : z < 3 ? z * (z + 3) / 6 : z;
    default: return z;
    }
}

double ref_activate_slope(int64_t act, double z) {
    double t;
    switch (act) {
    case LT_ACT_LEAKY_RELU: return z > 0 ? 1 : 0.01;
    case LT_ACT_ELU: return z > 0 ? 1 : exp(z);
    case LT_ACT_SILU: t = 1 / (1 + exp(-z)); return t * (1 + z * (1 - t));
    case LT_ACT_SOFTPLUS: return z > 20 ? 1 : 1 / (1 + exp(-z));
    case LT_ACT_HARDSWISH: return z <= -3 ? 0 : z < 3 ? z / 3 + 0.5 : 1;
    case LT_ACT_RELU: return z <= 0 ? 0 : 1;
    case LT_ACT_TANH: t = tanh(z); return 1 - t * t;
    case LT_ACT_SIGMOID: t = 1 / (1 + exp(-z)); return t * (1 - t);
    case LT_ACT_GELU: return 0.5 * (1 + erf(z * M_SQRT1_2)) + z * exp(-0.5 * z * z) * M_2_SQRTPI * M_SQRT1_2 * 0.5;
    case LT_ACT_GELU_TANH:
        t = tanh(gelu_inner(z));
        return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * M_SQRT2 * M_2_SQRTPI * 0.5 * (1 + 3 * 0.044715 * z * z);
    default: return 1;
    }
}

/* ---- plans ---- */
bool ref_plan(lth_device *device, lth_call *call) {
    (void)device;
    for (int k = 0; k < call->n_in; k++) {
        if (call->in[k] && call->in[k]->layout != LTH_STRIDED) {
            return false;
        }
    }
    return true;
}

bool ref_plan_with(lth_call *call, int64_t bytes) {
    call->workspace_bytes = (size_t)bytes;
    return ref_plan(NULL, call);
}

/* ---- the device: nothing but a name ---- */
struct lth_device { const lth_backend *backend; }; /* other backends have their own */

static lt_status open_device(lth_device **out, const lth_device_opts *opts, lth_error *err) {
    (void)opts;
    *out = lth_alloc(sizeof **out);
    if (!*out) {
        return lth_fail(err, LT_ENOMEM, "no memory for the reference backend");
    }
    (*out)->backend = &lth_backend_reference;
    return LT_OK;
}

static void close_device(lth_device *device) { lth_free(device); }

static const char *describe(lth_device *device) {
    (void)device;
    return "reference, 1 thread, plain loops";
}

static void *alloc_memory(lth_device *device, size_t bytes) {
    (void)device;
    return lth_alloc(bytes);
}

static void free_memory(lth_device *device, void *memory, size_t bytes) {
    (void)device, (void)bytes;
    lth_free(memory);
}

static lt_status copy_memory(lth_device *device, void *to, const void *from, size_t bytes, int32_t kind, lth_error *err) {
    (void)device, (void)kind, (void)err;
    memmove(to, from, bytes);
    return LT_OK;
}

static lt_status synchronize(lth_device *device, lth_error *err) {
    (void)device, (void)err;
    return LT_OK;
}

static void *stream(lth_device *device) {
    (void)device;
    return NULL;
}

const lth_backend lth_backend_reference = {
    .struct_size = sizeof(lth_backend),
    .device_type = 1,
    .name = "reference",
    .open = open_device,
    .close = close_device,
    .describe = describe,
    .alloc = alloc_memory,
    .free = free_memory,
    .copy = copy_memory,
    .synchronize = synchronize,
    .stream = stream,
    .array_bytes = ref_array_bytes,
    .kernels = {
        [LTH_OP_COPY] = &ref_copy, [LTH_OP_CAST] = &ref_cast, [LTH_OP_FULL] = &ref_full, [LTH_OP_ARANGE] = &ref_arange,
        [LTH_OP_ADD] = &ref_binary, [LTH_OP_SUB] = &ref_binary, [LTH_OP_MUL] = &ref_binary, [LTH_OP_DIV] = &ref_binary,
        [LTH_OP_MAXIMUM] = &ref_binary, [LTH_OP_MINIMUM] = &ref_binary, [LTH_OP_POW] = &ref_binary, [LTH_OP_EQ] = &ref_compare,
        [LTH_OP_NE] = &ref_compare, [LTH_OP_LT] = &ref_compare, [LTH_OP_LE] = &ref_compare, [LTH_OP_GT] = &ref_compare,
        [LTH_OP_GE] = &ref_compare, [LTH_OP_LOGICAL_AND] = &ref_compare, [LTH_OP_LOGICAL_OR] = &ref_compare,
        [LTH_OP_WHERE] = &ref_where, [LTH_OP_ADD_SCALAR] = &ref_unary, [LTH_OP_MUL_SCALAR] = &ref_unary, [LTH_OP_NEG] = &ref_unary,
        [LTH_OP_EXP] = &ref_unary, [LTH_OP_LOG] = &ref_unary, [LTH_OP_SQRT] = &ref_unary, [LTH_OP_ABS] = &ref_unary,
        [LTH_OP_RELU] = &ref_unary, [LTH_OP_TANH] = &ref_unary, [LTH_OP_SIGMOID] = &ref_unary, [LTH_OP_GELU] = &ref_unary,
        [LTH_OP_POW_SCALAR] = &ref_unary, [LTH_OP_CLAMP] = &ref_unary, [LTH_OP_RSQRT] = &ref_unary, [LTH_OP_SIN] = &ref_unary,
        [LTH_OP_COS] = &ref_unary, [LTH_OP_ERF] = &ref_unary, [LTH_OP_SQUARE] = &ref_unary, [LTH_OP_RECIPROCAL] = &ref_unary,
        [LTH_OP_SIGN] = &ref_unary, [LTH_OP_FLOOR] = &ref_unary, [LTH_OP_CEIL] = &ref_unary, [LTH_OP_ROUND] = &ref_unary,
        [LTH_OP_LEAKY_RELU] = &ref_unary, [LTH_OP_ELU] = &ref_unary, [LTH_OP_SILU] = &ref_unary, [LTH_OP_SOFTPLUS] = &ref_unary,
        [LTH_OP_HARDSWISH] = &ref_unary, [LTH_OP_LOGICAL_NOT] = &ref_logical_not, [LTH_OP_DROPOUT] = &ref_dropout,
        [LTH_OP_SUM] = &ref_sum, [LTH_OP_MEAN] = &ref_mean, [LTH_OP_ARGMAX] = &ref_argmax, [LTH_OP_ARGMIN] = &ref_argmax,
        [LTH_OP_MAX] = &ref_extreme, [LTH_OP_MIN] = &ref_extreme, [LTH_OP_MAX_ALONG] = &ref_extreme_along,
        [LTH_OP_MIN_ALONG] = &ref_extreme_along, [LTH_OP_VAR] = &ref_moments, [LTH_OP_STD] = &ref_moments, [LTH_OP_PROD] = &ref_prod,
        [LTH_OP_LOGSUMEXP] = &ref_logsumexp, [LTH_OP_CUMSUM] = &ref_cumsum, [LTH_OP_SOFTMAX] = &ref_softmax,
        [LTH_OP_LOG_SOFTMAX] = &ref_log_softmax, [LTH_OP_CAT] = &ref_cat,
        [LTH_OP_MATMUL] = &ref_matmul, [LTH_OP_LINEAR] = &ref_linear, [LTH_OP_CONV2D] = &ref_conv2d,
        [LTH_OP_MAX_POOL2D] = &ref_max_pool2d, [LTH_OP_AVG_POOL2D] = &ref_avg_pool2d, [LTH_OP_BATCH_NORM] = &ref_batch_norm,
        [LTH_OP_MSE_LOSS] = &ref_mse_loss, [LTH_OP_CROSS_ENTROPY] = &ref_cross_entropy, [LTH_OP_ACCURACY] = &ref_accuracy,
        [LTH_OP_LAYER_NORM] = &ref_layer_norm, [LTH_OP_EMBEDDING] = &ref_embedding, [LTH_OP_ATTENTION] = &ref_attention,
        [LTH_OP_SELF_ATTENTION] = &ref_attention,
        [LTH_OP_CONV_TRANSPOSE2D] = &ref_conv_transpose2d, [LTH_OP_ADAPTIVE_AVG_POOL2D] = &ref_adaptive_pool2d,
        [LTH_OP_ADAPTIVE_MAX_POOL2D] = &ref_adaptive_pool2d, [LTH_OP_INTERPOLATE] = &ref_interpolate, [LTH_OP_GROUP_NORM] = &ref_group_norm,
        [LTH_OP_RMS_NORM] = &ref_rms_norm,
        [LTH_OP_LSTM] = &ref_lstm, [LTH_OP_GRU] = &ref_gru,
        [LTH_OP_GATHER] = &ref_gather, [LTH_OP_SCATTER_ADD] = &ref_scatter_add, [LTH_OP_INDEX_SELECT] = &ref_index_select,
        [LTH_OP_MASKED_FILL] = &ref_masked_fill, [LTH_OP_PAD] = &ref_pad, [LTH_OP_ROLL] = &ref_roll, [LTH_OP_FLIP] = &ref_flip,
        [LTH_OP_TRIL] = &ref_tril, [LTH_OP_TRIU] = &ref_triu, [LTH_OP_ONE_HOT] = &ref_one_hot, [LTH_OP_TOPK] = &ref_topk,
        [LTH_OP_SORT] = &ref_sort,
        [LTH_OP_NLL_LOSS] = &ref_nll_loss, [LTH_OP_L1_LOSS] = &ref_l1_loss, [LTH_OP_SMOOTH_L1_LOSS] = &ref_smooth_l1_loss,
        [LTH_OP_HUBER_LOSS] = &ref_huber_loss, [LTH_OP_BCE_LOSS] = &ref_bce_loss, [LTH_OP_BCE_WITH_LOGITS] = &ref_bce_with_logits,
        [LTH_OP_KL_DIV] = &ref_kl_div, [LTH_OP_COSINE_SIMILARITY] = &ref_cosine_similarity, [LTH_OP_COSINE_EMBEDDING] = &ref_cosine_embedding,
    },
    .sgd = ref_sgd,
    .adam = ref_adam,
    .rule = ref_rule,
    .sum_squares = ref_sum_squares,
    .scale = ref_scale,
    .clamp = ref_clamp,
    .zero = ref_zero,
};
