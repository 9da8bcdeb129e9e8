/* plugins/optim/lbfgs.c - LBFGS, as torch.optim.LBFGS: steps along an estimate of the inverse Hessian from the last gradients, with a line
 * search or with a fixed length. It evaluates the loss of a batch several times a step. Liu and Nocedal 1989. One parameter group; parameters
 * in host memory only. */
#include "lbfgs.h"
#include <stdio.h>

LT_PARAMS(lbfgs,
    LT_PARAM(lr, "1", "Length of a step; with a line search where it begins.", LT_RANGE("0..")),
    LT_PARAM(max_iter, "20", "Iterations per step of the trainer.", LT_RANGE("1..")),
    LT_PARAM(max_eval, "null", "Evaluations of the loss per step of the trainer; null: max_iter * 5 / 4.", LT_RANGE("1..")),
    LT_PARAM(tolerance_grad, "1e-7", "Stop where no gradient is larger.", LT_RANGE("0..")),
    LT_PARAM(tolerance_change, "1e-9", "Stop where neither loss nor parameters change more.", LT_RANGE("0..")),
    LT_PARAM(history_size, "100", "Pairs of vectors that are kept; each takes twice the parameters' memory.", LT_RANGE("1..10000")),
    LT_PARAM(line_search_fn, "null", "strong_wolfe, or null: steps of fixed length."),
    LT_PARAM(maximize, "false", "Look for a maximum."));

static double initial_lr(lt_ctx *ctx, void *self) {
    const lbfgs *s = self;
    if (s->line_search_fn && strcmp(s->line_search_fn, "strong_wolfe")) {
        lt_fail(ctx, LT_ECONFIG, "line_search_fn must be strong_wolfe or null, not \"%s\"", s->line_search_fn);
    }
    return s->lr;
}

/* ---- memory ---- */
static void destroy(void *self) {
    lbfgs *s = self;
    for (int64_t k = 0; k < s->history_size && s->dirs && s->stps; k++) {
        free(s->dirs[k]);
        free(s->stps[k]);
    }
    void *all[] = {s->d, s->grad, s->prev_grad, s->dirs, s->stps, s->ro, s->al, s->x, s->g_new, s->g_prev, s->g_end[0], s->g_end[1]};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        free(all[k]);
    }
}

static void *vector(const lbfgs *s) { return calloc(1, vec_bytes(s->dtype, s->n) + 1); }

/* Once, when the parameters are known. */
static lt_status prepare(lt_ctx *ctx, lbfgs *s, int64_t n, lt_dtype dtype) {
    if (s->n && s->dtype != dtype) {
        return lt_fail(ctx, LT_EUNSUPPORTED, "LBFGS was saved under another precision: its vectors are not converted; resume with the precision of the "
                       "checkpoint");
    }
    if (s->n) {
        return s->n == n ? LT_OK : lt_fail(ctx, LT_EUNSUPPORTED, "the parameters that take part had %lld elements and now have %lld; LBFGS needs the "
                                           "same ones in every step", (long long)s->n, (long long)n);
    }
    if (dtype != LT_F32 && dtype != LT_F64) {
        return lt_fail(ctx, LT_EUNSUPPORTED, "LBFGS works on f32 and f64 parameters");
    }
    s->n = n;
    s->dtype = dtype;
    size_t size = (size_t)s->history_size;
    s->dirs = calloc(size, sizeof *s->dirs), s->stps = calloc(size, sizeof *s->stps);
    s->ro = calloc(size, sizeof *s->ro), s->al = calloc(size, sizeof *s->al);
    s->d = vector(s), s->grad = vector(s), s->prev_grad = vector(s), s->x = vector(s), s->g_new = vector(s), s->g_prev = vector(s);
    s->g_end[0] = vector(s), s->g_end[1] = vector(s);
    bool good = s->dirs && s->stps && s->ro && s->al && s->d && s->grad && s->prev_grad && s->x && s->g_new && s->g_prev && s->g_end[0] && s->g_end[1];
    return good ? LT_OK : lt_fail(ctx, LT_ENOMEM, "out of memory: vectors of %lld parameters", (long long)n);
}

/* Room for one more pair, the oldest one's if the history is full: at the end of both lists. */
static lt_status add_pair(lt_ctx *ctx, lbfgs *s) {
    if (s->count == s->history_size) {
        void *dir = s->dirs[0], *stp = s->stps[0];
        size_t rest = (size_t)(s->count - 1);
        memmove(s->dirs, s->dirs + 1, rest * sizeof *s->dirs);
        memmove(s->stps, s->stps + 1, rest * sizeof *s->stps);
        memmove(s->ro, s->ro + 1, rest * sizeof *s->ro);
        s->dirs[rest] = dir;
        s->stps[rest] = stp;
        return LT_OK;
    }
    int64_t k = s->count;
    s->dirs[k] = s->dirs[k] ? s->dirs[k] : vector(s);
    s->stps[k] = s->stps[k] ? s->stps[k] : vector(s);
    if (!s->dirs[k] || !s->stps[k]) {
        return lt_fail(ctx, LT_ENOMEM, "out of memory: %lld pairs of vectors of %lld parameters; lower history_size", (long long)k, (long long)s->n);
    }
    s->count++;
    return LT_OK;
}

/* ---- the loss ---- */
lt_status lbfgs_evaluate(const lbfgs_run *r, double *loss, void *grad) {
    const lbfgs *s = r->s;
    char *to = grad;
    if (lt_closure_loss(r->ctx, r->closure, loss) < 0) {
        return lt_ctx_status(r->ctx);
    }
    for (uint32_t k = 0; k < r->group->n_spans; k++) {
        const lt_span *span = r->group->spans[k];
        vec_scale(s->dtype, span->n, to, s->maximize ? -1 : 1, span->grad);
        to += vec_bytes(s->dtype, span->n);
    }
    *loss = s->maximize ? -*loss : *loss;
    return LT_OK;
}

void lbfgs_move(const lbfgs_run *r, double t) {
    const char *from = r->s->d;
    for (uint32_t k = 0; k < r->group->n_spans; k++) {
        const lt_span *span = r->group->spans[k];
        vec_add(r->s->dtype, span->n, span->param, t, from);
        from += vec_bytes(r->s->dtype, span->n);
    }
}

/* ---- the direction ---- */
static lt_status remember(const lbfgs_run *r) {
    lbfgs *s = r->s;
    void *y = s->g_new, *step = s->g_prev; /* free outside the line search */
    memcpy(y, s->grad, vec_bytes(s->dtype, s->n));
    vec_add(s->dtype, s->n, y, -1, s->prev_grad);
    vec_scale(s->dtype, s->n, step, s->t, s->d);
    double ys = vec_dot(s->dtype, s->n, y, step);
    if (!(ys > 1e-10)) {
        return LT_OK;
    }
    if (add_pair(r->ctx, s) < 0) {
        return lt_ctx_status(r->ctx);
    }
    memcpy(s->dirs[s->count - 1], y, vec_bytes(s->dtype, s->n));
    memcpy(s->stps[s->count - 1], step, vec_bytes(s->dtype, s->n));
    s->ro[s->count - 1] = 1.0 / ys;
    s->h_diag = ys / vec_dot(s->dtype, s->n, y, y);
    return LT_OK;
}

/* d = - (estimate of the inverse Hessian) grad, by the two loops over the history */
static void direction(lbfgs *s) {
    vec_scale(s->dtype, s->n, s->d, -1, s->grad);
    for (int64_t k = s->count - 1; k >= 0; k--) {
        s->al[k] = vec_dot(s->dtype, s->n, s->stps[k], s->d) * s->ro[k];
        vec_add(s->dtype, s->n, s->d, -s->al[k], s->dirs[k]);
    }
    vec_scale(s->dtype, s->n, s->d, s->h_diag, s->d);
    for (int64_t k = 0; k < s->count; k++) {
        double be = vec_dot(s->dtype, s->n, s->dirs[k], s->d) * s->ro[k];
        vec_add(s->dtype, s->n, s->d, s->al[k] - be, s->stps[k]);
    }
}

static lt_status next_direction(const lbfgs_run *r) {
    lbfgs *s = r->s;
    if (++s->n_iter == 1) {
        vec_scale(s->dtype, s->n, s->d, -1, s->grad);
        s->count = 0;
        s->h_diag = 1;
        return LT_OK;
    }
    if (remember(r) < 0) {
        return lt_ctx_status(r->ctx);
    }
    direction(s);
    return LT_OK;
}

/* One iteration; *over: nothing more is to be done in this step. */
static lt_status iterate(const lbfgs_run *r, int64_t iteration, int64_t max_eval, double *loss, int64_t *evaluations, bool *over) {
    lbfgs *s = r->s;
    double total, top = vec_abs(s->dtype, s->n, s->grad, &total);
    int64_t more = 0;
    *over = true;
    if (next_direction(r) < 0) {
        return lt_ctx_status(r->ctx);
    }
    memcpy(s->prev_grad, s->grad, vec_bytes(s->dtype, s->n));
    s->prev_loss = *loss;
    s->t = s->n_iter == 1 ? fmin(1.0, 1.0 / total) * r->group->lr : r->group->lr;
    double gtd = vec_dot(s->dtype, s->n, s->grad, s->d);
    if (gtd > -s->tolerance_change) {
        return LT_OK;
    }
    if (s->line_search_fn) {
        if (lbfgs_strong_wolfe(r, gtd, max_eval - *evaluations, &s->t, loss, &more) < 0) {
            return lt_ctx_status(r->ctx);
        }
        lbfgs_move(r, s->t);
        top = vec_abs(s->dtype, s->n, s->grad, NULL);
    } else {
        lbfgs_move(r, s->t);
        if (iteration != s->max_iter) {
            if (lbfgs_evaluate(r, loss, s->grad) < 0) {
                return lt_ctx_status(r->ctx);
            }
            top = vec_abs(s->dtype, s->n, s->grad, NULL);
            more = 1;
        }
    }
    *evaluations += more;
    s->func_evals += more;
    bool still = fabs(s->t) * vec_abs(s->dtype, s->n, s->d, NULL) <= s->tolerance_change;
    *over = iteration == s->max_iter || *evaluations >= max_eval || top <= s->tolerance_grad || still || fabs(*loss - s->prev_loss) < s->tolerance_change;
    return LT_OK;
}

static lt_status step_closure(lt_ctx *ctx, void *self, const lt_group *const *groups, uint32_t n_groups, lt_closure *closure) {
    lbfgs *s = self;
    lbfgs_run r = {.ctx = ctx, .s = s, .group = groups[0], .closure = closure};
    int64_t n = 0, evaluations = 1, max_eval = s->max_eval.given ? s->max_eval.value : s->max_iter * 5 / 4;
    double loss;
    bool over = false;
    for (uint32_t k = 0; k < groups[0]->n_spans; k++) {
        n += groups[0]->spans[k]->n;
    }
    if (n_groups != 1 || !n || prepare(ctx, s, n, groups[0]->spans[0]->dtype) < 0 || lbfgs_evaluate(&r, &loss, s->grad) < 0) {
        return lt_ctx_status(ctx);
    }
    s->func_evals++;
    over = vec_abs(s->dtype, s->n, s->grad, NULL) <= s->tolerance_grad;
    for (int64_t k = 1; k <= s->max_iter && !over; k++) {
        if (iterate(&r, k, max_eval, &loss, &evaluations, &over) < 0) {
            return lt_ctx_status(ctx);
        }
    }
    return LT_OK;
}

/* ---- state ---- */
static lt_status save(lt_ctx *ctx, void *self, lt_state_writer *out) {
    const lbfgs *s = self;
    size_t bytes = vec_bytes(s->dtype, s->n);
    char key[32];
    lt_state_put_i64(ctx, out, "n", s->n);
    if (!s->n) {
        return lt_ctx_status(ctx);
    }
    lt_state_put_i64(ctx, out, "dtype", s->dtype);
    lt_state_put_i64(ctx, out, "func_evals", s->func_evals);
    lt_state_put_i64(ctx, out, "n_iter", s->n_iter);
    lt_state_put_i64(ctx, out, "count", s->count);
    lt_state_put_f64(ctx, out, "t", s->t);
    lt_state_put_f64(ctx, out, "H_diag", s->h_diag);
    lt_state_put_f64(ctx, out, "prev_loss", s->prev_loss);
    lt_state_put_bytes(ctx, out, "d", s->d, bytes);
    lt_state_put_bytes(ctx, out, "prev_flat_grad", s->prev_grad, bytes);
    lt_state_put_bytes(ctx, out, "ro", s->ro, (size_t)s->count * sizeof *s->ro);
    for (int64_t k = 0; k < s->count; k++) {
        snprintf(key, sizeof key, "old_dirs_%lld", (long long)k);
        lt_state_put_bytes(ctx, out, key, s->dirs[k], bytes);
        snprintf(key, sizeof key, "old_stps_%lld", (long long)k);
        lt_state_put_bytes(ctx, out, key, s->stps[k], bytes);
    }
    return lt_ctx_status(ctx);
}

static bool take(lt_ctx *ctx, const lt_state_reader *in, const char *key, void *to, size_t bytes) {
    size_t size = 0;
    const void *from = lt_state_get_bytes(ctx, in, key, &size);
    if ((!from && bytes) || size != bytes) {
        lt_fail(ctx, LT_EFORMAT, "the saved %s of LBFGS has %zu bytes, %zu were expected", key, size, bytes);
        return false;
    }
    if (bytes) {
        memcpy(to, from, bytes);
    }
    return true;
}

static lt_status load(lt_ctx *ctx, void *self, const lt_state_reader *in) {
    lbfgs *s = self;
    int64_t n = lt_state_get_i64(ctx, in, "n", 0), count = lt_state_get_i64(ctx, in, "count", 0);
    char key[32];
    if (!n) {
        return lt_ctx_status(ctx);
    }
    if (n < 0 || n > INT64_MAX / 64 || count < 0 || count > s->history_size) {
        return lt_fail(ctx, LT_EFORMAT, "LBFGS was saved with %lld pairs of vectors of %lld elements, and history_size is %lld", (long long)count,
                       (long long)n, (long long)s->history_size);
    }
    if (prepare(ctx, s, n, (lt_dtype)lt_state_get_i64(ctx, in, "dtype", 0)) < 0) {
        return lt_ctx_status(ctx);
    }
    size_t bytes = vec_bytes(s->dtype, n);
    s->func_evals = lt_state_get_i64(ctx, in, "func_evals", 0);
    s->n_iter = lt_state_get_i64(ctx, in, "n_iter", 0);
    s->t = lt_state_get_f64(ctx, in, "t", 0);
    s->h_diag = lt_state_get_f64(ctx, in, "H_diag", 1);
    s->prev_loss = lt_state_get_f64(ctx, in, "prev_loss", 0);
    bool good = take(ctx, in, "d", s->d, bytes) && take(ctx, in, "prev_flat_grad", s->prev_grad, bytes) &&
                take(ctx, in, "ro", s->ro, (size_t)count * sizeof *s->ro);
    for (s->count = 0; good && s->count < count;) {
        if (add_pair(ctx, s) < 0) {
            break;
        }
        snprintf(key, sizeof key, "old_dirs_%lld", (long long)s->count - 1);
        good = take(ctx, in, key, s->dirs[s->count - 1], bytes);
        snprintf(key, sizeof key, "old_stps_%lld", (long long)s->count - 1);
        good = good && take(ctx, in, key, s->stps[s->count - 1], bytes);
    }
    return lt_ctx_status(ctx);
}

LT_OPTIMIZER(LBFGS, lbfgs, "L-BFGS, as torch.optim.LBFGS; evaluates the loss several times a step.",
    .base.flags = LT_OPTIM_ANY_DTYPE,
    .base.destroy = destroy,
    .lr = initial_lr,
    .step_closure = step_closure,
    .save = save,
    .load = load);
