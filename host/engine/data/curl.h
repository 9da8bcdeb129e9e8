/* engine/data/curl.h - the few functions of libcurl that downloads need, from the library opened at the first download: a run that
 * downloads nothing neither needs it nor pays for it. Numbers are libcurl's frozen ABI; tests compare them with its header. */
#ifndef LTH_DATA_CURL_H
#define LTH_DATA_CURL_H
#include "base/error.h"
#include <stdbool.h>
#include <stdio.h>

/* CURLOPT_* */
enum {
    LTH_CURL_NOPROGRESS = 43,
    LTH_CURL_FAILONERROR = 45,
    LTH_CURL_FOLLOWLOCATION = 52,
    LTH_CURL_MAXREDIRS = 68,
    LTH_CURL_CONNECTTIMEOUT = 78,
    LTH_CURL_LOW_SPEED_LIMIT = 19,
    LTH_CURL_LOW_SPEED_TIME = 20,
    LTH_CURL_NOSIGNAL = 99,
    LTH_CURL_PROTOCOLS = 181,
    LTH_CURL_REDIR_PROTOCOLS = 182,
    LTH_CURL_WRITEDATA = 10001,
    LTH_CURL_URL = 10002,
    LTH_CURL_ERRORBUFFER = 10010,
    LTH_CURL_USERAGENT = 10018,
    LTH_CURL_XFERINFODATA = 10057,
    LTH_CURL_WRITEFUNCTION = 20011,
    LTH_CURL_XFERINFOFUNCTION = 20219,
    LTH_CURL_RESUME_FROM_LARGE = 30116,
};
enum { LTH_CURL_ERROR_SIZE = 256, LTH_CURL_INFO_RESPONSE_CODE = 0x200000 + 2, LTH_CURL_GLOBAL_DEFAULT = 3 };
enum { LTH_CURL_HTTP = 1, LTH_CURL_HTTPS = 2, LTH_CURL_FILE = 1 << 10 }; /* CURLPROTO_* */
enum { LTH_CURLE_HTTP_ERROR = 22, LTH_CURLE_WRITE_ERROR = 23, LTH_CURLE_RANGE_ERROR = 33, LTH_CURLE_BAD_RESUME = 36 };

/* One download attempt: bytes of `url` from `offset` on, handed to `write` (returns false to stop). */
typedef struct lth_transfer {
    const char *url;
    int64_t offset;
    bool (*write)(void *to, const void *data, size_t size);
    void (*progress)(void *to, int64_t total, int64_t now); /* of this transfer; total 0: unknown */
    void *to;
    int code;      /* CURLcode */
    long response; /* HTTP status; 0 for others */
    char reason[LTH_CURL_ERROR_SIZE];
} lth_transfer;

/* Opens the library once; LT_EUNSUPPORTED, naming the package, if there is none. Trainer thread. */
lt_status lth_curl_open(lth_error *err);
/* Runs the transfer; code and reason tell how it went. lth_curl_open came before. */
void lth_curl_run(lth_transfer *transfer);
#endif
