/* engine/data/table.c - the table lt.data/1: what plugins call, and the checks of what they pass. The work is done elsewhere. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/npy.h"
#include "engine/data/parts.h"

static void gather(lt_ctx *ctx, float *dst, const uint8_t *src, const int64_t *indices, int64_t count, int64_t row, double mean,
                   double std) {
    LTH_ENTER(ctx, LTH_ANY_THREAD, "lt_gather_u8_f32", );
    if (count < 0 || row < 0 || (count && row && (!dst || !src || !indices))) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_gather_u8_f32", LTH_CALLER,
                    "%lld rows of %lld: sizes must not be negative, pointers not NULL", (long long)count, (long long)row);
        return;
    }
    if (std == 0) {
        lth_fail_op(&ctx->error, LT_EINVAL, "lt_gather_u8_f32", LTH_CALLER,
                    "std is 0: dividing by it gives no numbers; use 1 for no scaling");
        return;
    }
    lth_gather_u8_f32(dst, src, indices, count, row, mean, std);
}

static bool is_sha256(const char *text) {
    size_t n = 0;
    while ((text[n] >= '0' && text[n] <= '9') || (text[n] >= 'a' && text[n] <= 'f') || (text[n] >= 'A' && text[n] <= 'F')) {
        n++;
    }
    return n == 64 && !text[n];
}

static lt_status fetch(lt_ctx *ctx, const char *path, const char *sha256, const char *const *urls, int32_t count) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_fetch", ctx->error.code);
    if (!path || !*path || count < 0 || (count && !urls)) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_fetch", LTH_CALLER, "needs a path and a list of urls");
    }
    for (int32_t i = 0; i < count; i++) {
        if (!urls[i]) {
            return lth_fail_op(&ctx->error, LT_EINVAL, "lt_fetch", LTH_CALLER, "url %d of %d for %s is NULL", i + 1, count, path);
        }
    }
    if (sha256 && !is_sha256(sha256)) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_fetch", LTH_CALLER, "'%s' for %s is no SHA-256: that has 64 hex digits", sha256,
                           path);
    }
    return lth_fetch(path, sha256, urls, count, &ctx->error);
}

static const char *format_path(lt_ctx *ctx, const char *dir, const char *name) {
    LTH_ENTER(ctx, LTH_TRAINER_THREAD, "lt_format_path", NULL);
    if (!ctx->loaders || !dir || !name) {
        lth_fail_op(&ctx->error, ctx->loaders ? LT_EINVAL : LT_ESTATE, "lt_format_path", LTH_CALLER,
                    ctx->loaders ? "folder and name must not be NULL" : "paths are made in prepare_data, setup and the *_dataloader hooks");
        return NULL;
    }
    char *joined = lth_path_join(dir, name);
    const char *kept = joined ? lth_arena_strdup(&ctx->loaders->texts, joined) : NULL;
    lth_free(joined);
    if (!kept) {
        lth_fail_op(&ctx->error, LT_ENOMEM, "lt_format_path", LTH_CALLER, "no memory for the path of %s", name);
    }
    return kept;
}

static lt_status npy_header(lt_ctx *ctx, const char *path, const void *bytes, size_t size, int64_t file_size, lt_npy_header *out) {
    LTH_ENTER(ctx, LTH_ANY_THREAD, "lt_npy_parse", ctx->error.code);
    if (!path || (size && !bytes) || file_size < 0 || !out || out->struct_size < sizeof *out) {
        return lth_fail_op(&ctx->error, LT_EINVAL, "lt_npy_parse", LTH_CALLER, "needs a path, bytes and a header whose struct_size is set");
    }
    return lth_npy_parse(path, bytes, size, (uint64_t)file_size, out, &ctx->error);
}

const lt_data_api lth_data_table = {
    .struct_size = sizeof(lt_data_api),
    .dataset = lth_dataset_new,
    .random_split = lth_random_split,
    .subset = lth_dataset_subset,
    .loader = lth_loader_new,
    .dataset_length = lth_dataset_length,
    .batch_tensor = lth_batch_tensor,
    .batch_bytes_out = lth_batch_bytes_out,
    .gather_u8_f32 = gather,
    .fetch = fetch,
    .format_path = format_path,
    .sample_seed = lth_sample_seed,
    .stream = lth_stream_new,
    .stream_position = lth_stream_position,
    .combine = lth_combine,
    .npy_header = npy_header,
};
