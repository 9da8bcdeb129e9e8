/* image_folder/decode.h - JPEG and PNG in memory to rows of bytes, as Pillow's Image.open(...).convert("RGB" or "L") gives them: libjpeg's
 * exact DCT and smooth chroma, alpha dropped, 16 bits cut to 8, CMYK as Adobe's. Only the rows and columns that are asked for.
 * One decoder serves many images, one after the other. Refuses damaged data with a reason; ignores EXIF and colour profiles. */
#ifndef IMAGE_DECODE_H
#define IMAGE_DECODE_H
#include <lt/base.h>

enum { DECODE_WHY = 256 };
#define DECODE_MAX_PIXELS 178956970 /* beyond it Pillow speaks of a decompression bomb */

typedef struct decoder decoder;
/* Row y of the region: pixels of `channels` bytes, the first one is column x0. */
typedef void decode_sink(void *arg, int64_t y, const uint8_t *pixels);
typedef struct decode_region { int64_t x0, y0, x1, y1; } decode_region; /* x1 and y1 not included */

decoder *decoder_new(void); /* NULL without memory */
void decoder_free(decoder *d);
/* Reads the header. The bytes stay the caller's and must live until the next open. */
lt_status decoder_open(decoder *d, const uint8_t *bytes, size_t size, int64_t max_pixels, char why[DECODE_WHY]);
int64_t decoder_width(const decoder *d);
int64_t decoder_height(const decoder *d);
/* JPEG: decode at 1/denominator (1, 2, 4, 8) of the size, in the DCT; width and height change. Others stay as they are. After open. */
void decoder_shrink(decoder *d, int denominator);
/* Decodes the region, row by row, top to bottom; channels 1 or 3. Once after an open. */
lt_status decoder_rows(decoder *d, int channels, const decode_region *region, decode_sink *sink, void *arg, char why[DECODE_WHY]);
#endif
