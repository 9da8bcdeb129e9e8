/* base/hash.h - XXH3-128 for accidents, SHA-256 for downloads. */
#ifndef LTH_HASH_H
#define LTH_HASH_H
#include "base/error.h"

typedef struct lth_hash128 { uint64_t high, low; } lth_hash128;
lth_hash128 lth_hash(const void *data, size_t size);
typedef struct lth_hasher lth_hasher;            /* streaming */
lth_hasher *lth_hasher_new(void);
void lth_hasher_add(lth_hasher *hasher, const void *data, size_t size);
lth_hash128 lth_hasher_end(lth_hasher *hasher);  /* and frees it */
void lth_hash_hex(lth_hash128 hash, char out[33]);
lt_status lth_hash_file(const char *path, lth_hash128 *out, lth_error *err);

typedef struct lth_sha256 { uint32_t state[8]; uint64_t length; uint8_t block[64]; } lth_sha256;
void lth_sha256_init(lth_sha256 *sha);
void lth_sha256_add(lth_sha256 *sha, const void *data, size_t size);
void lth_sha256_end(lth_sha256 *sha, char hex[65]);
#endif
