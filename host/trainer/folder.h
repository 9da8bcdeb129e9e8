/* trainer/folder.h - the folder of a run: <root>/<name>/version_N, its lock, and finding best and last among earlier runs. */
#ifndef LTH_FOLDER_H
#define LTH_FOLDER_H
#include "base/fs.h"
#include "checkpoint/checkpoint.h"

typedef struct lth_folder {
    char *root, *name, *dir;
    int64_t version;
    int lock;
} lth_folder; /* zeroes: none */

/* version -1: the next free one, taken atomically (mkdir). dir is made and locked; another process holding the lock is an error. */
lt_status lth_folder_create(lth_folder *folder, const char *root, const char *name, int64_t version, lth_error *err);
/* Continues an existing run. */
lt_status lth_folder_reopen(lth_folder *folder, const char *dir, lth_error *err);
/* <dir>/<verb>-K inside a run, K the next free number; not locked. */
lt_status lth_folder_inside(lth_folder *folder, const char *run_dir, const char *verb, lth_error *err);
void lth_folder_release(lth_folder *folder);
/* The run folder of a checkpoint (.../version_N/checkpoints/x.h5 -> .../version_N); NULL if it lies in none. Caller frees. */
char *lth_folder_of_checkpoint(const char *path);

/* "best" or "last" of the newest run below root/name that holds a complete checkpoint. *path NULL and LT_OK: there is none.
 * Damaged files are skipped with a warning that names them. */
typedef enum { LTH_PICK_BEST, LTH_PICK_LAST, LTH_PICK_RESUME /* last, of those that hold more than weights */ } lth_pick;
lt_status lth_folder_pick(const char *root, const char *name, lth_pick which, char **path, lth_error *err);
#endif
