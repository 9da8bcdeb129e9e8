/* engine/backends/reference/elementwise.c - arithmetic with broadcasting, element-by-element functions, dropout.
 * Float results are computed in double and rounded once; integer operands stay integers. A gradient of a broadcast operand is
 * the sum over the elements it was spread to. Writing over an input is fine: each element is read before it is written. */
#include "engine/backends/reference/reference.h"

/* ---- two operands ---- */
static double binary_value(lth_op op, double a, double b) {
    switch (op) {
    case LTH_OP_ADD: return a + b;
    case LTH_OP_SUB: return a - b;
    case LTH_OP_MUL: return a * b;
    case LTH_OP_DIV: return a / b;
    case LTH_OP_MAXIMUM: return a > b || isnan(a) ? a : b;
    case LTH_OP_MINIMUM: return a < b || isnan(a) ? a : b;
    case LTH_OP_POW: return pow(a, b);
    case LTH_OP_NE: return a != b;
    case LTH_OP_LT: return a < b;
    case LTH_OP_LE: return a <= b;
    case LTH_OP_GT: return a > b;
    case LTH_OP_GE: return a >= b;
    case LTH_OP_LOGICAL_AND: return a != 0 && b != 0;
    case LTH_OP_LOGICAL_OR: return a != 0 || b != 0;
    default: return a == b;
    }
}

static int64_t binary_int(lth_op op, int64_t a, int64_t b) {
    uint64_t x = (uint64_t)a, y = (uint64_t)b; /* unsigned: wrapping is defined */
    switch (op) {
    case LTH_OP_ADD: return (int64_t)(x + y);
    case LTH_OP_SUB: return (int64_t)(x - y);
    case LTH_OP_MUL: return (int64_t)(x * y);
    case LTH_OP_MAXIMUM: return a > b ? a : b;
    case LTH_OP_MINIMUM: return a < b ? a : b;
    case LTH_OP_NE: return a != b;
    case LTH_OP_LT: return a < b;
    case LTH_OP_LE: return a <= b;
    case LTH_OP_GT: return a > b;
    case LTH_OP_GE: return a >= b;
    case LTH_OP_LOGICAL_AND: return a && b;
    case LTH_OP_LOGICAL_OR: return a || b;
    default: return a == b;
    }
}

static lt_status binary_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *a = call->in[0], *b = call->in[1], *y = call->out[0];
    bool exact = !ref_is_float(a->dtype) && !ref_is_float(b->dtype) && call->op != LTH_OP_DIV;
    ref_walk w;
    ref_walk_init(&w, y->ndim, y->shape);
    int ia = ref_walk_add(&w, a), ib = ref_walk_add(&w, b), iy = ref_walk_add(&w, y);
    REF_EACH(&w) {
        if (exact) {
            int64_t value = binary_int(call->op, ref_load_int(a->data, a->dtype, w.at[ia]), ref_load_int(b->data, b->dtype, w.at[ib]));
            ref_store_int(y->data, y->dtype, w.at[iy], value);
        } else {
            ref_set(y, w.at[iy], binary_value(call->op, ref_get(a, w.at[ia]), ref_get(b, w.at[ib])));
        }
    }
    return LT_OK;
}

/* d(out)/d(operand k) at one place */
static double binary_slope(lth_op op, int k, double a, double b) {
    switch (op) {
    case LTH_OP_ADD: return 1;
    case LTH_OP_SUB: return k ? -1 : 1;
    case LTH_OP_MUL: return k ? a : b;
    case LTH_OP_MAXIMUM: return a == b ? 0.5 : k ? !(a > b) : !(b > a); /* beside a NaN both get all, as in PyTorch */
    case LTH_OP_MINIMUM: return a == b ? 0.5 : k ? !(a < b) : !(b < a);
    case LTH_OP_POW:
        if (k) { /* 0 to the power of b stands still where b grows */
            return a == 0 && b >= 0 ? 0 : pow(a, b) * log(a);
        }
        return b == 0 ? 0 : b * pow(a, b - 1);
    default: return k ? -(a / b / b) : 1 / b; /* b * b may be out of range */
    }
}

/* Bits of the dimensions of w along which array k stands still. */
static unsigned broadcast_mask(const ref_walk *w, const lth_array *a) {
    unsigned mask = 0;
    for (int d = 0; d < w->ndim; d++) {
        int own = d - (w->ndim - a->ndim);
        mask |= (own < 0 || (a->shape[own] == 1 && w->shape[d] != 1)) ? 1u << d : 0;
    }
    return mask;
}

static lt_status binary_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *a = call->in[0], *b = call->in[1], *y = call->out[0], *g = call->grad_out[0];
    for (int k = 0; k < 2; k++) {
        if (!call->need[k]) {
            continue;
        }
        const lth_array *d = call->grad_in[k];
        ref_walk w, kept, summed;
        ref_walk_init(&w, y->ndim, y->shape);
        int ia = ref_walk_add(&w, a), ib = ref_walk_add(&w, b), ig = g ? ref_walk_add(&w, g) : 0, id = ref_walk_add(&w, d);
        unsigned mask = broadcast_mask(&w, d);
        ref_walk_part(&kept, &w, ~mask);
        ref_walk_part(&summed, &w, mask);
        REF_EACH(&kept) {
            double sum = 0;
            ref_walk_enter(&summed, &kept);
            if (g) {
                REF_EACH(&summed) {
                    double slope = binary_slope(call->op, k, ref_get(a, summed.at[ia]), ref_get(b, summed.at[ib]));
                    sum += ref_get(g, summed.at[ig]) * slope;
                }
            }
            ref_give(d, kept.at[id], sum, call->accumulate[k]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_binary = {ref_plan, binary_forward, binary_backward}, ref_compare = {ref_plan, binary_forward, NULL};

/* ---- where(condition, a, b) ---- */
static lt_status where_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *c = call->in[0], *y = call->out[0];
    ref_walk w;
    ref_walk_init(&w, y->ndim, y->shape);
    int ic = ref_walk_add(&w, c), ia = ref_walk_add(&w, call->in[1]), ib = ref_walk_add(&w, call->in[2]), iy = ref_walk_add(&w, y);
    REF_EACH(&w) {
        const bool first = ref_load_int(c->data, c->dtype, w.at[ic]) != 0;
        const lth_array *from = call->in[first ? 1 : 2];
        const int64_t at = w.at[first ? ia : ib];
        if (ref_is_float(y->dtype)) {
            ref_set(y, w.at[iy], ref_get(from, at));
        } else {
            ref_store_int(y->data, y->dtype, w.at[iy], ref_load_int(from->data, from->dtype, at));
        }
    }
    return LT_OK;
}

static lt_status where_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *c = call->in[0], *y = call->out[0], *g = call->grad_out[0];
    for (int k = 1; k < 3; k++) {
        if (!call->need[k]) {
            continue;
        }
        const lth_array *d = call->grad_in[k];
        ref_walk w, kept, summed;
        ref_walk_init(&w, y->ndim, y->shape);
        int ic = ref_walk_add(&w, c), ig = g ? ref_walk_add(&w, g) : 0, id = ref_walk_add(&w, d);
        unsigned mask = broadcast_mask(&w, d);
        ref_walk_part(&kept, &w, ~mask);
        ref_walk_part(&summed, &w, mask);
        REF_EACH(&kept) {
            double sum = 0;
            ref_walk_enter(&summed, &kept);
            if (g) {
                REF_EACH(&summed) {
                    const bool first = ref_load_int(c->data, c->dtype, summed.at[ic]) != 0;
                    sum += first == (k == 1) ? ref_get(g, summed.at[ig]) : 0;
                }
            }
            ref_give(d, kept.at[id], sum, call->accumulate[k]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_where = {ref_plan, where_forward, where_backward};

/* ---- one operand ---- */
/* PyTorch keeps a scalar operand in the precision it computes in: f32 for everything but f64. */
static double number_of(const lth_call *call, int k) {
    double value = call->attrs->f[k];
    return call->out[0]->dtype == LT_F64 ? value : (double)(float)value;
}
static double scalar_of(const lth_call *call) { return number_of(call, 0); }

/* A NaN stays; where low is more than high, high. */
static double clamped(double x, double low, double high) {
    double v = x < low ? low : x;
    return v > high ? high : v;
}

/* At a bound the gradient is 0, as PyTorch's; an infinite bound is none. */
static bool inside(double x, double low, double high) { return (low == -INFINITY || x > low) && (high == INFINITY || x < high); }

static double softplus(double x, double beta, double threshold) { return x * beta > threshold ? x : log1p(exp(x * beta)) / beta; }

/* PyTorch's short ways for common exponents differ from pow in what they make of -0 and of infinities. */
static double power(double x, double e) {
    return e == 0.5 ? sqrt(x) : e == -0.5 ? 1 / sqrt(x) : e == -1 ? 1 / x : e == -2 ? 1 / (x * x) : pow(x, e);
}

static double unary_value(const lth_call *call, double x) {
    switch (call->op) {
    case LTH_OP_ADD_SCALAR: return x + scalar_of(call);
    case LTH_OP_MUL_SCALAR: return x * scalar_of(call);
    case LTH_OP_NEG: return -x;
    case LTH_OP_EXP: return exp(x);
    case LTH_OP_LOG: return log(x);
    case LTH_OP_SQRT: return sqrt(x);
    case LTH_OP_ABS: return fabs(x);
    case LTH_OP_RELU: return ref_activate(LT_ACT_RELU, x);
    case LTH_OP_TANH: return tanh(x);
    case LTH_OP_SIGMOID: return ref_activate(LT_ACT_SIGMOID, x);
    case LTH_OP_POW_SCALAR: return power(x, scalar_of(call));
    case LTH_OP_CLAMP: return clamped(x, number_of(call, 0), number_of(call, 1));
    case LTH_OP_RSQRT: return 1 / sqrt(x);
    case LTH_OP_SIN: return sin(x);
    case LTH_OP_COS: return cos(x);
    case LTH_OP_ERF: return erf(x);
    case LTH_OP_SQUARE: return x * x;
    case LTH_OP_RECIPROCAL: return 1 / x;
    case LTH_OP_SIGN: return (x > 0) - (x < 0);
    case LTH_OP_FLOOR: return floor(x);
    case LTH_OP_CEIL: return ceil(x);
    case LTH_OP_ROUND: return nearbyint(x);
    case LTH_OP_LOGICAL_NOT: return x == 0;
    case LTH_OP_LEAKY_RELU: return x > 0 ? x : x * scalar_of(call);
    case LTH_OP_ELU: return x > 0 ? x : expm1(x) * scalar_of(call);
    case LTH_OP_SILU: return x / (1 + exp(-x));
    case LTH_OP_SOFTPLUS: return softplus(x, number_of(call, 0), number_of(call, 1));
    case LTH_OP_HARDSWISH: return x * clamped(x + 3, 0, 6) / 6;
    default: return ref_activate(call->attrs->i[0] ? LT_ACT_GELU_TANH : LT_ACT_GELU, x);
    }
}

static double unary_slope(const lth_call *call, double x, double y) {
    double e, s;
    switch (call->op) {
    case LTH_OP_ADD_SCALAR: return 1;
    case LTH_OP_MUL_SCALAR: return scalar_of(call);
    case LTH_OP_NEG: return -1;
    case LTH_OP_EXP: return y;
    case LTH_OP_LOG: return 1 / x;
    case LTH_OP_SQRT: return 0.5 / y;
    case LTH_OP_ABS: return x > 0 ? 1 : x < 0 ? -1 : 0;
    case LTH_OP_RELU: return y <= 0 ? 0 : 1;
    case LTH_OP_TANH: return 1 - y * y;
    case LTH_OP_SIGMOID: return (1 - y) * y;
    case LTH_OP_POW_SCALAR: e = scalar_of(call); return e == 0 ? 0 : e * power(x, e - 1);
    case LTH_OP_CLAMP: return inside(x, number_of(call, 0), number_of(call, 1));
    case LTH_OP_RSQRT: return -0.5 * y * y * y;
    case LTH_OP_SIN: return cos(x);
    case LTH_OP_COS: return -sin(x);
    case LTH_OP_ERF: return M_2_SQRTPI * exp(-x * x);
    case LTH_OP_SQUARE: return 2 * x;
    case LTH_OP_RECIPROCAL: return -y * y;
    case LTH_OP_SIGN: case LTH_OP_FLOOR: case LTH_OP_CEIL: case LTH_OP_ROUND: return 0;
    case LTH_OP_LEAKY_RELU: return x > 0 ? 1 : scalar_of(call);
    case LTH_OP_ELU: return x > 0 ? 1 : exp(x) * scalar_of(call);
    case LTH_OP_SILU: s = 1 / (1 + exp(-x)); return s * (1 + x * (1 - s));
    case LTH_OP_SOFTPLUS: return x * number_of(call, 0) > number_of(call, 1) ? 1 : 1 / (1 + exp(-x * number_of(call, 0)));
    case LTH_OP_HARDSWISH: return x <= -3 ? 0 : x < 3 ? x / 3 + 0.5 : 1;
    default: return ref_activate_slope(call->attrs->i[0] ? LT_ACT_GELU_TANH : LT_ACT_GELU, x);
    }
}

/* Bounds between whole numbers count as PyTorch's: cut towards zero. */
static int64_t whole_bound(double v, int64_t otherwise) { return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : otherwise; }
static int64_t clamp_int(int64_t x, double low, double high) {
    int64_t least = whole_bound(low, low < 0 ? INT64_MIN : INT64_MAX), most = whole_bound(high, high < 0 ? INT64_MIN : INT64_MAX);
    int64_t v = x < least ? least : x;
    return v > most ? most : v;
}

/* True if integers have an exact result of their own. */
static bool unary_int(const lth_call *call, int64_t x, int64_t *y) {
    double scalar = call->attrs ? call->attrs->f[0] : 0;
    const int64_t cut = whole_bound(scalar, 0);
    const bool whole = scalar == (double)cut;
    switch (call->op) {
    case LTH_OP_ADD_SCALAR: *y = (int64_t)((uint64_t)x + (uint64_t)cut); return whole;
    case LTH_OP_MUL_SCALAR: *y = (int64_t)((uint64_t)x * (uint64_t)cut); return whole;
    case LTH_OP_NEG: *y = (int64_t)(0 - (uint64_t)x); return true;
    case LTH_OP_ABS: *y = x < 0 ? (int64_t)(0 - (uint64_t)x) : x; return true;
    case LTH_OP_RELU: *y = x > 0 ? x : 0; return true;
    case LTH_OP_SQUARE: *y = (int64_t)((uint64_t)x * (uint64_t)x); return true;
    case LTH_OP_SIGN: *y = (x > 0) - (x < 0); return true;
    case LTH_OP_LOGICAL_NOT: *y = x == 0; return true;
    case LTH_OP_CLAMP: *y = clamp_int(x, call->attrs->f[0], call->attrs->f[1]); return true;
    default: return false;
    }
}

static lt_status unary_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0];
    ref_walk w;
    ref_walk_init(&w, y->ndim, y->shape);
    int ix = ref_walk_add(&w, x), iy = ref_walk_add(&w, y);
    REF_EACH(&w) {
        int64_t exact;
        if (!ref_is_float(x->dtype) && !ref_is_float(y->dtype) && unary_int(call, ref_load_int(x->data, x->dtype, w.at[ix]), &exact)) {
            ref_store_int(y->data, y->dtype, w.at[iy], exact);
        } else {
            ref_set(y, w.at[iy], unary_value(call, ref_get(x, w.at[ix])));
        }
    }
    return LT_OK;
}

static lt_status unary_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    if (!call->need[0]) {
        return LT_OK;
    }
    const lth_array *x = call->in[0], *y = call->out[0], *g = call->grad_out[0], *d = call->grad_in[0];
    ref_walk w;
    ref_walk_init(&w, y->ndim, y->shape);
    int ix = ref_walk_add(&w, x), iy = ref_walk_add(&w, y), ig = g ? ref_walk_add(&w, g) : 0, id = ref_walk_add(&w, d);
    REF_EACH(&w) {
        double up = g ? ref_get(g, w.at[ig]) : 0, slope = unary_slope(call, ref_get(x, w.at[ix]), ref_get(y, w.at[iy]));
        const bool masks = call->op == LTH_OP_RELU || call->op == LTH_OP_CLAMP; /* a gradient of inf is 0 where the unit is off, not NaN */
        ref_give(d, w.at[id], masks ? (slope != 0 ? up : 0) : up * slope, call->accumulate[0]);
    }
    return LT_OK;
}

const lth_kernel ref_unary = {ref_plan, unary_forward, unary_backward}, ref_logical_not = {ref_plan, unary_forward, NULL};

/* ---- dropout: workspace holds one byte per element, 1 where it was kept ---- */
static bool dropout_plan(lth_device *device, lth_call *call) {
    (void)device;
    return ref_plan_with(call, call->save ? ref_numel(call->in[0]) : 0);
}

/* The multiplier of kept elements, in the tensor's own precision as PyTorch's noise.div_(1 - p). */
static double dropout_scale(const lth_call *call) {
    double keep = 1 - call->attrs->f[0];
    return call->in[0]->dtype == LT_F64 ? 1 / keep : ref_round(call->in[0]->dtype, (double)(1.0f / (float)keep));
}

/* p 0 and p 1 draw nothing, as in PyTorch; else one 53-bit draw per element, row-major. */
static bool dropout_keeps(const lth_call *call) {
    double p = call->attrs->f[0];
    if (p <= 0 || p >= 1) {
        return p <= 0;
    }
    return (double)(call->random(call->random_state) & ((1ull << 53) - 1)) * 0x1p-53 < 1 - p;
}

static lt_status dropout_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *x = call->in[0], *y = call->out[0];
    uint8_t *kept = call->workspace;
    double scale = call->attrs->f[0] >= 1 ? 0 : dropout_scale(call);
    int64_t i = 0;
    ref_walk w;
    ref_walk_init(&w, y->ndim, y->shape);
    int ix = ref_walk_add(&w, x), iy = ref_walk_add(&w, y);
    REF_EACH(&w) {
        bool keep = dropout_keeps(call);
        if (call->save) {
            kept[i++] = keep;
        }
        ref_set(y, w.at[iy], ref_get(x, w.at[ix]) * (keep ? scale : 0));
    }
    return LT_OK;
}

static lt_status dropout_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *g = call->grad_out[0], *d = call->grad_in[0];
    const uint8_t *kept = call->workspace;
    double scale = call->attrs->f[0] >= 1 ? 0 : dropout_scale(call);
    if (!call->need[0]) {
        return LT_OK;
    }
    int64_t i = 0;
    ref_walk w;
    ref_walk_init(&w, d->ndim, d->shape);
    int id = ref_walk_add(&w, d), ig = g ? ref_walk_add(&w, g) : 0;
    REF_EACH(&w) {
        ref_give(d, w.at[id], (g ? ref_get(g, w.at[ig]) : 0) * (kept[i++] ? scale : 0), call->accumulate[0]);
    }
    return LT_OK;
}

const lth_kernel ref_dropout = {dropout_plan, dropout_forward, dropout_backward};
