/* image_folder/scan.c - see scan.h. */
#include "scan.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 64 }; /* links may go round in circles */

typedef struct names {
    char **items;
    int64_t count, room;
} names;

static bool add_name(names *list, const char *name) {
    if (list->count == list->room) {
        int64_t room = list->room ? 2 * list->room : 64;
        char **items = realloc(list->items, (size_t)room * sizeof *items);
        if (!items) {
            return false;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->count] = strdup(name);
    return list->items[list->count] && ++list->count;
}

static void free_names(names *list) {
    for (int64_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (names){0};
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool is_image(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    size_t length = strlen(name);
    for (int i = 0; i < 3; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && !strcasecmp(name + length - ending, endings[i])) {
            return true;
        }
    }
    return false;
}

/* NULL: the end, errno then being 0, or a failure. */
static struct dirent *next_entry(DIR *dir) {
    errno = 0;
    return readdir(dir);
}

/* Sorted folders and images of a folder; either may be NULL. */
static lt_status read_folder(const char *path, names *folders, names *images, char why[FILE_WHY_MAX]) {
    DIR *dir = opendir(path);
    if (!dir) {
        return file_fail(errno == ENOENT || errno == ENOTDIR ? LT_EABSENT : LT_EIO, why, "cannot open folder %s: %s", path, strerror(errno));
    }
    lt_status status = LT_OK;
    for (struct dirent *entry; !status && (entry = next_entry(dir)) != NULL;) {
        char full[FILE_PATH_MAX];
        struct stat facts;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) {
            continue;
        }
        int length = snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
        if (length >= (int)sizeof full) {
            status = file_fail(LT_EFORMAT, why, "a path below %s is longer than %d bytes", path, FILE_PATH_MAX - 1);
        } else if (!stat(full, &facts)) {
            names *to = S_ISDIR(facts.st_mode) ? folders : S_ISREG(facts.st_mode) && is_image(entry->d_name) ? images : NULL;
            if (to && !add_name(to, entry->d_name)) {
                status = file_fail(LT_ENOMEM, why, "no memory for the names in %s", path);
            }
        }
    }
    if (!status && errno) {
        status = file_fail(LT_EIO, why, "cannot read folder %s: %s", path, strerror(errno));
    }
    closedir(dir);
    if (folders && folders->count) {
        qsort(folders->items, (size_t)folders->count, sizeof *folders->items, by_bytes);
    }
    if (images && images->count) {
        qsort(images->items, (size_t)images->count, sizeof *images->items, by_bytes);
    }
    return status;
}

static bool add_image(image_list *list, const char *folder, const char *name, int32_t label) {
    if (list->count == list->room) {
        int64_t room = list->room ? 2 * list->room : 1024;
        char **paths = realloc(list->paths, (size_t)room * sizeof *paths);
        list->paths = paths ? paths : list->paths;
        int32_t *labels = realloc(list->labels, (size_t)room * sizeof *labels);
        list->labels = labels ? labels : list->labels;
        if (!paths || !labels) {
            return false;
        }
        list->room = room;
    }
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        return false;
    }
    list->paths[list->count] = path;
    list->labels[list->count++] = label;
    return true;
}

/* Images of a folder, then of the folders in it. */
static lt_status add_folder(image_list *list, const char *path, int32_t label, int depth, char why[FILE_WHY_MAX]) {
    names folders = {0}, images = {0};
    lt_status status = depth < MAX_DEPTH ? read_folder(path, &folders, &images, why)
                                         : file_fail(LT_EFORMAT, why, "%s: more than %d folders deep", path, MAX_DEPTH);
    for (int64_t i = 0; !status && i < images.count; i++) {
        if (!add_image(list, path, images.items[i], label)) {
            status = file_fail(LT_ENOMEM, why, "no memory for the images in %s", path);
        }
    }
    for (int64_t i = 0; !status && i < folders.count; i++) {
        char full[FILE_PATH_MAX];
        snprintf(full, sizeof full, "%.*s/%s", FILE_PATH_MAX - 300, path, folders.items[i]);
        status = add_folder(list, full, label, depth + 1, why);
    }
    free_names(&folders);
    free_names(&images);
    return status;
}

/* By folder, then by name, as sorted(os.walk()): a, a-b, a/x, as '-' comes before '/'. */
static int by_folder(const void *a, const void *b) {
    const char *x = *(char *const *)a, *y = *(char *const *)b, *x_name = strrchr(x, '/'), *y_name = strrchr(y, '/');
    size_t x_length = (size_t)(x_name - x), y_length = (size_t)(y_name - y);
    int order = memcmp(x, y, x_length < y_length ? x_length : y_length);
    return order ? order : x_length != y_length ? (x_length < y_length ? -1 : 1) : strcmp(x_name, y_name);
}

lt_status image_scan(image_list *list, const char *root, char why[FILE_WHY_MAX]) {
    names folders = {0};
    image_list_free(list);
    lt_status status = read_folder(root, &folders, NULL, why);
    list->root = strdup(root);
    list->classes = folders.items;
    list->n_classes = folders.count;
    if (!status && !folders.count) {
        status = file_fail(LT_EFORMAT, why, "%s has no folder in it: each class is one, with its .jpg, .jpeg or .png files", root);
    }
    for (int64_t i = 0; !status && i < list->n_classes; i++) {
        char full[FILE_PATH_MAX];
        int64_t before = list->count;
        snprintf(full, sizeof full, "%.*s/%s", FILE_PATH_MAX - 300, root, list->classes[i]);
        status = add_folder(list, full, (int32_t)i, 0, why);
        if (!status && list->count == before) {
            status = file_fail(LT_EFORMAT, why, "class folder %s holds no .jpg, .jpeg or .png file", full);
        }
        if (!status) {
            qsort(list->paths + before, (size_t)(list->count - before), sizeof *list->paths, by_folder);
        }
    }
    if (status) {
        image_list_free(list);
    }
    return status;
}

lt_status image_relabel(image_list *list, const image_list *as, char why[FILE_WHY_MAX]) {
    for (int64_t i = 0, at = 0; i < list->n_classes; i++) {
        int64_t new = 0;
        while (new < as->n_classes && strcmp(list->classes[i], as->classes[new])) {
            new++;
        }
        if (new == as->n_classes) {
            return file_fail(LT_EFORMAT, why, "class '%s' of %s is not in %s", list->classes[i], list->root, as->root);
        }
        for (; at < list->count && list->labels[at] == (int32_t)i; at++) { /* classes follow one another; new ones are set behind */
            list->labels[at] = (int32_t)new;
        }
    }
    return LT_OK;
}

void image_list_free(image_list *list) {
    for (int64_t i = 0; i < list->n_classes; i++) {
        free(list->classes[i]);
    }
    for (int64_t i = 0; i < list->count; i++) {
        free(list->paths[i]);
    }
    free(list->classes);
    free(list->paths);
    free(list->labels);
    free(list->root);
    *list = (image_list){0};
}
