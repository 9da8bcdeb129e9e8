/* engine/data/curl.c - libcurl behind dlopen. Keeps no connection and no state between transfers. */
#include "engine/data/curl.h"
#include <dlfcn.h>
#include <string.h>

typedef void CURL;
static struct {
    int (*global_init)(long flags);
    CURL *(*easy_init)(void);
    int (*easy_setopt)(CURL *curl, int option, ...);
    int (*easy_perform)(CURL *curl);
    int (*easy_getinfo)(CURL *curl, int info, ...);
    void (*easy_cleanup)(CURL *curl);
    const char *(*easy_strerror)(int code);
    bool ready;
} curl;

static bool find(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found); /* ISO C has no cast from object to function pointer */
    return found != NULL;
}

static bool find_all(void *library) {
    return find(library, "curl_global_init", &curl.global_init) && find(library, "curl_easy_init", &curl.easy_init) &&
           find(library, "curl_easy_setopt", &curl.easy_setopt) && find(library, "curl_easy_perform", &curl.easy_perform) &&
           find(library, "curl_easy_getinfo", &curl.easy_getinfo) && find(library, "curl_easy_cleanup", &curl.easy_cleanup) &&
           find(library, "curl_easy_strerror", &curl.easy_strerror);
}

lt_status lth_curl_open(lth_error *err) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"};
    if (curl.ready) {
        return LT_OK;
    }
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (!library) {
        return lth_fail(
            err, LT_EUNSUPPORTED,
            "downloading needs libcurl, which is not installed: install the package libcurl4 (Debian 12), libcurl4t64 (Ubuntu 24.04) or "
            "libcurl (others), or put the file there yourself");
    }
    if (!find_all(library) || curl.global_init(LTH_CURL_GLOBAL_DEFAULT)) {
        dlclose(library);
        return lth_fail(err, LT_EUNSUPPORTED, "the libcurl found here cannot be used: functions are missing or it did not start");
    }
    curl.ready = true; /* never closed: libraries it pulled in may have registered exit handlers */
    return LT_OK;
}

static size_t on_data(const char *data, size_t size, size_t count, void *arg) {
    lth_transfer *t = arg;
    return t->write(t->to, data, size * count) ? size * count : 0;
}

static int on_progress(void *arg, int64_t total, int64_t now, int64_t up_total, int64_t up_now) {
    lth_transfer *t = arg;
    (void)up_total;
    (void)up_now;
    t->progress(t->to, total, now);
    return 0;
}

static void set_up(CURL *c, lth_transfer *t) {
    curl.easy_setopt(c, LTH_CURL_URL, t->url);
    curl.easy_setopt(c, LTH_CURL_WRITEFUNCTION, on_data);
    curl.easy_setopt(c, LTH_CURL_WRITEDATA, t);
    curl.easy_setopt(c, LTH_CURL_XFERINFOFUNCTION, on_progress);
    curl.easy_setopt(c, LTH_CURL_XFERINFODATA, t);
    curl.easy_setopt(c, LTH_CURL_NOPROGRESS, 0L);
    curl.easy_setopt(c, LTH_CURL_ERRORBUFFER, t->reason);
    curl.easy_setopt(c, LTH_CURL_RESUME_FROM_LARGE, t->offset);
    curl.easy_setopt(c, LTH_CURL_USERAGENT, "lthost");
    curl.easy_setopt(c, LTH_CURL_FAILONERROR, 1L);
    curl.easy_setopt(c, LTH_CURL_FOLLOWLOCATION, 1L);
    curl.easy_setopt(c, LTH_CURL_MAXREDIRS, 10L);
    curl.easy_setopt(c, LTH_CURL_PROTOCOLS, (long)(LTH_CURL_HTTP | LTH_CURL_HTTPS | LTH_CURL_FILE));
    curl.easy_setopt(c, LTH_CURL_REDIR_PROTOCOLS, (long)(LTH_CURL_HTTP | LTH_CURL_HTTPS)); /* no server may point at local files */
    curl.easy_setopt(c, LTH_CURL_CONNECTTIMEOUT, 15L);
    curl.easy_setopt(c, LTH_CURL_LOW_SPEED_LIMIT, 100L); /* a mirror that hangs is given up */
    curl.easy_setopt(c, LTH_CURL_LOW_SPEED_TIME, 30L);
    curl.easy_setopt(c, LTH_CURL_NOSIGNAL, 1L);
}

void lth_curl_run(lth_transfer *t) {
    t->reason[0] = 0;
    t->response = 0;
    t->code = -1;
    CURL *c = curl.easy_init();
    if (!c) {
        snprintf(t->reason, sizeof t->reason, "libcurl is out of memory");
        return;
    }
    set_up(c, t);
    t->code = curl.easy_perform(c);
    curl.easy_getinfo(c, LTH_CURL_INFO_RESPONSE_CODE, &t->response);
    if (t->code && !t->reason[0]) {
        snprintf(t->reason, sizeof t->reason, "%s", curl.easy_strerror(t->code));
    }
    curl.easy_cleanup(c);
}
