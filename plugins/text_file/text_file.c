/* TextFile: one text as tokens, for language models. Batches are a dict of x (B, T) i64 and y (B, T) i64, y being x one token later.
 * Tokens are characters, numbered as nanoGPT does, or the byte pairs of a GPT-2 vocabulary. The text is cut once, front part for
 * training, rest for validation, and encoded whole in memory. Does not stream and does not train a vocabulary. */
#include "../shared/loaders.h"
#include "text_file.h"
#include <stdio.h>

enum windows { RANDOM, SEQUENTIAL };

typedef struct {
    const token_array *tokens;
    int64_t block_size, stride;
    bool random;
} part;

typedef struct {
    const char *path, *vocab, *merges;
    enum text_level level;
    enum windows windows;
    int64_t block_size, stride, samples_per_epoch;
    double train_fraction;
    bool download;
    LOADER_FIELDS;
    char file[FILE_PATH_MAX]; /* where the text was found */
    text_source source;
    part parts[2]; /* training, the rest */
    lt_dataset *train, *rest;
} text_file;

LT_PARAMS(text_file,
    LT_PARAM(path, "null", "The text, UTF-8. Default: tiny Shakespeare in data/ or $LTHOST_DATA, downloaded where it is missing.", LT_PATH),
    LT_CHOICE(level, "char|bpe", "char", "What a token is: a character, or a byte pair of the given vocabulary."),
    LT_PARAM(vocab, "null", "vocab.json of GPT-2's format, for level bpe.", LT_PATH),
    LT_PARAM(merges, "null", "merges.txt of GPT-2's format, for level bpe.", LT_PATH),
    LT_PARAM(block_size, "256", "Tokens in a sample (T).", LT_RANGE("1..")),
    LT_CHOICE(windows, "random|sequential", "random", "Training samples: drawn anywhere in the text, or one after the other."),
    LT_PARAM(stride, "0", "Tokens from one sequential sample to the next; 0: block_size.", LT_RANGE("0..")),
    LT_PARAM(samples_per_epoch, "0", "Random samples in an epoch; 0: as many as the text has windows side by side.", LT_RANGE("0..")),
    LT_PARAM(train_fraction, "0.9", "Front part of the text that is trained on, in characters; the rest is for validation, test and predict.",
             LT_RANGE("0..1")),
    LT_PARAM(download, "true", "Download tiny Shakespeare if it is missing."),
    LOADER_PARAMS("Samples"));

static lt_status prepare_data(lt_ctx *ctx, void *self) {
    static const char *const urls[] = {"https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"};
    text_file *m = self;
    if (m->path) {
        return LT_OK;
    }
    if (file_find("tinyshakespeare", "input.txt", m->file) || !m->download) {
        return LT_OK;
    }
    char places[FILE_PATH_MAX];
    file_places("tinyshakespeare", places);
    lt_print(ctx, "no input.txt in %s: downloading tiny Shakespeare", places);
    return lt_fetch(ctx, m->file, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", urls, 1);
}

/* ---- batches ---- */

static lt_status get_batch(lt_ctx *ctx, const void *data, const int64_t *indices, int64_t count, lt_batch_out *out) {
    const part *p = data;
    int64_t shape[2] = {count, p->block_size}, last = p->tokens->count - p->block_size; /* windows begin below it */
    int64_t *x = lt_batch_tensor(ctx, out, "x", LT_I64, 2, shape), *y = lt_batch_tensor(ctx, out, "y", LT_I64, 2, shape);
    for (int64_t i = 0; x && y && i < count; i++) {
        int64_t start = indices[i] * p->stride;
        if (p->random) {
            lt_sample_rng rng = lt_sample_random(ctx, out, i);
            start = lt_draw_below(&rng, last);
        }
        tokens_read(p->tokens, start, p->block_size, x + i * p->block_size);
        tokens_read(p->tokens, start + 1, p->block_size, y + i * p->block_size);
    }
    return lt_ctx_status(ctx);
}

/* ---- opening ---- */

/* NULL without a failure: the part is empty. */
static lt_dataset *make_part(lt_ctx *ctx, text_file *m, int which) {
    const token_array *tokens = &m->source.tokens[which];
    part *p = &m->parts[which];
    bool random = !which && m->windows == RANDOM;
    if (!tokens->count) {
        return NULL;
    }
    if (tokens->count <= m->block_size) {
        lt_fail(ctx, LT_ECONFIG, "the %s part of %s has %lld tokens: block_size %lld needs at least %lld; make block_size smaller or change train_fraction",
                which ? "validation" : "training", m->file, (long long)tokens->count, (long long)m->block_size, (long long)m->block_size + 1);
        return NULL;
    }
    *p = (part){tokens, m->block_size, !which && m->stride ? m->stride : m->block_size, random};
    int64_t length = (tokens->count - 1 - m->block_size) / p->stride + 1;
    if (random && m->samples_per_epoch) {
        length = m->samples_per_epoch;
    }
    lt_dataset_desc desc = {
        .struct_size = sizeof desc, .length = length, .name = which ? "text rest" : "text", .get_batch = get_batch, .data = p};
    return lt_data_dataset(ctx, &desc);
}

static lt_status setup(lt_ctx *ctx, void *self) {
    text_file *m = self;
    char why[FILE_WHY_MAX];
    bool fit = lt_now(ctx)->stage == LT_STAGE_FIT;
    if (m->path) {
        snprintf(m->file, sizeof m->file, "%s", m->path);
    } else if (!file_find("tinyshakespeare", "input.txt", m->file)) {
        char places[FILE_PATH_MAX];
        file_places("tinyshakespeare", places);
        return lt_fail(ctx, LT_EABSENT, "no text: tiny Shakespeare, input.txt, is not in %s; set path%s", places, m->download ? "" : ", or download: true");
    }
    text_options options = {m->file, m->level, m->vocab, m->merges, m->train_fraction};
    lt_status status = text_open(&m->source, &options, why);
    if (status) {
        return lt_fail(ctx, status, "%s", why);
    }
    if (!m->source.tokens[0].count && !m->source.tokens[1].count) {
        return lt_fail(ctx, LT_EFORMAT, "%s is empty", m->file);
    }
    m->train = fit ? make_part(ctx, m, 0) : NULL;
    m->rest = lt_ctx_status(ctx) ? NULL : make_part(ctx, m, 1);
    if (fit && !lt_ctx_status(ctx)) {
        lt_print(ctx, "%s: %lld tokens to train on, %lld to validate on, vocabulary of %lld", m->file,
                 (long long)m->source.tokens[0].count, (long long)m->source.tokens[1].count, (long long)text_vocabulary(&m->source));
    }
    return lt_ctx_status(ctx);
}

static lt_loader *train_dataloader(lt_ctx *ctx, void *self) {
    text_file *m = self;
    return TRAIN_LOADER(ctx, m, m->train);
}

static lt_loader *rest_dataloader(lt_ctx *ctx, void *self) {
    text_file *m = self;
    return PLAIN_LOADER(ctx, m, m->rest);
}

static void release(lt_ctx *ctx, void *self) {
    (void)ctx;
    text_file *m = self;
    text_close(&m->source);
    m->train = m->rest = NULL;
}

/* ---- the checkpoint: a model knows its tokens by number, so the vocabulary goes with it ---- */

static lt_status save(lt_ctx *ctx, void *self, lt_state_writer *out) {
    const text_file *m = self;
    lt_state_put_i64(ctx, out, "level", m->level);
    if (m->level == TEXT_CHARS) {
        lt_state_put_bytes(ctx, out, "characters", m->source.vocab.points, (size_t)m->source.vocab.count * sizeof *m->source.vocab.points);
    } else {
        lt_state_put_i64(ctx, out, "vocabulary_hash", (int64_t)m->source.hash);
    }
    return lt_ctx_status(ctx);
}

static lt_status load(lt_ctx *ctx, void *self, const lt_state_reader *in) {
    text_file *m = self;
    char why[FILE_WHY_MAX];
    size_t size = 0;
    if (lt_state_get_i64(ctx, in, "level", m->level) != m->level) {
        return lt_fail(ctx, LT_ECONFIG, "level is %s, the checkpoint was made with the other: its model knows other tokens",
                       m->level == TEXT_CHARS ? "char" : "bpe");
    }
    if (m->level != TEXT_CHARS) {
        int64_t hash = lt_state_get_i64(ctx, in, "vocabulary_hash", (int64_t)m->source.hash);
        return hash == (int64_t)m->source.hash
                   ? LT_OK
                   : lt_fail(ctx, LT_ECONFIG, "%s and %s are not the vocabulary that the checkpoint was made with", m->vocab, m->merges);
    }
    const void *points = lt_state_get_bytes(ctx, in, "characters", &size);
    if (!points) {
        return lt_ctx_status(ctx);
    }
    lt_status status = text_use_characters(&m->source, points, (int64_t)(size / sizeof(uint32_t)), m->file, why);
    return status ? lt_fail(ctx, status, "%s", why) : LT_OK;
}

LT_DATAMODULE(TextFile, text_file, "A text file as tokens for language models: characters, or GPT-2's byte pairs.",
    .prepare_data = prepare_data,
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = rest_dataloader,
    .test_dataloader = rest_dataloader,
    .predict_dataloader = rest_dataloader,
    .save = save,
    .load = load,
    .release = release);
LT_PLUGIN("org.lthost.text-file", "0.1.0", datamodule(TextFile));
