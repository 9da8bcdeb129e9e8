/* registry/find.c - class paths to components: "Id", "file.so:Id", "package.module.Id". Says what is there when something is not. */
#include "base/fs.h"
#include "base/mem.h"
#include "registry/parts.h"
#include <string.h>

enum { MAX_NAMES = 256, SHOWN_NAMES = 24, MAX_MATCHES = 16 };

typedef struct wanted {
    lth_kind kind;
    const char *class_path; /* as written */
    const char *file;       /* before ":"; NULL: any */
    const char *id;
} wanted;

/* ---- what is there ---- */

/* Ids of a kind among plugins that can be loaded, each once. */
static size_t names_of_kind(const lth_registry *registry, lth_kind kind, const char **names) {
    size_t count = 0;

    for (size_t i = 0; i < registry->n_files; i++) {
        const lth_found_plugin *found = &registry->files[i]->found;
        for (size_t k = 0; k < found->n_components && count < MAX_NAMES; k++) {
            bool fresh = found->components[k].known_kind && found->components[k].kind == kind && !found->refusal;
            for (size_t n = 0; fresh && n < count; n++) {
                fresh = strcmp(names[n], found->components[k].id) != 0;
            }
            if (fresh) {
                names[count++] = found->components[k].id;
            }
        }
    }
    return count;
}

static bool has(const lth_found_plugin *found, lth_kind kind, const char *id) {
    for (size_t k = 0; k < found->n_components; k++) {
        if (found->components[k].known_kind && found->components[k].kind == kind && !strcmp(found->components[k].id, id)) {
            return true;
        }
    }
    return false;
}

/* The name of the kind that does have this id; NULL: none has. */
static const char *other_kind(const lth_registry *registry, const char *id) {
    for (size_t i = 0; i < registry->n_files; i++) {
        for (int kind = 0; kind < LTH_KIND_COUNT; kind++) {
            if (has(&registry->files[i]->found, (lth_kind)kind, id)) {
                return lth_kind_name((lth_kind)kind);
            }
        }
    }
    return NULL;
}

static void add_names(lth_buf *text, const char *const *names, size_t count) {
    for (size_t i = 0; i < count && i < SHOWN_NAMES; i++) {
        lth_buf_printf(text, "%s%s", i ? ", " : "", names[i]);
    }
    if (count > SHOWN_NAMES) {
        lth_buf_printf(text, " and %zu more (`lthost plugin list`)", count - SHOWN_NAMES);
    }
}

static void add_places(lth_buf *text, const lth_registry *registry) {
    for (size_t i = 0; i < registry->n_places; i++) {
        lth_buf_printf(text, "%s%s", i ? ", " : "", registry->places[i]);
    }
    if (!registry->n_places) {
        lth_buf_add(text, "no folder at all; name one with `plugins:`, --plugins or LTHOST_PLUGIN_PATH");
    }
}

static lt_status fail_unknown(const lth_registry *registry, const wanted *w, lth_error *err) {
    const char *names[MAX_NAMES], *kind = lth_kind_name(w->kind), *other = other_kind(registry, w->id);
    size_t count = names_of_kind(registry, w->kind, names);
    const char *near = lth_nearest(w->id, names, count);
    lth_buf text = {0};

    lth_buf_printf(&text, "there is no %s \"%s\"", kind, w->id);
    if (other) {
        lth_buf_printf(&text, "; %s is a component of kind %s", w->id, other);
    } else if (near) {
        lth_buf_printf(&text, "; did you mean \"%s\"?", near);
    }
    lth_buf_printf(&text, "\n  of kind %s: ", kind);
    add_names(&text, names, count);
    lth_buf_add(&text, count ? "\n  looked in: " : "none\n  looked in: ");
    add_places(&text, registry);
    lth_fail(err, LT_ECONFIG, "%s", lth_buf_text(&text));
    lth_buf_release(&text);
    return err ? err->code : LT_ECONFIG;
}

static lt_status fail_ambiguous(const wanted *w, lth_plugin_file *const *matches, size_t count, lth_error *err) {
    lth_buf text = {0};

    lth_buf_printf(&text, "%zu plugins have a %s \"%s\"; say which one:", count, lth_kind_name(w->kind), w->id);
    for (size_t i = 0; i < count; i++) {
        const lth_found_plugin *found = &matches[i]->found;
        lth_buf_printf(&text, "\n  %s:%s (%s %s)", found->path, w->id, found->id, found->version);
    }
    lth_fail(err, LT_ECONFIG, "%s", lth_buf_text(&text));
    lth_buf_release(&text);
    return err ? err->code : LT_ECONFIG;
}

/* ---- resolving ---- */

/* Files with the component; those that cannot be loaded only if there is no other. */
static size_t collect(const lth_registry *registry, const wanted *w, bool refused, lth_plugin_file **matches) {
    size_t count = 0;

    for (size_t i = 0; i < registry->n_files && count < MAX_MATCHES; i++) {
        lth_plugin_file *file = registry->files[i];
        bool named = !w->file || !strcmp(lth_path_base(file->found.path), w->file);
        if (named && (file->found.refusal != NULL) == refused && has(&file->found, w->kind, w->id)) {
            matches[count++] = file;
        }
    }
    return count;
}

static lt_status pick_file(lth_registry *registry, const wanted *w, lth_plugin_file **out, lth_error *err) {
    lth_plugin_file *matches[MAX_MATCHES];
    size_t count;

    if (w->file && strchr(w->file, '/')) {
        return lth_scan_file(registry, w->file, out, err);
    }
    count = collect(registry, w, false, matches);
    if (!count) {
        count = collect(registry, w, true, matches);
    }
    if (!count) {
        return fail_unknown(registry, w, err);
    }
    *out = matches[0];
    return count == 1 ? LT_OK : fail_ambiguous(w, matches, count, err);
}

static lt_status pick_entry(const wanted *w, const lth_plugin_file *file, const lth_component_entry **out, lth_error *err) {
    lth_buf text = {0};
    lt_status status;

    for (size_t i = 0; i < file->n_entries; i++) {
        if (file->entries[i].kind == w->kind && !strcmp(file->entries[i].where.component, w->id)) {
            *out = &file->entries[i];
            return LT_OK;
        }
    }
    for (size_t i = 0; i < file->n_entries; i++) {
        lth_buf_printf(&text, "%s%s (%s)", i ? ", " : "", file->entries[i].where.component, lth_kind_name(file->entries[i].kind));
    }
    status = lth_fail(err, LT_ECONFIG, "plugin %s has no %s \"%s\"; it has %s", file->found.path, lth_kind_name(w->kind), w->id,
                      lth_buf_text(&text));
    lth_buf_release(&text);
    return status;
}

/* "a/b.so:Id" -> file and id; else the part after the last dot. file is memory of the caller's. */
static lt_status split(const char *class_path, wanted *w, char **file, lth_error *err) {
    const char *colon = strrchr(class_path, ':'), *dot = strrchr(class_path, '.');

    *file = NULL;
    w->class_path = class_path;
    w->id = colon ? colon + 1 : dot ? dot + 1 : class_path;
    if (!*w->id || colon == class_path) {
        return lth_fail(err, LT_ECONFIG, "class_path \"%s\" names no component; write Id, file.so:Id or package.module.Id", class_path);
    }
    if (colon) {
        *file = lth_strndup(class_path, (size_t)(colon - class_path));
        if (!*file) {
            return lth_fail(err, LT_ENOMEM, "out of memory for class_path \"%s\"", class_path);
        }
    }
    w->file = *file;
    return LT_OK;
}

lt_status lth_registry_find(lth_registry *registry, lth_kind kind, const char *class_path, const lth_component_entry **out,
                            lth_error *err) {
    wanted w = {.kind = kind};
    lth_plugin_file *file = NULL;
    char *before_colon;
    lt_status status = split(class_path, &w, &before_colon, err);

    *out = NULL;
    status = status ? status : pick_file(registry, &w, &file, err);
    status = status ? status : lth_load(registry, file, err);
    status = status ? status : pick_entry(&w, file, out, err);
    lth_free(before_colon);
    return status;
}
