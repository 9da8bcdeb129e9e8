/* image_folder/transform.c - see transform.h. Rows stream from the decoder into the horizontal resize, so that each is in the cache when
 * it is used; the vertical resize writes one row of bytes at a time, which goes through a table into the planes. */
#include "transform.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool reserve(uint8_t **memory, size_t *room, size_t size) {
    if (size > *room) {
        free(*memory);
        *memory = malloc(size);
        *room = *memory ? size : 0;
    }
    return *memory != NULL;
}

void image_worker_free(image_worker *w) {
    decoder_free(w->decoder);
    free(w->file);
    free(w->rows);
    free(w->row);
    resize_axis_free(&w->horizontal);
    resize_axis_free(&w->vertical);
    *w = (image_worker){0};
}

static lt_status fail(lt_status code, char why[DECODE_WHY], const char *text) {
    snprintf(why, DECODE_WHY, "%s", text);
    return code;
}

/* ---- the file ---- */

static lt_status read_file(image_worker *w, int fd, char why[DECODE_WHY]) {
    struct stat facts;
    if (fstat(fd, &facts)) {
        return fail(LT_EIO, why, strerror(errno));
    }
    if (!S_ISREG(facts.st_mode) || !facts.st_size) {
        return fail(LT_EFORMAT, why, facts.st_size ? "is no file" : "is empty");
    }
    if (!reserve(&w->file, &w->file_room, (size_t)facts.st_size)) {
        return fail(LT_ENOMEM, why, "no memory to read it");
    }
    for (w->file_size = 0; w->file_size < (size_t)facts.st_size;) {
        ssize_t got = read(fd, w->file + w->file_size, (size_t)facts.st_size - w->file_size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail(LT_EIO, why, strerror(errno));
        }
        if (!got) {
            break;
        }
        w->file_size += (size_t)got;
    }
    return LT_OK;
}

lt_status image_open(image_worker *w, const char *path, char why[DECODE_WHY]) {
    if (!w->decoder && !(w->decoder = decoder_new())) {
        return fail(LT_ENOMEM, why, "no memory for a decoder");
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return fail(errno == ENOENT ? LT_EABSENT : LT_EIO, why, strerror(errno));
    }
    lt_status status = read_file(w, fd, why);
    close(fd);
    return status ? status : decoder_open(w->decoder, w->file, w->file_size, DECODE_MAX_PIXELS, why);
}

/* ---- the pixels ---- */

typedef struct rows_sink {
    const image_worker *w;
    uint8_t *rows;
    int64_t stride, first;
    int channels;
} rows_sink;

static void take_row(void *arg, int64_t y, const uint8_t *pixels) {
    rows_sink *s = arg;
    resize_row(s->rows + (y - s->first) * s->stride, pixels, &s->w->horizontal, s->channels);
}

static void put_pixels(float *out, const uint8_t *row, int64_t n, int channel, int channels, bool flip, const float *table) {
    if (flip) {
        for (int64_t i = 0; i < n; i++) {
            out[n - 1 - i] = table[row[i * channels + channel]];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            out[i] = table[row[i * channels + channel]];
        }
    }
}

static void fill(float *out, int64_t n, float value) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = value;
    }
}

/* Row y of the window: columns from..to of it are in the image, at `row`, the rest is black; all of it where row is NULL. */
static void put_row(float *out, const uint8_t *row, const image_plan *p, int64_t from, int64_t to, int64_t y, int channels, float table[3][256]) {
    for (int c = 0; c < channels; c++) {
        float *line = out + (c * p->height + y) * p->width;
        int64_t left = p->flip ? p->width - to : from, n = row ? to - from : 0;
        fill(line, row ? left : p->width, table[c][0]);
        if (row) {
            put_pixels(line + left, row, n, c, channels, p->flip, table[c]);
            fill(line + left + n, p->width - left - n, table[c][0]);
        }
    }
}

/* The part of [start, start + length) that lies in 0..size-1, relative to start. */
static void inside(int64_t start, int64_t length, int64_t size, int64_t *from, int64_t *to) {
    *from = start < 0 ? -start : 0;
    *to = size - start < length ? size - start : length;
    *from = *from > length ? length : *from;
    *to = *to < *from ? *from : *to;
}

/* The largest DCT scaling that leaves at least as many pixels as are wanted. */
static int shrinking(const image_options *o, const image_plan *p) {
    int d = 1;
    while (o->fast && d < 8 && p->w / (2 * d) >= p->size_w && p->h / (2 * d) >= p->size_h) {
        d *= 2;
    }
    return d;
}

/* One direction of the plan, at 1/d of the size, for columns from..to of what it is resized to. *offset: where the inputs begin. */
static bool make_axis(resize_axis *axis, int d, int64_t now, int64_t box, int64_t length, int64_t size, int64_t from, int64_t to,
                      int64_t *offset) {
    *offset = d == 1 ? box : 0;
    return d == 1 ? resize_axis_make(axis, length, 0, (double)length, size, from, to)
                  : resize_axis_make(axis, now, (double)box / d, (double)(box + length) / d, size, from, to);
}

lt_status image_make(image_worker *w, const image_options *o, const image_plan *p, float table[3][256], float *out, char why[DECODE_WHY]) {
    int64_t x0, x1, y0, y1, offset_x, offset_y;
    int d = shrinking(o, p);
    if (d > 1) {
        decoder_shrink(w->decoder, d);
    }
    inside(p->left, p->width, p->size_w, &x0, &x1);
    inside(p->top, p->height, p->size_h, &y0, &y1);
    if (x0 == x1 || y0 == y1) {
        x0 = x1 = y0 = y1 = 0;
    } else {
        int64_t now_w = decoder_width(w->decoder), now_h = decoder_height(w->decoder);
        if (!make_axis(&w->horizontal, d, now_w, p->x, p->w, p->size_w, p->left + x0, p->left + x1, &offset_x) ||
            !make_axis(&w->vertical, d, now_h, p->y, p->h, p->size_h, p->top + y0, p->top + y1, &offset_y)) {
            return fail(LT_ENOMEM, why, "no memory to resize it");
        }
        rows_sink sink = {w, NULL, (x1 - x0) * o->channels, offset_y + w->vertical.low, o->channels};
        size_t rows = (size_t)(w->vertical.high - w->vertical.low) * (size_t)sink.stride;
        if (!reserve(&w->rows, &w->rows_room, rows + RESIZE_SLACK) || !reserve(&w->row, &w->row_room, (size_t)sink.stride + RESIZE_SLACK)) {
            return fail(LT_ENOMEM, why, "no memory to resize it");
        }
        sink.rows = w->rows;
        decode_region region = {offset_x + w->horizontal.low, offset_y + w->vertical.low, offset_x + w->horizontal.high,
                                offset_y + w->vertical.high};
        lt_status status = decoder_rows(w->decoder, o->channels, &region, take_row, &sink, why);
        if (status) {
            return status;
        }
    }
    for (int64_t y = 0; y < p->height; y++) {
        bool in = y >= y0 && y < y1;
        if (in) {
            resize_column(w->row, w->rows, (x1 - x0) * o->channels, (x1 - x0) * o->channels, &w->vertical, y - y0);
        }
        put_row(out, in ? w->row : NULL, p, x0, x1, y, o->channels, table);
    }
    return LT_OK;
}
