/* mnist/sources.c - see sources.h. Hashes: MNIST's are of the files that LeCun published; Fashion-MNIST's of those at zalandoresearch. */
#include "sources.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct source {
    const char *folder; /* below data/ and $LTHOST_DATA */
    const char *raw;    /* where torchvision keeps the files, below its root */
    const char *mirrors[3];
    const char *sha256[MNIST_PARTS];
} source;

static const char *const names[MNIST_PARTS] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                               "t10k-labels-idx1-ubyte"};

static const source sources[] = {
    [MNIST_DIGITS] = {"mnist", "MNIST/raw",
        {"https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/",
         "https://sagemaker-sample-files.s3.amazonaws.com/datasets/image/MNIST/"},
        {"db8f937d487057fb14a9f0fbe97f0bc8d311ab41b750d41e1ff37c43b9e55e19", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
         "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"}},
    [MNIST_FASHION] = {"fashion", "FashionMNIST/raw",
        {"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"},
        {"3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
         "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"}},
    [MNIST_CUSTOM] = {"custom", ".", {NULL}, {NULL}},
};

static const char *name_of(const mnist_place *place, enum mnist_part part) {
    const char *name = place->names[part];
    return name && *name ? name : names[part];
}

/* Where downloads go, too. */
static void own_folder(const mnist_place *place, char *out, size_t size) {
    if (place->data_dir && *place->data_dir) {
        snprintf(out, size, "%s", place->data_dir);
    } else {
        snprintf(out, size, "data/%s", sources[place->dataset].folder);
    }
}

/* dir/name or dir/name.gz, whichever is there first. */
static bool is_in(const char *dir, const char *name, char *out, size_t size) {
    static const char *const endings[] = {"", ".gz"};
    for (int i = 0; i < 2; i++) {
        int length = name[0] == '/' ? snprintf(out, size, "%s%s", name, endings[i]) : snprintf(out, size, "%s/%s%s", dir, name, endings[i]);
        if (length > 0 && (size_t)length < size && !access(out, F_OK)) {
            return true;
        }
    }
    return false;
}

bool mnist_find(const mnist_place *place, enum mnist_part part, char *out, size_t size) {
    const source *from = &sources[place->dataset];
    char folders[3][MNIST_PATH_MAX];
    own_folder(place, folders[0], sizeof folders[0]);
    snprintf(folders[1], sizeof folders[1], "%.*s/%s", MNIST_PATH_MAX - 100, folders[0], from->raw);
    const char *shared = getenv("LTHOST_DATA");
    bool use_shared = shared && *shared && !(place->data_dir && *place->data_dir);
    if (use_shared) {
        snprintf(folders[2], sizeof folders[2], "%s/%s", shared, from->folder);
    }
    int count = use_shared ? 3 : 2;
    for (int i = 0; i < count; i++) {
        if (is_in(folders[i], name_of(place, part), out, size)) {
            return true;
        }
    }
    size_t used = 0;
    for (int i = 0; i < count && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", folders[i]);
    }
    if (!use_shared && !(place->data_dir && *place->data_dir) && used < size) {
        snprintf(out + used, size - used, ", $LTHOST_DATA/%s (LTHOST_DATA is not set)", from->folder);
    }
    return false;
}

static lt_status fetch(lt_ctx *ctx, const mnist_place *place, enum mnist_part part) {
    const source *from = &sources[place->dataset];
    char dir[MNIST_PATH_MAX], file[100], urls[3][200];
    const char *list[3];
    int32_t count = 0;
    own_folder(place, dir, sizeof dir);
    snprintf(file, sizeof file, "%s.gz", names[part]);
    for (; count < 3 && from->mirrors[count]; count++) {
        snprintf(urls[count], sizeof urls[count], "%s%s", from->mirrors[count], file);
        list[count] = urls[count];
    }
    const char *path = lt_format_path(ctx, dir, file);
    return path ? lt_fetch(ctx, path, from->sha256[part], list, count) : lt_ctx_status(ctx);
}

lt_status mnist_fetch_all(lt_ctx *ctx, const mnist_place *place) {
    char found[MNIST_PATH_MAX];
    for (enum mnist_part part = 0; part < MNIST_PARTS; part++) {
        bool known = sources[place->dataset].mirrors[0] && !strcmp(name_of(place, part), names[part]);
        if (known && !mnist_find(place, part, found, sizeof found)) {
            lt_print(ctx, "no %s or %s.gz in %s: downloading it", names[part], names[part], found);
            lt_status status = fetch(ctx, place, part);
            if (status) {
                return status;
            }
        }
    }
    return LT_OK;
}
