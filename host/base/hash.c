/* base/hash.c - XXH3-128 from libxxhash, SHA-256 (FIPS 180-4) by hand: 60 lines against a dependency on a TLS library. */
#define XXH_STATIC_LINKING_ONLY /* the state's size, so that it comes from base/mem.h */
#include "base/hash.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

static lth_hash128 from_xxh(XXH128_hash_t hash) { return (lth_hash128){.high = hash.high64, .low = hash.low64}; }

lth_hash128 lth_hash(const void *data, size_t size) { return from_xxh(XXH3_128bits(data, size)); }

struct lth_hasher {
    XXH3_state_t state;
};

lth_hasher *lth_hasher_new(void) {
    lth_hasher *hasher = lth_alloc(sizeof *hasher);
    if (hasher) {
        XXH3_INITSTATE(&hasher->state);
        XXH3_128bits_reset(&hasher->state);
    }
    return hasher;
}

void lth_hasher_add(lth_hasher *hasher, const void *data, size_t size) {
    if (size) {
        XXH3_128bits_update(&hasher->state, data, size);
    }
}

lth_hash128 lth_hasher_end(lth_hasher *hasher) {
    lth_hash128 hash = from_xxh(XXH3_128bits_digest(&hasher->state));
    lth_free(hasher);
    return hash;
}

void lth_hash_hex(lth_hash128 hash, char out[33]) {
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
}

lt_status lth_hash_file(const char *path, lth_hash128 *out, lth_error *err) {
    enum { CHUNK = 1 << 20 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return lth_fail(err, errno == ENOENT ? LT_EABSENT : LT_EIO, "cannot open %s to hash it: %s", path, strerror(errno));
    }
    lth_hasher *hasher = lth_hasher_new();
    void *chunk = lth_alloc(CHUNK);
    lt_status status = hasher && chunk ? LT_OK : lth_fail(err, LT_ENOMEM, "out of memory hashing %s", path);
    while (status == LT_OK) {
        ssize_t got = read(fd, chunk, CHUNK);
        if (got < 0 && errno != EINTR) {
            status = lth_fail(err, LT_EIO, "cannot read %s to hash it: %s", path, strerror(errno));
        } else if (got > 0) {
            lth_hasher_add(hasher, chunk, (size_t)got);
        } else if (got == 0) {
            break;
        }
    }
    if (hasher) {
        lth_hash128 hash = lth_hasher_end(hasher);
        if (status == LT_OK) {
            *out = hash;
        }
    }
    lth_free(chunk);
    close(fd);
    return status;
}

/* ---- SHA-256 ---- */

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha256_block(uint32_t state[8], const uint8_t *block) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t e = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25), choose = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t a = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22), majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t one = s[7] + e + choose + K[i] + w[i], two = a + majority;
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++) {
        state[i] += s[i];
    }
}

void lth_sha256_init(lth_sha256 *sha) {
    *sha = (lth_sha256){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
    };
}

void lth_sha256_add(lth_sha256 *sha, const void *data, size_t size) {
    const uint8_t *bytes = data;
    while (size) {
        size_t at = sha->length % 64, part = 64 - at < size ? 64 - at : size;
        memcpy(sha->block + at, bytes, part);
        sha->length += part;
        bytes += part;
        size -= part;
        if (sha->length % 64 == 0) {
            sha256_block(sha->state, sha->block);
        }
    }
}

void lth_sha256_end(lth_sha256 *sha, char hex[65]) {
    static const uint8_t padding[64] = {0x80};
    uint64_t bits = sha->length * 8;
    uint8_t tail[8];
    for (int i = 0; i < 8; i++) {
        tail[i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    lth_sha256_add(sha, padding, 1 + (119 - sha->length % 64) % 64);
    lth_sha256_add(sha, tail, sizeof tail);
    for (int i = 0; i < 8; i++) {
        snprintf(hex + 8 * i, 9, "%08x", sha->state[i]);
    }
}
