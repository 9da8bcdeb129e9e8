/* lt/plugin.h - LT_PLUGIN(id, version, kind(Id), ...): makes a .so an lthost plugin. One source file of each plugin says it:
 *
 *     LT_PLUGIN("org.example.early-stopping", "1.0.0", callback(EarlyStopping));
 *
 * It makes the entry function (the only exported symbol), an ELF note from which the host reads id, version, ABI and components
 * without running code, and the pointers to the host's function tables. Components of other files need no registration: their names
 * in the list are enough. Kinds: model datamodule callback logger optimizer lr_scheduler metric. Up to 64 components. */
#ifndef LT_PLUGIN_H
#define LT_PLUGIN_H
#include <lt/component.h>

LT_BEGIN
/* What the host shows to an entry function; host, valid for ever. */
typedef struct lt_host {
    uint32_t struct_size;
    uint32_t abi_major, abi_minor, reserved;
    const char *version; /* of lthost: "0.1.0" */
    /* A table of functions ("lt.tensor/1"), or NULL where this host has none of that id. Valid for ever. */
    const void *(*get_table)(const struct lt_host *host, const char *id);
} lt_host;

/* How the plugin was compiled; the host refuses what cannot work with it. */
enum { LT_BUILD_SANITIZED = 1, LT_BUILD_CXX = 2 };
typedef struct lt_build {
    uint32_t struct_size;
    uint8_t pointer_size, long_size, enum_size, bool_size;
    uint8_t param_align, big_endian, reserved[2];
    uint32_t flags;
    const char *compiler; /* "gcc 12.2.0" */
} lt_build;

/* What an entry function returns; static. */
typedef struct lt_plugin {
    uint32_t struct_size;
    uint32_t abi_major, abi_minor, min_host_minor;
    const void *note;     /* keeps the note in the file under --gc-sections; its text must agree with what follows */
    const char *id, *version;
    uint32_t flags, reserved;
    const lt_component *const *components; /* NULL at the end */
    const lt_build *build;
} lt_plugin;

/* The ELF note: name "lthost", this type, then abi_major, abi_minor, min_host_minor, flags (u32 each) and NUL-terminated texts:
 * plugin id, plugin version, "kind:Id" of each component; zeroes up to a multiple of 4. */
#define LT_NOTE_FORMAT 1u
#define LT_ENTRY_NAME "lt_plugin_entry_v1"
LT_EXPORT const lt_plugin *lt_plugin_entry_v1(const lt_host *host);

#define LT__TABLES(X) \
    X(base) X(tensor) X(autograd) X(nn) X(optim) X(data) X(trainer) X(metric) X(logger)
#define LT__DECLARE_TABLE(name) \
    struct lt_##name##_api; \
    extern LT_HIDDEN const struct lt_##name##_api *lt__##name LT__NEEDS_PLUGIN("lt__" #name);
LT__TABLES(LT__DECLARE_TABLE)
LT_END

#define LT__PAD4(n) (((n) + 3u) / 4u * 4u)
#ifdef __cplusplus
#define LT__CAST(type, value) static_cast<type>(value)
#define LT__AS_COMPONENT(object) reinterpret_cast<const lt_component *>(&object)
#define LT__BUILD_LANGUAGE LT_BUILD_CXX
#else
#define LT__CAST(type, value) (value)
#define LT__AS_COMPONENT(object) (const lt_component *)&object
#define LT__BUILD_LANGUAGE 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define LT__BUILD_SANITIZED LT_BUILD_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LT__BUILD_SANITIZED LT_BUILD_SANITIZED
#endif
#endif
#ifndef LT__BUILD_SANITIZED
#define LT__BUILD_SANITIZED 0
#endif
/* clang's address sanitizer would pad the note, which must lie as written. */
#ifdef __clang__
#define LT__PLAIN , no_sanitize("address")
#define LT__COMPILER __VERSION__ /* "Clang 14.0.6" */
#else
#define LT__PLAIN
#define LT__COMPILER "gcc " __VERSION__
#endif

/* What `kind(Id)` means where it is counted, declared, named in the note, and listed. A misspelt kind fails in the count, by that name. */
#define LT_UNKNOWN_COMPONENT_KIND_ 0
#define LT_UNKNOWN_COMPONENT_KIND_model(id) 1
#define LT_UNKNOWN_COMPONENT_KIND_datamodule(id) 1
#define LT_UNKNOWN_COMPONENT_KIND_callback(id) 1
#define LT_UNKNOWN_COMPONENT_KIND_logger(id) 1
#define LT_UNKNOWN_COMPONENT_KIND_optimizer(id) 1
#define LT_UNKNOWN_COMPONENT_KIND_lr_scheduler(id) 1
#define LT_UNKNOWN_COMPONENT_KIND_metric(id) 1
#define LT__DECLARE_
#define LT__DECLARE_model(id) LT__DECLARE(lt_model, id)
#define LT__DECLARE_datamodule(id) LT__DECLARE(lt_datamodule, id)
#define LT__DECLARE_callback(id) LT__DECLARE(lt_callback, id)
#define LT__DECLARE_logger(id) LT__DECLARE(lt_logger, id)
#define LT__DECLARE_optimizer(id) LT__DECLARE(lt_optimizer, id)
#define LT__DECLARE_lr_scheduler(id) LT__DECLARE(lt_lr_scheduler, id)
#define LT__DECLARE_metric(id) LT__DECLARE(lt_metric_component, id)
#define LT__DECLARE(type, id) \
    struct type; \
    LT_EXTERN LT_HIDDEN const struct type lt_component_##id;
#define LT__NOTE_
#define LT__NOTE_model(id) "lt.model/1:" #id "\0"
#define LT__NOTE_datamodule(id) "lt.datamodule/1:" #id "\0"
#define LT__NOTE_callback(id) "lt.callback/1:" #id "\0"
#define LT__NOTE_logger(id) "lt.logger/1:" #id "\0"
#define LT__NOTE_optimizer(id) "lt.optimizer/1:" #id "\0"
#define LT__NOTE_lr_scheduler(id) "lt.lr_scheduler/1:" #id "\0"
#define LT__NOTE_metric(id) "lt.metric/1:" #id "\0"
#define LT__ADDRESS_
#define LT__ADDRESS_model(id) LT__AS_COMPONENT(lt_component_##id),
#define LT__ADDRESS_datamodule(id) LT__AS_COMPONENT(lt_component_##id),
#define LT__ADDRESS_callback(id) LT__AS_COMPONENT(lt_component_##id),
#define LT__ADDRESS_logger(id) LT__AS_COMPONENT(lt_component_##id),
#define LT__ADDRESS_optimizer(id) LT__AS_COMPONENT(lt_component_##id),
#define LT__ADDRESS_lr_scheduler(id) LT__AS_COMPONENT(lt_component_##id),
#define LT__ADDRESS_metric(id) LT__AS_COMPONENT(lt_component_##id),
#define LT__ON_COUNT(component) +LT_UNKNOWN_COMPONENT_KIND_##component
#define LT__ON_DECLARE(component) LT__DECLARE_##component
#define LT__ON_NOTE(component) LT__NOTE_##component
#define LT__ON_ADDRESS(component) LT__ADDRESS_##component

/* m(component) for each; the places beyond the last component are empty, and m of nothing is nothing. */
#define LT_PLUGIN_TAKES_AT_MOST_64_COMPONENTS_
#define LT__EACH(m, ...) LT__EACH_64(m, __VA_ARGS__, ,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,)
#define LT__EACH_64( \
    m, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, \
    a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, \
    a54, a55, a56, a57, a58, a59, a60, a61, a62, a63, a64, a65, ...) \
    LT_PLUGIN_TAKES_AT_MOST_64_COMPONENTS_##a65 \
    m(a1) m(a2) m(a3) m(a4) m(a5) m(a6) m(a7) m(a8) m(a9) m(a10) m(a11) m(a12) m(a13) m(a14) m(a15) m(a16) m(a17) m(a18) m(a19) \
    m(a20) m(a21) m(a22) m(a23) m(a24) m(a25) m(a26) m(a27) m(a28) m(a29) m(a30) m(a31) m(a32) m(a33) m(a34) m(a35) m(a36) m(a37) \
    m(a38) m(a39) m(a40) m(a41) m(a42) m(a43) m(a44) m(a45) m(a46) m(a47) m(a48) m(a49) m(a50) m(a51) m(a52) m(a53) m(a54) m(a55) \
    m(a56) m(a57) m(a58) m(a59) m(a60) m(a61) m(a62) m(a63) m(a64)

#define LT__NOTE_TEXT(id_, version_, ...) id_ "\0" version_ "\0" LT__EACH(LT__ON_NOTE, __VA_ARGS__)
#define LT__DEFINE_TABLE(name) LT_HIDDEN const struct lt_##name##_api *lt__##name;
#define LT__GET_TABLE(name) lt__##name = LT__CAST(const struct lt_##name##_api *, host->get_table(host, "lt." #name "/1"));

#define LT_PLUGIN(id_, version_, ...) \
    enum lt__components { lt__component_count = 0 LT__EACH(LT__ON_COUNT, __VA_ARGS__) }; \
    LT__EACH(LT__ON_DECLARE, __VA_ARGS__) \
    LT_BEGIN LT__TABLES(LT__DEFINE_TABLE) LT_END \
    static const struct { \
        uint32_t name_size, text_size, type; \
        char name[8]; \
        uint32_t abi_major, abi_minor, min_host_minor, flags; \
        char text[LT__PAD4(sizeof(LT__NOTE_TEXT(id_, version_, __VA_ARGS__)))]; \
    } lt__note __attribute__((section(".note.lthost"), used, aligned(4) LT__PLAIN)) = { \
        7, 16 + LT__PAD4(sizeof(LT__NOTE_TEXT(id_, version_, __VA_ARGS__))), LT_NOTE_FORMAT, "lthost", \
        LT_ABI_MAJOR, LT_ABI_MINOR, LT_TARGET_MINOR, 0, LT__NOTE_TEXT(id_, version_, __VA_ARGS__)}; \
    const lt_plugin *lt_plugin_entry_v1(const lt_host *host) { \
        static const lt_component *const components[] = {LT__EACH(LT__ON_ADDRESS, __VA_ARGS__) NULL}; \
        static const lt_build build = {sizeof(lt_build), sizeof(void *), sizeof(long), sizeof(enum lt__enum), sizeof(bool), \
                                       (uint8_t)offsetof(struct lt__align, param), __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, {0, 0}, \
                                       LT__BUILD_SANITIZED | LT__BUILD_LANGUAGE, LT__COMPILER}; \
        static const lt_plugin plugin = {sizeof(lt_plugin), LT_ABI_MAJOR, LT_ABI_MINOR, LT_TARGET_MINOR, &lt__note, id_, version_, \
                                         0, 0, components, &build}; \
        if (!host || host->abi_major != LT_ABI_MAJOR) { return NULL; } \
        LT__TABLES(LT__GET_TABLE) \
        return &plugin; \
    } \
    struct lt__semicolon
enum lt__enum { LT__ENUM_ONE = 1 };
struct lt__align { char before; lt_param param; };
#endif
