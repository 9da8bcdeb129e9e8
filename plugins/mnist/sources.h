/* mnist/sources.h - where the four files of MNIST and its relatives are: names, mirrors, hashes, and the folders to look in.
 * Reads no file. */
#ifndef MNIST_SOURCES_H
#define MNIST_SOURCES_H
#include <lt/data.h>

enum mnist_dataset { MNIST_DIGITS, MNIST_FASHION, MNIST_CUSTOM };
enum mnist_part { MNIST_TRAIN_IMAGES, MNIST_TRAIN_LABELS, MNIST_TEST_IMAGES, MNIST_TEST_LABELS, MNIST_PARTS };
enum { MNIST_PATH_MAX = 4096 };

typedef struct mnist_place {
    enum mnist_dataset dataset;
    const char *data_dir; /* NULL: not given */
    const char *names[MNIST_PARTS];
} mnist_place;

/* The path of a part that is there, plain before .gz. False: nowhere; `out` then lists where it was looked for. */
bool mnist_find(const mnist_place *place, enum mnist_part part, char *out, size_t size);
/* Makes every part exist, downloading what is not there. */
lt_status mnist_fetch_all(lt_ctx *ctx, const mnist_place *place);
#endif
