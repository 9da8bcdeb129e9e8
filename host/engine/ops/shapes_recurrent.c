/* engine/ops/shapes_recurrent.c - shape rules of LSTM and GRU. The rest: shapes.c, shapes_layers.c.
 * A refusal names the op, the argument and the shapes, and says what would fit. Rules look at no data and allocate nothing. */
#include "base/str.h"
#include "engine/ops/shapes.h"
#include <stdio.h>

static const lth_array *optional(const lth_call *call, int k) { return k < call->n_in ? call->in[k] : NULL; }

/* Argument k, if given, has these dimensions and x's dtype. */
static lt_status check(const lth_call *call, int k, const char *name, const char *letters, int ndim, int64_t a, int64_t b, lth_error *err) {
    const lth_array *x = optional(call, k);
    if (!x) {
        return LT_OK;
    }
    if (x->ndim != ndim || x->shape[0] != a || (ndim > 1 && x->shape[1] != b)) {
        char wanted[64];
        lth_format_shape(wanted, sizeof wanted, (const int64_t[]){a, b}, ndim);
        return lth_fail(err, LT_ESHAPE, "%s: %s %s does not fit x %s and w_hh %s: it must be %s = %s", lth_op_name(call->op), name,
                        lth_shown(x).text, lth_shown(call->in[0]).text, lth_shown(call->in[2]).text, letters, wanted);
    }
    return lth_need_same_dtype(call, 0, "x", k, name, err);
}

static lt_status recurrent(lth_call *call, int64_t gates, const char *rows, lth_error *err) {
    const lth_array *x = call->in[0], *w = call->in[2];
    LTH_GOOD(lth_need_float(call, 0, "x", err));
    if (x->ndim != 3 || x->shape[0] < 1) {
        return lth_fail(err, LT_ESHAPE, "%s: x %s must have three dimensions (T, B, I), T of 1 or more", lth_op_name(call->op), lth_shown(x).text);
    }
    if (w->ndim != 2 || w->shape[1] < 1 || w->shape[0] != gates * w->shape[1]) {
        return lth_fail(err, LT_ESHAPE, "%s: w_hh %s must be (%s, H)", lth_op_name(call->op), lth_shown(w).text, rows);
    }
    int64_t T = x->shape[0], B = x->shape[1], H = w->shape[1];
    char letters[24];
    snprintf(letters, sizeof letters, "(%s, I)", rows);
    LTH_GOOD(lth_need_same_dtype(call, 0, "x", 2, "w_hh", err));
    LTH_GOOD(check(call, 1, "w_ih", letters, 2, gates * H, x->shape[2], err));
    snprintf(letters, sizeof letters, "(%s)", rows);
    LTH_GOOD(check(call, 3, "b_ih", letters, 1, gates * H, 0, err));
    LTH_GOOD(check(call, 4, "b_hh", letters, 1, gates * H, 0, err));
    LTH_GOOD(check(call, 5, "h0", "(B, H)", 2, B, H, err));
    LTH_GOOD(check(call, 6, "c0", "(B, H)", 2, B, H, err));
    lth_out_set(call, 0, x->dtype, 3, (const int64_t[]){T, B, H});
    for (int k = 1; k < call->n_out; k++) {
        lth_out_set(call, k, x->dtype, 2, (const int64_t[]){B, H});
    }
    return LT_OK;
}

lt_status lth_shape_lstm(lth_call *call, lth_error *err) { return recurrent(call, 4, "4H", err); }
lt_status lth_shape_gru(lth_call *call, lth_error *err) { return recurrent(call, 3, "3H", err); }
