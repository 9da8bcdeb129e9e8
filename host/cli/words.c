/* cli/words.c - the table of verbs and options, and their help. Help of trainer arguments and components is not here: main appends it
 * from the schemas. */
#include "cli/words.h"
#include <string.h>

const char *const lth_request_config_keys[] = {"seed_everything", "trainer", "model",     "data", "optimizer",
                                               "lr_scheduler",    "plugins", "ckpt_path", NULL};

#define RUN_OPTIONS                                                                                                                        \
    "  -c, --config FILE          a YAML file; may be repeated, later files override earlier ones\n"                                       \
    "  --plugins PATH             a .so file or a folder of them; may be repeated\n"                                                       \
    "  --KEY=VALUE, --KEY VALUE   sets a key of the configuration, on top of all files:\n"                                                 \
    "                               --trainer.max_epochs=3  --model MyNet  --optimizer.lr=0.1\n"                                           \
    "                               --data.data_dir=X is short for --data.init_args.data_dir=X\n"                                          \
    "  --KEY+=VALUE               appends to a list: --trainer.callbacks+=MyCallback,\n"                                                   \
    "                               after which --trainer.callbacks.KEY=VALUE sets a parameter of that callback\n"                         \
    "  -h, --help                 this text; with -c FILE also the parameters of the model and the data in it\n"

static const char general_help[] =
    "lthost trains neural networks that are written as plugins (.so), with a trainer like PyTorch Lightning's.\n"
    "\n"
    "usage: lthost VERB [options]\n"
    "\n"
    "  fit                        train, validating on the way\n"
    "  validate, test             measure a checkpoint's model on the validation or the test data\n"
    "  predict                    write a checkpoint's outputs to predictions.h5\n"
    "  config print|check|schema  the configuration as it would be used; what is wrong with it; all its keys\n"
    "  plugin list|info           which components there are; the parameters of one\n"
    "  ckpt info|verify           what a checkpoint holds; whether it is whole\n"
    "\n"
    "  -h, --help                 this text; `lthost VERB --help` for one verb\n"
    "  --version                  the version\n"
    "\n"
    "examples:\n"
    "  lthost fit -c configs/mnist_lenet.yaml --trainer.max_epochs=3\n"
    "  lthost test -c configs/mnist_lenet.yaml --ckpt_path best\n"
    "  lthost fit -c configs/mnist_lenet.yaml --ckpt_path last\n"
    "  lthost plugin info MyNet\n"
    "\n"
    "exit status: 0 done; 1 training failed; 2 bad command line or configuration; 3 a plugin was refused or failed;\n"
    "4 data or a checkpoint cannot be used; 75 stopped by a signal, after saving; 130 stopped by a second one\n";

static const char fit_help[] =
    "usage: lthost fit -c FILE [options]\n"
    "\n"
    "Trains the model, validating on the way.\n"
    "\n"
    "  --ckpt_path WHAT           what to continue: a checkpoint file; best or last of the newest run; none (the default)\n" RUN_OPTIONS;
static const char validate_help[] =
    "usage: lthost validate [-c FILE] [options]\n"
    "\n"
    "Runs the validation data through the model and prints the metrics.\n"
    "-c is not needed where --ckpt_path names a file: its configuration is used.\n"
    "\n"
    "  --ckpt_path WHAT           the weights: a file; best (the default) or last of the newest run; none: fresh ones\n" RUN_OPTIONS;
static const char test_help[] =
    "usage: lthost test [-c FILE] [options]\n"
    "\n"
    "Runs the test data through the model and prints the metrics.\n"
    "-c is not needed where --ckpt_path names a file: its configuration is used.\n"
    "\n"
    "  --ckpt_path WHAT           the weights: a file; best (the default) or last of the newest run; none: fresh ones\n" RUN_OPTIONS;
static const char predict_help[] =
    "usage: lthost predict [-c FILE] [options]\n"
    "\n"
    "Writes the model's outputs to predictions.h5.\n"
    "-c is not needed where --ckpt_path names a file: its configuration is used.\n"
    "\n"
    "  --ckpt_path WHAT           the weights: a file; best (the default) or last of the newest run; none: fresh ones\n"
    "  --input FILE.npy           samples to predict, along the first dimension of this NumPy array, instead of the datamodule's\n"
    "  --module NAME              the outputs of this submodule instead of the model's, for example encoder\n" RUN_OPTIONS;
static const char print_help[] = "usage: lthost config print -c FILE [options]\n"
                                 "\n"
                                 "Prints the configuration after merging and defaults, as it would be used and saved.\n"
                                 "\n"
                                 "  --ckpt_path WHAT           as for fit\n" RUN_OPTIONS;
static const char check_help[] = "usage: lthost config check -c FILE [options]\n"
                                 "\n"
                                 "Reports everything that is wrong with the configuration, and runs nothing.\n"
                                 "\n"
                                 "  --ckpt_path WHAT           as for fit\n" RUN_OPTIONS;
static const char schema_help[] =
    "usage: lthost config schema [options]\n"
    "\n"
    "Prints all keys of a configuration, with types and defaults. `lthost plugin info NAME` prints those of a component.\n"
    "\n"
    "  -c, --config FILE          a YAML file, whose plugins are searched too\n"
    "  --plugins PATH             a .so file or a folder of them; may be repeated\n"
    "  -h, --help                 this text\n";
static const char list_help[] = "usage: lthost plugin list [options]\n"
                                "\n"
                                "Lists the components of all plugins that are found, and why a plugin is refused.\n"
                                "\n"
                                "  -c, --config FILE          a YAML file, whose plugins are searched too\n"
                                "  --plugins PATH             a .so file or a folder of them; may be repeated\n"
                                "  -h, --help                 this text\n";
static const char info_help[] =
    "usage: lthost plugin info NAME [options]\n"
    "\n"
    "Prints the parameters of a component (MyNet), of all components of a plugin (org.example.my-net), or of a file (build/net.so).\n"
    "\n"
    "  -c, --config FILE          a YAML file, whose plugins are searched too\n"
    "  --plugins PATH             a .so file or a folder of them; may be repeated\n"
    "  -h, --help                 this text\n";
static const char ckpt_info_help[] = "usage: lthost ckpt info FILE\n"
                                     "\n"
                                     "Prints what a checkpoint holds: progress, score, tensors, configuration.\n"
                                     "\n"
                                     "  -h, --help                 this text\n";
static const char verify_help[] = "usage: lthost ckpt verify FILE\n"
                                  "\n"
                                  "Checks that a checkpoint is whole: its length, its checksum and its structure.\n"
                                  "\n"
                                  "  -h, --help                 this text\n";

#define RUN  (LTH_OPT_CONFIG | LTH_OPT_CKPT_PATH | LTH_OPT_PLUGINS | LTH_OPT_OVERRIDE)
#define LOOK (LTH_OPT_CONFIG | LTH_OPT_PLUGINS)

static const lth_verb_words verbs[] = {
    {LTH_VERB_FIT, "fit", NULL, RUN, 0, NULL, fit_help},
    {LTH_VERB_VALIDATE, "validate", NULL, RUN, 0, NULL, validate_help},
    {LTH_VERB_TEST, "test", NULL, RUN, 0, NULL, test_help},
    {LTH_VERB_PREDICT, "predict", NULL, RUN | LTH_OPT_INPUT | LTH_OPT_MODULE, 0, NULL, predict_help},
    {LTH_VERB_CONFIG_PRINT, "config", "print", RUN, 0, NULL, print_help},
    {LTH_VERB_CONFIG_CHECK, "config", "check", RUN, 0, NULL, check_help},
    {LTH_VERB_CONFIG_SCHEMA, "config", "schema", LOOK, 0, NULL, schema_help},
    {LTH_VERB_PLUGIN_LIST, "plugin", "list", LOOK, 0, NULL, list_help},
    {LTH_VERB_PLUGIN_INFO, "plugin", "info", LOOK, 1, "NAME", info_help},
    {LTH_VERB_CKPT_INFO, "ckpt", "info", 0, 1, "FILE", ckpt_info_help},
    {LTH_VERB_CKPT_VERIFY, "ckpt", "verify", 0, 1, "FILE", verify_help},
};

static const lth_option_words options[] = {
    {LTH_OPT_CONFIG, "config"}, {LTH_OPT_CKPT_PATH, "ckpt_path"}, {LTH_OPT_INPUT, "input"},
    {LTH_OPT_MODULE, "module"}, {LTH_OPT_PLUGINS, "plugins"},
};

const lth_verb_words *lth_verbs(size_t *count) {
    *count = sizeof verbs / sizeof *verbs;
    return verbs;
}

const lth_option_words *lth_options(size_t *count) {
    *count = sizeof options / sizeof *options;
    return options;
}

const char *lth_request_help(lth_verb verb) {
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (verbs[i].verb == verb) {
            return verbs[i].help;
        }
    }
    return general_help;
}

const char *lth_verb_name(lth_verb verb) {
    static const char *const names[] = {"",
                                        "fit",
                                        "validate",
                                        "test",
                                        "predict",
                                        "config print",
                                        "config check",
                                        "config schema",
                                        "plugin list",
                                        "plugin info",
                                        "ckpt info",
                                        "ckpt verify",
                                        "version"};
    return (unsigned)verb < sizeof names / sizeof *names ? names[verb] : "";
}
