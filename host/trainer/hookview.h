/* trainer/hookview.h - what the functions of lt.trainer/1 may see and ask of a run, and nothing more. The loops fill it; hooks read it
 * through lt/trainer.h. It holds no loop and no component. */
#ifndef LTH_HOOKVIEW_H
#define LTH_HOOKVIEW_H
#include "engine/data/loader.h"
#include "engine/metrics/metrics.h"
#include "engine/optim/optim.h"
#include "trainer/logged.h"
#include <lt/trainer.h>

enum { LTH_MAX_OUTPUTS = 16, LTH_MAX_REQUESTS = 64 };

struct lt_step_out {
    lt_tensor *loss;
    int32_t count;
    const char *names[LTH_MAX_OUTPUTS]; /* interned: copied into the run's arena once */
    lt_tensor *values[LTH_MAX_OUTPUTS];
};

/* Saves and removals asked for in a hook, done when the hook round is over: then every component is at the same instant. */
typedef struct lth_save_request {
    bool remove;
    uint32_t flags;
    char path[1024];
} lth_save_request;

typedef struct lth_hookview {
    lt_moment moment;
    lt_step_out out;
    lth_arena names; /* names of outputs, copied once */
    lth_logged *logged;
    lth_records *records;
    struct metric_values *metric_values; /* trainer/metrics.c's: what was logged of which metric */
    lth_optim *optim;
    const char *optimizer_id;   /* component id */
    const char *checkpoint_dir; /* absolute; NULL: saving is not possible in this stage */
    bool may_save, stop_requested;
    char stop_reason[256];
    lth_save_request requests[LTH_MAX_REQUESTS];
    int n_requests;
} lth_hookview;

extern const lt_trainer_api lth_trainer_table; /* lt.trainer/1 */
extern const lt_metric_api lth_metric_table;   /* lt.metric/1 */
#endif
