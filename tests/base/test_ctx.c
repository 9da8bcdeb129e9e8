/* Contexts: threads, sticky errors, hooks that return nonsense, the report with its source line, saved state through lt.base/1. */
#include "base_test.h"
#include "base/ctx.h"
#include "base/snapshot.h"
#include "base/threads.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const lt_base_api *base = &lth_base_table;

static lt_status fail_with(lt_ctx *ctx, lt_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static lt_status fail_with(lt_ctx *ctx, lt_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    code = base->vfail(ctx, code, format, args);
    va_end(args);
    return code;
}

static void the_first_failure_is_sticky(void **state) {
    (void)state;
    lt_ctx ctx;
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    assert_int_equal(base->status(&ctx), LT_OK);
    assert_true(lth_enter(&ctx, LTH_TRAINER_THREAD, "lt_x", NULL));
    assert_int_equal(fail_with(&ctx, LT_EINDEX, "index %d", 3), LT_EINDEX);
    assert_int_equal(fail_with(&ctx, LT_EIO, "later"), LT_EIO);
    assert_int_equal(base->status(&ctx), LT_EINDEX);
    assert_string_equal(ctx.error.text, "index 3");
    assert_false(lth_enter(&ctx, LTH_ANY_THREAD, "lt_x", NULL));
    assert_null(base->alloc(&ctx, 8));
    lth_error_clear(&ctx.error);
    assert_int_equal(fail_with(&ctx, LT_SKIP, "no failure code"), LT_EPLUGIN);
}

typedef struct { lt_ctx *ctx; lt_ctx own; uintptr_t self; bool own_entered, foreign_entered; } visitor;

static void *visit(void *arg) {
    visitor *v = arg;
    v->self = lth_thread_self();
    lth_ctx_init(&v->own, LTH_LOADER_THREAD);
    v->own_entered = lth_enter(&v->own, LTH_LOADER_THREAD | LTH_TRAINER_THREAD, "lt_relu", NULL);
    v->foreign_entered = lth_enter(v->ctx, LTH_ANY_THREAD, "lt_relu", NULL);
    return NULL;
}

static void wrong_threads_are_named(void **state) {
    (void)state;
    lt_ctx ctx;
    lth_error err = {0};
    pthread_t thread;
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    visitor v = {.ctx = &ctx};
    assert_int_equal(lth_thread_start(&thread, "visitor-with-a-long-name", visit, &v, &err), LT_OK);
    pthread_join(thread, NULL);
    assert_int_not_equal(v.self, lth_thread_self());
    assert_true(v.own_entered);
    assert_false(v.foreign_entered);
    assert_int_equal(ctx.error.code, LT_ESTATE);
    assert_string_equal(ctx.error.op, "lt_relu");
    assert_contains(ctx.error.text, "the trainer thread");
    lth_ctx_init(&ctx, LTH_LOGGER_THREAD);
    assert_false(lth_enter(&ctx, LTH_TRAINER_THREAD, "lt_log", NULL));
    assert_contains(ctx.error.text, "may not be called on the logger thread");
}

static void *blocked(void *arg) {
    sigset_t set;
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    *(bool *)arg = sigismember(&set, SIGINT) && sigismember(&set, SIGTERM) && !sigismember(&set, SIGSEGV);
    return NULL;
}

static void host_threads_take_no_signals(void **state) {
    (void)state;
    pthread_t thread;
    lth_error err = {0};
    bool good = false;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(lth_thread_start(&thread, "t", blocked, &good, &err), LT_OK);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_true(good);
    assert_int_equal(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
    assert_in_range(lth_cpu_count(), 1, 1 << 18);
}

static void *flush(void *arg) {
    volatile double tiny = 2.3e-308, *result = arg;
    lth_flush_denormals();
    *result = tiny / 10;
    return NULL;
}

static void denormals_go_to_zero_on_one_thread(void **state) {
    (void)state;
    pthread_t thread;
    volatile double result = 1, tiny = 2.3e-308;
    assert_int_equal(lth_thread_start(&thread, "flush", flush, (void *)&result, NULL), LT_OK);
    pthread_join(thread, NULL);
#if defined(__x86_64__) || defined(__aarch64__)
    assert_true(result == 0);
#endif
    assert_true(tiny / 10 > 0);
}

static void hooks_that_return_nonsense(void **state) {
    (void)state;
    lt_ctx ctx;
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    assert_int_equal(lth_hook_done(&ctx, LT_OK), LT_OK);
    assert_int_equal(lth_hook_done(&ctx, LT_SKIP), LT_SKIP);
    assert_int_equal(lth_hook_done(&ctx, 7), LT_EPLUGIN);
    assert_contains(ctx.error.text, "returned 7");
    lth_error_clear(&ctx.error);
    assert_int_equal(lth_hook_done(&ctx, LT_EIO), LT_EIO);
    assert_contains(ctx.error.text, "LT_EIO (input or output failed) without a reason");
    assert_int_equal(lth_hook_done(&ctx, LT_OK), LT_EIO); /* the failure in ctx wins over what the hook says */
}

/* Far from its neighbours, so that the line can only be this one's. */
__attribute__((noinline)) static void *here(void) { return __builtin_return_address(0); }

static void the_report(void **state) {
    (void)state;
    lt_ctx ctx;
    lth_buf out = {0};
    char line[64];
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    lth_ctx_report(&ctx, &out);
    assert_string_equal(lth_buf_text(&out), "");
    ctx.where = (lth_where){"ae.so", "org.example.ae", "1.0.0", "lt.model/1", "AutoEncoder", "training_step"};
    void *caller = here(); const int at = __LINE__;
    lth_fail_op(&ctx.error, LT_ESHAPE, "lt_forward", caller, "linear(784 -> 64) got (32, 756)\nflatten first");
    lth_ctx_report(&ctx, &out);
    assert_contains(lth_buf_text(&out), "AutoEncoder.training_step (lt.model/1) of plugin org.example.ae 1.0.0 [ae.so]\n"
                                        "  in lt_forward: linear(784 -> 64) got (32, 756)\n  flatten first\n  at ");
    assert_contains(lth_buf_text(&out), "+0x");
    if (system("addr2line --version > /dev/null 2>&1") == 0) {
        snprintf(line, sizeof line, "  test_ctx.c:%d", at);
        assert_contains(lth_buf_text(&out), line);
    }
    lth_buf_release(&out);
}

static void the_report_of_little(void **state) {
    (void)state;
    lt_ctx ctx;
    lth_buf out = {0};
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    lth_fail(&ctx.error, LT_EIO, "disk is full");
    lth_ctx_report(&ctx, &out);
    assert_string_equal(lth_buf_text(&out), "disk is full");
    lth_buf_clear(&out);
    ctx.where.component = "LeNet";
    ctx.error.text[0] = 0;
    ctx.error.caller = (void *)8; /* no code at all */
    lth_ctx_report(&ctx, &out);
    assert_string_equal(lth_buf_text(&out), "LeNet\n  input or output failed\n  at 0x8");
    lth_buf_clear(&out);
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1); /* no addr2line: the offset must do */
    ctx.error.caller = here();
    lth_ctx_report(&ctx, &out);
    setenv("PATH", path, 1);
    free(path);
    assert_contains(lth_buf_text(&out), "+0x");
    assert_null(strstr(lth_buf_text(&out), "test_ctx.c"));
    lth_buf_release(&out);
}

static void state_there_and_back(void **state) {
    (void)state;
    lt_ctx ctx;
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    lth_snapshot *s = lth_snapshot_new();
    struct lt_state_writer out = {s, "callbacks/x"};
    struct lt_state_reader in = {s, "callbacks/x", 3};
    size_t size;
    base->state_put_i64(&ctx, &out, "i", INT64_MIN);
    base->state_put_f64(&ctx, &out, "f", -INFINITY);
    base->state_put_text(&ctx, &out, "t.e-x_t", "words");
    base->state_put_bytes(&ctx, &out, "b", "\0\1", 2);
    base->state_put_bytes(&ctx, &out, "none", NULL, 0);
    assert_int_equal(ctx.error.code, LT_OK);
    assert_int_equal(base->state_get_i64(&ctx, &in, "i", 0), INT64_MIN);
    assert_true(base->state_get_f64(&ctx, &in, "f", 0) == -INFINITY);
    assert_string_equal(base->state_get_text(&ctx, &in, "t.e-x_t", NULL), "words");
    assert_memory_equal(base->state_get_bytes(&ctx, &in, "b", &size), "\0\1", 2);
    assert_int_equal(size, 2);
    assert_non_null(base->state_get_bytes(&ctx, &in, "none", &size));
    assert_int_equal(size, 0);
    assert_int_equal(base->state_get_i64(&ctx, &in, "absent", 9), 9);
    assert_string_equal(base->state_get_text(&ctx, &in, "absent", "fallback"), "fallback");
    assert_null(base->state_get_bytes(&ctx, &in, "absent", &size));
    assert_int_equal(base->state_version(&ctx, &in), 3);
    assert_int_equal(ctx.error.code, LT_OK);
    assert_int_equal(lth_snapshot_i64(s, "callbacks/x/i", 0), INT64_MIN);
    lth_snapshot_free(s);
}

static void assert_state_failure(lt_ctx *ctx, lt_status code, const char *part) {
    assert_int_equal(ctx->error.code, code);
    assert_contains(ctx->error.text, part);
    lth_error_clear(&ctx->error);
}

static void state_mistakes(void **state) {
    (void)state;
    lt_ctx ctx;
    lth_ctx_init(&ctx, LTH_TRAINER_THREAD);
    lth_snapshot *s = lth_snapshot_new();
    struct lt_state_writer out = {s, ""};
    struct lt_state_reader in = {s, NULL, 1};
    char giant[600];
    memset(giant, 'k', sizeof giant - 1);
    giant[sizeof giant - 1] = 0;
    static const char *const bad_keys[] = {"", "a/b", "a b", ".", "..", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad_keys / sizeof *bad_keys; i++) {
        base->state_put_i64(&ctx, &out, bad_keys[i], 1);
        assert_state_failure(&ctx, LT_EINVAL, "is no key");
    }
    base->state_put_i64(&ctx, &out, giant, 1);
    assert_state_failure(&ctx, LT_EINVAL, "too long");
    base->state_put_i64(&ctx, &out, NULL, 1);
    assert_state_failure(&ctx, LT_EINVAL, "key is NULL");
    base->state_put_i64(&ctx, NULL, "k", 1);
    assert_state_failure(&ctx, LT_EINVAL, "the state to use is NULL");
    base->state_put_text(&ctx, &out, "k", NULL);
    assert_state_failure(&ctx, LT_EINVAL, "\"k\" is NULL");
    base->state_put_i64(&ctx, &out, "k", 1);
    base->state_put_i64(&ctx, &out, "k", 2);
    assert_state_failure(&ctx, LT_EINVAL, "written twice");
    assert_true(isnan(base->state_get_f64(&ctx, &in, "k", 5)));
    assert_int_equal(base->state_get_i64(&ctx, &in, "k", 5), 0); /* after a failure: nothing */
    assert_state_failure(&ctx, LT_EFORMAT, "\"k\" was saved as i64");
    lth_snapshot_free(s);
}

static void memory_and_time(void **state) {
    (void)state;
    lt_ctx ctx;
    lth_ctx_init(&ctx, LTH_LOADER_THREAD);
    unsigned char *memory = base->alloc(&ctx, 100);
    assert_int_equal((uintptr_t)memory % 64, 0);
    assert_int_equal(memory[99], 0);
    base->free(&ctx, memory);
    base->free(&ctx, NULL);
    double start = base->seconds(&ctx);
    assert_true(base->seconds(&ctx) >= start);
    lth_alloc_budget(0);
    assert_null(base->alloc(&ctx, 100));
    lth_alloc_budget(-1);
    assert_int_equal(ctx.error.code, LT_ENOMEM);
    assert_string_equal(ctx.error.op, "lt_alloc");
    assert_non_null(ctx.error.caller);
}

static void the_table_is_whole(void **state) {
    (void)state;
    assert_int_equal(base->struct_size, sizeof(lt_base_api));
    assert_int_equal(base->abi_minor, LT_ABI_MINOR);
    const void *const *slots = (const void *const *)&base->vfail;
    for (size_t i = 0; i < (sizeof *base - offsetof(lt_base_api, vfail)) / sizeof *slots; i++) {
        assert_non_null(slots[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_first_failure_is_sticky),
        TEST(wrong_threads_are_named),
        TEST(host_threads_take_no_signals),
        TEST(denormals_go_to_zero_on_one_thread),
        TEST(hooks_that_return_nonsense),
        TEST(the_report),
        TEST(the_report_of_little),
        TEST(state_there_and_back),
        TEST(state_mistakes),
        TEST(memory_and_time),
        TEST(the_table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
