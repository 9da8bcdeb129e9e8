/* image_folder/decode.c - see decode.h. Both libraries report errors by longjmp: each function that calls them is entered through one
 * setjmp, and no local variable that is changed in it is read after the jump. */
#include "decode.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

enum { JPEG_MAX_SCANS = 500, MARGIN = 16 }; /* MARGIN: columns that smooth chroma may look at beyond a cut */

typedef struct jpeg_errors {
    struct jpeg_error_mgr base; /* first: libjpeg hands it back */
    decoder *owner;
} jpeg_errors;

struct decoder {
    struct jpeg_decompress_struct jpeg;
    jpeg_errors errors;
    struct jpeg_progress_mgr progress;
    png_structp png;
    png_infop png_info;
    const uint8_t *bytes;
    size_t size, at;
    bool is_png, interlaced;
    int components; /* of what the library gives */
    int64_t width, height;
    uint8_t *memory[2]; /* a row of the library's, a row converted; [0] the whole image where it is interlaced */
    size_t room[2];
    char text[DECODE_WHY];
    jmp_buf jump;
};

/* ---- errors ---- */

static void jpeg_failed(j_common_ptr jpeg) {
    decoder *d = ((jpeg_errors *)jpeg->err)->owner;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    snprintf(d->text, sizeof d->text, "%.*s", (int)sizeof d->text - 1, text);
    longjmp(d->jump, 1);
}

/* Warnings about lost data are failures; about junk between markers they are not. */
static void jpeg_message(j_common_ptr jpeg, int level) {
    if (level >= 0) {
        return;
    }
    switch (jpeg->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
        jpeg_failed(jpeg);
    }
}

static void jpeg_quiet(j_common_ptr jpeg) { (void)jpeg; }

/* A few bytes can ask for any number of passes over the image. */
static void jpeg_progressed(j_common_ptr jpeg) {
    decoder *d = ((jpeg_errors *)jpeg->err)->owner;
    if (d->jpeg.input_scan_number > JPEG_MAX_SCANS) {
        snprintf(d->text, sizeof d->text, "more than %d scans", JPEG_MAX_SCANS);
        longjmp(d->jump, 1);
    }
}

static void png_failed(png_structp png, png_const_charp text) {
    decoder *d = png_get_error_ptr(png);
    snprintf(d->text, sizeof d->text, "%s", text);
    longjmp(d->jump, 1);
}

static void png_quiet(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void png_take(png_structp png, png_bytep out, size_t size) {
    decoder *d = png_get_io_ptr(png);
    if (size > d->size - d->at) {
        png_error(png, "the file ends too early");
    }
    memcpy(out, d->bytes + d->at, size);
    d->at += size;
}

/* ---- making ---- */

static bool init(decoder *d) {
    d->jpeg.err = jpeg_std_error(&d->errors.base);
    d->errors.base.error_exit = jpeg_failed;
    d->errors.base.emit_message = jpeg_message;
    d->errors.base.output_message = jpeg_quiet;
    d->errors.owner = d;
    if (setjmp(d->jump)) {
        return false;
    }
    jpeg_create_decompress(&d->jpeg);
    d->progress.progress_monitor = jpeg_progressed;
    d->jpeg.progress = &d->progress;
    return true;
}

decoder *decoder_new(void) {
    decoder *d = calloc(1, sizeof *d);
    if (d && !init(d)) {
        free(d);
        return NULL;
    }
    return d;
}

static void close_image(decoder *d) {
    if (d->png) {
        png_destroy_read_struct(&d->png, &d->png_info, NULL);
    }
    jpeg_abort_decompress(&d->jpeg);
}

void decoder_free(decoder *d) {
    if (d) {
        close_image(d);
        jpeg_destroy_decompress(&d->jpeg);
        free(d->memory[0]);
        free(d->memory[1]);
        free(d);
    }
}

int64_t decoder_width(const decoder *d) { return d->width; }
int64_t decoder_height(const decoder *d) { return d->height; }

static lt_status fail(decoder *d, lt_status code, char why[DECODE_WHY], const char *text) {
    close_image(d);
    snprintf(why, DECODE_WHY, "%s", text);
    return code;
}

static uint8_t *reserve(decoder *d, int which, size_t size) {
    if (d->room[which] < size) {
        free(d->memory[which]);
        d->memory[which] = malloc(size);
        d->room[which] = d->memory[which] ? size : 0;
    }
    return d->memory[which];
}

/* ---- headers ---- */

static void open_jpeg(decoder *d) {
    jpeg_mem_src(&d->jpeg, d->bytes, (unsigned long)d->size);
    jpeg_read_header(&d->jpeg, TRUE);
    switch (d->jpeg.jpeg_color_space) {
    case JCS_GRAYSCALE:
        d->jpeg.out_color_space = JCS_GRAYSCALE;
        d->components = 1;
        break;
    case JCS_CMYK:
    case JCS_YCCK:
        d->jpeg.out_color_space = JCS_CMYK;
        d->components = 4;
        break;
    default:
        d->jpeg.out_color_space = JCS_RGB;
        d->components = 3;
        break;
    }
    d->width = d->jpeg.image_width;
    d->height = d->jpeg.image_height;
}

static void open_png(decoder *d) {
    d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, png_failed, png_quiet);
    d->png_info = d->png ? png_create_info_struct(d->png) : NULL;
    if (!d->png_info) {
        snprintf(d->text, sizeof d->text, "no memory for libpng");
        longjmp(d->jump, 1);
    }
    png_set_read_fn(d->png, d, png_take);
    png_read_info(d->png, d->png_info);
    png_set_expand(d->png);
    png_set_strip_16(d->png);
    png_set_strip_alpha(d->png);
    d->interlaced = png_set_interlace_handling(d->png) > 1;
    png_read_update_info(d->png, d->png_info);
    d->width = png_get_image_width(d->png, d->png_info);
    d->height = png_get_image_height(d->png, d->png_info);
    d->components = png_get_channels(d->png, d->png_info);
}

lt_status decoder_open(decoder *d, const uint8_t *bytes, size_t size, int64_t max_pixels, char why[DECODE_WHY]) {
    close_image(d);
    d->bytes = bytes;
    d->size = size;
    d->at = 0;
    d->is_png = size >= 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8);
    if (!d->is_png && (size < 3 || memcmp(bytes, "\xff\xd8\xff", 3))) {
        return fail(d, LT_EFORMAT, why, "is neither JPEG nor PNG");
    }
    if (setjmp(d->jump)) {
        return fail(d, LT_EFORMAT, why, d->text);
    }
    if (d->is_png) {
        open_png(d);
    } else {
        open_jpeg(d);
    }
    if (d->width < 1 || d->height < 1 || d->width > max_pixels / d->height) {
        snprintf(d->text, sizeof d->text, "claims %lld x %lld pixels, more than the %lld that are read", (long long)d->width,
                 (long long)d->height, (long long)max_pixels);
        return fail(d, LT_EFORMAT, why, d->text);
    }
    return LT_OK;
}

void decoder_shrink(decoder *d, int denominator) {
    if (d->is_png) {
        return;
    }
    d->jpeg.scale_num = 1;
    d->jpeg.scale_denom = (unsigned)denominator;
    d->width = (d->jpeg.image_width + denominator - 1) / denominator;
    d->height = (d->jpeg.image_height + denominator - 1) / denominator;
}

/* ---- rows ---- */

/* Pillow's luma: ITU-R 601-2 in 16 bits. */
static void rgb_to_grey(uint8_t *restrict out, const uint8_t *restrict in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = (uint8_t)((in[3 * i] * 19595u + in[3 * i + 1] * 38470u + in[3 * i + 2] * 7471u + 0x8000u) >> 16);
    }
}

static void grey_to_rgb(uint8_t *restrict out, const uint8_t *restrict in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = in[i];
    }
}

/* Adobe's inverted CMYK, as Pillow's two conversions: nk - c * nk / 255, with nk and c inverted once more. */
static void cmyk_to_rgb(uint8_t *restrict out, const uint8_t *restrict in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        unsigned nk = in[4 * i + 3];
        for (int c = 0; c < 3; c++) {
            unsigned t = (255u - in[4 * i + c]) * nk + 128;
            out[3 * i + c] = (uint8_t)(nk - (((t >> 8) + t) >> 8));
        }
    }
}

/* A row of the library's components as `channels`, which may be the row itself. */
static const uint8_t *convert(decoder *d, const uint8_t *row, int channels, int64_t n) {
    uint8_t *out = d->memory[1];
    if (d->components == channels) {
        return row;
    }
    if (d->components == 1) {
        grey_to_rgb(out, row, n);
        return out;
    }
    if (d->components == 4) {
        cmyk_to_rgb(out, row, n);
        if (channels == 3) {
            return out;
        }
        rgb_to_grey(out + 3 * n, out, n);
        return out + 3 * n;
    }
    rgb_to_grey(out, row, n);
    return out;
}

static void jpeg_rows(decoder *d, int channels, const decode_region *r, decode_sink *sink, void *arg) {
    JDIMENSION left = (JDIMENSION)(r->x0 > MARGIN ? r->x0 - MARGIN : 0);
    JDIMENSION right = (JDIMENSION)(r->x1 + MARGIN < d->width ? r->x1 + MARGIN : d->width);
    jpeg_start_decompress(&d->jpeg);
    if (right - left < d->jpeg.output_width) {
        JDIMENSION width = right - left;
        jpeg_crop_scanline(&d->jpeg, &left, &width); /* moves left to a block's edge */
    }
    if (r->y0) {
        jpeg_skip_scanlines(&d->jpeg, (JDIMENSION)r->y0);
    }
    for (int64_t y = r->y0; y < r->y1; y++) {
        JSAMPROW row = d->memory[0];
        jpeg_read_scanlines(&d->jpeg, &row, 1);
        sink(arg, y, convert(d, row + (r->x0 - left) * d->components, channels, r->x1 - r->x0));
    }
}

static void png_rows(decoder *d, int channels, const decode_region *r, decode_sink *sink, void *arg) {
    size_t stride = (size_t)d->width * (size_t)d->components;
    if (d->interlaced) {
        for (int pass = 0; pass < 7; pass++) {
            for (int64_t y = 0; y < d->height; y++) {
                png_read_row(d->png, d->memory[0] + (size_t)y * stride, NULL);
            }
        }
    }
    for (int64_t y = 0; y < r->y1; y++) {
        uint8_t *row = d->memory[0] + (d->interlaced ? (size_t)y * stride : 0);
        if (!d->interlaced) {
            png_read_row(d->png, row, NULL);
        }
        if (y >= r->y0) {
            sink(arg, y, convert(d, row + r->x0 * d->components, channels, r->x1 - r->x0));
        }
    }
}

lt_status decoder_rows(decoder *d, int channels, const decode_region *region, decode_sink *sink, void *arg, char why[DECODE_WHY]) {
    size_t stride = ((size_t)d->width + MARGIN) * 4;
    bool whole = d->is_png && d->interlaced;
    if (!reserve(d, 0, whole ? (size_t)d->width * (size_t)d->components * (size_t)d->height + MARGIN : stride) || !reserve(d, 1, 4 * stride)) {
        return fail(d, LT_ENOMEM, why, "no memory to decode it");
    }
    if (setjmp(d->jump)) {
        return fail(d, LT_EFORMAT, why, d->text);
    }
    if (d->is_png) {
        png_rows(d, channels, region, sink, arg);
    } else {
        jpeg_rows(d, channels, region, sink, arg);
    }
    close_image(d);
    return LT_OK;
}
