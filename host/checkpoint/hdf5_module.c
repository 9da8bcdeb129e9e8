/* checkpoint/hdf5_module.c - finds and loads lthost_hdf5.so when the first checkpoint is written or read, and says what is missing if
 * that fails. Loaded once, never unloaded (libhdf5 registers exit handlers). A failure is not kept: the next call tries again. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "checkpoint/internal.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MODULE "lthost_hdf5.so"

const lth_hdf5_host lth_hdf5_services = {.alloc = lth_alloc, .free = lth_free, .vfail = lth_vfail};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const lth_hdf5_api *loaded;

/* LTHOST_LIBRARY_PATH first: a developer's choice wins. Folders as "a:b:c". */
static void list_places(lth_buf *out) {
    const char *chosen = getenv("LTHOST_LIBRARY_PATH");
    if (chosen && *chosen) {
        lth_buf_printf(out, "%s:", chosen);
    }
    lth_buf_printf(out, "%s:%s/../lib/lthost", lth_exe_dir(), lth_exe_dir());
}

static const lth_hdf5_api *load(const char *path, lth_error *err) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        const char *why = dlerror();
        lth_fail(err, LT_EABSENT,
                 "cannot load %s, which checkpoints need: %s; install libhdf5 (Debian, Ubuntu: apt-get install libhdf5-dev)", path,
                 why ? why : "no reason given");
        return NULL;
    }
    const lth_hdf5_api *api = dlsym(handle, LTH_HDF5_SYMBOL);
    if (!api || api->struct_size < sizeof *api || api->version != LTH_HDF5_API_VERSION) {
        lth_fail(err, LT_EABI, "%s belongs to another version of lthost; install both from one build", path);
        dlclose(handle);
        return NULL;
    }
    return api;
}

static const lth_hdf5_api *search(lth_error *err) {
    const lth_hdf5_api *api = NULL;
    lth_buf places = {0}, path = {0};
    bool found = false;
    list_places(&places);
    for (const char *at = lth_buf_text(&places); *at && !found && !places.failed;) {
        size_t length = strcspn(at, ":");
        lth_buf_clear(&path);
        lth_buf_add_bytes(&path, at, length);
        lth_buf_add(&path, "/" MODULE);
        found = length && !path.failed && lth_path_exists(lth_buf_text(&path));
        at += length + (at[length] == ':');
    }
    if (places.failed || path.failed) {
        lth_fail(err, LT_ENOMEM, "out of memory looking for " MODULE);
    } else if (found) {
        api = load(lth_buf_text(&path), err);
    } else {
        lth_fail(err, LT_EABSENT,
                 "checkpoints need " MODULE ", which is in none of %s; build lthost with libhdf5-dev installed, or set "
                 "LTHOST_LIBRARY_PATH to its folder",
                 lth_buf_text(&places));
    }
    lth_buf_release(&places);
    lth_buf_release(&path);
    return api;
}

const lth_hdf5_api *lth_hdf5_open(lth_error *err) {
    pthread_mutex_lock(&lock);
    if (!loaded) {
        loaded = search(err);
    }
    const lth_hdf5_api *api = loaded;
    pthread_mutex_unlock(&lock);
    return api;
}
