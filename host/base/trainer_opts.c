/* base/trainer_opts.c - the trainer's arguments as a schema. It binds and obeys nothing; what limits mean to loops is trainer's. */
#include "base/trainer_opts.h"
#include "base/str.h"
#include <math.h>
#include <string.h>

typedef lth_trainer_opts trainer; /* LT_PARAMS makes trainer_params() */

LT_PARAMS(trainer,
    LT_PARAM(accelerator, "auto", "Kind of device: auto or cpu in this version."),
    LT_PARAM(devices, "auto", "How many devices: auto or 1 in this version."),
    LT_PARAM(strategy, "auto", "How processes share the work: auto or single_device in this version."),
    LT_PARAM(precision, "32-true", "Of parameters and arithmetic: 32-true, 64-true, bf16-true, or bf16-mixed: f32 parameters, bf16 products."),
    LT_PARAM(fast_dev_run, "false", "true: one batch of everything, to find bugs; a number: that many."),
    LT_PARAM(max_epochs, "null", "Stop after this many epochs; -1: never; null: 1000 if max_steps gives no end.", LT_RANGE("-1..")),
    LT_PARAM(min_epochs, "null", "Early stopping waits for this many epochs.", LT_RANGE("0..")),
    LT_PARAM(min_steps, "null", "Early stopping waits for this many optimizer steps.", LT_RANGE("0..")),
    LT_PARAM(max_steps, "-1", "Stop after this many optimizer steps; -1: never.", LT_RANGE("-1..")),
    LT_PARAM(limit_train_batches, "1.0", "Training batches per epoch: a number (10) or a share (0.5)."),
    LT_PARAM(limit_val_batches, "1.0", "Validation batches: a number or a share; 0 turns validation off."),
    LT_PARAM(limit_test_batches, "1.0", "Test batches: a number or a share."),
    LT_PARAM(limit_predict_batches, "1.0", "Batches to predict: a number or a share."),
    LT_PARAM(overfit_batches, "0.0", "Train and validate on this number or share of batches, unshuffled; 0.0: off."),
    LT_PARAM(val_check_interval, "1.0", "Validate each share of an epoch (0.25) or each n batches (500)."),
    LT_PARAM(check_val_every_n_epoch, "1", "Validate every n epochs; null: by val_check_interval alone.", LT_RANGE("1..")),
    LT_PARAM(num_sanity_val_steps, "2", "Validation batches to run before training; -1: all, 0: none.", LT_RANGE("-1..")),
    LT_PARAM(log_every_n_steps, "50", "Send step metrics to the loggers every n steps; 0: never.", LT_RANGE("0..")),
    LT_PARAM(accumulate_grad_batches, "1", "Batches whose gradients are added up before a step.", LT_RANGE("1..")),
    LT_PARAM(gradient_clip_val, "null", "Clip gradients to this norm or value; null: not at all.", LT_RANGE("0..")),
    LT_CHOICE(gradient_clip_algorithm, "norm|value", "norm", "Clip the norm of all gradients, or each value."),
    LT_PARAM(enable_checkpointing, "true", "Save checkpoints; without a callback for it, by the default one."),
    LT_PARAM(enable_progress_bar, "true", "Show a progress bar on a terminal."),
    LT_PARAM(enable_model_summary, "true", "Print the layers and their parameters at the start."),
    LT_PARAM(deterministic, "false", "The same result for any number of compute threads."),
    LT_PARAM(benchmark, "false", "Measure kernels at the start and keep the fastest (accelerators)."),
    LT_PARAM(barebones, "false", "No checkpoints, loggers, bar or summary: to measure the host's own cost."),
    LT_PARAM(default_root_dir, "null", "Folder of runs; null: the working directory.", LT_PATH),
    LT_PARAM(num_threads, "0", "Compute threads, 64 at most; 0: OMP_NUM_THREADS, else one per core.", LT_RANGE("0..")));

const lt_params *lth_trainer_opts_params(void) { return trainer_params(); }

bool lth_precision_parse(const char *text, lth_precision *out) {
    static const struct {
        const char *text;
        lth_precision precision;
    } known[] = {{"32-true", LTH_PRECISION_32_TRUE},     {"32", LTH_PRECISION_32_TRUE},           {"64-true", LTH_PRECISION_64_TRUE},
                 {"64", LTH_PRECISION_64_TRUE},          {"bf16-true", LTH_PRECISION_BF16_TRUE}, {"bf16-mixed", LTH_PRECISION_BF16_MIXED},
                 {"bf16", LTH_PRECISION_BF16_MIXED}};
    for (size_t i = 0; text && i < sizeof known / sizeof *known; i++) {
        if (!strcmp(text, known[i].text)) {
            *out = known[i].precision;
            return true;
        }
    }
    return false;
}

lt_status lth_limit_parse(const char *name, const char *text, lth_limit *out, lth_error *err) {
    int64_t whole;
    double value;
    if (lth_parse_i64(text, &whole) && whole >= 0) {
        *out = (lth_limit){.value = (double)whole};
        return LT_OK;
    }
    bool number = lth_parse_f64(text, &value);
    if (number && value >= 0.0 && value <= 1.0) {
        *out = (lth_limit){.value = value, .is_fraction = true};
        return LT_OK;
    }
    if (number && value > 1.0 && value < 0x1p53 && value == floor(value)) {
        *out = (lth_limit){.value = value};
        return LT_OK;
    }
    return lth_fail(err, LT_ECONFIG, "%s must be a number of batches (10) or a share from 0.0 to 1.0, not \"%s\"", name, text);
}
