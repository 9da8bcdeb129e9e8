/* tests/engine/test_loader_fetch.c - downloads against a small HTTP server on the loopback that can cut, lie and refuse. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "engine/data/curl.h"
#include "engine/data/loader.h"
#if __has_include(<curl/curl.h>)
#include <curl/curl.h>
_Static_assert((int)LTH_CURL_NOPROGRESS == CURLOPT_NOPROGRESS && (int)LTH_CURL_FAILONERROR == CURLOPT_FAILONERROR, "curl's ABI");
_Static_assert((int)LTH_CURL_FOLLOWLOCATION == CURLOPT_FOLLOWLOCATION && (int)LTH_CURL_MAXREDIRS == CURLOPT_MAXREDIRS, "curl's ABI");
_Static_assert((int)LTH_CURL_CONNECTTIMEOUT == CURLOPT_CONNECTTIMEOUT && (int)LTH_CURL_NOSIGNAL == CURLOPT_NOSIGNAL, "curl's ABI");
_Static_assert((int)LTH_CURL_LOW_SPEED_LIMIT == CURLOPT_LOW_SPEED_LIMIT && (int)LTH_CURL_LOW_SPEED_TIME == CURLOPT_LOW_SPEED_TIME,
               "curl's ABI");
_Static_assert((int)LTH_CURL_PROTOCOLS == 181 && (int)LTH_CURL_REDIR_PROTOCOLS == 182, "deprecated in the header, kept in the ABI");
_Static_assert((int)LTH_CURL_WRITEDATA == CURLOPT_WRITEDATA && (int)LTH_CURL_URL == CURLOPT_URL, "curl's ABI");
_Static_assert((int)LTH_CURL_ERRORBUFFER == CURLOPT_ERRORBUFFER && (int)LTH_CURL_USERAGENT == CURLOPT_USERAGENT, "curl's ABI");
_Static_assert((int)LTH_CURL_XFERINFODATA == CURLOPT_XFERINFODATA && (int)LTH_CURL_WRITEFUNCTION == CURLOPT_WRITEFUNCTION, "curl's ABI");
_Static_assert((int)LTH_CURL_XFERINFOFUNCTION == CURLOPT_XFERINFOFUNCTION, "curl's ABI");
_Static_assert((int)LTH_CURL_RESUME_FROM_LARGE == CURLOPT_RESUME_FROM_LARGE && (int)LTH_CURL_ERROR_SIZE == CURL_ERROR_SIZE, "curl's ABI");
_Static_assert((int)LTH_CURL_INFO_RESPONSE_CODE == CURLINFO_RESPONSE_CODE && (int)LTH_CURL_GLOBAL_DEFAULT == CURL_GLOBAL_DEFAULT,
               "curl's ABI");
_Static_assert((int)LTH_CURL_HTTP == CURLPROTO_HTTP && (int)LTH_CURL_HTTPS == CURLPROTO_HTTPS && (int)LTH_CURL_FILE == CURLPROTO_FILE,
               "curl's ABI");
_Static_assert((int)LTH_CURLE_HTTP_ERROR == CURLE_HTTP_RETURNED_ERROR && (int)LTH_CURLE_WRITE_ERROR == CURLE_WRITE_ERROR, "curl's ABI");
_Static_assert((int)LTH_CURLE_RANGE_ERROR == CURLE_RANGE_ERROR && (int)LTH_CURLE_BAD_RESUME == CURLE_BAD_DOWNLOAD_RESUME, "curl's ABI");
#endif

enum { SIZE = 300000 };
static uint8_t content[SIZE];
static char right_hash[65];

/* ---- the server: one request a connection ---- */

static struct {
    int fd, port;
    pthread_t thread;
    atomic_int requests, ranges; /* seen; of them with a Range header */
    atomic_int cut_first;        /* so many answers break off after a third */
    atomic_bool no_ranges;       /* answers 200 with everything, like python's http.server */
} server;

static void send_all(int fd, const void *data, size_t size) {
    for (const char *at = data; size;) {
        ssize_t done = send(fd, at, size, MSG_NOSIGNAL);
        if (done <= 0) {
            return;
        }
        at += done;
        size -= (size_t)done;
    }
}

static void answer_content(int fd, const char *request, bool wrong) {
    const char *range = strstr(request, "Range: bytes=");
    size_t from = 0;
    atomic_fetch_add(&server.ranges, range != NULL);
    if (range && !server.no_ranges) {
        from = strtoul(range + 13, NULL, 10);
    }
    char head[200];
    if (from >= SIZE) {
        static const char refusal[] = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        send_all(fd, refusal, sizeof refusal - 1);
        return;
    }
    int length = from ? snprintf(head, sizeof head, "HTTP/1.1 206 Partial\r\nContent-Range: bytes %zu-%d/%d\r\nContent-Length: %zu\r\n\r\n",
                                 from, SIZE - 1, SIZE, SIZE - from)
                      : snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", SIZE);
    send_all(fd, head, (size_t)length);
    bool cut = atomic_load(&server.cut_first) > 0 && atomic_fetch_sub(&server.cut_first, 1) > 0;
    size_t size = cut ? (SIZE - from) / 3 : SIZE - from;
    if (!wrong) {
        send_all(fd, content + from, size);
        return;
    }
    uint8_t *other = calloc(1, size);
    send_all(fd, other, size);
    free(other);
}

static void *serve(void *arg) {
    (void)arg;
    for (int fd; (fd = accept(server.fd, NULL, NULL)) >= 0; close(fd)) {
        char request[4096];
        ssize_t got = recv(fd, request, sizeof request - 1, 0); /* small: curl sends it in one piece */
        request[got > 0 ? got : 0] = 0;
        if (!strncmp(request, "GET /quit", 9)) {
            break;
        }
        atomic_fetch_add(&server.requests, 1);
        if (!strncmp(request, "GET /file", 9) || !strncmp(request, "GET /wrong", 10)) {
            answer_content(fd, request, request[5] == 'w');
        } else {
            static const char missing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone";
            send_all(fd, missing, sizeof missing - 1);
        }
        shutdown(fd, SHUT_WR);
    }
    return NULL;
}

static int start_server(void **state) {
    (void)state;
    for (int i = 0; i < SIZE; i++) {
        content[i] = (uint8_t)((uint32_t)i * 2654435761u >> 13);
    }
    lth_sha256 sha;
    lth_sha256_init(&sha);
    lth_sha256_add(&sha, content, SIZE);
    lth_sha256_end(&sha, right_hash);
    server.fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(server.fd, (struct sockaddr *)&address, size) || listen(server.fd, 8) ||
        getsockname(server.fd, (struct sockaddr *)&address, &size)) {
        return -1;
    }
    server.port = ntohs(address.sin_port);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    return pthread_create(&server.thread, NULL, serve, NULL);
}

static int stop_server(void **state) {
    (void)state;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)server.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (!connect(fd, (struct sockaddr *)&address, sizeof address)) {
        send_all(fd, "GET /quit", 9);
    }
    close(fd);
    pthread_join(server.thread, NULL);
    close(server.fd);
    return 0;
}

/* ---- a folder of its own for each test ---- */

typedef struct fixture {
    char dir[64], path[96], part[104], urls[4][96];
    lt_ctx ctx;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/lt-fetch-XXXXXX");
    if (!mkdtemp(f->dir)) {
        return -1;
    }
    snprintf(f->path, sizeof f->path, "%s/sub/file.bin", f->dir);
    snprintf(f->part, sizeof f->part, "%s.part", f->path);
    static const char *const names[] = {"file", "wrong", "missing"};
    for (int i = 0; i < 3; i++) {
        snprintf(f->urls[i], sizeof f->urls[i], "http://127.0.0.1:%d/%s", server.port, names[i]);
    }
    snprintf(f->urls[3], sizeof f->urls[3], "http://127.0.0.1:1/nobody-listens");
    atomic_store(&server.requests, 0);
    atomic_store(&server.ranges, 0);
    atomic_store(&server.cut_first, 0);
    atomic_store(&server.no_ranges, false);
    lth_ctx_init(&f->ctx, LTH_TRAINER_THREAD);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    char sub[80];
    snprintf(sub, sizeof sub, "%s/sub", f->dir);
    unlink(f->path);
    unlink(f->part);
    rmdir(sub);
    int left = rmdir(f->dir); /* fails if anything else was left behind */
    free(f);
    return left;
}

static lt_status fetch(fixture *f, const char *hash, const char *first, const char *second) {
    const char *const urls[] = {first, second};
    return lth_data_table.fetch(&f->ctx, f->path, hash, urls, second ? 2 : first ? 1 : 0);
}

static void check_file(const fixture *f) {
    char *data;
    size_t size;
    assert_int_equal(lth_read_file(f->path, 1 << 20, &data, &size, NULL), LT_OK);
    assert_int_equal(size, SIZE);
    assert_memory_equal(data, content, SIZE);
    lth_free(data);
    assert_false(lth_path_exists(f->part));
}

static void put(const char *path, const void *data, size_t size) {
    char *dir = lth_path_dir(path);
    assert_int_equal(lth_make_dirs(dir, NULL), LT_OK);
    lth_free(dir);
    assert_int_equal(lth_write_file(path, data, size, NULL), LT_OK);
}

static void test_downloads_once(void **state) {
    fixture *f = *state;
    assert_int_equal(fetch(f, right_hash, f->urls[0], NULL), LT_OK);
    check_file(f);
    assert_int_equal(fetch(f, right_hash, f->urls[0], NULL), LT_OK);
    assert_int_equal(fetch(f, NULL, NULL, NULL), LT_OK);
    assert_int_equal(atomic_load(&server.requests), 1);
}

static void test_second_mirror_and_any_content(void **state) {
    fixture *f = *state;
    assert_int_equal(fetch(f, NULL, f->urls[2], f->urls[0]), LT_OK);
    check_file(f);
}

static void test_resumes_broken_transfers(void **state) {
    fixture *f = *state;
    atomic_store(&server.cut_first, 2);
    assert_int_equal(fetch(f, right_hash, f->urls[0], NULL), LT_OK);
    check_file(f);
    assert_int_equal(atomic_load(&server.requests), 3);
    assert_int_equal(atomic_load(&server.ranges), 2);
}

static void test_resumes_part_of_an_earlier_run(void **state) {
    fixture *f = *state;
    put(f->part, content, 100000);
    assert_int_equal(fetch(f, right_hash, f->urls[0], NULL), LT_OK);
    check_file(f);
    assert_int_equal(atomic_load(&server.ranges), 1);
    unlink(f->path);
    put(f->part, content, SIZE); /* complete, but not yet renamed */
    assert_int_equal(fetch(f, right_hash, f->urls[0], NULL), LT_OK);
    check_file(f);
    assert_int_equal(atomic_load(&server.requests), 1);
}

static void test_starts_over_where_resuming_is_impossible(void **state) {
    fixture *f = *state;
    uint8_t *rubbish = calloc(1, SIZE + 10);
    put(f->part, rubbish, 1000); /* continues to a wrong hash */
    assert_int_equal(fetch(f, right_hash, f->urls[0], NULL), LT_OK);
    check_file(f);
    unlink(f->path);
    put(f->part, rubbish, SIZE + 10); /* longer than the file: 416 */
    assert_int_equal(fetch(f, right_hash, f->urls[0], NULL), LT_OK);
    check_file(f);
    unlink(f->path);
    atomic_store(&server.no_ranges, true);
    put(f->part, content, 1000);
    assert_int_equal(fetch(f, right_hash, f->urls[0], NULL), LT_OK);
    check_file(f);
    free(rubbish);
}

static void test_wrong_content_is_refused(void **state) {
    fixture *f = *state;
    assert_int_equal(fetch(f, right_hash, f->urls[1], NULL), LT_EIO);
    assert_non_null(strstr(f->ctx.error.text, "wrong content: SHA-256"));
    assert_non_null(strstr(f->ctx.error.text, right_hash));
    assert_false(lth_path_exists(f->path));
    lth_error_clear(&f->ctx.error);
    assert_int_equal(fetch(f, right_hash, f->urls[1], f->urls[0]), LT_OK);
    check_file(f);
}

static void test_damaged_file_is_replaced(void **state) {
    fixture *f = *state;
    put(f->path, "damaged", 7);
    assert_int_equal(fetch(f, right_hash, f->urls[0], NULL), LT_OK);
    check_file(f);
}

static void test_every_mirrors_failure_is_named(void **state) {
    fixture *f = *state;
    assert_int_equal(fetch(f, right_hash, f->urls[2], f->urls[3]), LT_EIO);
    assert_non_null(strstr(f->ctx.error.text, f->path));
    assert_non_null(strstr(f->ctx.error.text, f->urls[2]));
    assert_non_null(strstr(f->ctx.error.text, "404"));
    assert_non_null(strstr(f->ctx.error.text, f->urls[3]));
    assert_false(lth_path_exists(f->part));
    lth_error_clear(&f->ctx.error);
    assert_int_equal(fetch(f, right_hash, NULL, NULL), LT_EIO);
    assert_non_null(strstr(f->ctx.error.text, "no url is known"));
}

static void test_file_urls(void **state) {
    fixture *f = *state;
    char source[96], url[120];
    snprintf(source, sizeof source, "%s/source", f->dir);
    snprintf(url, sizeof url, "file://%s", source);
    put(source, content, SIZE);
    assert_int_equal(fetch(f, right_hash, url, NULL), LT_OK);
    check_file(f);
    unlink(source);
}

static void test_bad_arguments(void **state) {
    fixture *f = *state;
    assert_int_equal(fetch(f, "123", f->urls[0], NULL), LT_EINVAL);
    lth_error_clear(&f->ctx.error);
    const char *const urls[] = {NULL};
    assert_int_equal(lth_data_table.fetch(&f->ctx, f->path, NULL, urls, 1), LT_EINVAL);
    lth_error_clear(&f->ctx.error);
    assert_true(lth_data_table.fetch(&f->ctx, "/proc/no/such/place", NULL, NULL, 0) < 0);
    assert_non_null(strstr(f->ctx.error.text, "/proc/no"));
}

int main(void) {
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_downloads_once),
        WITH_FOLDER(test_second_mirror_and_any_content),
        WITH_FOLDER(test_resumes_broken_transfers),
        WITH_FOLDER(test_resumes_part_of_an_earlier_run),
        WITH_FOLDER(test_starts_over_where_resuming_is_impossible),
        WITH_FOLDER(test_wrong_content_is_refused),
        WITH_FOLDER(test_damaged_file_is_replaced),
        WITH_FOLDER(test_every_mirrors_failure_is_named),
        WITH_FOLDER(test_file_urls),
        WITH_FOLDER(test_bad_arguments),
    };
    return cmocka_run_group_tests_name("loader_fetch", tests, start_server, stop_server);
}
