/* registry/scan.c - which plugin files there are: from the configuration, $LTHOST_PLUGIN_PATH, and beside the executable; never from the
 * working directory. Reads notes; runs nothing. */
#include "base/fs.h"
#include "base/mem.h"
#include "registry/parts.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* An array of pointers with room for one more, moved if need be; NULL when out of memory (the old one stays). */
static void *roomy(void *items, size_t count, size_t *capacity) {
    size_t larger = *capacity ? *capacity * 2 : 16;

    if (count < *capacity) {
        return items;
    }
    items = lth_realloc(items, *capacity * sizeof(void *), larger * sizeof(void *));
    *capacity = items ? larger : *capacity;
    return items;
}

static bool add_file(lth_registry *registry, lth_plugin_file *file) {
    lth_plugin_file **files = roomy(registry->files, registry->n_files, &registry->capacity);

    if (files) {
        registry->files = files;
        files[registry->n_files++] = file;
    }
    return files != NULL;
}

static bool add_place(lth_registry *registry, const char *path) {
    const char *copy = lth_arena_strdup(&registry->arena, path);
    const char **places = copy ? roomy(registry->places, registry->n_places, &registry->places_capacity) : NULL;

    if (places) {
        registry->places = places;
        places[registry->n_places++] = copy;
    }
    return places != NULL;
}

/* ---- one file ---- */

static lth_plugin_file *known_file(const lth_registry *registry, const struct stat *facts) {
    for (size_t i = 0; i < registry->n_files; i++) {
        if (registry->files[i]->device == facts->st_dev && registry->files[i]->inode == facts->st_ino) {
            return registry->files[i];
        }
    }
    return NULL;
}

static bool fill_components(lth_registry *registry, lth_found_plugin *found, const lth_note *note) {
    lth_found_component *items = lth_arena_alloc(&registry->arena, (note->n_components + 1) * sizeof *items);

    for (size_t i = 0; items && i < note->n_components; i++) {
        const char *colon = strchr(note->components[i], ':');
        items[i].kind_id = lth_arena_strndup(&registry->arena, note->components[i], (size_t)(colon - note->components[i]));
        items[i].id = colon + 1;
        if (!items[i].kind_id) {
            return false;
        }
        items[i].known_kind = lth_kind_parse(items[i].kind_id, &items[i].kind);
    }
    found->components = items;
    found->n_components = items ? note->n_components : 0;
    return items != NULL;
}

static lth_plugin_file *new_file(lth_registry *registry, const char *path, const struct stat *facts, const lth_note *note) {
    lth_plugin_file *file = lth_arena_alloc(&registry->arena, sizeof *file);

    if (!file) {
        return NULL;
    }
    file->device = facts->st_dev;
    file->inode = facts->st_ino;
    file->found = (lth_found_plugin){.path = lth_arena_strdup(&registry->arena, path),
                                     .id = note->id,
                                     .version = note->version,
                                     .abi_major = note->abi_major,
                                     .abi_minor = note->abi_minor,
                                     .min_host_minor = note->min_host_minor};
    if (!file->found.path || !fill_components(registry, &file->found, note)) {
        return NULL;
    }
    file->found.refusal = lth_gate(&registry->arena, file->found.path, note);
    return add_file(registry, file) ? file : NULL;
}

static lt_status scan_resolved(lth_registry *registry, const char *path, lth_plugin_file **out, bool *is_plugin, lth_error *err) {
    struct stat facts;
    lth_error why = {0};
    lth_note note;
    lth_note_result result;

    if (stat(path, &facts) == 0 && (*out = known_file(registry, &facts)) != NULL) {
        return LT_OK;
    }
    result = lth_note_read(path, &registry->arena, &note, &why);
    *is_plugin = result != LTH_NOTE_ABSENT;
    if (result != LTH_NOTE_FOUND) {
        return lth_fail(err, why.code, "%s %s: %s", path, result == LTH_NOTE_ABSENT ? "is not an lthost plugin" : "cannot be used",
                        why.text);
    }
    *out = new_file(registry, path, &facts, &note);
    return *out ? LT_OK : lth_fail(err, LT_ENOMEM, "out of memory for plugin %s", path);
}

/* As lth_scan_file; *is_plugin tells files that are no plugins from those that are damaged. */
static lt_status scan_file(lth_registry *registry, const char *path, lth_plugin_file **out, bool *is_plugin, lth_error *err) {
    char resolved[PATH_MAX];

    *out = NULL;
    *is_plugin = true;
    if (!realpath(path, resolved)) {
        return lth_fail(err, errno == ENOENT ? LT_EABSENT : LT_EIO, "plugin %s cannot be opened: %s", path, strerror(errno));
    }
    return scan_resolved(registry, resolved, out, is_plugin, err);
}

lt_status lth_scan_file(lth_registry *registry, const char *path, lth_plugin_file **out, lth_error *err) {
    bool is_plugin;
    return scan_file(registry, path, out, &is_plugin, err);
}

/* A damaged file in a folder is listed as a refused plugin of unknown name, so that `plugin list` shows it. */
static void keep_damaged(lth_registry *registry, const char *path, const char *why) {
    lth_plugin_file *file = lth_arena_alloc(&registry->arena, sizeof *file);

    if (file) {
        file->tried = true;
        file->found = (lth_found_plugin){.path = lth_arena_strdup(&registry->arena, path),
                                         .id = "?",
                                         .version = "?",
                                         .refusal = lth_arena_strdup(&registry->arena, why)};
        if (file->found.path && file->found.refusal) {
            add_file(registry, file);
        }
    }
}

/* ---- folders ---- */

static bool is_shared_object(const char *name) {
    size_t length = strlen(name);
    return name[0] != '.' && length > 3 && !strcmp(name + length - 3, ".so");
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The paths of every *.so in a folder, by name, in the arena; not of the folders below. */
static lt_status list_dir(const char *dir, lth_arena *arena, const char ***out, size_t *count, lth_error *err) {
    DIR *stream = opendir(dir);
    const struct dirent *entry;
    const char **paths = NULL;
    size_t capacity = 0;
    bool room = true;

    *count = 0;
    if (!stream) {
        return lth_fail(err, errno == ENOENT ? LT_EABSENT : LT_EIO, "plugin folder %s cannot be read: %s", dir, strerror(errno));
    }
    while (room && (entry = readdir(stream)) != NULL) {
        if (is_shared_object(entry->d_name)) {
            const char *path = lth_arena_printf(arena, "%s/%s", dir, entry->d_name);
            const char **grown = path ? roomy(paths, *count, &capacity) : NULL;
            room = grown != NULL;
            if (room) {
                paths = grown;
                paths[(*count)++] = path;
            }
        }
    }
    closedir(stream);
    if (*count) {
        qsort(paths, *count, sizeof *paths, by_name);
    }
    *out = paths;
    return room ? LT_OK : lth_fail(err, LT_ENOMEM, "out of memory reading plugin folder %s", dir);
}

/* Returns the number of plugins in a folder, or a negative status. */
static int scan_dir(lth_registry *registry, const char *dir, lth_error *err) {
    lth_arena arena = {0};
    const char **paths = NULL;
    size_t count = 0;
    int found = 0;

    list_dir(dir, &arena, &paths, &count, err);
    for (size_t i = 0; i < count && !err->code; i++) {
        lth_plugin_file *file;
        lth_error why = {0};
        bool is_plugin;

        if (scan_file(registry, paths[i], &file, &is_plugin, &why) == LT_OK) {
            found++;
        } else if (is_plugin) {
            keep_damaged(registry, paths[i], why.text);
        }
    }
    lth_free(paths);
    lth_arena_release(&arena);
    return err->code ? err->code : found;
}

/* A file or folder that somebody named: it must be there, and must be of use. */
static void scan_named(lth_registry *registry, const char *path, const char *named_by, lth_diags *diags) {
    lth_error err = {0};
    lth_plugin_file *file;

    if (!add_place(registry, path)) {
        lth_fail(&err, LT_ENOMEM, "out of memory for plugins");
    } else if (!lth_path_is_dir(path)) {
        lth_scan_file(registry, path, &file, &err);
    } else if (scan_dir(registry, path, &err) == 0) {
        lth_fail(&err, LT_ECONFIG, "plugin folder %s holds no plugin (*.so)", path);
    }
    if (err.code) {
        lth_diag_add(diags, err.code == LT_EABSENT ? LT_ECONFIG : err.code, NULL, 0, named_by, "%s", err.text);
    }
}

/* A folder where plugins may lie: it may be absent or empty. */
static void scan_optional(lth_registry *registry, const char *dir) {
    lth_error err = {0};

    if (lth_path_is_dir(dir) && add_place(registry, dir)) {
        scan_dir(registry, dir, &err);
    }
}

static void scan_env(lth_registry *registry, const char *list, lth_diags *diags) {
    while (list && *list) {
        size_t length = strcspn(list, ":");
        char *path = lth_strndup(list, length);

        if (path && path[0] == '/') {
            scan_named(registry, path, "from LTHOST_PLUGIN_PATH", diags);
        } else if (path && *path) {
            lth_diag_add(diags, LT_ECONFIG, NULL, 0, "plugins are never looked for in the working directory",
                         "LTHOST_PLUGIN_PATH holds \"%s\", which is no absolute path", path);
        }
        lth_free(path);
        list += length + (list[length] == ':');
    }
}

static void scan_builtin(lth_registry *registry) {
    static const char *const places[] = {"plugins", "../lib/lthost/plugins"};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *dir = lth_path_join(lth_exe_dir(), places[i]);
        if (dir) {
            scan_optional(registry, dir);
        }
        lth_free(dir);
    }
}

/* ---- the registry ---- */

lt_status lth_registry_open(const lth_registry_opts *opts, lth_diags *diags, lth_registry **out) {
    lth_registry *registry = lth_alloc(sizeof *registry);
    size_t before = diags->count;

    *out = registry;
    if (!registry) {
        lth_diag_add(diags, LT_ENOMEM, NULL, 0, NULL, "out of memory for plugins");
        return LT_ENOMEM;
    }
    registry->get_table = opts->get_table;
    for (size_t i = 0; i < opts->n_paths; i++) {
        scan_named(registry, opts->paths[i], NULL, diags);
    }
    scan_env(registry, opts->env ? opts->env : getenv("LTHOST_PLUGIN_PATH"), diags);
    if (!opts->no_builtin) {
        scan_builtin(registry);
    }
    return diags->count == before ? LT_OK : diags->items[before].code;
}

void lth_registry_close(lth_registry *registry) {
    if (!registry) {
        return;
    }
    lth_free(registry->files);
    lth_free(registry->places);
    lth_arena_release(&registry->arena);
    lth_free(registry);
}

size_t lth_registry_count(const lth_registry *registry) { return registry->n_files; }
const lth_found_plugin *lth_registry_at(const lth_registry *registry, size_t index) {
    return index < registry->n_files ? &registry->files[index]->found : NULL;
}
