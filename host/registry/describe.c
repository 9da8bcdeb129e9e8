/* registry/describe.c - `plugin list` and `plugin info` as text. Prints nothing itself. */
#include "base/schema.h"
#include "registry/parts.h"
#include <string.h>

static void add_components(lth_buf *out, const lth_found_plugin *found) {
    for (size_t i = 0; i < found->n_components; i++) {
        const lth_found_component *c = &found->components[i];
        lth_buf_printf(out, "    %-13s %s%s\n", c->known_kind ? lth_kind_name(c->kind) : c->kind_id, c->id,
                       c->known_kind ? "" : "  (a kind this lthost does not know)");
    }
}

void lth_registry_list(const lth_registry *registry, lth_buf *out) {
    for (size_t i = 0; i < registry->n_files; i++) {
        const lth_found_plugin *found = &registry->files[i]->found;
        lth_buf_printf(out, "%s %s  [%s]\n", found->id, found->version, found->path);
        if (found->refusal) {
            lth_buf_printf(out, "    refused: %s\n", found->refusal);
        }
        add_components(out, found);
    }
    lth_buf_printf(out, "%zu plugins; looked in:", registry->n_files);
    for (size_t i = 0; i < registry->n_places; i++) {
        lth_buf_printf(out, "%s %s", i ? "," : "", registry->places[i]);
    }
    lth_buf_add(out, registry->n_places ? "\n" : " no folder at all; name one with --plugins or LTHOST_PLUGIN_PATH\n");
}

static void describe_component(lth_buf *out, const lth_component_entry *entry) {
    const lt_component *component = entry->iface;

    lth_buf_printf(out, "\n%s %s: %s\n", lth_kind_name(entry->kind), component->id, component->doc ? component->doc : "");
    if (entry->schema->count) {
        lth_schema_help(entry->schema, "", out);
    } else {
        lth_buf_add(out, "  no parameters\n");
    }
}

static void describe_plugin(lth_buf *out, const lth_plugin_file *file, const char *only) {
    const lth_found_plugin *found = &file->found;
    char hash[33];

    lth_hash_hex(found->hash, hash);
    lth_buf_printf(out, "%s %s\n  file      %s\n  hash      xxh3-128:%s\n  ABI       %u.%u, runs on hosts from %u.%u\n", found->id,
                   found->version, found->path, hash, found->abi_major, found->abi_minor, found->abi_major, found->min_host_minor);
    if (file->compiler) {
        lth_buf_printf(out, "  compiler  %s\n", file->compiler);
    }
    for (size_t i = 0; i < file->n_entries; i++) {
        if (!only || !strcmp(only, file->entries[i].where.component)) {
            describe_component(out, &file->entries[i]);
        }
    }
}

static bool has_id(const lth_found_plugin *found, const char *id) {
    for (size_t i = 0; i < found->n_components; i++) {
        if (!strcmp(found->components[i].id, id)) {
            return true;
        }
    }
    return false;
}

/* Plugins of that id, or with a component of that id. */
static lt_status describe_named(lth_registry *registry, const char *name, lth_buf *out, lth_error *err) {
    const char *names[256];
    size_t found_any = 0, n_names = 0;

    for (size_t i = 0; i < registry->n_files; i++) {
        lth_plugin_file *file = registry->files[i];
        bool by_plugin = !strcmp(file->found.id, name);

        for (size_t k = 0; k < file->found.n_components && n_names < sizeof names / sizeof names[0]; k++) {
            names[n_names++] = file->found.components[k].id;
        }
        if (!by_plugin && !has_id(&file->found, name)) {
            continue;
        }
        if (lth_load(registry, file, err)) {
            return err->code;
        }
        lth_buf_add(out, found_any++ ? "\n" : "");
        describe_plugin(out, file, by_plugin ? NULL : name);
    }
    if (!found_any) {
        const char *near = lth_nearest(name, names, n_names);
        return lth_fail(err, LT_ECONFIG, "there is no plugin and no component \"%s\"%s%s%s; `lthost plugin list` shows what there is", name,
                        near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return LT_OK;
}

static bool is_file_name(const char *name) {
    size_t length = strlen(name);
    return length > 3 && !strcmp(name + length - 3, ".so");
}

lt_status lth_registry_info(lth_registry *registry, const char *name, lth_buf *out, lth_error *err) {
    lth_plugin_file *file;

    if (!strchr(name, '/') && !is_file_name(name)) {
        return describe_named(registry, name, out, err);
    }
    if (lth_scan_file(registry, name, &file, err) || lth_load(registry, file, err)) {
        return err->code;
    }
    describe_plugin(out, file, NULL);
    return LT_OK;
}
