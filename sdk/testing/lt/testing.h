/* lt/testing.h - a host in a header, for unit tests of plugins: no lthost is needed, nothing is linked but libm. C only.
 *
 *     #include <lt/testing.h>
 *     int main(void) {
 *         lt_mock *mock = lt_mock_open(lt_plugin_entry_v1);       // the plugin's sources are compiled into the test
 *         const lt_model *model = lt_mock_component(mock, "lt.model/1", "MyModel");
 *         void *self = lt_mock_new(mock, &model->base, "hidden", "8", NULL);
 *         ...call hooks with lt_mock_ctx(mock) and self, then look at mock->loss, lt_mock_metric(mock, "loss"), mock->error...
 *         return lt_mock_close(mock);                             // 1 if an lt_mock_check failed
 *     }
 *
 * Tensors hold real numbers (f64, f32, i64, i32, u8, bool) and operations compute, plainly and slowly; initial weights are fixed ones.
 * What it does not do: gradients, training, threads, downloads, ranges of parameters, PyTorch's random numbers. Such calls fail with
 * LT_EUNSUPPORTED or are named below. Everything it makes lives until lt_mock_close. */
#ifndef LT_TESTING_H
#define LT_TESTING_H
#ifdef __cplusplus
#error "lt/testing.h is C: write the test in C and link the plugin's C++ files to it"
#endif
#include <lt/callback.h>
#include <lt/data.h>
#include <lt/logger.h>
#include <lt/metric.h>
#include <lt/model.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LT_MOCK static __attribute__((unused))
enum { LT_MOCK_ITEMS = 64, LT_MOCK_NAME = 96 };

typedef struct lt_mock lt_mock;
struct lt_ctx {
    lt_mock *mock;
};
struct lt_tensor {
    lt_dtype dtype;
    int32_t ndim;
    int64_t shape[LT_MAX_DIMS], strides[LT_MAX_DIMS], n;
    void *data;
};
typedef struct lt_mock_item {
    const char *key;
    lt_tensor *tensor;
    const void *bytes;
    size_t size;
} lt_mock_item;
struct lt_batch {
    int32_t count;
    lt_mock_item items[LT_MOCK_ITEMS];
};
struct lt_batch_out {
    struct lt_batch batch;
};
struct lt_step_out {
    int32_t count;
    lt_mock_item items[LT_MOCK_ITEMS];
};
struct lt_dataset {
    lt_dataset_desc desc;
    int64_t start, length;
};
struct lt_loader {
    lt_dataset *dataset;
    lt_loader_opts opts;
};
struct lt_optim_setup {
    char optimizer[LT_MOCK_NAME], params[256], scheduler[LT_MOCK_NAME], scheduler_params[256];
    lt_lr_scheduler_opts opts;
    struct { const lt_module *module; char names[128], params[256]; } groups[LT_MOCK_ITEMS]; /* of lt_param_group, in order */
    int32_t n_groups;
    lt_lr_lambda *lambda; /* of lt_use_lambda_lr and lt_use_multiplicative_lr, with the self given */
    void *lambda_self;
};
struct lt_closure { /* a test's own loss: the parameters are where its spans point */
    lt_status (*loss)(lt_ctx *ctx, void *arg, double *loss); /* writes the gradients too */
    void *arg;
    int32_t calls;
};
struct lt_file {
    char path[256];
    char *data;
    size_t size;
};
typedef struct lt_mock_value {
    char key[LT_MOCK_NAME];
    char type;
    int64_t integer;
    double number;
    void *data;
    size_t size;
} lt_mock_value;
typedef struct lt_mock_state {
    int32_t count;
    uint32_t version;
    lt_mock_value values[LT_MOCK_ITEMS];
} lt_mock_state;
struct lt_state_writer {
    lt_mock_state state;
};
struct lt_state_reader {
    lt_mock_state state;
};
enum lt_mock_layer {
    LT_MOCK_LINEAR,
    LT_MOCK_CONV,
    LT_MOCK_NORM,
    LT_MOCK_MAX,
    LT_MOCK_AVG,
    LT_MOCK_FLATTEN,
    LT_MOCK_ACT,
    LT_MOCK_DROPOUT,
    LT_MOCK_LAYER_NORM,
    LT_MOCK_EMBEDDING,
    LT_MOCK_CONV1D,
    LT_MOCK_MAX1D,
    LT_MOCK_AVG1D,
    LT_MOCK_RMS,
    LT_MOCK_SOFTMAX,
    LT_MOCK_LOG_SOFTMAX,
    LT_MOCK_UNFLATTEN,
    LT_MOCK_SEQUENTIAL,
    LT_MOCK_RECURRENT,
    LT_MOCK_GROUP,
    LT_MOCK_RESIDUAL
};
struct lt_module {
    enum lt_mock_layer layer;
    char name[LT_MOCK_NAME];
    lt_tensor *weight, *bias;
    lt_conv2d_opts conv;
    lt_pool2d_opts pool;
    lt_conv1d_opts conv1d;
    lt_pool1d_opts pool1d;
    int64_t sizes[LT_MAX_DIMS]; /* of lt_nn_unflatten, n_sizes of them */
    int32_t n_sizes;
    int32_t number; /* start_dim, dim or activation */
    double eps;
    double p, q; /* an activation's numbers */
    bool frozen;
    bool batch_first;
    bool evaluates; /* lt_train(.., false) */
    size_t count;
    lt_module *items[LT_MOCK_ITEMS];
    size_t n_own; /* lt_parameter_of, lt_buffer_of */
    struct {
        char name[LT_MOCK_NAME];
        lt_tensor *value;
    } own[8];
    lt_module *shortcut; /* residual */
};

struct lt_mock {
    const lt_plugin *plugin;
    lt_ctx ctx;
    lt_status code; /* first failure since the last lt_mock_clear */
    char error[512];
    char printed[4096]; /* what lt_print and lt_warn said, a line each */
    lt_moment moment;   /* what lt_now returns: set it at will */
    lt_step_out out;    /* what the last step reported; lt_mock_clear empties it */
    double loss;        /* of it; NAN: none */
    bool training, stop;
    char reason[256];                     /* of lt_request_stop */
    lt_mock_value metrics[LT_MOCK_ITEMS]; /* logged, or set by lt_mock_set_metric */
    int32_t n_metrics;
    char saved[8][256], removed[8][256]; /* checkpoints asked for */
    int32_t n_saved, n_removed;
    lt_optim_setup optim; /* what configure_optimizers named */
    lt_file *files[16];
    int32_t n_files;
    lt_module *modules[LT_MOCK_ITEMS];
    int32_t n_modules;
    void *metric_parts; /* lt_mock_metrics; NULL: no metrics */
    void **memory; /* everything made */
    size_t n_memory;
    int failures;
};

#include <lt/mock/base.h>
#include <lt/mock/tensor.h>
#include <lt/mock/arith.h>
#include <lt/mock/layers.h>
#include <lt/mock/spatial.h>
#include <lt/mock/indexing.h>
#include <lt/mock/losses.h>
LT_MOCK lt_tensor *lt_mock__nn_recurrent_forward(lt_ctx *ctx, lt_module *m, lt_tensor *x, lt_recurrent_state *state);
LT_MOCK lt_tensor *lt_mock__nn_layer_forward(lt_ctx *ctx, const lt_module *m, lt_tensor *x);
#include <lt/mock/nn.h>
#include <lt/mock/nn_layers.h>
#include <lt/mock/modules.h>
#include <lt/mock/recurrent.h>
#include <lt/mock/run.h>
#include <lt/mock/metric.h>
#include <lt/mock/tables.h>

/* ---- what tests call ---- */
/* Forgets the failure, the step's results and what was printed. */
LT_MOCK void lt_mock_clear(lt_mock *mock) {
    mock->code = LT_OK;
    mock->error[0] = mock->printed[0] = 0;
    memset(&mock->out, 0, sizeof mock->out);
    mock->loss = (double)NAN;
}
LT_MOCK lt_mock *lt_mock_open(const lt_plugin *(*entry)(const lt_host *host)) {
    static const lt_host host = {sizeof host, LT_ABI_MAJOR, LT_ABI_MINOR, 0, "mock", lt_mock__table};
    lt_mock *mock = (lt_mock *)calloc(1, sizeof *mock);
    if (!mock) {
        abort();
    }
    mock->ctx.mock = mock;
    mock->training = true;
    mock->moment.struct_size = sizeof mock->moment;
    mock->moment.stage = LT_STAGE_FIT;
    mock->optim.opts.struct_size = sizeof mock->optim.opts;
    lt_mock_clear(mock);
    mock->plugin = entry(&host);
    if (!mock->plugin) {
        abort();
    } /* the plugin was compiled with other headers than this test */
    return mock;
}
/* Frees everything; 1 if an lt_mock_check failed, else 0. */
LT_MOCK int lt_mock_close(lt_mock *mock) {
    int failed = mock->failures > 0;
    for (size_t i = 0; i < mock->n_memory; i++) {
        free(mock->memory[i]);
    }
    free(mock->memory);
    free(mock);
    return failed;
}
LT_MOCK lt_ctx *lt_mock_ctx(lt_mock *mock) { return &mock->ctx; }
/* The struct of a component, to be given to a pointer of its kind; ends the test if the plugin has none such. */
LT_MOCK const void *lt_mock_component(lt_mock *mock, const char *kind, const char *id) {
    for (const lt_component *const *c = mock->plugin->components; *c; c++) {
        if (!strcmp((*c)->kind, kind) && !strcmp((*c)->id, id)) {
            return *c;
        }
    }
    fprintf(stderr, "plugin %s has no %s %s\n", mock->plugin->id, kind, id);
    abort();
}
LT_MOCK const void *lt_mock__numbers(lt_mock *mock, const char *text, bool floats, int64_t *count) {
    void *items = lt_mock__get(mock, strlen(text) * 8 + 8);
    char *end;
    for (*count = 0; *(text += strspn(text, "[], ")); text = end) {
        double value = strtod(text, &end);
        if (end == text) {
            break;
        }
        if (floats) {
            ((double *)items)[(*count)++] = value;
        } else {
            ((int64_t *)items)[(*count)++] = (int64_t)value;
        }
    }
    return items;
}
LT_MOCK int32_t lt_mock__choice(const char *choices, const char *word) {
    size_t length = strlen(word);
    for (int32_t index = 0; choices; index++) {
        if (!strncmp(choices, word, length) && (choices[length] == '|' || !choices[length])) {
            return index;
        }
        choices = strchr(choices, '|');
        choices += choices ? 1 : 0;
    }
    return -1;
}
LT_MOCK void lt_mock__bind(lt_mock *mock, const lt_param *p, void *self, const char *text) {
    void *field = (char *)self + p->offset;
    bool given = text && strcmp(text, "null") != 0;
    switch (p->type) {
    case LT_PARAM_INT:
        *(int64_t *)field = given ? strtoll(text, NULL, 10) : 0;
        break;
    case LT_PARAM_FLOAT:
        *(double *)field = given ? strtod(text, NULL) : 0;
        break;
    case LT_PARAM_BOOL:
        *(bool *)field = given && !strcmp(text, "true");
        break;
    case LT_PARAM_TEXT:
        *(const char **)field = given ? text : NULL;
        break;
    case LT_PARAM_CHOICE:
        *(int32_t *)field = lt_mock__choice(p->choices, text ? text : "");
        break;
    case LT_PARAM_OPT_INT:
        ((lt_opt_int *)field)->given = given;
        ((lt_opt_int *)field)->value = given ? strtoll(text, NULL, 10) : 0;
        break;
    case LT_PARAM_OPT_FLOAT:
        ((lt_opt_float *)field)->given = given;
        ((lt_opt_float *)field)->value = given ? strtod(text, NULL) : 0;
        break;
    case LT_PARAM_INTS:
        ((lt_ints *)field)->items = (const int64_t *)lt_mock__numbers(mock, given ? text : "", false, &((lt_ints *)field)->count);
        break;
    case LT_PARAM_FLOATS:
        ((lt_floats *)field)->items = (const double *)lt_mock__numbers(mock, given ? text : "", true, &((lt_floats *)field)->count);
        break;
    default:
        break; /* lists of texts and records stay empty: set them by hand */
    }
}
/* A new self: constructed, defaults bound, then the pairs of key and value (texts, static) up to NULL. */
LT_MOCK __attribute__((sentinel)) void *lt_mock_new(lt_mock *mock, const lt_component *component, ...) {
    const lt_params *schema = component->params();
    void *self = lt_mock__get(mock, schema->self_size);
    const char *key;
    va_list args;
    if (component->construct) {
        component->construct(self);
    }
    for (uint32_t i = 0; i < schema->count; i++) {
        lt_mock__bind(mock, &schema->items[i], self, schema->items[i].initial);
    }
    va_start(args, component);
    while ((key = va_arg(args, const char *)) != NULL) {
        const char *value = va_arg(args, const char *);
        bool known = false;
        for (uint32_t i = 0; i < schema->count; i++) {
            if (!strcmp(schema->items[i].key, key)) {
                lt_mock__bind(mock, &schema->items[i], self, value);
                known = true;
            }
        }
        if (!known) {
            lt_mock__fail(&mock->ctx, LT_ECONFIG, "%s has no parameter '%s'", component->id, key);
        }
    }
    va_end(args);
    return self;
}
/* A batch of tensors, as a list. */
LT_MOCK const lt_batch *lt_mock_batch(lt_mock *mock, lt_tensor *const *items, int32_t count) {
    lt_batch *batch = (lt_batch *)lt_mock__get(mock, sizeof *batch);
    for (int32_t i = 0; i < count && i < LT_MOCK_ITEMS; i++) {
        batch->items[batch->count++].tensor = items[i];
    }
    return batch;
}
/* Samples first..first+count-1 of a loader's dataset, as the plugin's get_batch fills them. NULL if it failed. */
LT_MOCK const lt_batch *lt_mock_load(lt_mock *mock, const lt_loader *loader, int64_t first, int64_t count) {
    lt_batch_out *out = (lt_batch_out *)lt_mock__get(mock, sizeof *out);
    int64_t *indices = (int64_t *)lt_mock__get(mock, (size_t)count * sizeof *indices);
    for (int64_t i = 0; i < count; i++) {
        indices[i] = loader->dataset->start + first + i;
    }
    return loader->dataset->desc.get_batch(&mock->ctx, loader->dataset->desc.data, indices, count, out) == LT_OK && !mock->code
               ? &out->batch
               : NULL;
}
LT_MOCK double lt_mock_metric(lt_mock *mock, const char *name) { return lt_mock__metric(&mock->ctx, name); }
/* The same state, for load, as if `version` had written it. */
LT_MOCK const lt_state_reader *lt_mock_reader(lt_mock *mock, const lt_state_writer *written, uint32_t version) {
    lt_state_reader *in = (lt_state_reader *)lt_mock__get(mock, sizeof *in);
    in->state = written->state;
    in->state.version = version;
    return in;
}
LT_MOCK lt_state_writer *lt_mock_writer(lt_mock *mock) { return (lt_state_writer *)lt_mock__get(mock, sizeof(lt_state_writer)); }
#define lt_mock_check(mock, condition)                                                                                                     \
    ((condition) ? (void)0                                                                                                                 \
                 : (void)((mock)->failures++, fprintf(stderr, "%s:%d: not so: %s%s%s\n", __FILE__, __LINE__, #condition,                   \
                                                      (mock)->code ? "; " : "", (mock)->error)))
#endif
