/* plugins/optim/betas.h - the pair of betas that several optimizers have: its check, and a first beta that schedulers may move. */
#ifndef OPTIM_BETAS_H
#define OPTIM_BETAS_H
#include <lt/optim.h>

typedef struct moving_beta { bool moved; double now; } moving_beta; /* moved: a scheduler set it to `now` */

static inline double first_beta(const lt_floats *betas, const moving_beta *m) { return m->moved ? m->now : betas->items[0]; }

static inline void check_betas(lt_ctx *ctx, const lt_floats *b) {
    if (b->count != 2) {
        lt_fail(ctx, LT_ECONFIG, "betas must be two numbers, such as [0.9, 0.99]; got %lld", (long long)b->count);
    } else if (!(b->items[0] >= 0 && b->items[0] < 1 && b->items[1] >= 0 && b->items[1] < 1)) {
        lt_fail(ctx, LT_ECONFIG, "betas must lie in [0, 1); got [%g, %g]", b->items[0], b->items[1]);
    }
}
#endif
