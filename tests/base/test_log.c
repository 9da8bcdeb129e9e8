/* The log: whole lines, prefixes, long texts, threads; the status line on a terminal, and none of it in a file. Each case runs in a
 * child whose stderr is a pipe or a pseudo terminal. */
#include "base_test.h"
#include "base/log.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char output[4 << 20];

/* Runs body with stderr on fd and collects what it writes. */
static void collect(int write_end, int read_end, void (*body)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(write_end, STDERR_FILENO);
        close(read_end);
        body();
        _exit(0);
    }
    close(write_end);
    size_t used = 0;
    for (ssize_t got; used < sizeof output - 1 && (got = read(read_end, output + used, sizeof output - 1 - used)) > 0;) {
        used += (size_t)got;
    }
    output[used] = 0;
    close(read_end);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void in_pipe(void (*body)(void)) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    collect(ends[1], ends[0], body);
}

static void in_terminal(void (*body)(void)) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) {
        skip();
    }
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    struct winsize size = {.ws_row = 25, .ws_col = 20};
    assert_true(slave >= 0);
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &size), 0);
    collect(slave, master, body);
}

static void say(lth_level level, const char *prefix, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(lth_level level, const char *prefix, const char *format, ...) {
    va_list args;
    va_start(args, format);
    lth_vlog(level, prefix, format, args);
    va_end(args);
}

static void some_lines(void) {
    lth_log(LTH_INFO, "plain %d", 1);
    lth_log(LTH_WARNING, "careful");
    lth_log(LTH_ERROR, "broken");
    say(LTH_INFO, "EarlyStopping", "stops");
    say(LTH_WARNING, "EarlyStopping", "ends in a newline\n");
    lth_log(LTH_INFO, "%s", "");
    lth_log_status("no bar in a file");
    lth_log_status(NULL);
    if (lth_log_width() != 0) {
        _exit(1);
    }
}

static void lines(void **state) {
    (void)state;
    in_pipe(some_lines);
    assert_string_equal(output,
                        "plain 1\nwarning: careful\nerror: broken\nEarlyStopping: stops\nwarning: EarlyStopping: ends in a newline\n\n");
}

static void foreign_text(void) {
    static char far[20000];
    memset(far, 'x', sizeof far - 3);
    far[sizeof far - 3] = '\a';
    say(LTH_ERROR, NULL, "cell '%s' is no number\n  see the row", "\x1b[31mred\rX\x7f");
    say(LTH_WARNING, NULL, "%s", far);
    say(LTH_INFO, NULL, "\x1b[1mbold\x1b[m"); /* what a component prints on purpose */
}

static void foreign_text_is_tamed(void **state) {
    (void)state;
    in_pipe(foreign_text);
    assert_non_null(strstr(output, "error: cell '?[31mred?X?' is no number\n  see the row\nwarning: xxx"));
    assert_non_null(strstr(output, "xxx?\n\x1b[1mbold\x1b[m\n"));
    assert_null(strchr(output, '\a'));
}

static void long_lines(void) {
    static char text[100001];
    for (size_t length = 7000; length < 7300; length++) { /* around what fits the static line */
        memset(text, 'x', length);
        text[length] = 0;
        lth_log(LTH_ERROR, "%s", text);
    }
    memset(text, 'y', 100000);
    lth_log(LTH_INFO, "%s", text);
    lth_alloc_budget(0);
    lth_log(LTH_INFO, "%s", text); /* without memory: cut, but said */
}

static void lines_of_any_length(void **state) {
    (void)state;
    in_pipe(long_lines);
    const char *at = output;
    for (size_t length = 7000; length < 7300; length++) {
        assert_memory_equal(at, "error: x", 8);
        const char *end = strchr(at, '\n');
        assert_non_null(end);
        assert_int_equal(end - at, length + 7);
        at = end + 1;
    }
    assert_int_equal(strspn(at, "y"), 100000);
    at += 100000;
    assert_int_equal(*at++, '\n');
    assert_in_range(strspn(at, "y"), 7000, 8192);
    assert_int_equal(at[strlen(at) - 1], '\n');
}

static void *talk(void *arg) {
    for (int i = 0; i < 500; i++) {
        lth_log(LTH_INFO, "thread %d says the same thing over and over, line %03d.", *(int *)arg, i);
    }
    return NULL;
}

static void many_threads(void) {
    pthread_t threads[4];
    int numbers[4] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, talk, &numbers[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void lines_of_threads_stay_whole(void **state) {
    (void)state;
    in_pipe(many_threads);
    int count = 0;
    for (char *rest = NULL, *line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), count++) {
        int thread, number;
        char end;
        assert_int_equal(sscanf(line, "thread %d says the same thing over and over, line %d%c", &thread, &number, &end), 3);
        assert_int_equal(end, '.');
    }
    assert_int_equal(count, 2000);
}

static void bar(void) {
    if (lth_log_width() != 20) {
        _exit(1);
    }
    lth_log_status("50%");
    lth_log_status("50%");
    lth_log(LTH_INFO, "line");
    lth_log_status("0123456789012345678901234");
    lth_log_status("\xc3\xa4\xc3\xa4\x1b[32mgreen\x1b[0m");
    lth_log_status(NULL);
    lth_log(LTH_INFO, "end");
}

static void the_status_line_survives(void **state) {
    (void)state;
    unsetenv("NO_TTY");
    in_terminal(bar);
    assert_string_equal(output, "\r\x1b[K50%"
                                "\r\x1b[Kline\r\n50%"
                                "\r\x1b[K0123456789012345678"
                                "\r\x1b[K\xc3\xa4\xc3\xa4\x1b[32mgreen\x1b[0m"
                                "\r\x1b[K"
                                "end\r\n");
}

static void no_tty(void) {
    setenv("NO_TTY", "1", 1);
    lth_log_status("bar");
    lth_log(LTH_INFO, "line %d", lth_log_width());
}

static void the_terminal_can_be_refused(void **state) {
    (void)state;
    in_terminal(no_tty);
    assert_string_equal(output, "line 0\r\n");
}

static void closed(void) {
    close(STDERR_FILENO);
    lth_log(LTH_INFO, "to nobody");
}

static void a_closed_stderr_stops_nothing(void **state) {
    (void)state;
    in_pipe(closed);
    assert_string_equal(output, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(lines),
        TEST(foreign_text_is_tamed),
        TEST(lines_of_any_length),
        TEST(lines_of_threads_stay_whole),
        TEST(the_status_line_survives),
        TEST(the_terminal_can_be_refused),
        TEST(a_closed_stderr_stops_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
