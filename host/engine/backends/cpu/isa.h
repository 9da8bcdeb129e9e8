/* backends/cpu/isa.h - the kernels that exist once per instruction set: a table, filled at open with the best set the machine has.
 * They are given raw f32 pointers and sizes, run on one thread, and know neither arrays nor plans. */
#ifndef LTH_CPU_ISA_H
#define LTH_CPU_ISA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    LTH_U_NEG, LTH_U_EXP, LTH_U_LOG, LTH_U_SQRT, LTH_U_ABS, LTH_U_RELU, LTH_U_TANH, LTH_U_SIGMOID, LTH_U_GELU, LTH_U_GELU_TANH,
    LTH_U_ADD_SCALAR, LTH_U_MUL_SCALAR
} lth_unary;
typedef enum { LTH_B_ADD, LTH_B_SUB, LTH_B_MUL, LTH_B_DIV } lth_binary;

typedef struct lth_adam_values { float lerp1, beta2, one_less_beta2, inv_root_correction2, eps, step, decay, weight_decay; bool maximize; } lth_adam_values;
typedef struct lth_adam64_values {
    double lerp1, beta2, one_less_beta2, root_correction2, eps, minus_step, decay, weight_decay;
    bool maximize;
} lth_adam64_values;
typedef struct lth_sgd64_values { double lr, momentum, one_less_dampening, weight_decay; bool nesterov, maximize, first; } lth_sgd64_values;
typedef struct lth_sgd_values { float lr, momentum, one_less_dampening, weight_decay; bool nesterov, maximize, first; } lth_sgd_values;

/* Own convolution on pixels of 16 images; sizes as the SDK's letters. All of one block of 16 images. */
typedef struct lth_nconv {
    int C, H, W, O, KH, KW, OH, OW, SH, SW;
    int HP, WP;             /* padded input */
    int PH, PW;             /* output after pooling; OH, OW when none */
    int pool_h, pool_w, pool_sh, pool_sw; /* 0: no pool */
    int act;                /* lt_activation: none, relu, tanh, sigmoid */
    int lanes;              /* images that count in this block */
} lth_nconv;

typedef struct lth_pool {
    int64_t planes;
    int H, W, OH, OW, KH, KW, SH, SW, PH, PW;
    bool count_pad;         /* average: padding counts */
    int64_t pixel, lanes;   /* floats from pixel to pixel, and how many of them; 0: 16 */
} lth_pool;

/* Attention of one head: q (T, D), k (S, D), v (S, DV), each row dense, rows _at elements apart; f32, or bf16 where low. */
typedef struct lth_attend {
    int64_t T, S, D, DV, q_at, k_at, v_at, o_at;
    float scale;
    bool low, causal;
    const void *q, *k, *v;
    void *o;                /* forward: to be written; backward: as forward left it */
    float *lse;             /* (T) log of the sum of exponentials; +infinity where a row looks at nothing */
    enum { LTH_MASK_NONE, LTH_MASK_BOOL, LTH_MASK_F32, LTH_MASK_LOW } mask_kind;
    const void *mask;
    int64_t mask_i, mask_j; /* its strides; 0 where it is repeated */
    /* backward; NULL where not wanted */
    const void *go;
    int64_t go_at, dq_at, dk_at, dv_at;
    void *dq, *dk, *dv;
    bool add_q, add_k, add_v;
    float *dmask;           /* added to */
    int64_t dmask_i, dmask_j;
    float *scratch;         /* attention_scratch floats */
} lth_attend;

/* One step of LSTM or GRU for `rows` rows of the batch, and back. Per row: a: x, then the state before (a_row apart); (H) each: cell, y, ...;
 * (4 H): gates as their kernel orders them. */
typedef struct lth_rnn_step {
    int64_t rows, I, H, K, a_row;   /* K: I + H, or I where the state before is zero */
    const float *a, *weights, *bias; /* weights by cell_pack, bias by cell_bias */
    const float *cell;              /* LSTM: before */
    float *cell_next, *cell_tanh, *gates; /* kept for backward; gates NULL: nothing is */
    float *y, *next;                /* next: the state's place in the next step's a, or NULL */
} lth_rnn_step;
typedef struct lth_rnn_back {
    int64_t rows, I, H, a_row, d_row; /* d_row: between rows of dgates */
    const float *a, *gates, *cell, *cell_tanh, *dy; /* dy NULL: none arrives */
    float *dh, *dc, *dgates;
} lth_rnn_back;
/* Products of convolutions on small maps: rows of C at c_at apart, from n pairs of rows of A (a_at apart) and panels of B. */
typedef struct lth_term { const float *a, *b; } lth_term;
typedef struct lth_product {
    const lth_term *terms;
    int n, width;                   /* width: of the panel, `panel` or 16 */
    int64_t k, rows, a_at, b_at, c_at;
    const float *bias;
    float *c;
    bool relu, add;
} lth_product;
typedef struct lth_panel { int64_t O, I, T, o, width; const int16_t *live; } lth_panel; /* outputs from o on; live: place of tap t, or -1 */

/* One image as rows of C KH KW values, a row for each output pixel, `at` floats apart; image: padded, [C][HP][WP]. */
typedef struct lth_patch { int64_t C, HP, WP, KH, KW, SH, SW, DH, DW, OH, OW, at; } lth_patch;

/* Batch norm's: rows of `width` (16 or 32) lanes, `at` floats apart. */
typedef struct lth_lanes { int64_t rows, at; int width; const float *x; } lth_lanes;
typedef struct lth_lane_slopes { /* ReLU let through: where scale x + shift > 0; scale NULL: where y > 0; y NULL too: everywhere */
    const float *dy, *y, *scale, *shift, *mean, *a, *b, *c;
    float *dx, *dres;
    bool add_dx, add_dres;
} lth_lane_slopes;
/* Functions of elements (map), of two (pair), gradients (blend: of operands a, b and the gradient g that arrives). */
typedef enum {
    LTH_M_SAME, LTH_M_NEG, LTH_M_EXP, LTH_M_LOG, LTH_M_SQRT, LTH_M_ABS, LTH_M_RELU, LTH_M_TANH, LTH_M_SIGMOID, LTH_M_GELU, LTH_M_GELU_TANH,
    LTH_M_ADD_SCALAR, LTH_M_MUL_SCALAR, LTH_M_POW_SCALAR, LTH_M_CLAMP, LTH_M_RSQRT, LTH_M_SIN, LTH_M_COS, LTH_M_ERF, LTH_M_SQUARE,
    LTH_M_RECIPROCAL, LTH_M_SIGN, LTH_M_FLOOR, LTH_M_CEIL, LTH_M_ROUND, LTH_M_LEAKY_RELU, LTH_M_ELU, LTH_M_SILU, LTH_M_SOFTPLUS, LTH_M_HARDSWISH
} lth_map;
typedef enum {
    LTH_P_ADD, LTH_P_SUB, LTH_P_MUL, LTH_P_DIV, LTH_P_MAX, LTH_P_MIN, LTH_P_POW,
    LTH_P_SQUARED_OFF, LTH_P_EXP_OFF, /* (a - b)^2, e^(a - b) */
    LTH_P_IS                          /* 1 where a is b, two NaNs being the same; else 0 */
} lth_pair;
typedef enum {
    LTH_B_PASS, LTH_B_MINUS, LTH_B_TIMES_A, LTH_B_TIMES_B, LTH_B_OVER_B, LTH_B_RATIO, LTH_B_MAX_A, LTH_B_MAX_B, LTH_B_MIN_A, LTH_B_MIN_B,
    LTH_B_POW_A, LTH_B_POW_B, LTH_B_TIMES_OFF, LTH_B_TIMES_EXP_OFF, LTH_B_TIMES_IS, LTH_B_SOFTMAX, LTH_B_LOG_SOFTMAX,
    LTH_B_OFF_LESS /* (a - b) - g */
} lth_blend;
typedef enum { LTH_C_EQ, LTH_C_NE, LTH_C_LT, LTH_C_LE, LTH_C_GT, LTH_C_GE, LTH_C_AND, LTH_C_OR } lth_compare;

/* One precision's kernels; pointers are to its numbers. p: the op's two numbers. x_one: a single value for all. */
typedef struct lth_maps {
    void (*map)(lth_map op, int64_t n, const void *x, void *y, const double *p);
    void (*map_back)(lth_map op, int64_t n, const void *x, const void *y, const void *g, void *d, const double *p); /* d = g * slope */
    void (*pair)(lth_pair op, int64_t n, const void *a, const void *b, bool a_one, bool b_one, void *y);
    void (*blend)(lth_blend op, int64_t n, const void *a, const void *b, const void *g, bool a_one, bool b_one, bool g_one, void *d);
    void (*compare)(lth_compare op, int64_t n, const void *a, const void *b, bool a_one, bool b_one, uint8_t *y);
    void (*choose)(int64_t n, const uint8_t *c, const void *a, const void *b, bool c_one, bool a_one, bool b_one, void *y);
    void (*add_to)(int64_t n, const void *x, double *sums);    /* sums[i] += x[i] */
    double (*total)(int64_t n, const void *x);
} lth_maps;
/* c (M, N) = act(a b + bias), or c += a b; element (i, j) of a lies at i a_row + j a_col, and so b's; one stride of each is 1. c's rows are
 * dense, c_row apart. _low: bf16 instead of f32. */
typedef struct lth_large {
    int64_t M, N, K, a_row, a_col, b_row, b_col, c_row;
    bool a_low, b_low, c_low, bias_low, add;
    int act;                /* lt_activation; not with add */
    const void *a, *b, *bias;
    void *c, *z;            /* z: like c, what the activation was given; NULL: not wanted */
} lth_large;
enum { LTH_LARGE_ROWS = 288 }; /* most rows of one large_rows */

struct lth_rule;
struct lth_low; /* rules/rules.h */
/* Losses of pairs; element k stride + p of a block is class k of its row p (stride 1: one row). _slopes: see isa/losses.c. */
typedef enum { LTH_P_L1, LTH_P_SMOOTH, LTH_P_HUBER, LTH_P_BCE, LTH_P_LOGITS, LTH_P_KL, LTH_P_KL_LOG } lth_pair_kind;
typedef struct lth_classes { int64_t classes, stride, rows; const void *weight; } lth_classes; /* weight of each class, or NULL */
typedef struct lth_class_shares { const void *whole, *even, *kept; bool logits, to_target; } lth_class_shares;

typedef struct lth_cpu_isa {
    const char *name;
    lth_maps f32, f64;
    void (*widen)(int dtype, int64_t n, const uint16_t *from, float *to);   /* LT_F16 or LT_BF16 -> f32 */
    void (*narrow)(int dtype, int64_t n, const float *from, uint16_t *to);
    /* element by element */
    void (*unary)(lth_unary op, int64_t n, const float *x, float *y, float f);
    void (*unary_back)(lth_unary op, int64_t n, const float *x, const float *y, const float *dy, float *dx, bool add, float f);
    void (*binary)(lth_binary op, int64_t n, const float *a, const float *b, bool a_one, bool b_one, float *y); /* _one: a single value */
    void (*scaled)(int64_t n, float *y, const float *x, float alpha, bool add);                 /* y (+)= alpha x */
    void (*product)(int64_t n, float *y, const float *a, const float *b, float alpha, bool add); /* y (+)= alpha a b */
    void (*affine)(int64_t n, const float *x, float *y, float a, float b, bool relu);           /* y = a x + b */
    void (*affine2)(int64_t n, const float *g, const float *x, float *y, float a, float b, float c, bool add); /* y (+)= a g + b x + c */
    void (*fill)(int64_t n, float *y, float value);
    void (*clamp)(int64_t n, float *y, float low, float high);
    double (*sum)(int64_t n, const float *x);
    double (*sum_product)(int64_t n, const float *a, const float *b);
    double (*sum_squares)(int64_t n, const float *x);
    double (*squared_error)(int64_t n, const float *x, const float *t, float *grad, float scale); /* grad may be NULL: scale (x - t) */
    /* rows: (rows, cols) contiguous */
    void (*bias_act)(lth_unary op, int64_t rows, int64_t cols, const float *z, float *y);
    void (*act_back)(int act, int64_t rows, int64_t cols, const float *dy, const float *y, const float *z, float *dz, float *db);
    void (*softmax)(bool log, int64_t rows, int64_t cols, const float *x, float *y);
    void (*softmax_back)(bool log, int64_t rows, int64_t cols, const float *y, const float *dy, float *dx, bool add);
    void (*cross_entropy)(int64_t rows, int64_t cols, const float *x, const int64_t *target, const int64_t *ignore, float smoothing, float scale,
                          float *loss, float *grad);
    int64_t (*first_top)(int64_t n, const float *x);                                            /* index of the first maximum; a NaN wins */
    void (*layer_norm)(int64_t rows, int64_t cols, const float *x, const float *w, const float *b, float eps, float *y, float *mean, float *rstd);
    void (*layer_norm_back)(int64_t rows, int64_t cols, const float *x, const float *w, const float *dy, const float *mean, const float *rstd, float *dx,
                            bool add, float *dw, float *db);
    /* attention */
    size_t (*attention_scratch)(const lth_attend *a, bool back);
    void (*attention)(const lth_attend *a);
    void (*attention_back)(const lth_attend *a);
    /* large products: b is packed into panels of large_columns (K floats for each column), then blocks of rows are done in any order */
    int large_columns;
    bool pairs;             /* products of bf16 and bf16 run in bf16 instructions */
    void (*large_pack)(const lth_large *g, int64_t first, int64_t count, float *packed);
    void (*large_rows)(const lth_large *g, int64_t row, int64_t rows, const float *packed, float *scratch);
    size_t (*large_scratch)(const lth_large *g);                                                  /* floats, of one thread */
    /* flat updates */
    void (*sgd)(int64_t n, float *p, const float *g, float *m, const lth_sgd_values *v);
    void (*adam)(int64_t n, float *p, const float *g, float *m, float *v, float *top, const lth_adam_values *a);
    /* matrix products: one tile of gemm_rows x gemm_cols results from packed panels */
    int gemm_rows, gemm_cols32, gemm_cols64;
    void (*gemm_tile32)(int64_t depth, const void *a, const void *b, void *c, int64_t c_at, bool add);
    void (*gemm_tile64)(int64_t depth, const void *a, const void *b, void *c, int64_t c_at, bool add);
    /* rules.h; slot: the rule's n_slots pointers */
    void (*rule)(const struct lth_rule *r, int64_t n, float *p, const float *g, float *const *slot);
    void (*rule64)(const struct lth_rule *r, int64_t n, double *p, const double *g, double *const *slot);
    /* rules/low.h; slot: three, g and slot may be NULL where the pass has none */
    void (*update_low)(const struct lth_low *u, int64_t n, uint16_t *p, const uint16_t *g, uint16_t *const *slot);
    double (*squares_low)(int64_t n, const uint16_t *x);
    /* the same passes over doubles */
    void (*sgd64)(int64_t n, double *p, const double *g, double *m, const lth_sgd64_values *v);
    void (*adam64)(int64_t n, double *p, const double *g, double *m, double *v, double *top, const lth_adam64_values *a);
    double (*sum_squares64)(int64_t n, const double *x);
    void (*scale64)(int64_t n, double *x, double factor);
    void (*clamp64)(int64_t n, double *x, double low, double high);
    /* layouts */
    void (*rows_to_lanes)(int64_t count, int64_t n_rows, const float *rows, int64_t rows_at, float *pixels);
    void (*lanes_to_rows)(int64_t count, int64_t n_rows, const float *pixels, float *rows, int64_t rows_at, bool add);
    /* pixels of 16 lanes */
    void (*max_pool16)(const lth_pool *p, const float *x, float *y, uint8_t *index);            /* index: of the window's element, or NULL */
    void (*max_pool16_back)(const lth_pool *p, const uint8_t *index, const float *dy, float *dx);
    void (*avg_pool16)(const lth_pool *p, const float *x, float *y);
    void (*avg_pool16_back)(const lth_pool *p, const float *dy, float *dx);
    /* own convolution */
    void (*nconv_pad)(const lth_nconv *c, const float *x, int64_t image_at, bool lanes, float *to);
    void (*nconv_pack)(const lth_nconv *c, const float *w, float *forward, float *backward);
    void (*nconv_forward)(const lth_nconv *c, const float *x, const float *packed, const float *bias, float *y, uint8_t *index, float *scratch);
    void (*nconv_unpool)(const lth_nconv *c, const float *y, const float *dy, const uint8_t *index, float *dz, float *db);
    void (*nconv_weights)(const lth_nconv *c, const float *x, const float *dz, float *dw, float *scratch);
    void (*nconv_data)(const lth_nconv *c, const float *dz, const float *packed, float *dx);
    void (*nconv_crop)(const lth_nconv *c, int pad_h, int pad_w, const float *dxp, float *dx, int64_t image_at, bool lanes, bool add);
    /* convolution on small maps */
    int panel;                                                                                  /* output channels of a panel: a multiple of 16 */
    void (*product_rows)(const lth_product *p);                                                 /* C = sum of A_s B_s + bias, or C += */
    void (*product_taps)(const lth_product *p);                                                 /* C += A^T B, of the first term */
    void (*panel_from)(const lth_panel *p, const float *w, float *panel);
    void (*panel_to)(const lth_panel *p, const float *panel, int64_t i0, int64_t i1, float *w, bool add);
    void (*panel_turn)(const lth_panel *p, int64_t taps, const float *panels, float *panel);
    void (*patches)(const lth_patch *p, const float *image, float *rows);
    void (*rows_to_pixels)(int64_t count, int64_t n_rows, const float *rows, int64_t rows_at, float *pixels, int64_t pixels_at);
    void (*pixels_to_rows)(int64_t count, int64_t n_rows, const float *pixels, int64_t pixels_at, float *rows, int64_t rows_at, bool add);
    void (*keep_mask)(int64_t n, const uint64_t *bits, uint64_t below, float factor, float *mask); /* factor where bits mod 2^53 < below */
    /* batch norm on lanes */
    void (*lane_sums)(const lth_lanes *l, const float *pivot, double *sum, double *squares);
    void (*lane_apply)(const lth_lanes *l, const float *scale, const float *shift, const float *residual, bool relu, float *y);
    void (*lane_back_sums)(const lth_lanes *l, const lth_lane_slopes *k, double *sum, double *dot); /* dy, y, scale, shift, mean */
    void (*lane_back)(const lth_lanes *l, const lth_lane_slopes *k);
    /* floats of scratch nconv_forward and nconv_weights want */
    size_t (*nconv_scratch)(const lth_nconv *c);
    /* losses: [0] f32, [1] f64; w, p: weight and pos_weight or NULL; y: every loss, or NULL; g: of every loss, or NULL: scale alone */
    double (*pair_loss[2])(lth_pair_kind kind, int64_t n, const void *x, const void *t, const void *w, const void *p, double f, void *y);
    void (*pair_back[2])(lth_pair_kind kind, bool target, int64_t n, const void *x, const void *t, const void *w, const void *p, double f, const void *g,
                         double scale, void *d, bool add);
    void (*log_sum[2])(const lth_classes *c, const void *x, void *out);
    void (*shares[2])(const lth_classes *c, const void *x, const void *target, const void *log_sum, double even, double kept, double *loss);
    void (*class_slopes[2])(const lth_classes *c, const void *x, const void *target, const void *log_sum, const lth_class_shares *s, void *d, bool add);
    /* recurrent layers, and products on packed weights */
    size_t (*cell_floats)(int gates, int64_t H, int64_t K);
    void (*cell_pack)(int gates, int64_t H, int64_t K_all, int64_t k_at, int64_t K, const float *w, float *to);
    void (*cell_bias)(bool gru, int64_t H, const float *b_ih, const float *b_hh, float *to);    /* either may be NULL; 4 gates */
    void (*lstm_step)(const lth_rnn_step *s);
    void (*gru_step)(const lth_rnn_step *s);
    void (*lstm_back)(const lth_rnn_back *s);
    void (*gru_back)(const lth_rnn_back *s);
    size_t (*panel_floats)(int64_t K, int64_t N);
    void (*panel_pack)(int64_t K, int64_t N, const float *b, float *to);
    void (*panel_product)(int64_t M, int64_t N, int64_t K, const float *a, int64_t a_row, const float *packed, float *c, int64_t c_row, bool add);
    void (*outer_product)(int64_t R, int64_t M, int64_t N, const float *a, int64_t a_row, const float *b, int64_t b_row, float *c, int64_t c_row,
                          bool add);
} lth_cpu_isa;

#define LTH_ISA_FILL(set) \
    void lth_fill_elements_##set(lth_cpu_isa *t); \
    void lth_fill_gemm_##set(lth_cpu_isa *t); \
    void lth_fill_rows_##set(lth_cpu_isa *t); \
    void lth_fill_map32_##set(lth_cpu_isa *t); \
    void lth_fill_map64_##set(lth_cpu_isa *t); \
    void lth_fill_updates_##set(lth_cpu_isa *t); \
    void lth_fill_rules_##set(lth_cpu_isa *t); \
    void lth_fill_pixels_##set(lth_cpu_isa *t); \
    void lth_fill_attention_##set(lth_cpu_isa *t); \
    void lth_fill_conv_##set(lth_cpu_isa *t); \
    void lth_fill_losses_##set(lth_cpu_isa *t); \
    void lth_fill_recurrent_##set(lth_cpu_isa *t); \
    void lth_fill_small_##set(lth_cpu_isa *t); \
    void lth_fill_channels_##set(lth_cpu_isa *t); \
    void lth_fill_large_##set(lth_cpu_isa *t);
LTH_ISA_FILL(baseline)
#if defined(__x86_64__)
LTH_ISA_FILL(avx2)
LTH_ISA_FILL(avx512)
/* AVX512_BF16: as AVX-512 but for these; each leaves to AVX-512 what is not bf16. */
void lth_fill_large_avx512_bf16(lth_cpu_isa *t);
void lth_fill_narrow_avx512_bf16(lth_cpu_isa *t);
#endif
#endif
