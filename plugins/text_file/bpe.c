/* text_file/bpe.c - see bpe.h. A word is a list of tokens; the pair that merges.txt names first is merged until there is none. Pairs wait in
 * a heap, so that a text without spaces costs no more than its length times a logarithm. */
#include "bpe.h"
#include "vocab.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_ID = 1 << 21 };

typedef struct candidate { int32_t rank, at, left, right; } candidate;

struct bpe_word {
    int32_t *ids, *before, *after; /* a linked list; id -1: merged away */
    candidate *heap;
    int64_t heap_count, room;
};

static uint64_t mix(uint64_t h, uint64_t value) { return (h ^ value) * 0x100000001b3u; }

/* ---- the two tables ---- */

static uint64_t hash_bytes(const uint8_t *bytes, int64_t length) {
    uint64_t h = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < length; i++) {
        h = mix(h, bytes[i]);
    }
    return h ^ h >> 29;
}

/* The slot of these bytes, or the free one where they would be. */
static int64_t token_slot(const bpe *b, const uint8_t *bytes, int32_t length) {
    int64_t slot = (int64_t)(hash_bytes(bytes, length) % (uint64_t)b->token_slots);
    while (b->tokens[slot].length &&
           (b->tokens[slot].length != length || memcmp(b->bytes + b->tokens[slot].at, bytes, (size_t)length) != 0)) {
        slot = slot + 1 < b->token_slots ? slot + 1 : 0;
    }
    return slot;
}

static int64_t merge_slot(const bpe *b, int32_t left, int32_t right) {
    uint64_t h = mix(mix(0xcbf29ce484222325u, (uint32_t)left), (uint32_t)right);
    int64_t slot = (int64_t)((h ^ h >> 29) % (uint64_t)b->merge_slots);
    while (b->merges[slot].rank >= 0 && (b->merges[slot].left != left || b->merges[slot].right != right)) {
        slot = slot + 1 < b->merge_slots ? slot + 1 : 0;
    }
    return slot;
}

/* GPT-2 writes each byte as a character that shows: itself, or 256 and following. -1: no byte. */
static int byte_of(uint32_t point) {
    static const uint8_t hidden[][2] = {{0, 32}, {127, 160}, {173, 173}};
    if (point < 256) {
        return point <= 32 || (point >= 127 && point <= 160) || point == 173 ? -1 : (int)point;
    }
    int at = (int)point - 256;
    for (int i = 0; i < 3; i++) {
        int count = hidden[i][1] - hidden[i][0] + 1;
        if (at < count) {
            return hidden[i][0] + at;
        }
        at -= count;
    }
    return -1;
}

/* A token as the files write it, to bytes at the end of b->bytes; their number, 0: none, -1: a character stands for no byte, -2: memory. */
static int32_t take_token(bpe *b, const uint8_t *text, int64_t length) {
    if (b->used + (size_t)length > b->room) {
        size_t room = 2 * (b->used + (size_t)length) + 4096;
        uint8_t *bytes = realloc(b->bytes, room);
        if (!bytes) {
            return -2;
        }
        b->bytes = bytes;
        b->room = room;
    }
    int32_t count = 0;
    for (const uint8_t *at = text, *end = text + length; at < end;) {
        uint32_t point;
        int bytes = utf8_next(at, end, &point), byte = bytes ? byte_of(point) : -1;
        if (byte < 0) {
            return -1;
        }
        b->bytes[b->used + (size_t)count++] = (uint8_t)byte;
        at += bytes;
    }
    return count;
}

/* ---- vocab.json: one object of texts and numbers ---- */

typedef struct json {
    const uint8_t *at, *end;
    uint8_t *text; /* the last text, unescaped */
    size_t room;
    int64_t length, line;
} json;

static void skip_blanks(json *j) {
    for (; j->at < j->end && strchr(" \t\r\n", *j->at) && *j->at; j->at++) {
        j->line += *j->at == '\n';
    }
}

static bool take(json *j, char c) {
    skip_blanks(j);
    if (j->at == j->end || *j->at != (uint8_t)c) {
        return false;
    }
    j->at++;
    return true;
}

static bool take_hex(json *j, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < 4; i++, j->at++) {
        int c = j->at < j->end ? *j->at : 0, lower = c | 32;
        int digit = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
        if (digit < 0) {
            return false;
        }
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

/* Behind a backslash: the code point that is meant. */
static bool take_escape(json *j, uint32_t *point) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = j->at < j->end && *j->at ? strchr(from, *j->at) : NULL;
    if (found) {
        *point = (uint8_t)to[found - from];
        j->at++;
        return true;
    }
    if (j->at == j->end || *j->at++ != 'u' || !take_hex(j, point)) {
        return false;
    }
    if (*point >= 0xd800 && *point < 0xdc00) {
        uint32_t low;
        if (j->end - j->at < 6 || j->at[0] != '\\' || j->at[1] != 'u') {
            return false;
        }
        j->at += 2;
        if (!take_hex(j, &low) || low < 0xdc00 || low > 0xdfff) {
            return false;
        }
        *point = 0x10000 + ((*point - 0xd800) << 10) + (low - 0xdc00);
    }
    return *point < 0xd800 || *point > 0xdfff;
}

/* 1, 0: malformed, -2: memory. */
static int take_text(json *j) {
    if (!take(j, '"')) {
        return 0;
    }
    for (j->length = 0; j->at < j->end && *j->at != '"';) {
        if ((size_t)j->length + 4 > j->room) {
            uint8_t *text = realloc(j->text, 2 * j->room + 256);
            if (!text) {
                return -2;
            }
            j->text = text;
            j->room = 2 * j->room + 256;
        }
        uint32_t point = *j->at;
        if (*j->at++ != '\\') {
            j->text[j->length++] = (uint8_t)point;
        } else if (take_escape(j, &point)) {
            j->length += utf8_put(j->text + j->length, point);
        } else {
            return 0;
        }
    }
    return take(j, '"');
}

static bool take_id(json *j, int32_t *out) {
    int64_t value = 0;
    skip_blanks(j);
    const uint8_t *start = j->at;
    for (; j->at < j->end && *j->at >= '0' && *j->at <= '9' && value <= MAX_ID; j->at++) {
        value = 10 * value + (*j->at - '0');
    }
    *out = (int32_t)value;
    return j->at > start && value < MAX_ID;
}

static lt_status add_token(bpe *b, const json *j, int32_t id, const char *path, char why[FILE_WHY_MAX]) {
    int32_t length = take_token(b, j->text, j->length);
    if (length == -2 || b->n_tokens + 1 > b->token_slots / 2) {
        return file_fail(LT_ENOMEM, why, "no memory for the tokens of %s", path);
    }
    int64_t slot = length > 0 ? token_slot(b, b->bytes + b->used, length) : 0;
    if (length < 1 || b->tokens[slot].length || b->where[id]) {
        return file_fail(LT_EFORMAT, why, "%s:%lld: token \"%.*s\" (%d) %s", path, (long long)j->line, (int)(j->length < 60 ? j->length : 60), j->text,
                         id, length < 1 ? "has a character that stands for no byte, or none" : "or its number stands there twice");
    }
    b->tokens[slot] = (bpe_token){b->used, length, id};
    b->where[id] = slot + 1;
    b->used += (size_t)length;
    b->n_tokens++;
    b->vocabulary = id >= b->vocabulary ? id + 1 : b->vocabulary;
    return LT_OK;
}

static lt_status read_vocab(bpe *b, const mapped_file *file, const char *path, char why[FILE_WHY_MAX]) {
    json j = {.at = file->bytes, .end = file->bytes + file->size, .line = 1};
    lt_status status = LT_OK;
    b->token_slots = file->size / 2 + 64; /* an entry takes 6 bytes at least */
    b->tokens = calloc((size_t)b->token_slots, sizeof *b->tokens);
    b->where = calloc(MAX_ID, sizeof *b->where);
    bool good = b->tokens && b->where && take(&j, '{');
    while (good && !status && !take(&j, '}')) {
        int32_t id = 0;
        int text = take_text(&j);
        good = text == 1 && take(&j, ':') && take_id(&j, &id);
        status = good ? add_token(b, &j, id, path, why) : LT_OK;
        skip_blanks(&j);
        good = good && (take(&j, ',') || (j.at < j.end && *j.at == '}'));
    }
    skip_blanks(&j);
    if (!status && (!good || j.at != j.end)) {
        status = b->tokens && b->where ? file_fail(LT_EFORMAT, why, "%s:%lld: no object of texts and numbers, as GPT-2's vocab.json is", path,
                                                   (long long)j.line)
                                       : file_fail(LT_ENOMEM, why, "no memory for the tokens of %s", path);
    }
    free(j.text);
    for (int i = 0; !status && i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        const bpe_token *found = &b->tokens[token_slot(b, &byte, 1)];
        if (!found->length) {
            return file_fail(LT_EFORMAT, why, "%s has no token for byte %d: it is no byte-level vocabulary", path, i);
        }
        b->single[i] = found->id;
    }
    return status;
}

/* ---- merges.txt: a pair in each line ---- */

/* The id of a token written in a line; -1: none. */
static int32_t find_token(bpe *b, const uint8_t *text, int64_t length) {
    int32_t bytes = length > 0 ? take_token(b, text, length) : -1;
    const bpe_token *found = bytes > 0 ? &b->tokens[token_slot(b, b->bytes + b->used, bytes)] : NULL;
    return found && found->length ? found->id : -1;
}

/* The id of two tokens' bytes side by side. */
static int32_t find_joined(bpe *b, const uint8_t *text, const uint8_t *space, const uint8_t *end) {
    int32_t left = take_token(b, text, space - text);
    if (left < 1) {
        return -1;
    }
    b->used += (size_t)left;
    int32_t right = take_token(b, space + 1, end - space - 1);
    b->used -= (size_t)left;
    const bpe_token *found = right > 0 ? &b->tokens[token_slot(b, b->bytes + b->used, left + right)] : NULL;
    return found && found->length ? found->id : -1;
}

static lt_status add_merge(bpe *b, const uint8_t *text, const uint8_t *end, int64_t line, const char *path, char why[FILE_WHY_MAX]) {
    const uint8_t *space = memchr(text, ' ', (size_t)(end - text));
    int32_t left = space ? find_token(b, text, space - text) : -1, right = space ? find_token(b, space + 1, end - space - 1) : -1;
    int32_t result = left >= 0 && right >= 0 ? find_joined(b, text, space, end) : -1;
    if (result < 0) {
        return file_fail(LT_EFORMAT, why, "%s:%lld: '%.*s' is no pair of tokens of the vocabulary that make a third", path, (long long)line,
                         (int)(end - text < 60 ? end - text : 60), text);
    }
    bpe_merge *merge = &b->merges[merge_slot(b, left, right)];
    if (merge->rank < 0) { /* the first one counts */
        *merge = (bpe_merge){left, right, (int32_t)b->n_merges, result};
    }
    b->n_merges++;
    return LT_OK;
}

static lt_status read_merges(bpe *b, const mapped_file *file, const char *path, char why[FILE_WHY_MAX]) {
    const uint8_t *at = file->bytes, *end = at + file->size;
    b->merge_slots = file->size / 2 + 64; /* a line takes 4 bytes at least */
    b->merges = malloc((size_t)b->merge_slots * sizeof *b->merges);
    if (!b->merges) {
        return file_fail(LT_ENOMEM, why, "no memory for %s", path);
    }
    for (int64_t i = 0; i < b->merge_slots; i++) {
        b->merges[i] = (bpe_merge){.rank = -1};
    }
    lt_status status = LT_OK;
    for (int64_t line = 1; at < end && !status; line++) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        stop -= stop > at && stop[-1] == '\r';
        bool comment = line == 1 && stop - at >= 9 && !memcmp(at, "#version:", 9);
        if (stop > at && !comment) {
            status = add_merge(b, at, stop, line, path, why);
        }
        at = next;
    }
    return status;
}

/* ---- opening ---- */

lt_status bpe_open(bpe *b, const char *vocab_path, const char *merges_path, char why[FILE_WHY_MAX]) {
    mapped_file vocab = {0}, merges = {0};
    bpe_close(b);
    if (!vocab_path || !merges_path) {
        return file_fail(LT_ECONFIG, why, "level bpe needs vocab and merges: GPT-2's vocab.json and merges.txt, or others of their format");
    }
    b->word = calloc(1, sizeof *b->word);
    lt_status status = b->word ? file_map(&vocab, vocab_path, why) : file_fail(LT_ENOMEM, why, "no memory to read %s", vocab_path);
    if (!status) {
        status = file_map(&merges, merges_path, why);
    }
    if (!status) {
        b->hash = hash_bytes(vocab.bytes, vocab.size) ^ 3 * hash_bytes(merges.bytes, merges.size);
        status = read_vocab(b, &vocab, vocab_path, why);
    }
    if (!status) {
        status = read_merges(b, &merges, merges_path, why);
    }
    file_unmap(&vocab);
    file_unmap(&merges);
    if (status) {
        bpe_close(b);
    }
    return status;
}

void bpe_close(bpe *b) {
    if (b->word) {
        free(b->word->ids);
        free(b->word->before);
        free(b->word->after);
        free(b->word->heap);
    }
    free(b->word);
    free(b->bytes);
    free(b->tokens);
    free(b->merges);
    free(b->where);
    *b = (bpe){0};
}

const uint8_t *bpe_bytes(const bpe *b, int64_t id, int32_t *length) {
    int64_t slot = id >= 0 && id < b->vocabulary ? b->where[id] : 0;
    *length = slot ? b->tokens[slot - 1].length : 0;
    return slot ? b->bytes + b->tokens[slot - 1].at : NULL;
}

/* ---- encoding ---- */

static bool earlier(candidate a, candidate c) { return a.rank != c.rank ? a.rank < c.rank : a.at < c.at; }

static void push(struct bpe_word *w, candidate c) {
    int64_t i = w->heap_count++;
    for (; i && earlier(c, w->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        w->heap[i] = w->heap[(i - 1) / 2];
    }
    w->heap[i] = c;
}

static candidate pop(struct bpe_word *w) {
    candidate first = w->heap[0], last = w->heap[--w->heap_count];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < w->heap_count; i = child) {
        child += child + 1 < w->heap_count && earlier(w->heap[child + 1], w->heap[child]);
        if (!earlier(w->heap[child], last)) {
            break;
        }
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    return first;
}

/* The pair that begins at a place of the list, if it can be merged. */
static void offer(bpe *b, int32_t at) {
    struct bpe_word *w = b->word;
    int32_t next = at < 0 ? -1 : w->after[at];
    if (next < 0) {
        return;
    }
    const bpe_merge *merge = &b->merges[merge_slot(b, w->ids[at], w->ids[next])];
    if (merge->rank >= 0) {
        push(w, (candidate){merge->rank, at, w->ids[at], w->ids[next]});
    }
}

static bool make_room(struct bpe_word *w, int64_t length) {
    if (length <= w->room) {
        return true;
    }
    free(w->ids);
    free(w->before);
    free(w->after);
    free(w->heap);
    w->room = 2 * length;
    w->ids = malloc((size_t)w->room * sizeof *w->ids);
    w->before = malloc((size_t)w->room * sizeof *w->before);
    w->after = malloc((size_t)w->room * sizeof *w->after);
    w->heap = malloc((size_t)w->room * 3 * sizeof *w->heap); /* each merge offers two at most */
    if (w->ids && w->before && w->after && w->heap) {
        return true;
    }
    w->room = 0;
    return false;
}

static void merge_all(bpe *b) {
    struct bpe_word *w = b->word;
    while (w->heap_count) {
        candidate c = pop(w);
        int32_t next = w->ids[c.at] == c.left ? w->after[c.at] : -1;
        if (next < 0 || w->ids[next] != c.right) {
            continue; /* one of the two went into another merge */
        }
        w->ids[c.at] = b->merges[merge_slot(b, c.left, c.right)].result;
        w->ids[next] = -1;
        w->after[c.at] = w->after[next];
        if (w->after[next] >= 0) {
            w->before[w->after[next]] = c.at;
        }
        offer(b, w->before[c.at]);
        offer(b, c.at);
    }
}

static bool encode_word(bpe *b, const uint8_t *text, int64_t length, token_array *tokens) {
    struct bpe_word *w = b->word;
    if (length > INT32_MAX / 4 || !make_room(w, length)) {
        return false;
    }
    w->heap_count = 0;
    for (int32_t i = 0; i < length; i++) {
        w->ids[i] = b->single[text[i]];
        w->before[i] = i - 1;
        w->after[i] = i + 1 < length ? i + 1 : -1;
    }
    for (int32_t i = 0; i < length; i++) {
        offer(b, i);
    }
    merge_all(b);
    for (int32_t i = 0; i >= 0; i = w->after[i]) {
        tokens_add(tokens, w->ids[i]);
    }
    return true;
}

lt_status bpe_encode(bpe *b, const uint8_t *text, int64_t size, token_array *tokens, char why[FILE_WHY_MAX]) {
    for (const uint8_t *at = text, *end = text + size; at < end;) {
        int64_t length = bpe_word_length(at, end);
        if (!encode_word(b, at, length, tokens)) {
            return file_fail(LT_ENOMEM, why, "no memory for a word of %lld bytes", (long long)length);
        }
        at += length;
    }
    return LT_OK;
}
