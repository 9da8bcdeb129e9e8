/* registry/parts.h - what the files of registry/ share and nobody else includes. */
#ifndef LTH_REGISTRY_PARTS_H
#define LTH_REGISTRY_PARTS_H
#include "registry/note.h"
#include "registry/registry.h"

typedef struct lth_plugin_file {
    lth_found_plugin found;         /* what others see */
    uint64_t device, inode;         /* the same file by another name is not taken twice */
    bool tried;                     /* loading was tried: it is loaded, or found.refusal says why not */
    const char *compiler;           /* once loaded */
    lth_component_entry *entries;   /* once loaded; of known kinds */
    size_t n_entries;
    uint32_t pins;                  /* instances of this generation */
} lth_plugin_file;

struct lth_registry {
    lth_arena arena;
    lth_table_getter *get_table;
    lth_plugin_file **files;
    size_t n_files, capacity;
    const char **places;            /* folders and files looked at, for messages */
    size_t n_places, places_capacity;
};

/* scan.c: looks at one file; *out is the file's record (an earlier one if it is known already). NULL with err: no plugin, or unreadable. */
lt_status lth_scan_file(lth_registry *registry, const char *path, lth_plugin_file **out, lth_error *err);
/* load.c: climbs the ladder, once; later calls give the same answer. */
lt_status lth_load(lth_registry *registry, lth_plugin_file *file, lth_error *err);
/* load.c: why a note forbids loading, in the arena; NULL: nothing does. */
const char *lth_gate(lth_arena *arena, const char *path, const lth_note *note);
/* components.c: checks what a loaded plugin describes and fills file->entries; handle is dlopen's. */
lt_status lth_check_descriptor(lth_registry *registry, lth_plugin_file *file, const lt_plugin *plugin, lth_error *err);

size_t lth_kind_size(lth_kind kind);        /* of its struct in this host */
size_t lth_kind_first_size(lth_kind kind);  /* of its struct in ABI 0.2: no plugin's is smaller */
#endif
