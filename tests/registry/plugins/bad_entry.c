/* What goes wrong after the note: CASE picks it. The note below is well formed and stands by itself. */
#include <lt/callback.h>
#include <string.h>

enum {
    CASE_NO_ENTRY = 1,
    CASE_NULL = 2,
    CASE_OTHER_ID = 3,
    CASE_TWICE = 4,
    CASE_SMALL_STRUCT = 5,
    CASE_HUGE_STRUCT = 6,
    CASE_NO_SCHEMA = 7,
    CASE_BAD_DEFAULT = 8,
    CASE_NO_COMPONENTS = 9,
    CASE_OTHER_KIND = 10,
    CASE_OTHER_SIZES = 11,
    CASE_FEWER = 12,
    CASE_NO_COMPONENT_SIZE = 13
};
#ifndef CASE
#define CASE CASE_NO_ENTRY
#endif
#if CASE == 4
#define NOTE                                                                                                                               \
    "org.lthost.bad\0"                                                                                                                     \
    "1.0.0\0"                                                                                                                              \
    "lt.callback/1:Bad\0"                                                                                                                  \
    "lt.callback/1:Bad\0"
#else
#define NOTE                                                                                                                               \
    "org.lthost.bad\0"                                                                                                                     \
    "1.0.0\0"                                                                                                                              \
    "lt.callback/1:Bad\0"
#endif
#ifndef NOTE_MAJOR
#define NOTE_MAJOR LT_ABI_MAJOR
#define NOTE_MINOR LT_ABI_MINOR
#endif
static const struct {
    uint32_t name_size, text_size, type;
    char name[8];
    uint32_t abi_major, abi_minor, min_host_minor, flags;
    char text[LT__PAD4(sizeof(NOTE))];
} note __attribute__((section(".note.lthost"), used, aligned(4) LT__PLAIN)) = {
    7, 16 + LT__PAD4(sizeof(NOTE)), 1, "lthost", NOTE_MAJOR, NOTE_MINOR, NOTE_MINOR, 0, NOTE};

static const lt_param items[] = {
    {.struct_size = sizeof(lt_param), .type = LT_PARAM_INT, .key = "n", .initial = CASE == CASE_BAD_DEFAULT ? "many" : "1", .doc = "N."}};
static const lt_params schema = {sizeof(lt_params), sizeof(lt_param), CASE == CASE_NO_SCHEMA ? 0 : 16, 1, items};
static const lt_params *params(void) { return &schema; }
static const lt_callback bad = {.base = {.struct_size = CASE == CASE_SMALL_STRUCT        ? sizeof(lt_component)
                                                        : CASE == CASE_HUGE_STRUCT       ? 1u << 30
                                                        : CASE == CASE_NO_COMPONENT_SIZE ? 4
                                                                                         : sizeof(lt_callback),
                                         .kind = CASE == CASE_OTHER_KIND ? "lt.logger/1" : "lt.callback/1",
                                         .id = "Bad",
                                         .doc = "Bad.",
                                         .params = params}};

#if CASE != 1
const lt_plugin *lt_plugin_entry_v1(const lt_host *host) {
    static const lt_component *const list[] = {CASE == CASE_FEWER ? NULL : &bad.base, CASE == CASE_TWICE ? &bad.base : NULL, NULL};
    static const lt_build build = {.struct_size = sizeof(lt_build),
                                   .pointer_size = sizeof(void *),
                                   .long_size = sizeof(long),
                                   .enum_size = CASE == CASE_OTHER_SIZES ? 1 : 4,
                                   .bool_size = 1,
                                   .compiler = "by hand"};
    static const lt_plugin plugin = {sizeof(lt_plugin),
                                     LT_ABI_MAJOR,
                                     LT_ABI_MINOR,
                                     LT_ABI_MINOR,
                                     &note,
                                     CASE == CASE_OTHER_ID ? "org.lthost.other" : "org.lthost.bad",
                                     "1.0.0",
                                     0,
                                     0,
                                     CASE == CASE_NO_COMPONENTS ? NULL : list,
                                     &build};
    (void)host;
    return CASE == CASE_NULL ? NULL : &plugin;
}
#else
LT_EXPORT const void *keep(void);
const void *keep(void) { return CASE ? (const void *)&note : (const void *)&bad; }
#endif
