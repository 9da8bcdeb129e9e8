/* base/log.c - one mutex, one write(2) a message: lines of several threads never mix, and the status line stays the last one.
 * Composes in static memory, so that a run in its steady state prints without allocating. Writes to stderr; results to stdout. */
#include "base/log.h"
#include "base/str.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_SIZE = 8192, STATUS_SIZE = 1024 };
static const char erase[] = "\r\x1b[K";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char line[LINE_SIZE];
static char status[STATUS_SIZE]; /* what stands below the lines now; "" for nothing */

static bool is_terminal;
static void look_at_terminal(void) {
    const char *off = getenv("NO_TTY");
    is_terminal = isatty(STDERR_FILENO) && !(off && *off);
}
static bool on_terminal(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, look_at_terminal);
    return is_terminal;
}

static void write_out(int file, const char *data, size_t size) {
    int saved = errno;
    while (size) {
        ssize_t done = write(file, data, size);
        if (done < 0 && errno != EINTR) {
            break; /* nobody is listening: a closed terminal must not stop a run */
        }
        if (done > 0) {
            data += done;
            size -= (size_t)done;
        }
    }
    errno = saved;
}

/* Head of a line: erases the status, names the level and who speaks. */
static int head(char *out, size_t size, lth_level level, const char *prefix) {
    static const char *const levels[] = {"", "warning: ", "error: "};
    const char *word = level >= LTH_INFO && level <= LTH_ERROR ? levels[level] : "";
    int length = snprintf(out, size, "%s%s%s%s", status[0] ? erase : "", word, prefix ? prefix : "", prefix ? ": " : "");
    return length < (int)size ? length : (int)size - 1;
}

/* Warnings and errors quote what stands in files: control characters of theirs must not reach a terminal. */
static void tame(lth_level level, char *text, size_t size) {
    for (size_t i = 0; (level == LTH_WARNING || level == LTH_ERROR) && i < size; i++) {
        const unsigned char c = (unsigned char)text[i];
        text[i] = (c < ' ' && c != '\n' && c != '\t') || c == 0x7f ? '?' : text[i];
    }
}

/* A text longer than the static line: from the heap; if there is no memory, cut. */
static bool write_long(lth_level level, int file, int head_size, const char *format, va_list args) {
    lth_buf all = {0};
    lth_buf_add_bytes(&all, line, (size_t)head_size);
    lth_buf_vprintf(&all, format, args);
    tame(level, all.data ? all.data + head_size : NULL, all.size > (size_t)head_size ? all.size - (size_t)head_size : 0);
    if (all.size == 0 || all.data[all.size - 1] != '\n') {
        lth_buf_add(&all, "\n");
    }
    lth_buf_add(&all, file == STDERR_FILENO ? status : "");
    bool whole = !all.failed;
    if (whole) {
        write_out(file, all.data, all.size);
    }
    lth_buf_release(&all);
    return whole;
}

void lth_vlog(lth_level level, const char *prefix, const char *format, va_list args) {
    enum { ROOM = LINE_SIZE - STATUS_SIZE - 2 };
    va_list again;
    va_copy(again, args);
    pthread_mutex_lock(&lock);
    int file = level == LTH_RESULT ? STDOUT_FILENO : STDERR_FILENO;
    if (file == STDOUT_FILENO && status[0]) { /* the status stands on stderr; it comes back when it is next drawn */
        write_out(STDERR_FILENO, erase, sizeof erase - 1);
        status[0] = 0;
    }
    int used = head(line, ROOM / 2, level, prefix);
    int length = vsnprintf(line + used, (size_t)(ROOM - used), format, args);
    if (length < ROOM - used || !write_long(level, file, used, format, again)) {
        size_t end = length < 0 ? (size_t)used : strlen(line);
        tame(level, line + used, end - (size_t)used);
        if (length < 0 || end == (size_t)used || line[end - 1] != '\n') { /* a text that brings its newline gets no second */
            line[end++] = '\n';
        }
        size_t below = strlen(status);
        memcpy(line + end, status, below);
        write_out(file, line, end + below);
    }
    pthread_mutex_unlock(&lock);
    va_end(again);
}

void lth_log(lth_level level, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lth_vlog(level, NULL, format, args);
    va_end(args);
}

/* Bytes of text that fill at most `columns`: a line that wraps could not be erased. Colour codes take no column, nor do the later
 * bytes of a UTF-8 character. */
static size_t fit(const char *text, int columns, size_t most) {
    size_t at = 0;
    for (int used = 0; text[at] && text[at] != '\n' && at < most;) {
        size_t next = at + 1;
        if (text[at] == '\x1b' && text[next] == '[') {
            for (next++; text[next] && !(text[next] >= '@' && text[next] <= '~'); next++) {
            }
            next += text[next] != 0;
        } else {
            while (((unsigned char)text[next] & 0xC0) == 0x80) {
                next++;
            }
            if (used++ == columns) {
                break;
            }
        }
        if (next > most) {
            break;
        }
        at = next;
    }
    return at;
}

void lth_log_status(const char *text) {
    if (!on_terminal()) {
        return;
    }
    int width = lth_log_width();
    pthread_mutex_lock(&lock);
    size_t size = text ? fit(text, width > 1 ? width - 1 : 79, STATUS_SIZE - 1) : 0;
    if (size != strlen(status) || (size && memcmp(status, text, size) != 0)) {
        char out[sizeof erase + STATUS_SIZE];
        if (size) {
            memcpy(status, text, size);
        }
        status[size] = 0;
        int length = snprintf(out, sizeof out, "%s%s", erase, status);
        write_out(STDERR_FILENO, out, (size_t)length);
    }
    pthread_mutex_unlock(&lock);
}

int lth_log_width(void) {
    struct winsize size;
    if (!on_terminal()) {
        return 0;
    }
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}
