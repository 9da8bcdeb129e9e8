/* lt/mock/tables.h - the tables that the mock host hands out. A part of lt/testing.h, which says what is promised; not to be included by
 * itself. */
#ifndef LT_MOCK_TABLES_H
#define LT_MOCK_TABLES_H

/* ---- the host ---- */
static const lt_base_api lt_mock__table_base = {sizeof(lt_base_api),        LT_ABI_MINOR,          lt_mock__vfail,   lt_mock__status,  lt_mock__vprint,
                                 lt_mock__seconds,   lt_mock__alloc,        lt_mock__free,    lt_mock__put_i64, lt_mock__put_f64,
                                 lt_mock__put_text,  lt_mock__put_bytes,    lt_mock__get_i64, lt_mock__get_f64, lt_mock__get_text,
                                 lt_mock__get_bytes, lt_mock__state_version};
static const lt_tensor_api lt_mock__table_tensor = {.struct_size = sizeof(lt_tensor_api),
                                     .ndim = lt_mock__ndim,
                                     .size = lt_mock__size,
                                     .numel = lt_mock__numel,
                                     .dtype = lt_mock__dtype,
                                     .item = lt_mock__item,
                                     .raw = lt_mock__raw,
                                     .retain = lt_mock__retain,
                                     .release = lt_mock__release,
                                     .full = lt_mock__full,
                                     .from_data = lt_mock__from_data,
                                     .arange = lt_mock__arange,
                                     .rand = lt_mock__rand,
                                     .randn = lt_mock__rand,
                                     .cast = lt_mock__cast,
                                     .clone = lt_mock__clone,
                                     .add = lt_mock__add,
                                     .sub = lt_mock__sub,
                                     .mul = lt_mock__mul,
                                     .div = lt_mock__div,
                                     .add_scalar = lt_mock__add_scalar,
                                     .mul_scalar = lt_mock__mul_scalar,
                                     .eq = lt_mock__eq,
                                     .neg = lt_mock__neg,
                                     .exp = lt_mock__exp,
                                     .log = lt_mock__log,
                                     .sqrt = lt_mock__sqrt,
                                     .abs = lt_mock__abs,
                                     .relu = lt_mock__relu,
                                     .tanh = lt_mock__tanh,
                                     .sigmoid = lt_mock__sigmoid,
                                     .gelu = lt_mock__gelu,
                                     .dropout = lt_mock__dropout,
                                     .sum = lt_mock__sum,
                                     .mean = lt_mock__mean,
                                     .argmax = lt_mock__argmax,
                                     .softmax = lt_mock__softmax,
                                     .log_softmax = lt_mock__log_softmax,
                                     .reshape = lt_mock__reshape,
                                     .flatten = lt_mock__flatten,
                                     .transpose = lt_mock__transpose,
                                     .permute = lt_mock__permute,
                                     .slice = lt_mock__slice,
                                     .cat = lt_mock__cat,
                                     .matmul = lt_mock__matmul,
                                     .linear = lt_mock__linear,
                                     .conv2d = lt_mock__conv2d,
                                     .max_pool2d = lt_mock__max_pool2d,
                                     .avg_pool2d = lt_mock__avg_pool2d,
                                     .mse_loss = lt_mock__mse_loss,
                                     .cross_entropy = lt_mock__cross_entropy,
                                     .accuracy = lt_mock__accuracy};
static const lt_autograd_api lt_mock__table_autograd = {sizeof(lt_autograd_api),
                                         0,
                                         lt_mock__set_grad_enabled,
                                         lt_mock__detach,
                                         lt_mock__set_requires_grad,
                                         lt_mock__backward,
                                         lt_mock__grad,
                                         lt_mock__custom_apply,
                                         lt_mock__save_for_backward};
static const lt_nn_api lt_mock__table_nn = {sizeof(lt_nn_api),
                             0,
                             lt_mock__nn_linear,
                             lt_mock__nn_conv2d,
                             lt_mock__nn_batch_norm,
                             lt_mock__nn_max_pool2d,
                             lt_mock__nn_avg_pool2d,
                             lt_mock__nn_flatten,
                             lt_mock__nn_activation,
                             lt_mock__nn_dropout,
                             lt_mock__nn_sequential,
                             lt_mock__nn_child,
                             lt_mock__nn_forward,
                             lt_mock__nn_parameter,
                             lt_mock__nn_module_parameter,
                             lt_mock__nn_freeze,
                             lt_mock__nn_training,
                             lt_mock__nn_module_count,
                             lt_mock__nn_module_info};
static const lt_trainer_api lt_mock__table_trainer = {sizeof(lt_trainer_api),
                                       0,
                                       lt_mock__now,
                                       lt_mock__batch_get,
                                       lt_mock__batch_key,
                                       lt_mock__batch_bytes,
                                       lt_mock__batch_size,
                                       lt_mock__batch_count,
                                       lt_mock__step_loss,
                                       lt_mock__step_output,
                                       lt_mock__output,
                                       lt_mock__log_tensor,
                                       lt_mock__log_value,
                                       lt_mock__metric,
                                       lt_mock__has_metric,
                                       lt_mock__metric_count,
                                       lt_mock__metric_at,
                                       lt_mock__log_text,
                                       lt_mock__vrequest_stop,
                                       lt_mock__save_checkpoint,
                                       lt_mock__remove_checkpoint,
                                       lt_mock__checkpoint_dir,
                                       lt_mock__optimizer_count,
                                       lt_mock__optimizer_name,
                                       lt_mock__group_count,
                                       lt_mock__group_value,
                                       lt_mock__terminal_width,
                                       lt_mock__terminal_status};
static const lt_data_api lt_mock__table_data = {sizeof(lt_data_api),
                                 0,
                                 lt_mock__dataset,
                                 lt_mock__random_split,
                                 lt_mock__subset,
                                 lt_mock__loader,
                                 lt_mock__dataset_length,
                                 lt_mock__batch_tensor,
                                 lt_mock__batch_bytes_out,
                                 lt_mock__gather,
                                 lt_mock__fetch,
                                 lt_mock__format_path};
static const lt_logger_api lt_mock__table_logger = {sizeof(lt_logger_api),         0,
                                     lt_mock__file_append,  lt_mock__file_write,
                                     lt_mock__file_vprint,  lt_mock__file_size,
                                     lt_mock__file_rewrite, lt_mock__file_content,
                                     lt_mock__run_dir,      lt_mock__resume_step};
static const lt_optim_api lt_mock__table_optim = {sizeof(lt_optim_api), 0, lt_mock__vuse_optimizer, lt_mock__use_lr_scheduler, lt_mock__sgd, lt_mock__adam};
static const lt_metric_api lt_mock__table_metric = {sizeof(lt_metric_api), 0, lt_mock__metric_make, lt_mock__metric_update, lt_mock__metric_log};

LT_MOCK const void *lt_mock__table(const lt_host *host, const char *id) {
    static const struct {
        const char *id;
        const void *table;
    } tables[] = {{"lt.base/1", &lt_mock__table_base},     {"lt.tensor/1", &lt_mock__table_tensor},   {"lt.autograd/1", &lt_mock__table_autograd},
                  {"lt.nn/1", &lt_mock__table_nn},         {"lt.trainer/1", &lt_mock__table_trainer}, {"lt.data/1", &lt_mock__table_data},
                  {"lt.logger/1", &lt_mock__table_logger}, {"lt.optim/1", &lt_mock__table_optim},     {"lt.metric/1", &lt_mock__table_metric}};
    (void)host;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (!strcmp(tables[i].id, id)) {
            return tables[i].table;
        }
    }
    return NULL;
}
#endif
