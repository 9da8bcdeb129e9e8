/* engine/ops/shapes_spatial.c - shape rules of transposed convolution, adaptive pooling, interpolation, group and RMS norm. The other
 * layers: shapes_layers.c. A refusal names the op, the argument and the shapes. Rules look at no data and allocate nothing. */
#include "engine/ops/shapes.h"
#include <math.h>

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }
static const char *name_of(const lth_call *call) { return lth_call_name(call); }

static lt_status check_vector(const lth_call *call, int k, const char *name, int64_t size, lth_error *err) {
    const lth_array *v = optional(call, k);
    if (v && (v->ndim != 1 || v->shape[0] != size)) {
        return lth_fail(err, LT_ESHAPE, "%s: %s %s does not fit x %s: it must be (%lld)", name_of(call), name, lth_call_shape(call, v).text,
                        lth_call_shape(call, call->in[0]).text, (long long)size);
    }
    return v ? lth_need_same_dtype(call, 0, "x", k, name, err) : LT_OK;
}

static lt_status check_image(const lth_call *call, lth_error *err) {
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    if (call->in[0]->ndim != 4) {
        return lth_fail(err, LT_ESHAPE, "%s: x %s must have four dimensions (N, C, H, W)", name_of(call), lth_call_shape(call, call->in[0]).text);
    }
    return LT_OK;
}

static lt_status check_transpose_attrs(const lth_call *call, lth_error *err) {
    const int64_t *i = call->attrs->i;
    for (int axis = 0; axis < 2; axis++) {
        int64_t stride = i[axis], dilation = i[4 + axis], extra = i[7 + axis];
        if (stride < 1 || i[2 + axis] < 0 || dilation < 1) {
            return lth_fail(err, LT_EINVAL, "%s: stride %lld, padding %lld, dilation %lld: stride and dilation must be 1 or more, "
                            "padding 0 or more", name_of(call), (long long)stride, (long long)i[2 + axis], (long long)dilation);
        }
        if (extra < 0 || (extra >= stride && extra >= dilation)) {
            return lth_fail(err, LT_EINVAL, "%s: output_padding %lld must be less than stride %lld or dilation %lld", name_of(call), (long long)extra,
                            (long long)stride, (long long)dilation);
        }
    }
    return LT_OK;
}

lt_status lth_shape_conv_transpose2d(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0], *w = call->in[1];
    const int64_t *i = call->attrs->i;
    LTH_GOOD(check_image(call, err));
    LTH_GOOD(check_transpose_attrs(call, err));
    LTH_GOOD(lth_need_same_dtype(call, 0, "x", 1, "weight", err));
    if (w->ndim != 4 || w->shape[0] != x->shape[1] || w->shape[2] < 1 || w->shape[3] < 1) {
        return lth_fail(err, LT_ESHAPE, "%s: x %s does not fit weight %s: weight must be (C, O/groups, %s) with the channels of x", name_of(call),
                        lth_call_shape(call, x).text, lth_call_shape(call, w).text, lth_of_sequences(call) ? "k" : "kH, kW");
    }
    if (i[6] < 1 || x->shape[1] % i[6]) {
        return lth_fail(err, LT_EINVAL, "%s: %lld groups do not divide the channels of x %s", name_of(call), (long long)i[6], lth_call_shape(call, x).text);
    }
    LTH_GOOD(check_vector(call, 2, "bias", w->shape[1] * i[6], err));
    int64_t shape[4] = {x->shape[0], w->shape[1] * i[6], 0, 0};
    for (int axis = 0; axis < 2; axis++) {
        shape[2 + axis] = (x->shape[2 + axis] - 1) * i[axis] - 2 * i[2 + axis] + i[4 + axis] * (w->shape[2 + axis] - 1) + i[7 + axis] + 1;
        if (x->shape[2 + axis] < 1 || shape[2 + axis] < 1) {
            return lth_fail(err, LT_ESHAPE, "%s: x %s gives no output: its %s would be %lld", name_of(call), lth_call_shape(call, x).text,
                            lth_of_sequences(call) ? "length" : axis ? "width" : "height", (long long)shape[2 + axis]);
        }
    }
    lth_out_set(call, 0, x->dtype, 4, shape);
    return LT_OK;
}

lt_status lth_shape_adaptive_pool2d(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t *i = call->attrs->i;
    LTH_GOOD(check_image(call, err));
    if (lth_of_sequences(call) && i[1] < 1) {
        return lth_fail(err, LT_EINVAL, "%s: output size %lld: it must be 1 or more", name_of(call), (long long)i[1]);
    }
    if (i[0] < 1 || i[1] < 1) {
        return lth_fail(err, LT_EINVAL, "%s: output size (%lld, %lld): both must be 1 or more", name_of(call), (long long)i[0], (long long)i[1]);
    }
    if (x->shape[2] < 1 || x->shape[3] < 1) {
        return lth_fail(err, LT_ESHAPE, "%s: x %s has an empty map", name_of(call), lth_call_shape(call, x).text);
    }
    lth_out_set(call, 0, x->dtype, 4, (int64_t[]){x->shape[0], x->shape[1], i[0], i[1]});
    return LT_OK;
}

lt_status lth_shape_interpolate(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    const int64_t *i = call->attrs->i;
    LTH_GOOD(check_image(call, err));
    if (i[0] != 0 && i[0] != 1) {
        return lth_fail(err, LT_EINVAL, "interpolate: mode %lld; use LT_NEAREST or LT_BILINEAR", (long long)i[0]);
    }
    if (i[1] && i[0] == 0) {
        return lth_fail(err, LT_EINVAL, "interpolate: align_corners is for LT_BILINEAR only");
    }
    if (i[2] < 1 || i[3] < 1) {
        return lth_fail(err, LT_EINVAL, "interpolate: output size (%lld, %lld) of x %s: both must be 1 or more", (long long)i[2], (long long)i[3],
                        lth_shown(x).text);
    }
    if (x->shape[2] < 1 || x->shape[3] < 1) {
        return lth_fail(err, LT_ESHAPE, "interpolate: x %s has an empty map", lth_shown(x).text);
    }
    for (int axis = 0; axis < 2; axis++) {
        double scale = call->attrs->f[axis];
        if (!(scale >= 0) || isinf(scale)) {
            return lth_fail(err, LT_EINVAL, "interpolate: scale %g must be positive", scale);
        }
    }
    lth_out_set(call, 0, x->dtype, 4, (int64_t[]){x->shape[0], x->shape[1], i[2], i[3]});
    return LT_OK;
}

lt_status lth_shape_group_norm(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    int64_t groups = call->attrs->i[0];
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    if (x->ndim < 2) {
        return lth_fail(err, LT_ESHAPE, "group_norm: x %s must have two dimensions or more (N, C, ...)", lth_shown(x).text);
    }
    if (groups < 1 || x->shape[1] % groups) {
        return lth_fail(err, LT_EINVAL, "group_norm: %lld groups do not divide the channels of x %s", (long long)groups, lth_shown(x).text);
    }
    LTH_GOOD(lth_need_norm_vector(call, 1, "weight", x->shape[1], "x has that many channels", err));
    LTH_GOOD(lth_need_norm_vector(call, 2, "bias", x->shape[1], "x has that many channels", err));
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    return LT_OK;
}

lt_status lth_shape_rms_norm(lth_call *call, lth_error *err) {
    const lth_array *x = call->in[0];
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    if (x->ndim < 1) {
        return lth_fail(err, LT_ESHAPE, "rms_norm: x () must have one dimension or more");
    }
    LTH_GOOD(lth_need_norm_vector(call, 1, "weight", x->shape[x->ndim - 1], "the last dimension of x has that size", err));
    lth_out_set(call, 0, x->dtype, x->ndim, x->shape);
    return LT_OK;
}
