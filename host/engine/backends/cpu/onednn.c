/* backends/cpu/onednn.c - oneDNN through its C API, v2.6 and v3 (memory and primitive descriptors differ).
 * Never dnnl_sgemm (its first calls cost 25 ms), never convolution_auto (Winograd is outside PyTorch's band). Allocates only when a
 * primitive is made. Leaves the calling thread's OpenMP thread count at 1: whatever oneDNN runs there runs alone. */
#include "engine/backends/cpu/onednn.h"
#include "base/mem.h"
#include <dnnl.h>
#include <lt/tensor.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t desc;
typedef const_dnnl_memory_desc_t desc_ref;
static bool desc_strides(desc *d, int n, const dnnl_dims_t dims, const dnnl_dims_t strides) {
    return dnnl_memory_desc_create_with_strides(d, n, dims, dnnl_f32, strides) == dnnl_success;
}
static bool desc_tag(desc *d, int n, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    return dnnl_memory_desc_create_with_tag(d, n, dims, dnnl_f32, tag) == dnnl_success;
}
static desc_ref ref_of(const desc *d) { return *d; }
static void desc_free(desc *d) {
    if (*d) {
        dnnl_memory_desc_destroy(*d);
        *d = NULL;
    }
}
#else
typedef dnnl_memory_desc_t desc;
typedef const dnnl_memory_desc_t *desc_ref;
static bool desc_strides(desc *d, int n, const dnnl_dims_t dims, const dnnl_dims_t strides) {
    return dnnl_memory_desc_init_by_strides(d, n, dims, dnnl_f32, strides) == dnnl_success;
}
static bool desc_tag(desc *d, int n, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    return dnnl_memory_desc_init_by_tag(d, n, dims, dnnl_f32, tag) == dnnl_success;
}
static desc_ref ref_of(const desc *d) { return d; }
static void desc_free(desc *d) { (void)d; }
#endif

struct lth_prim {
    lth_prim_key key;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive, reorder;
    int n_args, ids[LTH_PRIM_MAX_ARGS];
    dnnl_memory_t *memory; /* threads x (n_args + 1): the last is the scratchpad */
    dnnl_memory_t reorder_from, reorder_to;
    size_t scratch_bytes, weight_bytes;
    char impl[48];
};
typedef struct descs {
    desc src, weights, bias, dst;
} descs; /* by role; data and weights passes: src is diff_src or src, ... */

static lt_status trouble(lth_error *err, const char *what, dnnl_status_t status) {
    return lth_fail(err, status == dnnl_out_of_memory ? LT_ENOMEM : LT_EUNSUPPORTED, "oneDNN %s: %s failed with status %d",
                    lth_onednn_version(), what, (int)status);
}
const char *lth_onednn_version(void) {
    static char text[16];
    const dnnl_version_t *v = dnnl_version();
    if (!text[0]) {
        snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    }
    return text;
}
static lt_status open_engine(lth_onednn *o, lth_error *err) {
    if (o->engine) {
        return LT_OK;
    }
#if defined(__x86_64__)
    if (o->isa) { /* refused once a primitive exists in this process: then the best set stays */
        dnnl_set_max_cpu_isa(!strcmp(o->isa, "avx512_bf16") ? dnnl_cpu_isa_avx512_core_bf16
                             : !strcmp(o->isa, "avx512")    ? dnnl_cpu_isa_avx512_core
                             : !strcmp(o->isa, "avx2")      ? dnnl_cpu_isa_avx2
                                                            : dnnl_cpu_isa_sse41);
    }
#endif
    dnnl_engine_t engine = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t status = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (status != dnnl_success) {
        return trouble(err, "making the engine", status);
    }
    status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (status != dnnl_success) {
        dnnl_engine_destroy(engine);
        return trouble(err, "making the stream", status);
    }
    dnnl_set_primitive_cache_capacity(0); /* ours is enough */
    o->engine = engine;
    o->stream = stream;
    return LT_OK;
}

/* ---- descriptors ---- */
static void matmul_descs(const lth_prim_key *key, descs *d) {
    const int n = key->mm.batch ? 3 : 2, at = 3 - n;
    const dnnl_dims_t a = {key->mm.batch, key->mm.m, key->mm.k}, as = {key->mm.a_batch, key->mm.a_m, key->mm.a_k};
    const dnnl_dims_t b = {key->mm.batch, key->mm.k, key->mm.n}, bs = {key->mm.b_batch, key->mm.b_k, key->mm.b_n};
    const dnnl_dims_t c = {key->mm.batch, key->mm.m, key->mm.n}, cs = {key->mm.c_batch, key->mm.c_m, 1};
    const dnnl_dims_t bias = {1, 1, key->mm.n}, bias_s = {key->mm.n, key->mm.n, 1};
    desc_strides(&d->src, n, a + at, as + at);
    desc_strides(&d->weights, n, b + at, bs + at);
    desc_strides(&d->dst, n, c + at, cs + at);
    if (key->bias) {
        desc_strides(&d->bias, n, bias + at, bias_s + at);
    }
}
static void conv_descs(const lth_prim_key *key, descs *d) {
    const int64_t G = key->conv.groups;
    const dnnl_dims_t x = {key->conv.N, key->conv.C, key->conv.H, key->conv.W}, y = {key->conv.N, key->conv.O, key->conv.OH, key->conv.OW};
    const dnnl_dims_t w = {key->conv.O, key->conv.C, key->conv.KH, key->conv.KW},
                      wg = {G, key->conv.O / G, key->conv.C / G, key->conv.KH, key->conv.KW};
    const dnnl_dims_t b = {key->conv.O};
    desc_tag(&d->src, 4, x, key->conv.src_c16 ? dnnl_nChw16c : dnnl_nchw);
    desc_tag(&d->dst, 4, y, key->conv.dst_c16 ? dnnl_nChw16c : dnnl_nchw);
    desc_tag(&d->weights, G > 1 ? 5 : 4, G > 1 ? wg : w, dnnl_format_tag_any);
    if (key->bias) {
        desc_tag(&d->bias, 1, b, dnnl_a);
    }
}
static dnnl_alg_kind_t eltwise(int64_t act) {
    switch (act) {
    case LT_ACT_TANH:
        return dnnl_eltwise_tanh;
    case LT_ACT_SIGMOID:
        return dnnl_eltwise_logistic;
    default:
        return dnnl_eltwise_relu;
    }
}
static dnnl_primitive_attr_t make_attr(const lth_prim_key *key) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    if (dnnl_primitive_attr_create(&attr) != dnnl_success || dnnl_post_ops_create(&ops) != dnnl_success) {
        return NULL;
    }
    dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
#if DNNL_VERSION_MAJOR >= 3
    if (key->accumulate) {
        dnnl_post_ops_append_sum(ops, 1.f, 0, dnnl_data_type_undef);
    }
    if (key->act) {
        dnnl_post_ops_append_eltwise(ops, eltwise(key->act), 0.f, 0.f);
    }
#else
    if (key->accumulate) {
        dnnl_post_ops_append_sum(ops, 1.f);
    }
    if (key->act) {
        dnnl_post_ops_append_eltwise(ops, 1.f, eltwise(key->act), 0.f, 0.f);
    }
#endif
    dnnl_primitive_attr_set_post_ops(attr, ops);
    dnnl_post_ops_destroy(ops);
    return attr;
}

/* ---- primitive descriptors ---- */
#if DNNL_VERSION_MAJOR >= 3
static dnnl_status_t make_pd(dnnl_primitive_desc_t *pd, dnnl_engine_t e, const lth_prim_key *k, const descs *d,
                             dnnl_primitive_attr_t attr) {
    const desc bias = k->bias ? d->bias : NULL;
    if (k->kind == LTH_PRIM_MATMUL) {
        return dnnl_matmul_primitive_desc_create(pd, e, d->src, d->weights, bias, d->dst, attr);
    }
    const dnnl_dims_t dil = {k->conv.dilation[0] - 1, k->conv.dilation[1] - 1}, stride = {k->conv.stride[0], k->conv.stride[1]};
    const dnnl_dims_t pad = {k->conv.padding[0], k->conv.padding[1]};
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t s = dnnl_convolution_forward_primitive_desc_create(&hint, e, dnnl_forward_training, dnnl_convolution_direct, d->src,
                                                                     d->weights, bias, d->dst, stride, dil, pad, pad, attr);
    if (k->kind == LTH_PRIM_CONV || s != dnnl_success) {
        *pd = hint;
        return s;
    }
    if (k->kind == LTH_PRIM_CONV_DATA) {
        s = dnnl_convolution_backward_data_primitive_desc_create(pd, e, dnnl_convolution_direct, d->src, d->weights, d->dst, stride, dil,
                                                                 pad, pad, hint, attr);
    } else {
        s = dnnl_convolution_backward_weights_primitive_desc_create(pd, e, dnnl_convolution_direct, d->src, d->weights, bias, d->dst,
                                                                    stride, dil, pad, pad, hint, attr);
    }
    dnnl_primitive_desc_destroy(hint);
    return s;
}
#else
static dnnl_status_t make_pd(dnnl_primitive_desc_t *pd, dnnl_engine_t e, const lth_prim_key *k, const descs *d,
                             dnnl_primitive_attr_t attr) {
    const desc *bias = k->bias ? &d->bias : NULL;
    if (k->kind == LTH_PRIM_MATMUL) {
        dnnl_matmul_desc_t op;
        const dnnl_status_t s = dnnl_matmul_desc_init(&op, &d->src, &d->weights, bias, &d->dst);
        return s == dnnl_success ? dnnl_primitive_desc_create(pd, &op, attr, e, NULL) : s;
    }
    const dnnl_dims_t dil = {k->conv.dilation[0] - 1, k->conv.dilation[1] - 1}, stride = {k->conv.stride[0], k->conv.stride[1]};
    const dnnl_dims_t pad = {k->conv.padding[0], k->conv.padding[1]};
    dnnl_convolution_desc_t op;
    dnnl_status_t s = dnnl_dilated_convolution_forward_desc_init(&op, dnnl_forward_training, dnnl_convolution_direct, &d->src, &d->weights,
                                                                 bias, &d->dst, stride, dil, pad, pad);
    dnnl_primitive_desc_t hint = NULL;
    s = s == dnnl_success ? dnnl_primitive_desc_create(&hint, &op, attr, e, NULL) : s;
    if (k->kind == LTH_PRIM_CONV || s != dnnl_success) {
        *pd = hint;
        return s;
    }
    if (k->kind == LTH_PRIM_CONV_DATA) {
        s = dnnl_dilated_convolution_backward_data_desc_init(&op, dnnl_convolution_direct, &d->src, &d->weights, &d->dst, stride, dil, pad,
                                                             pad);
    } else {
        s = dnnl_dilated_convolution_backward_weights_desc_init(&op, dnnl_convolution_direct, &d->src, &d->weights, bias, &d->dst, stride,
                                                                dil, pad, pad);
    }
    s = s == dnnl_success ? dnnl_primitive_desc_create(pd, &op, attr, e, hint) : s;
    dnnl_primitive_desc_destroy(hint);
    return s;
}
#endif

/* ---- making one ---- */
typedef struct argument {
    int id;
    dnnl_query_t what;
} argument;
static int arguments(const lth_prim_key *key, argument *a) {
    int n = 0;
    if (key->kind == LTH_PRIM_CONV_DATA) {
        a[n++] = (argument){DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md};
        a[n++] = (argument){DNNL_ARG_WEIGHTS, dnnl_query_weights_md};
        a[n++] = (argument){DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md};
        return n;
    }
    a[n++] = (argument){DNNL_ARG_SRC, dnnl_query_src_md};
    if (key->kind == LTH_PRIM_CONV_WEIGHTS) {
        a[n++] = (argument){DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md};
        a[n++] = (argument){DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md};
        return n;
    }
    a[n++] = (argument){DNNL_ARG_WEIGHTS, dnnl_query_weights_md};
    if (key->bias) {
        a[n++] = (argument){DNNL_ARG_BIAS, dnnl_query_weights_md};
    }
    a[n++] = (argument){DNNL_ARG_DST, dnnl_query_dst_md};
    return n;
}
static dnnl_status_t make_memory(lth_onednn *o, lth_prim *p) {
    argument a[LTH_PRIM_MAX_ARGS];
    p->n_args = arguments(&p->key, a);
    desc_ref scratch = dnnl_primitive_desc_query_md(p->pd, dnnl_query_scratchpad_md, 0);
    p->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    p->memory = lth_alloc((size_t)o->threads * (size_t)(p->n_args + 1) * sizeof *p->memory);
    if (!p->memory) {
        return dnnl_out_of_memory;
    }
    for (int t = 0; t < o->threads; t++) {
        dnnl_memory_t *m = p->memory + t * (p->n_args + 1);
        for (int i = 0; i < p->n_args; i++) {
            p->ids[i] = a[i].id;
            desc_ref md = dnnl_primitive_desc_query_md(p->pd, a[i].what, a[i].id == DNNL_ARG_BIAS);
            const dnnl_status_t s = dnnl_memory_create(&m[i], md, o->engine, DNNL_MEMORY_NONE);
            if (s != dnnl_success) {
                return s;
            }
        }
        if (p->scratch_bytes) {
            const dnnl_status_t s = dnnl_memory_create(&m[p->n_args], scratch, o->engine, DNNL_MEMORY_NONE);
            if (s != dnnl_success) {
                return s;
            }
        }
    }
    return dnnl_success;
}
/* Row-major weights <-> the format the convolution chose. */
static dnnl_status_t make_reorder(lth_onednn *o, lth_prim *p) {
    const int64_t G = p->key.conv.groups;
    const dnnl_dims_t w = {p->key.conv.O, p->key.conv.C, p->key.conv.KH, p->key.conv.KW};
    const dnnl_dims_t wg = {G, p->key.conv.O / G, p->key.conv.C / G, p->key.conv.KH, p->key.conv.KW};
    desc plain = {0};
    desc_tag(&plain, G > 1 ? 5 : 4, G > 1 ? wg : w, G > 1 ? dnnl_goihw : dnnl_oihw);
    const bool back = p->key.kind == LTH_PRIM_CONV_WEIGHTS;
    desc_ref own = dnnl_primitive_desc_query_md(p->pd, back ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    desc_ref from = back ? own : ref_of(&plain), to = back ? ref_of(&plain) : own;
    p->weight_bytes = dnnl_memory_desc_get_size(own);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t s = dnnl_reorder_primitive_desc_create(&pd, from, o->engine, to, o->engine, NULL);
    if (s == dnnl_success) {
        s = dnnl_primitive_create(&p->reorder, pd);
        dnnl_primitive_desc_destroy(pd);
    }
    s = s == dnnl_success ? dnnl_memory_create(&p->reorder_from, from, o->engine, DNNL_MEMORY_NONE) : s;
    s = s == dnnl_success ? dnnl_memory_create(&p->reorder_to, to, o->engine, DNNL_MEMORY_NONE) : s;
    desc_free(&plain);
    return s;
}
static void prim_free(lth_onednn *o, lth_prim *p) {
    if (p->memory) {
        for (int i = 0; i < o->threads * (p->n_args + 1); i++) {
            if (p->memory[i]) {
                dnnl_memory_destroy(p->memory[i]);
            }
        }
    }
    if (p->reorder_from) {
        dnnl_memory_destroy(p->reorder_from);
    }
    if (p->reorder_to) {
        dnnl_memory_destroy(p->reorder_to);
    }
    if (p->reorder) {
        dnnl_primitive_destroy(p->reorder);
    }
    if (p->primitive) {
        dnnl_primitive_destroy(p->primitive);
    }
    if (p->pd) {
        dnnl_primitive_desc_destroy(p->pd);
    }
    lth_free(p->memory);
    lth_free(p);
}
/* Fills p; dnnl_unimplemented when there is nothing but a reference implementation: p stays in the table without a primitive. */
static dnnl_status_t make(lth_onednn *o, lth_prim *p) {
    descs d;
    memset(&d, 0, sizeof d);
    omp_set_num_threads(1); /* what is made for more threads gives wrong sums inside a chunk */
    (p->key.kind == LTH_PRIM_MATMUL ? matmul_descs : conv_descs)(&p->key, &d);
    dnnl_primitive_attr_t attr = make_attr(&p->key);
    dnnl_status_t s = attr ? make_pd(&p->pd, o->engine, &p->key, &d, attr) : dnnl_out_of_memory;
    dnnl_primitive_attr_destroy(attr);
    desc_free(&d.src), desc_free(&d.weights), desc_free(&d.bias), desc_free(&d.dst);
    const char *impl = "";
    if (s == dnnl_success) {
        dnnl_primitive_desc_query(p->pd, dnnl_query_impl_info_str, 0, (void *)&impl);
        snprintf(p->impl, sizeof p->impl, "%s", impl);
        s = strncmp(impl, "ref", 3) == 0 ? dnnl_unimplemented : s;
    }
    s = s == dnnl_success ? dnnl_primitive_create(&p->primitive, p->pd) : s;
    s = s == dnnl_success ? make_memory(o, p) : s;
    return s == dnnl_success && p->key.kind != LTH_PRIM_MATMUL ? make_reorder(o, p) : s;
}

/* ---- the table ---- */
static size_t slot_of(const lth_onednn *o, const lth_prim_key *key) {
    uint64_t h = 1469598103934665603u, word;
    for (size_t i = 0; i < sizeof *key; i += sizeof word) {
        memcpy(&word, (const char *)key + i, sizeof word);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    size_t at = h & (o->capacity - 1);
    while (o->table[at] && memcmp(&o->table[at]->key, key, sizeof *key) != 0) {
        at = (at + 1) & (o->capacity - 1);
    }
    return at;
}
static bool grow(lth_onednn *o) {
    lth_prim **old = o->table;
    const size_t old_capacity = o->capacity;
    o->capacity = old_capacity ? old_capacity * 2 : 256;
    o->table = lth_alloc(o->capacity * sizeof(lth_prim *));
    if (!o->table) {
        o->table = old;
        o->capacity = old_capacity;
        return false;
    }
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i]) {
            o->table[slot_of(o, &old[i]->key)] = old[i];
        }
    }
    lth_free(old);
    return true;
}
static bool grow_scratch(lth_onednn *o, size_t bytes) {
    const size_t each = (bytes + 4095) & ~(size_t)4095;
    if (each <= o->scratch_bytes) {
        return true;
    }
    void *more = lth_alloc(each * (size_t)o->threads);
    if (!more) {
        return false;
    }
    lth_free(o->scratch);
    o->scratch = more;
    o->scratch_bytes = each;
    return true;
}
const lth_prim *lth_onednn_get(lth_onednn *o, const lth_prim_key *key, lth_error *err) {
    if (o->table) {
        lth_prim *p = o->table[slot_of(o, key)];
        if (p) {
            return p->primitive ? p : NULL;
        }
    }
    lth_prim *p = open_engine(o, err) < 0 || ((o->count + 1) * 2 > o->capacity && !grow(o)) ? NULL : lth_alloc(sizeof *p);
    if (!p) {
        lth_fail(err, LT_ENOMEM, "no memory for a oneDNN primitive");
        return NULL;
    }
    memcpy(&p->key, key, sizeof *key);
    dnnl_status_t s = make(o, p);
    if (s == dnnl_success && !grow_scratch(o, p->scratch_bytes)) {
        s = dnnl_out_of_memory;
    }
    if (s != dnnl_success && s != dnnl_unimplemented && s != dnnl_invalid_arguments) {
        prim_free(o, p);
        trouble(err, "making a primitive", s);
        return NULL;
    }
    if (s != dnnl_success && p->primitive) { /* half made */
        dnnl_primitive_destroy(p->primitive);
        p->primitive = NULL;
    }
    o->table[slot_of(o, key)] = p;
    o->count++;
    return p->primitive ? p : NULL;
}

/* ---- running ---- */
lt_status lth_onednn_run(lth_onednn *o, const lth_prim *p, int thread, void *const *args, lth_error *err) {
    dnnl_exec_arg_t list[LTH_PRIM_MAX_ARGS + 1];
    dnnl_memory_t *m = p->memory + thread * (p->n_args + 1);
    int n = p->n_args;
    for (int i = 0; i < n; i++) {
        dnnl_memory_set_data_handle(m[i], args[i]);
        list[i] = (dnnl_exec_arg_t){p->ids[i], m[i]};
    }
    if (p->scratch_bytes) {
        dnnl_memory_set_data_handle(m[n], (char *)o->scratch + (size_t)thread * o->scratch_bytes);
        list[n] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, m[n]};
        n++;
    }
    omp_set_num_threads(1);
    const dnnl_status_t s = dnnl_primitive_execute(p->primitive, o->stream, n, list);
    return s == dnnl_success ? LT_OK : trouble(err, p->impl, s);
}
size_t lth_onednn_weight_bytes(const lth_prim *p) { return p->weight_bytes; }
lt_status lth_onednn_weights(lth_onednn *o, const lth_prim *p, void *from, void *to, lth_error *err) {
    dnnl_memory_set_data_handle(p->reorder_from, from);
    dnnl_memory_set_data_handle(p->reorder_to, to);
    const dnnl_exec_arg_t list[2] = {{DNNL_ARG_FROM, p->reorder_from}, {DNNL_ARG_TO, p->reorder_to}};
    omp_set_num_threads(1);
    const dnnl_status_t s = dnnl_primitive_execute(p->reorder, o->stream, 2, list);
    return s == dnnl_success ? LT_OK : trouble(err, "a reorder of weights", s);
}
const char *lth_onednn_impl(const lth_prim *p) { return p->impl; }
void lth_onednn_close(lth_onednn *o) {
    for (size_t i = 0; i < o->capacity; i++) {
        if (o->table[i]) {
            prim_free(o, o->table[i]);
        }
    }
    lth_free(o->table);
    lth_free(o->scratch);
    if (o->stream) {
        dnnl_stream_destroy(o->stream);
        dnnl_engine_destroy(o->engine);
    }
    memset(o, 0, sizeof *o);
}
