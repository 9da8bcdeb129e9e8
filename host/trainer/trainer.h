/* trainer/trainer.h - runs a verb: fit, validate, test, predict, on instances that main made from the configuration. */
#ifndef LTH_TRAINER_H
#define LTH_TRAINER_H
#include "config/config.h"
#include "registry/registry.h"
#include <lt/trainer.h>

typedef struct lth_job {
    lt_stage stage;
    const lth_config *config;
    lth_registry *registry;                 /* for optimizers that the model names itself */
    lth_instance *model, *data;             /* data NULL: predict --input */
    lth_instance *optimizer, *lr_scheduler; /* NULL: the model's choice */
    lth_instance **optimizer_groups; /* one for each item of optimizer.param_groups; which parameters: in the configuration */
    size_t n_optimizer_groups;
    lth_instance **callbacks;
    size_t n_callbacks;
    lth_instance **loggers;
    size_t n_loggers;
    const char *ckpt_path;      /* PATH, "best", "last", "none"; NULL: not given */
    const char *input, *module; /* predict */
    const char *resume_command; /* "lthost fit -c a.yaml": what a stopped run tells to type, with --ckpt_path added */
    const char *version;        /* of lthost */
} lth_job;

typedef struct lth_result {
    int exit_status; /* DESIGN section 3: 0 1 2 3 4 75 130 */
    char run_dir[1024];
} lth_result;

/* Runs to its end whatever happens: teardown hooks, loggers and the summary are always reached. The failure's text is in err. */
lt_status lth_trainer_run(const lth_job *job, lth_result *result, lth_error *err);
#endif
