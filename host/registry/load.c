/* registry/load.c - the ladder from a file to running code: open, note, trust, ABI, dlopen, entry, descriptor, components. Each rung has
 * its own message with the way to mend it; a plugin that fell stays down for this process. Nothing is unloaded, ever: code that was
 * mapped stays mapped, so late pointers into it stay valid. Loading a plugin runs native code with the user's rights. */
#include "base/fs.h"
#include "base/mem.h"
#include "registry/parts.h"
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef LTHOST_VERSION
#define LTHOST_VERSION "0.1.0"
#endif

/* ---- what plugins see of the host; one for the process, since plugins may keep it ---- */

static lth_table_getter *table_getter;

static const void *get_table(const lt_host *host, const char *id) {
    (void)host;
    return table_getter ? table_getter(id) : NULL;
}
static const lt_host this_host = {sizeof(lt_host), LT_ABI_MAJOR, LT_ABI_MINOR, 0, LTHOST_VERSION, get_table};

/* ---- ABI ---- */

const char *lth_gate(lth_arena *arena, const char *path, const lth_note *note) {
    bool newer = note->abi_major > LT_ABI_MAJOR || (note->abi_major == LT_ABI_MAJOR && note->min_host_minor > LT_ABI_MINOR);
    bool exact = LT_ABI_MAJOR == 0; /* until 1.0 a minor may change anything */

    if (note->abi_major == LT_ABI_MAJOR && (exact ? note->abi_minor == LT_ABI_MINOR && note->min_host_minor <= LT_ABI_MINOR : !newer)) {
        return NULL;
    }
    return lth_arena_printf(
        arena, "%s (%s %s): built for plugin ABI %u.%u, needs a host with %u.%u or later; this lthost %s speaks %s%d.%d. %s", path,
        note->id, note->version, note->abi_major, note->abi_minor, note->abi_major, note->min_host_minor, LTHOST_VERSION,
        exact ? "exactly " : "up to ", LT_ABI_MAJOR, LT_ABI_MINOR,
        newer ? "Update lthost, or build the plugin with this lthost's SDK" : "Build the plugin again with this lthost's SDK");
}

/* ---- trust ---- */

/* Root, the user, and whoever owns the executable could replace lthost itself: their plugins are no new risk. */
static bool trusted_owner(uid_t owner) {
    struct stat exe;
    return owner == 0 || owner == geteuid() || (stat("/proc/self/exe", &exe) == 0 && owner == exe.st_uid);
}

static lt_status check_trust(const char *path, lth_error *err) {
    struct stat file, folder;
    char *dir = lth_path_dir(path);
    bool known = dir && stat(path, &file) == 0 && stat(dir, &folder) == 0;

    if (!known) {
        lth_fail(err, LT_EIO, "plugin %s cannot be examined: %s", path, strerror(errno));
    } else if (!S_ISREG(file.st_mode)) {
        lth_fail(err, LT_EPLUGIN, "plugin %s is refused: it is no regular file", path);
    } else if (file.st_mode & S_IWOTH) {
        lth_fail(err, LT_EPLUGIN, "plugin %s is refused: everybody may write to it; chmod o-w %s", path, path);
    } else if ((folder.st_mode & S_IWOTH) && !(folder.st_mode & S_ISVTX)) {
        lth_fail(err, LT_EPLUGIN, "plugin %s is refused: everybody may replace it, since its folder can be written by all; chmod o-w %s",
                 path, dir);
    } else if (!trusted_owner(file.st_uid)) {
        lth_fail(err, LT_EPLUGIN,
                 "plugin %s is refused: it belongs to user %u, neither to root nor to you (%u) nor to the owner of lthost; copy it "
                 "or change its owner",
                 path, (unsigned)file.st_uid, (unsigned)geteuid());
    }
    lth_free(dir);
    return err->code;
}

/* ---- code ---- */

typedef const lt_plugin *entry_function(const lt_host *host);

/* The entry function, if it lies in this very file: dlsym also finds those of libraries that the plugin is linked to. */
static entry_function *find_entry(void *handle) {
    void *address = dlsym(handle, LT_ENTRY_NAME);
    struct link_map *own = NULL, *holder = NULL;
    Dl_info info;
    entry_function *entry;

    if (!address || dlinfo(handle, RTLD_DI_LINKMAP, &own) != 0 || !dladdr1(address, &info, (void **)&holder, RTLD_DL_LINKMAP) ||
        holder != own) {
        return NULL;
    }
    memcpy(&entry, &address, sizeof entry); /* ISO C has no cast from data to code */
    return entry;
}

static lt_status open_code(const char *path, entry_function **entry, lth_error *err) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!handle) {
        const char *why = dlerror();
        return lth_fail(err, LT_EPLUGIN,
                        "plugin %s does not load: %s. A missing library must be installed; a missing lt_ function means that the "
                        "plugin was not built with the SDK's headers; run `ldd -r %s`",
                        path, why ? why : "unknown reason", path);
    }
    *entry = find_entry(handle);
    if (!*entry) {
        return lth_fail(err, LT_EPLUGIN,
                        "plugin %s has a note but does not itself export %s; was it linked with another version script? "
                        "lt_add_plugin() does it right",
                        path, LT_ENTRY_NAME);
    }
    return LT_OK;
}

static uint32_t next_generation(const lth_registry *registry, const char *id) {
    uint32_t last = 0;

    for (size_t i = 0; i < registry->n_files; i++) {
        const lth_found_plugin *found = &registry->files[i]->found;
        if (!strcmp(found->id, id) && found->generation > last) {
            last = found->generation;
        }
    }
    return last + 1;
}

static lt_status climb(lth_registry *registry, lth_plugin_file *file, lth_error *err) {
    const char *path = file->found.path;
    entry_function *entry = NULL;
    const lt_plugin *plugin;

    if (check_trust(path, err) || lth_hash_file(path, &file->found.hash, err) || open_code(path, &entry, err)) {
        return err->code;
    }
    table_getter = registry->get_table;
    plugin = entry(&this_host);
    if (!plugin) {
        return lth_fail(err, LT_EABI,
                        "plugin %s (%s %s): its entry function refused this host (lthost %s, plugin ABI %d.%d); build it again with this "
                        "lthost's SDK",
                        path, file->found.id, file->found.version, LTHOST_VERSION, LT_ABI_MAJOR, LT_ABI_MINOR);
    }
    if (lth_check_descriptor(registry, file, plugin, err)) {
        return err->code;
    }
    file->found.generation = next_generation(registry, file->found.id);
    file->found.loaded = true;
    return LT_OK;
}

lt_status lth_load(lth_registry *registry, lth_plugin_file *file, lth_error *err) {
    lth_error why = {0};

    if (file->found.refusal) {
        return lth_fail(err, file->tried ? LT_EPLUGIN : LT_EABI, "%s", file->found.refusal);
    }
    if (file->tried) {
        return LT_OK;
    }
    file->tried = true;
    if (climb(registry, file, &why)) {
        file->found.refusal = lth_arena_strdup(&registry->arena, why.text);
        if (!file->found.refusal) {
            file->found.refusal = "out of memory";
        }
        return lth_fail(err, why.code, "%s", why.text);
    }
    return LT_OK;
}
