/* engine/backends/reference/losses.c - losses of pairs: l1, smooth l1, huber, binary cross entropy (of probabilities and of logits),
 * Kullback-Leibler; cosine similarity and the embedding loss made of it. Formulas are PyTorch's, computed in double.
 * Weights have no gradient: asking for one is an error. */
#include "engine/backends/reference/reference.h"

typedef struct pair { double x, t, w, pw; } pair; /* w, pw: weight and pos_weight, 1 where there is none */

static double log1p_exp(double v) { return v > 0 ? v + log1p(exp(-v)) : log1p(exp(v)); }

static double loss_of(const lth_call *call, pair p) {
    double d = p.x - p.t, z = fabs(d), f = call->attrs->f[0];
    switch (call->op) {
    case LTH_OP_L1_LOSS: return z;
    case LTH_OP_SMOOTH_L1_LOSS: return z < f ? 0.5 * z * z / f : z - 0.5 * f;
    case LTH_OP_HUBER_LOSS: return z <= f ? 0.5 * z * z : f * (z - 0.5 * f);
    case LTH_OP_BCE_LOSS: return p.w * ((p.t - 1) * fmax(log1p(-p.x), -100) - p.t * fmax(log(p.x), -100));
    case LTH_OP_BCE_WITH_LOGITS: return p.w * ((1 - p.t) * p.x + (1 + (p.pw - 1) * p.t) * log1p_exp(-p.x));
    default: /* KL_DIV */
        return call->attrs->i[1] ? exp(p.t) * (p.t - p.x) : (p.t == 0 ? 0 : p.t * log(p.t)) - p.t * p.x;
    }
}

static double sign(double v) { return v > 0 ? 1 : v < 0 ? -1 : v; }

/* d loss / d x */
static double slope_x(const lth_call *call, pair p) {
    double d = p.x - p.t, f = call->attrs->f[0];
    switch (call->op) {
    case LTH_OP_L1_LOSS: return sign(d);
    case LTH_OP_SMOOTH_L1_LOSS: return fabs(d) < f ? d / f : sign(d);
    case LTH_OP_HUBER_LOSS: return fabs(d) <= f ? d : f * sign(d);
    case LTH_OP_BCE_LOSS: return p.w * d / fmax((1 - p.x) * p.x, 1e-12);
    case LTH_OP_BCE_WITH_LOGITS: return p.w * (1 - p.t - (1 + (p.pw - 1) * p.t) / (1 + exp(p.x)));
    default: return call->attrs->i[1] ? -exp(p.t) : -p.t;
    }
}

/* d loss / d target */
static double slope_t(const lth_call *call, pair p) {
    switch (call->op) {
    case LTH_OP_BCE_LOSS: return p.w * (fmax(log1p(-p.x), -100) - fmax(log(p.x), -100));
    case LTH_OP_BCE_WITH_LOGITS: return p.w * (-p.x + (p.pw - 1) * log1p_exp(-p.x));
    case LTH_OP_KL_DIV: return call->attrs->i[1] ? exp(p.t) * (p.t - p.x + 1) : log(p.t) + p.t / p.t - p.x;
    default: return -slope_x(call, p);
    }
}

typedef struct pairs { ref_walk w; const lth_array *in[4]; int at[4]; } pairs;

static void pairs_init(pairs *p, const lth_call *call) {
    memset(p, 0, sizeof *p);
    ref_walk_init(&p->w, call->in[0]->ndim, call->in[0]->shape);
    for (int k = 0; k < call->n_in; k++) {
        p->in[k] = call->in[k];
        p->at[k] = call->in[k] ? ref_walk_add(&p->w, call->in[k]) : 0;
    }
}

static pair pair_at(const pairs *p) {
    pair v = {ref_get(p->in[0], p->w.at[p->at[0]]), ref_get(p->in[1], p->w.at[p->at[1]]), 1, 1};
    v.w = p->in[2] ? ref_get(p->in[2], p->w.at[p->at[2]]) : 1;
    v.pw = p->in[3] ? ref_get(p->in[3], p->w.at[p->at[3]]) : 1;
    return v;
}

/* What the sum of losses is divided by. */
static double divisor_of(const lth_call *call) {
    const lth_array *x = call->in[0];
    switch (call->attrs->i[0]) {
    case LT_MEAN: return (double)ref_numel(x);
    case LT_BATCHMEAN: return x->ndim ? (double)x->shape[0] : 1;
    default: return 1;
    }
}

static lt_status pair_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    const lth_array *y = call->out[0];
    bool each = call->attrs->i[0] == LT_NONE;
    double sum = 0;
    int64_t number = 0;
    pairs p;
    pairs_init(&p, call);
    int iy = each ? ref_walk_add(&p.w, y) : 0;
    REF_EACH(&p.w) {
        pair v = pair_at(&p);
        if (call->op == LTH_OP_BCE_LOSS && !(v.x >= 0 && v.x <= 1)) {
            return lth_fail(err, LT_EINVAL, "bce_loss: x is %g at position %lld, but must be a probability, 0 to 1; for logits use "
                            "lt_bce_with_logits", v.x, (long long)number);
        }
        double loss = loss_of(call, v);
        if (each) {
            ref_set(y, p.w.at[iy], loss);
        }
        sum += loss;
        number++;
    }
    if (!each) {
        ref_set(y, 0, sum / divisor_of(call));
    }
    return LT_OK;
}

static lt_status pair_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device;
    const lth_array *g = call->grad_out[0];
    bool each = call->attrs->i[0] == LT_NONE;
    for (int k = 2; k < call->n_in; k++) {
        if (call->need[k]) {
            return lth_fail(err, LT_EUNSUPPORTED, "no gradient for %s; use lt_detach", k == 2 ? "weight" : "pos_weight");
        }
    }
    for (int k = 0; k < 2; k++) {
        if (!call->need[k]) {
            continue;
        }
        const lth_array *d = call->grad_in[k];
        pairs p;
        pairs_init(&p, call);
        int id = ref_walk_add(&p.w, d), ig = g && each ? ref_walk_add(&p.w, g) : 0;
        REF_EACH(&p.w) {
            double up = !g ? 0 : ref_get(g, each ? p.w.at[ig] : 0) / divisor_of(call);
            double slope = g ? (k ? slope_t : slope_x)(call, pair_at(&p)) : 0;
            ref_give(d, p.w.at[id], slope * up, call->accumulate[k]);
        }
    }
    return LT_OK;
}

const lth_kernel ref_l1_loss = {ref_plan, pair_forward, pair_backward}, ref_smooth_l1_loss = {ref_plan, pair_forward, pair_backward},
                 ref_huber_loss = {ref_plan, pair_forward, pair_backward}, ref_bce_loss = {ref_plan, pair_forward, pair_backward},
                 ref_bce_with_logits = {ref_plan, pair_forward, pair_backward}, ref_kl_div = {ref_plan, pair_forward, pair_backward};

/* ---- cosines of rows ---- */
typedef struct cosine { double dot, a2, b2, na, nb, value; } cosine; /* sums of products and squares; what they are divided by */

static int64_t last_stride(const lth_array *a) { return a->strides[a->ndim - 1]; }

static cosine cosine_of(const lth_call *call, int64_t row) {
    const lth_array *a = call->in[0], *b = call->in[1];
    int64_t at = ref_row_at(a, row), bt = ref_row_at(b, row);
    cosine c = {0};
    for (int64_t i = 0; i < a->shape[a->ndim - 1]; i++) {
        double p = ref_get(a, at + i * last_stride(a)), q = ref_get(b, bt + i * last_stride(b));
        c.dot += p * q, c.a2 += p * p, c.b2 += q * q;
    }
    if (call->op == LTH_OP_COSINE_SIMILARITY) {
        c.na = fmax(sqrt(c.a2), call->attrs->f[0]), c.nb = fmax(sqrt(c.b2), call->attrs->f[0]);
    } else {
        c.a2 += 1e-12, c.b2 += 1e-12;
        c.na = sqrt(c.a2), c.nb = sqrt(c.b2);
    }
    c.value = c.dot / (c.na * c.nb);
    return c;
}

/* Row `row` of an array that has one value per row of in[0]. */
static int64_t per_row(const lth_array *a, int64_t row) {
    int64_t at = 0;
    for (int d = a->ndim - 1; d >= 0; d--) {
        at += row % a->shape[d] * a->strides[d];
        row /= a->shape[d];
    }
    return at;
}

static double label_at(const lth_call *call, int64_t row) {
    const lth_array *y = call->in[2];
    return ref_get(y, per_row(y, row));
}

static int64_t rows_of(const lth_call *call) {
    const lth_array *a = call->in[0];
    int64_t n = 1;
    for (int d = 0; d < a->ndim - 1; d++) {
        n *= a->shape[d];
    }
    return n;
}

static double embedding_loss(const lth_call *call, int64_t row, double value) {
    double label = label_at(call, row);
    return label == 1 ? 1 - value : label == -1 ? fmax(value - call->attrs->f[0], 0) : 0;
}

static lt_status cosine_forward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *y = call->out[0];
    bool loss = call->op == LTH_OP_COSINE_EMBEDDING, each = !loss || call->attrs->i[0] == LT_NONE;
    double sum = 0;
    int64_t n = rows_of(call);
    for (int64_t row = 0; row < n; row++) {
        double value = cosine_of(call, row).value;
        value = loss ? embedding_loss(call, row, value) : value;
        if (each) {
            ref_set(y, per_row(y, row), value);
        }
        sum += value;
    }
    if (!each) {
        ref_set(y, 0, call->attrs->i[0] == LT_MEAN ? sum / (double)n : sum);
    }
    return LT_OK;
}

/* d loss / d cosine. Norms that eps replaced have the slope of those they replace: PyTorch raises them outside its tape. */
static double cosine_slope(const lth_call *call, int64_t row, double value) {
    if (call->op == LTH_OP_COSINE_SIMILARITY) {
        return 1;
    }
    double label = label_at(call, row);
    return label == 1 ? -1 : label == -1 && value - call->attrs->f[0] >= 0 ? 1 : 0;
}

static lt_status cosine_backward(lth_device *device, const lth_call *call, lth_error *err) {
    (void)device, (void)err;
    const lth_array *g = call->grad_out[0];
    bool each = call->op == LTH_OP_COSINE_SIMILARITY || call->attrs->i[0] == LT_NONE;
    int64_t n = rows_of(call);
    for (int64_t row = 0; row < n; row++) {
        cosine c = cosine_of(call, row);
        double up = !g ? 0 : ref_get(g, each ? per_row(g, row) : 0) * cosine_slope(call, row, c.value);
        up = !each && call->attrs->i[0] == LT_MEAN ? up / (double)n : up;
        for (int k = 0; k < 2; k++) {
            if (!call->need[k]) {
                continue;
            }
            const lth_array *own = call->in[k], *other = call->in[!k], *d = call->grad_in[k];
            double own2 = k ? c.b2 : c.a2, own_norm = k ? c.nb : c.na;
            int64_t at = ref_row_at(own, row), bt = ref_row_at(other, row), dt = ref_row_at(d, row);
            for (int64_t i = 0; i < own->shape[own->ndim - 1]; i++) {
                double slope = ref_get(other, bt + i * last_stride(other)) / (c.na * c.nb);
                slope -= own2 == 0 ? 0 : c.value * ref_get(own, at + i * last_stride(own)) / (own_norm * sqrt(own2));
                ref_give(d, dt + i * last_stride(d), up == 0 ? 0 : up * slope, call->accumulate[k]);
            }
        }
    }
    return LT_OK;
}

const lth_kernel ref_cosine_similarity = {ref_plan, cosine_forward, cosine_backward}, ref_cosine_embedding = {ref_plan, cosine_forward, cosine_backward};
