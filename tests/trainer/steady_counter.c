/* tests/trainer/steady_counter.c - preloaded into lthost: counts allocations of the trainer thread that are ours. Calls that come out of
 * libdnnl or libgomp do not count (they allocate inside, whatever one does). Offers steady_count() to the plugin of this test. */
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static volatile int watching;
static volatile uint64_t count;
static void *last_caller;

static int exempt(void *caller) {
    Dl_info info;

    watching = 0; /* dladdr may allocate */
    int known = dladdr(caller, &info) && info.dli_fname;
    int yes = known && (strstr(info.dli_fname, "libdnnl") || strstr(info.dli_fname, "libgomp") || strstr(info.dli_fname, "libstdc++"));
    watching = 1;
    return yes;
}

static void note(void *caller) {
    if (watching && (pid_t)syscall(SYS_gettid) == getpid() && !exempt(caller)) {
        count++;
        last_caller = caller;
    }
}

__attribute__((visibility("default"))) void *malloc(size_t n) { note(__builtin_return_address(0)); return __libc_malloc(n); }
__attribute__((visibility("default"))) void *calloc(size_t n, size_t m) { note(__builtin_return_address(0)); return __libc_calloc(n, m); }
__attribute__((visibility("default"))) void *realloc(void *p, size_t n) { note(__builtin_return_address(0)); return __libc_realloc(p, n); }
__attribute__((visibility("default"))) void *aligned_alloc(size_t a, size_t n) { note(__builtin_return_address(0)); return __libc_memalign(a, n); }
__attribute__((visibility("default"))) void *memalign(size_t a, size_t n) { note(__builtin_return_address(0)); return __libc_memalign(a, n); }
__attribute__((visibility("default"))) int posix_memalign(void **out, size_t a, size_t n) {
    note(__builtin_return_address(0));
    *out = __libc_memalign(a, n);
    return *out ? 0 : 12;
}

uint64_t steady_count(void **caller);

/* Starts watching at the first call; returns how many there were since, and where the last one came from. */
__attribute__((visibility("default"))) uint64_t steady_count(void **caller) {
    watching = 1;
    *caller = last_caller;
    return count;
}
