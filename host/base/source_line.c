/* base/source_line.c - asks addr2line(1), as a child, so that damaged debug information can hurt nothing. It reads no DWARF itself. */
#include "base/source_line.h"
#include "base/fs.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000 };

/* Starts addr2line with its output on a pipe; the reading end, or -1. Signals are reset: the caller may block them. */
static int start_addr2line(const char *file, const char *offset, pid_t *child) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    char *const args[] = {"addr2line", "-i", "-e", (char *)file, (char *)offset, NULL};
    int failed = posix_spawnp(child, "addr2line", &files, &attributes, args, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (failed) {
        close(ends[0]);
        return -1;
    }
    return ends[0];
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What the child says, at most size - 1 bytes; false if it takes too long. */
static bool read_answer(int fd, char *out, size_t size) {
    size_t used = 0;
    for (int64_t left, until = now_ms() + PATIENCE_MS; (left = until - now_ms()) > 0;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, (int)left) < 0 && errno != EINTR) {
            return false;
        }
        if (!ready.revents) {
            continue;
        }
        ssize_t got = used + 1 < size ? read(fd, out + used, size - 1 - used) : 0;
        if (got < 0 && errno != EINTR) {
            return false;
        }
        used += got > 0 ? (size_t)got : 0;
        out[used] = 0;
        if (got == 0) {
            return true;
        }
    }
    return false;
}

/* Of "dir/lt/nn.h:55" and "dir/lenet.c:24 (discriminator 3)", innermost first, takes the first that is not a wrapper of the SDK. */
static bool pick_line(char *answer, char *out, size_t size) {
    char *rest = NULL;
    bool found = false;
    for (char *text = strtok_r(answer, "\n", &rest); text; text = strtok_r(NULL, "\n", &rest)) {
        text[strcspn(text, "(")] = 0;
        char *colon = strrchr(text, ':');
        if (!colon || text[0] == '?' || colon[1] == '?' || !strncmp(colon, ":0", 2)) {
            continue;
        }
        snprintf(out, size, "%.*s", (int)(strcspn(colon, " ") + (size_t)(colon - lth_path_base(text))), lth_path_base(text));
        found = true;
        char *wrapper = strstr(text, "/lt/");
        if (!(wrapper && strstr(wrapper, ".h:"))) {
            break;
        }
    }
    return found;
}

static bool ask(const char *file, uintptr_t offset, char *out, size_t size) {
    char text[32], answer[4096] = "";
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)offset);
    pid_t child;
    int fd = start_addr2line(file, text, &child);
    if (fd < 0) {
        return false;
    }
    bool whole = read_answer(fd, answer, sizeof answer);
    close(fd);
    if (!whole) {
        kill(child, SIGKILL);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return whole && pick_line(answer, out, size);
}

void lth_source_line(const void *return_address, lth_buf *out) {
    Dl_info info;
    if (!dladdr(return_address, &info) || !info.dli_fname || !info.dli_fbase) {
        lth_buf_printf(out, "%p", return_address);
        return;
    }
    uintptr_t offset = (uintptr_t)return_address - (uintptr_t)info.dli_fbase;
    lth_buf_printf(out, "%s+0x%llx", lth_path_base(info.dli_fname), (unsigned long long)offset);
    char line[256];
    if (offset && ask(info.dli_fname, offset - 1, line, sizeof line)) { /* the call itself ends one byte before */
        lth_buf_printf(out, "  %s", line);
    }
}
