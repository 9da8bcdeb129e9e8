/* plugins/optim/lbfgs_search.c - the line search of LBFGS: cubic interpolation until the strong Wolfe conditions hold, step by step as
 * torch.optim.lbfgs._strong_wolfe (from torch/optim's lswolfe.lua; Nocedal and Wright, Numerical Optimization, algorithms 3.5 and 3.6). */
#include "lbfgs.h"

typedef struct point { double t, f, gtd; } point;
static const double c1 = 1e-4, c2 = 0.9;

static double cubic(point a, point b, double low, double high) {
    double d1 = a.gtd + b.gtd - 3 * (a.f - b.f) / (a.t - b.t), square = d1 * d1 - a.gtd * b.gtd;
    if (!(square >= 0)) {
        return (low + high) / 2;
    }
    double d2 = sqrt(square);
    double at = a.t <= b.t ? b.t - (b.t - a.t) * ((b.gtd + d2 - d1) / (b.gtd - a.gtd + 2 * d2))
                           : a.t - (a.t - b.t) * ((a.gtd + d2 - d1) / (a.gtd - b.gtd + 2 * d2));
    at = at > low ? at : low;
    return at < high ? at : high;
}

typedef struct search {
    const lbfgs_run *r;
    point start, trial, end[2]; /* end: of the bracket */
    int n_ends, low;
    int64_t evaluations, iterations, limit;
    bool done;
} search;

static void copy(const search *w, void *to, const void *from) { memcpy(to, from, vec_bytes(w->r->s->dtype, w->r->s->n)); }

static lt_status try_at(search *w, double t) {
    lbfgs *s = w->r->s;
    lbfgs_move(w->r, t);
    lt_status status = lbfgs_evaluate(w->r, &w->trial.f, s->g_new);
    char *from = s->x;
    for (uint32_t k = 0; k < w->r->group->n_spans; k++) {
        const lt_span *span = w->r->group->spans[k];
        memcpy(span->param, from, vec_bytes(s->dtype, span->n));
        from += vec_bytes(s->dtype, span->n);
    }
    w->trial.t = t;
    w->trial.gtd = vec_dot(s->dtype, s->n, s->g_new, s->d);
    w->evaluations++;
    return status;
}

static void set_bracket(search *w, point before, const void *g_before) {
    copy(w, w->r->s->g_end[0], g_before);
    copy(w, w->r->s->g_end[1], w->r->s->g_new);
    w->end[0] = before;
    w->end[1] = w->trial;
    w->n_ends = 2;
}

static bool too_high(const search *w) { return w->trial.f > w->start.f + c1 * w->trial.t * w->start.gtd; }
static bool flat_enough(const search *w) { return fabs(w->trial.gtd) <= -c2 * w->start.gtd; }

/* Goes out until an interval holds a point that will do. */
static lt_status bracket(search *w) {
    lbfgs *s = w->r->s;
    point before = {0, w->start.f, w->start.gtd};
    copy(w, s->g_prev, s->grad);
    while (w->iterations < w->limit) {
        if (too_high(w) || (w->iterations > 1 && w->trial.f >= before.f) || (!flat_enough(w) && w->trial.gtd >= 0)) {
            set_bracket(w, before, s->g_prev);
            return LT_OK;
        }
        if (flat_enough(w)) {
            copy(w, s->g_end[0], s->g_new);
            w->end[0] = w->trial;
            w->n_ends = 1;
            w->done = true;
            return LT_OK;
        }
        double t = cubic(before, w->trial, w->trial.t + 0.01 * (w->trial.t - before.t), w->trial.t * 10);
        before = w->trial;
        copy(w, s->g_prev, s->g_new);
        if (try_at(w, t) < 0) {
            return lt_ctx_status(w->r->ctx);
        }
        w->iterations++;
    }
    set_bracket(w, (point){0, w->start.f, w->start.gtd}, s->grad);
    return LT_OK;
}

/* A trial close to an end of the bracket, or twice without progress, goes a tenth of its length inside. */
static double inside(const search *w, double t, bool *slow) {
    double top = fmax(w->end[0].t, w->end[1].t), bottom = fmin(w->end[0].t, w->end[1].t), eps = 0.1 * (top - bottom);
    if (!(fmin(top - t, t - bottom) < eps)) {
        *slow = false;
        return t;
    }
    if (!*slow && t < top && t > bottom) {
        *slow = true;
        return t;
    }
    *slow = false;
    return fabs(t - top) < fabs(t - bottom) ? top - eps : bottom + eps;
}

static void put_end(search *w, int at) {
    w->end[at] = w->trial;
    copy(w, w->r->s->g_end[at], w->r->s->g_new);
}

static lt_status zoom(search *w) {
    lbfgs *s = w->r->s;
    double d_norm = vec_abs(s->dtype, s->n, s->d, NULL);
    bool slow = false;
    while (!w->done && w->iterations < w->limit && !(fabs(w->end[1].t - w->end[0].t) * d_norm < s->tolerance_change)) {
        double low = fmin(w->end[0].t, w->end[1].t), high = fmax(w->end[0].t, w->end[1].t);
        double t = inside(w, cubic(w->end[0], w->end[1], low, high), &slow);
        if (try_at(w, t) < 0) {
            return lt_ctx_status(w->r->ctx);
        }
        w->iterations++;
        int up = 1 - w->low;
        if (too_high(w) || w->trial.f >= w->end[w->low].f) {
            put_end(w, up);
            w->low = w->end[0].f <= w->end[1].f ? 0 : 1;
            continue;
        }
        if (flat_enough(w)) {
            w->done = true;
        } else if (w->trial.gtd * (w->end[up].t - w->end[w->low].t) >= 0) {
            w->end[up] = w->end[w->low];
            copy(w, s->g_end[up], s->g_end[w->low]);
        }
        put_end(w, w->low);
    }
    return LT_OK;
}

lt_status lbfgs_strong_wolfe(const lbfgs_run *r, double gtd, int64_t max_ls, double *t, double *loss, int64_t *evaluations) {
    lbfgs *s = r->s;
    search w = {.r = r, .start = {0, *loss, gtd}, .limit = max_ls};
    char *to = s->x;
    for (uint32_t k = 0; k < r->group->n_spans; k++) {
        memcpy(to, r->group->spans[k]->param, vec_bytes(s->dtype, r->group->spans[k]->n));
        to += vec_bytes(s->dtype, r->group->spans[k]->n);
    }
    if (try_at(&w, *t) < 0 || bracket(&w) < 0) {
        return lt_ctx_status(r->ctx);
    }
    w.low = w.n_ends == 1 || w.end[0].f <= w.end[1].f ? 0 : 1;
    if (zoom(&w) < 0) {
        return lt_ctx_status(r->ctx);
    }
    *t = w.end[w.low].t;
    *loss = w.end[w.low].f;
    *evaluations = w.evaluations;
    copy(&w, s->grad, s->g_end[w.low]);
    return LT_OK;
}
