/* trainer/signals.c - INT and TERM ask for a stop at the next step boundary; a second one ends the process at once with 130.
 * The handler sets a flag and, the second time, calls _exit: nothing is saved or flushed inside it. */
#include "trainer/session.h"
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

void lth_signals_install(void) {
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    pending = 0;
    sigaction(SIGINT, &action, &before_int);
    sigaction(SIGTERM, &action, &before_term);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe on stdout is an error of write(), not the end of a run */
}

void lth_signals_restore(void) {
    sigaction(SIGINT, &before_int, NULL);
    sigaction(SIGTERM, &before_term, NULL);
}

int lth_signals_pending(void) { return pending; }
