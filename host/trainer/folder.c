/* trainer/folder.c - see folder.h. */
#include "trainer/folder.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The number behind prefix in a folder's name, or -1. */
static int64_t numbered(const char *name, const char *prefix) {
    size_t length = strlen(prefix);
    int64_t number;

    return !strncmp(name, prefix, length) && name[length] >= '0' && name[length] <= '9' && lth_parse_i64(name + length, &number) ? number
                                                                                                                                 : -1;
}

static int64_t highest(const char *dir, const char *prefix) {
    DIR *list = opendir(dir);
    int64_t found = -1;

    if (list) {
        for (struct dirent *entry; (entry = readdir(list));) {
            int64_t number = numbered(entry->d_name, prefix);

            found = number > found ? number : found;
        }
        closedir(list);
    }
    return found;
}

static lt_status out_of_memory(lth_error *err) { return lth_fail(err, LT_ENOMEM, "out of memory for the paths of the run folder"); }

static lt_status lock_folder(lth_folder *folder, lth_error *err) {
    char *path = lth_path_join(folder->dir, ".lock");

    if (!path) {
        return out_of_memory(err);
    }
    folder->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (folder->lock < 0) {
        lth_fail(err, LT_EIO, "cannot write in the run folder %s: %s; make it writable, or choose another with --trainer.default_root_dir",
                 folder->dir, strerror(errno));
    } else if (flock(folder->lock, LOCK_EX | LOCK_NB)) {
        lth_fail(err, LT_ESTATE, "the run folder %s is in use by another lthost; wait for it, or start a new run without --ckpt_path",
                 folder->dir);
    }
    lth_free(path);
    return err->code;
}

/* mkdir decides who gets a number: two runs starting together never share one. */
static lt_status take_number(lth_folder *folder, const char *parent, const char *prefix, lth_error *err) {
    lth_error why = {0};

    if (lth_make_dirs(parent, &why)) {
        return lth_fail(err, why.code, "%s; choose another place with --trainer.default_root_dir", why.text);
    }
    for (int64_t number = highest(parent, prefix) + 1;; number++) {
        char name[64];

        snprintf(name, sizeof name, "%s%lld", prefix, (long long)number);
        lth_free(folder->dir);
        folder->dir = lth_path_join(parent, name);
        if (!folder->dir) {
            return out_of_memory(err);
        }
        if (mkdir(folder->dir, 0777) == 0) {
            folder->version = number;
            return LT_OK;
        }
        if (errno != EEXIST) {
            return lth_fail(err, errno == ENOSPC ? LT_ENOSPC : LT_EIO,
                            "cannot make the run folder %s: %s; choose another place with --trainer.default_root_dir", folder->dir,
                            strerror(errno));
        }
    }
}

lt_status lth_folder_create(lth_folder *folder, const char *root, const char *name, int64_t version, lth_error *err) {
    char *parent;

    *folder = (lth_folder){.lock = -1, .version = version};
    folder->root = lth_path_absolute(root);
    folder->name = lth_strdup(name);
    parent = folder->root ? lth_path_join(folder->root, name) : NULL;
    if (!parent || !folder->name) {
        lth_free(parent);
        return out_of_memory(err);
    }
    if (version < 0) {
        take_number(folder, parent, "version_", err);
    } else {
        char text[64];

        snprintf(text, sizeof text, "version_%lld", (long long)version);
        folder->dir = lth_path_join(parent, text);
        if (!folder->dir) {
            out_of_memory(err);
        } else {
            lth_make_dirs(folder->dir, err);
        }
    }
    lth_free(parent);
    return err->code ? err->code : lock_folder(folder, err);
}

lt_status lth_folder_reopen(lth_folder *folder, const char *dir, lth_error *err) {
    *folder = (lth_folder){.lock = -1, .version = numbered(lth_path_base(dir), "version_")};
    folder->dir = lth_path_absolute(dir);
    return folder->dir ? lock_folder(folder, err) : out_of_memory(err);
}

lt_status lth_folder_inside(lth_folder *folder, const char *run_dir, const char *verb, lth_error *err) {
    char prefix[64];

    *folder = (lth_folder){.lock = -1};
    snprintf(prefix, sizeof prefix, "%s-", verb);
    return take_number(folder, run_dir, prefix, err);
}

void lth_folder_release(lth_folder *folder) {
    if (folder->dir && folder->lock >= 0) {
        close(folder->lock); /* the lock file stays: removing it would race with the next taker */
    }
    lth_free(folder->root);
    lth_free(folder->name);
    lth_free(folder->dir);
    *folder = (lth_folder){.lock = -1};
}

char *lth_folder_of_checkpoint(const char *path) {
    char *absolute = lth_path_absolute(path), *checkpoints = absolute ? lth_path_dir(absolute) : NULL;
    char *run = checkpoints && !strcmp(lth_path_base(checkpoints), "checkpoints") ? lth_path_dir(checkpoints) : NULL;

    lth_free(absolute);
    lth_free(checkpoints);
    if (run && numbered(lth_path_base(run), "version_") < 0) {
        lth_free(run);
        return NULL;
    }
    return run;
}

/* ---- best and last ---- */

typedef struct candidate {
    char *path;
    lth_ckpt_facts facts;
} candidate;

/* Positive when a is to be preferred. Progress is stored, never taken from file times. */
static int compare(const candidate *a, const candidate *b, lth_pick which) {
    if (which == LTH_PICK_BEST && a->facts.has_score != b->facts.has_score) {
        return a->facts.has_score ? 1 : -1;
    }
    if (which == LTH_PICK_BEST && a->facts.has_score && a->facts.score != b->facts.score) {
        if (isnan(a->facts.score) || isnan(b->facts.score)) {
            return isnan(a->facts.score) ? -1 : 1;
        }
        return (a->facts.score > b->facts.score) == a->facts.higher_is_better ? 1 : -1;
    }
    if (a->facts.batches != b->facts.batches) {
        return a->facts.batches > b->facts.batches ? 1 : -1;
    }
    if (a->facts.epoch != b->facts.epoch) {
        return a->facts.epoch > b->facts.epoch ? 1 : -1;
    }
    return which == LTH_PICK_BEST ? strcmp(b->path, a->path) : strcmp(a->path, b->path); /* equals: "epoch=...", or else last.h5 */
}

static void keep_better(candidate *best, char *path, const lth_ckpt_facts *facts, lth_pick which) {
    candidate next = {path, *facts};

    if (!best->path || compare(&next, best, which) > 0) {
        lth_free(best->path);
        *best = next;
    } else {
        lth_free(path);
    }
}

/* The one to take among the files of a folder: verified whole, so that a damaged one is passed over. */
static char *pick_in(const char *dir, lth_pick which) {
    DIR *list = opendir(dir);
    candidate best = {0};

    if (!list) {
        return NULL;
    }
    for (struct dirent *entry; (entry = readdir(list));) {
        size_t length = strlen(entry->d_name);
        lth_ckpt_facts facts;
        lth_error error = {0};
        char *path;

        if (length < 4 || strcmp(entry->d_name + length - 3, ".h5") || entry->d_name[0] == '.' ||
            !(path = lth_path_join(dir, entry->d_name))) {
            continue;
        }
        if (lth_ckpt_verify(path, &facts, &error)) {
            lth_log(LTH_WARNING, "passing over %s: %s", path, error.text);
            lth_free(path);
        } else if (which == LTH_PICK_RESUME && facts.weights_only) {
            lth_free(path);
        } else {
            keep_better(&best, path, &facts, which);
        }
    }
    closedir(list);
    return best.path;
}

lt_status lth_folder_pick(const char *root, const char *name, lth_pick which, char **path, lth_error *err) {
    char *parent = lth_path_join(root, name), *absolute = parent ? lth_path_absolute(parent) : NULL;
    int64_t newest = absolute ? highest(absolute, "version_") : -1;

    *path = NULL;
    lth_free(parent);
    if (!absolute) {
        return out_of_memory(err);
    }
    for (int64_t version = newest; version >= 0 && !*path; version--) {
        char *dir = NULL;
        size_t size = strlen(absolute) + 64;

        dir = lth_alloc(size);
        if (!dir) {
            lth_free(absolute);
            return out_of_memory(err);
        }
        snprintf(dir, size, "%s/version_%lld/checkpoints", absolute, (long long)version);
        *path = pick_in(dir, which);
        lth_free(dir);
    }
    lth_free(absolute);
    return LT_OK;
}
