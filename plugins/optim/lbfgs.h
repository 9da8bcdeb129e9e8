/* plugins/optim/lbfgs.h - what LBFGS keeps, and its line search. Private to lbfgs*.c. */
#ifndef OPTIM_LBFGS_H
#define OPTIM_LBFGS_H
#include "vectors.h"

typedef struct lbfgs {
    double lr, tolerance_grad, tolerance_change;
    int64_t max_iter, history_size;
    lt_opt_int max_eval;
    const char *line_search_fn;
    bool maximize;
    /* state */
    int64_t n, func_evals, n_iter, count; /* count: pairs in the history */
    double t, h_diag, prev_loss;
    lt_dtype dtype;
    void *d, *grad, *prev_grad;
    void **dirs, **stps;            /* history_size each, the oldest first */
    double *ro, *al;
    /* of the line search: where it began; gradients at the trial, the one before, and both ends of the bracket */
    void *x, *g_new, *g_prev, *g_end[2];
} lbfgs;

typedef struct lbfgs_run { lt_ctx *ctx; lbfgs *s; const lt_group *group; lt_closure *closure; } lbfgs_run;

/* The loss where the parameters are, and its gradient into grad; both with the other sign to maximize. */
lt_status lbfgs_evaluate(const lbfgs_run *r, double *loss, void *grad);
void lbfgs_move(const lbfgs_run *r, double t);        /* parameters += t d */
/* torch's _strong_wolfe: from the loss and s->grad at the parameters, along d; in and out: *t, *loss, s->grad; the parameters stay. */
lt_status lbfgs_strong_wolfe(const lbfgs_run *r, double gtd, int64_t max_ls, double *t, double *loss, int64_t *evaluations);
#endif
