/* checkpoint/header.c - the 512 bytes at the front of a checkpoint: encoding, and decoding with a precise word for whatever is wrong.
 * Every byte is accounted for: 0..143 by a checksum, the rest must be as written. Knows nothing of HDF5 and opens no file. */
#include "base/str.h"
#include "checkpoint/internal.h"
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* Offsets in the block; docs/checkpoints.md has the table. */
enum { MAGIC = 0, FORMAT = 8, BLOCK_SIZE = 12, LENGTH = 16, HASH_LOW = 24, HASH_HIGH = 32, EPOCH = 40, STEP = 48, BATCHES = 56,
       SCORE = 64, FLAGS = 72, MONITOR = 80, MONITOR_SIZE = 64, CHECKSUM = 144, END = 152 };

static const char magic[8] = {'L', 'T', 'H', 'O', 'S', 'T', 'C', '1'};

static void put(unsigned char *to, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        to[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t get(const unsigned char *from, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)from[i] << (8 * i);
    }
    return value;
}

void lth_ckpt_encode(const lth_ckpt_header *header, unsigned char block[LTH_CKPT_BLOCK]) {
    const lth_ckpt_facts *facts = &header->facts;
    uint64_t score;
    memset(block, 0, LTH_CKPT_BLOCK);
    memcpy(block + MAGIC, magic, sizeof magic);
    put(block + FORMAT, LTH_CKPT_FORMAT, 4);
    put(block + BLOCK_SIZE, LTH_CKPT_BLOCK, 4);
    put(block + LENGTH, header->length, 8);
    put(block + HASH_LOW, header->hash.low, 8);
    put(block + HASH_HIGH, header->hash.high, 8);
    put(block + EPOCH, (uint64_t)facts->epoch, 8);
    put(block + STEP, (uint64_t)facts->global_step, 8);
    put(block + BATCHES, (uint64_t)facts->batches, 8);
    memcpy(&score, &facts->score, sizeof score);
    put(block + SCORE, score, 8);
    block[FLAGS] = facts->has_score;
    block[FLAGS + 1] = facts->higher_is_better;
    block[FLAGS + 2] = facts->weights_only;
    memcpy(block + MONITOR, facts->monitor, strnlen(facts->monitor, MONITOR_SIZE - 1));
    put(block + CHECKSUM, XXH3_64bits(block, CHECKSUM), 8);
}

static lt_status truncated(const char *path, uint64_t have, uint64_t need, lth_error *err) {
    char a[32], b[32];
    return lth_fail(err, LT_EFORMAT, "%s is truncated: %s of %s bytes", path, lth_with_commas(have, a), lth_with_commas(need, b));
}

/* Says what the file seems to be instead. */
static lt_status foreign(const unsigned char *block, size_t got, const char *path, lth_error *err) {
    const char *hint = "";
    if (got >= 7 && !memcmp(block, magic, 7)) {
        return lth_fail(err, LT_EFORMAT, "%s is a checkpoint of a newer lthost (magic \"%.8s\"); update lthost", path, (const char *)block);
    }
    if (got >= 8 && !memcmp(block, "\x89HDF\r\n\x1a\n", 8)) {
        hint = ": it is an HDF5 file made elsewhere";
    } else if (got >= 4 && !memcmp(block, "PK\3\4", 4)) {
        hint = ": it looks like a file of torch.save; docs/checkpoints.md shows how weights are exchanged with PyTorch";
    }
    return lth_fail(err, LT_EFORMAT, "%s is not an lthost checkpoint%s", path, hint);
}

static lt_status check_length(const unsigned char *block, uint64_t file_size, const char *path, lth_error *err) {
    uint64_t length = get(block + LENGTH, 8);
    char a[32], b[32];
    if (file_size < length) {
        return truncated(path, file_size, length, err);
    }
    if (file_size > length) {
        return lth_fail(err, LT_EFORMAT, "%s is damaged: %s bytes follow its end at byte %s", path, lth_with_commas(file_size - length, a),
                        lth_with_commas(length, b));
    }
    return LT_OK;
}

static lt_status check_block(const unsigned char *block, const char *path, lth_error *err) {
    static const unsigned char zeros[LTH_CKPT_BLOCK - END];
    uint64_t format = get(block + FORMAT, 4);
    bool good = get(block + CHECKSUM, 8) == XXH3_64bits(block, CHECKSUM);
    if (good && format > LTH_CKPT_FORMAT) {
        return lth_fail(err, LT_EFORMAT, "%s has checkpoint format %llu, this lthost reads up to %d; update lthost", path,
                        (unsigned long long)format, LTH_CKPT_FORMAT);
    }
    if (!good || memcmp(block + END, zeros, sizeof zeros) != 0) {
        return lth_fail(err, LT_EFORMAT, "%s is damaged: the checksum of its header does not match", path);
    }
    if (format != LTH_CKPT_FORMAT || get(block + BLOCK_SIZE, 4) != LTH_CKPT_BLOCK || block[MONITOR + MONITOR_SIZE - 1] != 0 ||
        block[FLAGS] > 1 || block[FLAGS + 1] > 1 || block[FLAGS + 2] > 1) {
        return lth_fail(err, LT_EFORMAT, "%s is malformed: its header holds impossible values", path);
    }
    return LT_OK;
}

lt_status lth_ckpt_decode(const unsigned char *block, size_t got, uint64_t file_size, const char *path, lth_ckpt_header *out,
                          lth_error *err) {
    size_t start = got < sizeof magic ? got : sizeof magic;
    if (memcmp(block, magic, start) != 0) {
        return foreign(block, got, path, err);
    }
    if (got < LTH_CKPT_BLOCK) {
        return truncated(path, file_size, got >= LENGTH + 8 ? get(block + LENGTH, 8) : LTH_CKPT_BLOCK, err);
    }
    lt_status status = check_block(block, path, err);
    if (status == LT_OK) {
        status = check_length(block, file_size, path, err);
    }
    if (status != LT_OK) {
        return status;
    }
    uint64_t score = get(block + SCORE, 8);
    *out = (lth_ckpt_header){.length = file_size, .hash = {.low = get(block + HASH_LOW, 8), .high = get(block + HASH_HIGH, 8)}};
    out->facts = (lth_ckpt_facts){.epoch = (int64_t)get(block + EPOCH, 8), .global_step = (int64_t)get(block + STEP, 8),
                                  .batches = (int64_t)get(block + BATCHES, 8), .has_score = block[FLAGS],
                                  .higher_is_better = block[FLAGS + 1], .weights_only = block[FLAGS + 2]};
    memcpy(&out->facts.score, &score, sizeof score);
    memcpy(out->facts.monitor, block + MONITOR, MONITOR_SIZE);
    return LT_OK;
}
