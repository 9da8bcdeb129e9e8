/* trainer/signals.c - INT and TERM ask for a stop at the next step boundary; a second one ends the process at once with 130.
 * The handler sets a flag and, the second time, calls _exit: nothing is saved or flushed inside it.
 * A crash says whose hook it was, then ends the process as the system does: with the signal, and a core file where those are on. */
#include "trainer/session.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t pending;
static struct sigaction before_int, before_term;

static void handle(int signal) {
    if (pending) {
        _exit(130);
    }
    pending = signal;
}

/* ---- crashes ---- */

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
enum { CRASHES = sizeof crashes / sizeof *crashes, CRASH_STACK = 32768 };
static const lt_ctx *watched; /* the trainer thread's */
static unsigned char crash_stack[CRASH_STACK];
static stack_t before_stack;

static void add(char *out, size_t size, const char *text) {
    size_t used = strlen(out), length = text ? strlen(text) : 0;

    length = length < size - used - 1 ? length : size - used - 1;
    memcpy(out + used, text ? text : "", length);
    out[used + length] = 0;
}

/* Calls nothing that is not safe in a signal handler. The fault happens again when this returns, and then has its usual effect. */
static void handle_crash(int signal) {
    static const char *const names[] = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"};
    static char text[1024];
    const lth_where *where = watched && watched->owner == lth_thread_self() ? &watched->where : NULL;
    int saved = errno;

    text[0] = 0;
    add(text, sizeof text, "\nerror: ");
    for (int i = 0; i < CRASHES; i++) {
        add(text, sizeof text, crashes[i] == signal ? names[i] : NULL);
    }
    if (where && where->component) {
        add(text, sizeof text, " in ");
        add(text, sizeof text, where->component);
        add(text, sizeof text, where->hook ? "." : NULL);
        add(text, sizeof text, where->hook);
        add(text, sizeof text, " of plugin ");
        add(text, sizeof text, where->plugin);
        add(text, sizeof text, " [");
        add(text, sizeof text, where->path);
        add(text, sizeof text, "]\n");
    } else {
        add(text, sizeof text, where ? " outside every hook\n" : " on a thread of its own (data loader, logger, checkpoint or compute)\n");
    }
    add(text, sizeof text, "  the line: gdb -ex run -ex bt --args <this command>; checkpoints already saved are good: --ckpt_path last\n");
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        errno = saved;
    }
    errno = saved;
}

/* Leaves handlers alone that somebody else has set, such as a sanitizer's. */
static void watch_crashes(const lt_ctx *ctx) {
    stack_t own = {.ss_sp = crash_stack, .ss_size = sizeof crash_stack};
    struct sigaction action, before;

    watched = ctx;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle_crash;
    action.sa_flags = SA_ONSTACK | (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaltstack(NULL, &before_stack);
    if (before_stack.ss_flags & SS_DISABLE) {
        sigaltstack(&own, NULL); /* a stack that has run out is no place to handle that */
    }
    for (int i = 0; i < CRASHES; i++) {
        if (!sigaction(crashes[i], NULL, &before) && before.sa_handler == SIG_DFL) {
            sigaction(crashes[i], &action, NULL);
        }
    }
}

static void forget_crashes(void) {
    struct sigaction now;

    for (int i = 0; i < CRASHES; i++) {
        if (!sigaction(crashes[i], NULL, &now) && now.sa_handler == handle_crash) {
            signal(crashes[i], SIG_DFL);
        }
    }
    if (before_stack.ss_flags & SS_DISABLE) {
        sigaltstack(&before_stack, NULL);
    }
    watched = NULL;
}

/* ---- both ---- */

void lth_signals_install(const lt_ctx *ctx) {
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    pending = 0;
    sigaction(SIGINT, &action, &before_int);
    sigaction(SIGTERM, &action, &before_term);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe on stdout is an error of write(), not the end of a run */
    watch_crashes(ctx);
}

void lth_signals_restore(void) {
    forget_crashes();
    sigaction(SIGINT, &before_int, NULL);
    sigaction(SIGTERM, &before_term, NULL);
}

int lth_signals_pending(void) { return pending; }
