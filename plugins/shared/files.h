/* shared/files.h - files for the data plugins: found in the usual places, mapped into memory. Compiled into each plugin that needs it.
 * Knows nothing of the host: errors are texts. Does not write. */
#ifndef SHARED_FILES_H
#define SHARED_FILES_H
#include <lt/base.h>

enum { FILE_PATH_MAX = 4096, FILE_WHY_MAX = FILE_PATH_MAX + 512 };

typedef struct mapped_file {
    const uint8_t *bytes; /* never NULL while open, also of an empty file */
    int64_t size;
    void *mapping; /* NULL: nothing to give back */
} mapped_file;

/* The reason as text; returns code. */
LT_PRINTF(3, 4) lt_status file_fail(lt_status code, char why[FILE_WHY_MAX], const char *format, ...);
/* Maps a regular file for reading. On failure it is empty and `why` names file and reason. LT_EABSENT, LT_EIO, LT_EFORMAT. */
lt_status file_map(mapped_file *file, const char *path, char why[FILE_WHY_MAX]);
void file_unmap(mapped_file *file); /* an empty one too */
/* data/<folder>/<name> if it is there, else $LTHOST_DATA/<folder>/<name>. False: neither is; `out` is the first, where a download goes. */
bool file_find(const char *folder, const char *name, char out[FILE_PATH_MAX]);
/* These two places, for messages; says so where LTHOST_DATA is not set. */
void file_places(const char *folder, char out[FILE_PATH_MAX]);
#endif
