/* registry/components.c - the last rungs of the ladder: does what a loaded plugin says agree with its note, and is each component sound?
 * Sound components get host-sized copies of their structs, so that hooks a plugin does not know are NULL. Calls params() and nothing else.
 */
#include "base/schema.h"
#include "registry/parts.h"
#include <ctype.h>
#include <string.h>

enum { MAX_COMPONENTS = 64, MAX_STRUCT = 64 * 1024, MAX_PARAMS = 1024, MAX_SELF = 1 << 30 };

typedef struct checker {
    lth_registry *registry;
    lth_plugin_file *file;
    const lt_plugin *plugin;
    lth_error *err;
} checker;

static lt_status refuse(const checker *c, lt_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static lt_status refuse(const checker *c, lt_status code, const char *format, ...) {
    const lth_found_plugin *found = &c->file->found;
    lth_error text = {0};
    va_list args;

    va_start(args, format);
    lth_vfail(&text, code, format, args);
    va_end(args);
    return lth_fail(c->err, code, "plugin %s (%s %s): %s", found->path, found->id, found->version, text.text);
}

/* ---- the plugin ---- */

static bool same_text(const char *a, const char *b) { return a && b && !strcmp(a, b); }

static lt_status check_build(const checker *c) {
    const lt_build *build = c->plugin->build;

    if (!build) {
        return LT_OK;
    }
    c->file->compiler = build->compiler;
    if (build->pointer_size != sizeof(void *) || build->long_size != sizeof(long) || build->bool_size != sizeof(bool) ||
        build->enum_size != sizeof(lth_kind)) {
        return refuse(
            c, LT_EABI,
            "compiled with other type sizes than this lthost (pointer %d, long %d, bool %d, enum %d bytes); leave out options such "
            "as -fshort-enums and -m32",
            build->pointer_size, build->long_size, build->bool_size, build->enum_size);
    }
    return LT_OK;
}

static lt_status check_identity(const checker *c) {
    const lt_plugin *p = c->plugin;
    const lth_found_plugin *found = &c->file->found;

    if (p->struct_size < offsetof(lt_plugin, build) + sizeof p->build) {
        return refuse(c, LT_EABI, "its descriptor has %u bytes, and ABI %d.%d begins with %zu; build it again with this lthost's SDK",
                      p->struct_size, LT_ABI_MAJOR, LT_ABI_MINOR, offsetof(lt_plugin, build) + sizeof p->build);
    }
    if (!same_text(p->id, found->id) || !same_text(p->version, found->version) || p->abi_major != found->abi_major ||
        p->abi_minor != found->abi_minor || p->min_host_minor != found->min_host_minor) {
        return refuse(c, LT_EPLUGIN, "its note and its descriptor disagree: the descriptor says %s %s, ABI %u.%u; build it again, whole",
                      p->id ? p->id : "(no id)", p->version ? p->version : "(no version)", p->abi_major, p->abi_minor);
    }
    return p->components ? check_build(c) : refuse(c, LT_EPLUGIN, "it describes no components; build it again");
}

/* ---- one component ---- */

static bool is_identifier(const char *text) {
    for (const char *p = text; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_') {
            return false;
        }
    }
    return *text && !isdigit((unsigned char)*text) && strlen(text) < 128;
}

static lt_status check_schema(const checker *c, const lt_component *component, const lt_params **out) {
    const lt_params *schema = component->params ? component->params() : NULL;
    lth_diags diags = {0};
    lt_status status = LT_OK;

    if (!schema || schema->struct_size < sizeof(lt_params) || schema->stride < sizeof(lt_param) || schema->stride > MAX_STRUCT ||
        !schema->self_size || schema->self_size > MAX_SELF || schema->count > MAX_PARAMS || (schema->count && !schema->items)) {
        return refuse(c, LT_EPLUGIN, "%s has no sound parameter schema; declare one with LT_PARAMS or LT_NO_PARAMS, or use lt_nothing",
                      component->id);
    }
    if (lth_schema_check(schema, component->id, &diags)) {
        const lth_diag *first = diags.items;
        bool hint = first && first->hint;

        status = !first ? refuse(c, LT_ENOMEM, "out of memory")
                        : refuse(c, first->code, "%s%s%s%s", first->text, hint ? " (" : "", hint ? first->hint : "", hint ? ")" : "");
    }
    lth_diags_release(&diags);
    *out = schema;
    return status;
}

static lt_status check_size(const checker *c, const lt_component *component, lth_kind kind) {
    uint32_t size = component->struct_size;

    if (size < lth_kind_first_size(kind) || size > MAX_STRUCT) {
        return refuse(
            c, LT_EABI,
            "%s says that its %s struct has %u bytes; ABI %d.%d has %zu; describe it with the LT_ macro of its kind and build it again",
            component->id, lth_kind_id(kind), size, LT_ABI_MAJOR, LT_ABI_MINOR, lth_kind_size(kind));
    }
    return LT_OK;
}

static const void *host_sized(const checker *c, const lt_component *component, lth_kind kind) {
    size_t own = lth_kind_size(kind);
    void *copy = lth_arena_alloc(&c->registry->arena, own);

    if (copy) {
        memcpy(copy, component, component->struct_size < own ? component->struct_size : own);
    }
    return copy;
}

static lt_status take(const checker *c, const lt_component *component, lth_kind kind) {
    lth_plugin_file *file = c->file;
    lth_component_entry *entry = &file->entries[file->n_entries];
    const lt_params *schema = NULL;

    if (check_size(c, component, kind) || check_schema(c, component, &schema)) {
        return c->err->code;
    }
    *entry = (lth_component_entry){
        .kind = kind, .component = component, .iface = host_sized(c, component, kind), .schema = schema, .plugin = &file->found};
    entry->where = (lth_where){.path = file->found.path,
                               .plugin = file->found.id,
                               .version = file->found.version,
                               .kind = lth_kind_id(kind),
                               .component = component->id};
    if (!entry->iface) {
        return refuse(c, LT_ENOMEM, "out of memory");
    }
    file->n_entries++;
    return LT_OK;
}

/* What the note promised at this place is what the descriptor has there. */
static lt_status check_place(const checker *c, size_t index, const lt_component *component) {
    static const lth_found_component nothing = {.kind_id = "nothing", .id = ""};
    const lth_found_plugin *found = &c->file->found;
    const lth_found_component *promised = index < found->n_components ? &found->components[index] : &nothing;

    if (component->struct_size < sizeof(lt_component)) {
        return refuse(c, LT_EABI,
                      "component %zu has a struct of %u bytes, smaller than any of ABI %d.%d; build it again with this lthost's SDK",
                      index + 1, component->struct_size, LT_ABI_MAJOR, LT_ABI_MINOR);
    }
    if (!component->kind || !component->id || !is_identifier(component->id)) {
        return refuse(c, LT_EPLUGIN, "component %zu has no proper kind and id; ids are letters, digits and _", index + 1);
    }
    if (index >= found->n_components || !same_text(component->kind, promised->kind_id) || !same_text(component->id, promised->id)) {
        return refuse(
            c, LT_EPLUGIN,
            "its note and its descriptor disagree: component %zu is %s %s in the descriptor and %s %s in the note; does LT_PLUGIN "
            "name it with its own kind? Build it again, whole",
            index + 1, component->kind, component->id, promised->kind_id, promised->id);
    }
    for (size_t i = 0; i < index; i++) {
        const lth_found_component *earlier = &found->components[i];
        if (same_text(earlier->kind_id, component->kind) && same_text(earlier->id, component->id)) {
            return refuse(c, LT_EPLUGIN, "it describes %s %s twice; ids must differ within a plugin", component->kind, component->id);
        }
    }
    return LT_OK;
}

lt_status lth_check_descriptor(lth_registry *registry, lth_plugin_file *file, const lt_plugin *plugin, lth_error *err) {
    checker c = {registry, file, plugin, err};
    size_t count = 0;

    if (check_identity(&c)) {
        return err->code;
    }
    file->entries = lth_arena_alloc(&registry->arena, MAX_COMPONENTS * sizeof *file->entries);
    if (!file->entries) {
        return refuse(&c, LT_ENOMEM, "out of memory");
    }
    for (; plugin->components[count]; count++) {
        const lt_component *component = plugin->components[count];
        lth_kind kind;

        if (check_place(&c, count, component)) {
            return err->code;
        }
        if (lth_kind_parse(component->kind, &kind) && take(&c, component, kind)) { /* unknown kinds are a newer host's: left alone */
            return err->code;
        }
    }
    if (count != file->found.n_components) {
        return refuse(&c, LT_EPLUGIN,
                      "its note and its descriptor disagree: %zu components in the note, %zu in the descriptor; build it again, whole",
                      file->found.n_components, count);
    }
    return LT_OK;
}
