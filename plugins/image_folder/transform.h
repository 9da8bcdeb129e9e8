/* image_folder/transform.h - what happens to an image between file and batch, as torchvision's transforms: resize, crop, flip, to floats,
 * normalize. First the geometry of a sample is drawn, then only the pixels it needs are decoded and computed. */
#ifndef IMAGE_TRANSFORM_H
#define IMAGE_TRANSFORM_H
#include "decode.h"
#include "resize.h"
#include <lt/data.h>

enum image_crop { CROP_CENTER, CROP_RANDOM, CROP_RANDOM_RESIZED };

typedef struct image_options {
    int channels;      /* 1 or 3 */
    int64_t resize[2]; /* height, width; [1] 0: the shorter side; both 0: not resized */
    int64_t crop[2];   /* height, width; 0: not cropped */
    enum image_crop how;
    int64_t padding;
    double scale[2], ratio[2];
    double flip; /* probability */
    bool fast;   /* JPEG may be decoded smaller */
} image_options;

/* The sample is window (left, top, width, height) of box (x, y, w, h) resized to size_w x size_h. The window may lie outside: black. */
typedef struct image_plan {
    int64_t x, y, w, h, size_w, size_h, left, top, width, height;
    bool flip;
} image_plan;

/* Draws the geometry for an image of that size. False: it does not fit, `why` says why. */
bool image_plan_make(image_plan *plan, const image_options *o, int64_t width, int64_t height, lt_sample_rng *rng, char why[DECODE_WHY]);

/* What one thread needs to make images; used again and again. */
typedef struct image_worker {
    decoder *decoder;
    uint8_t *file, *rows, *row; /* the file; rows resized in width; one row resized in both */
    size_t file_room, rows_room, row_room, file_size;
    resize_axis horizontal, vertical;
} image_worker;

/* Reads the file and its header. On failure `why` says why, without the path. */
lt_status image_open(image_worker *w, const char *path, char why[DECODE_WHY]);
/* out (channels, height, width) f32 = table[c][byte] of the planned pixels. After image_open. */
lt_status image_make(image_worker *w, const image_options *o, const image_plan *plan, float table[3][256], float *out, char why[DECODE_WHY]);
void image_worker_free(image_worker *w);
#endif
