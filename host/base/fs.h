/* base/fs.h - files: paths, whole-file reads, atomic writes. Messages name the path and errno. */
#ifndef LTH_FS_H
#define LTH_FS_H
#include "base/error.h"
#include <stdbool.h>

/* dir/name, or name itself when absolute or starting with ~ (expanded). Caller frees with lth_free. NULL: out of memory. */
char *lth_path_join(const char *dir, const char *name);
char *lth_path_dir(const char *path);                   /* "." when there is none */
const char *lth_path_base(const char *path);            /* after the last '/' */
char *lth_path_absolute(const char *path);              /* against the working directory; ~ expanded; need not exist */
bool lth_path_exists(const char *path);
bool lth_path_is_dir(const char *path);
lt_status lth_make_dirs(const char *path, lth_error *err); /* as mkdir -p */
/* Whole file; *data is NUL-terminated beyond size; caller frees. More than max_bytes: LT_EFORMAT. */
lt_status lth_read_file(const char *path, size_t max_bytes, char **data, size_t *size, lth_error *err);
/* Temporary file in the same folder, fsync, rename, fsync of the folder. On failure the old file is untouched. */
lt_status lth_write_file(const char *path, const void *data, size_t size, lth_error *err);
lt_status lth_sync_dir(const char *dir, lth_error *err);
/* Folder of the running executable; static text. */
const char *lth_exe_dir(void);
#endif
