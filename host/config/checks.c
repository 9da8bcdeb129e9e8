/* config/checks.c - what a schema cannot say of the trainer's arguments: numbers written in two ways, arguments that depend on each
 * other, and values of Lightning's that this build does not have yet. Looks at bound options only; a value that did not bind is its
 * default. */
#include "config/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct check {
    const lth_config *config;
    lth_diags *diags;
} check;

#define CHECK_ERROR(c, key, hint, ...)                                                                                                     \
    LTH_CONFIG_ERROR((c)->diags, lth_node_get((c)->config->trainer_node, key), hint, "trainer." key __VA_ARGS__)

/* ---- numbers of batches ---- */

static void check_limits(const check *c) {
    const lth_trainer_opts *opts = &c->config->trainer;
    const struct {
        const char *key, *text;
    } limits[] = {
        {"limit_train_batches", opts->limit_train_batches}, {"limit_val_batches", opts->limit_val_batches},
        {"limit_test_batches", opts->limit_test_batches},   {"limit_predict_batches", opts->limit_predict_batches},
        {"overfit_batches", opts->overfit_batches},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        char name[64];
        lth_limit limit;
        lth_error err = {0};
        snprintf(name, sizeof name, "trainer.%s", limits[i].key);
        if (limits[i].text && lth_limit_parse(name, limits[i].text, &limit, &err) != LT_OK) {
            LTH_CONFIG_ERROR(c->diags, lth_node_get(c->config->trainer_node, limits[i].key), NULL, "%s", err.text);
        }
    }
}

static void check_val_interval(const check *c) {
    const lth_trainer_opts *opts = &c->config->trainer;
    const char *text = opts->val_check_interval;
    lth_limit limit;
    if (!text) {
        return;
    }
    if (lth_limit_parse("", text, &limit, NULL) != LT_OK || limit.value <= 0) {
        CHECK_ERROR(c, "val_check_interval", NULL,
                    " must be a number of batches (100) or a share of an epoch (0.25), not \"%s\"", text);
    } else if (limit.is_fraction && !opts->check_val_every_n_epoch.given && lth_node_get(c->config->trainer_node, "val_check_interval")) {
        CHECK_ERROR(c, "val_check_interval", "write it without a point: 100",
                    " must be a number of batches where check_val_every_n_epoch is null, which counts batches across epochs");
    }
}

static void check_fast_dev_run(const check *c) {
    const char *text = c->config->trainer.fast_dev_run;
    int64_t batches;
    bool truth;
    if (text && !(lth_parse_i64(text, &batches) ? batches >= 0 : lth_parse_bool(text, &truth))) {
        CHECK_ERROR(c, "fast_dev_run", NULL, " must be true, false or a number of batches, not \"%s\"", text);
    }
}

static void check_clipping(const check *c) {
    const lt_opt_float *clip = &c->config->trainer.gradient_clip_val;
    if (clip->given && !isfinite(clip->value)) {
        CHECK_ERROR(c, "gradient_clip_val", "null turns clipping off", " must be finite");
    }
}

/* ---- what this build has ---- */

/* Whether text is one of the words before NULL. */
static bool one_of(const char *text, const char *const *words) {
    while (*words && strcmp(text, *words) != 0) {
        words++;
    }
    return *words != NULL;
}

static void check_accelerator(const check *c) {
    static const char *const here[] = {"auto", "cpu", NULL}, *const known[] = {"cuda", "gpu", "mps", "tpu", "xla", NULL};
    const char *text = c->config->trainer.accelerator;
    if (!text || one_of(text, here)) {
        return;
    }
    if (one_of(text, known)) {
        CHECK_ERROR(c, "accelerator", "use auto or cpu", ": this build has no backend for \"%s\"", text);
    } else {
        CHECK_ERROR(c, "accelerator", "use auto or cpu", ": \"%s\" is no accelerator", text);
    }
}

static void check_processes(const check *c) {
    static const char *const devices[] = {"auto", "1", NULL}, *const strategies[] = {"auto", "single_device", NULL};
    const lth_trainer_opts *opts = &c->config->trainer;
    if (opts->devices && !one_of(opts->devices, devices)) {
        CHECK_ERROR(c, "devices", "use auto or 1", ": \"%s\" is not possible yet; training in several processes comes in a later version",
                    opts->devices);
    }
    if (opts->strategy && !one_of(opts->strategy, strategies)) {
        CHECK_ERROR(c, "strategy", "use auto or single_device",
                    ": \"%s\" is not possible yet; training in several processes comes in a later version", opts->strategy);
    }
}

static void check_precision(const check *c) {
    const char *text = c->config->trainer.precision;
    lth_precision precision;
    if (text && !lth_precision_parse(text, &precision)) {
        CHECK_ERROR(c, "precision", "use 32-true, bf16-mixed, bf16-true or 64-true", ": \"%s\" is not supported by this build", text);
    }
}

void lth_config_trainer_checks(const lth_config *config, lth_diags *diags) {
    check c = {config, diags};
    check_limits(&c);
    check_val_interval(&c);
    check_fast_dev_run(&c);
    check_clipping(&c);
    check_accelerator(&c);
    check_processes(&c);
    check_precision(&c);
}
