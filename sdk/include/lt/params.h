/* lt/params.h - the parameters and the saved state of a component, declared once beside its struct:
 *
 *     typedef struct { int64_t patience, waited; double best; enum direction mode; } early_stop;
 *     LT_PARAMS(early_stop,
 *         LT_PARAM(patience, "3", "Validations without improvement.", LT_RANGE("0.."), LT_LIVE),
 *         LT_CHOICE(mode, "min|max", "min", "Whether lower or higher is better."),
 *         LT_SAVED(best, "nan"),
 *         LT_SAVED(waited, "0"));
 *
 * The host binds YAML values to the fields, reports what does not fit with file and line, prints help from it, and keeps LT_SAVED
 * fields in checkpoints. The C type of a field selects the type of the parameter; a type that is not in the list below does not
 * compile. Defaults are texts, read as the YAML value would be. Texts and lists that the host binds are its own and live as long as
 * the component. No preprocessor conditionals inside the list. This header converts and checks nothing at run time. */
#ifndef LT_PARAMS_H
#define LT_PARAMS_H
#include <lt/base.h>

LT_BEGIN
/* lt_param.type (values are frozen), and the field's C type. */
enum {
    LT_PARAM_INT = 1,       /* int64_t */
    LT_PARAM_FLOAT = 2,     /* double */
    LT_PARAM_BOOL = 3,      /* bool */
    LT_PARAM_TEXT = 4,      /* const char *; YAML null is NULL */
    LT_PARAM_CHOICE = 5,    /* an enum or int32_t: the index of the word in `choices` */
    LT_PARAM_OPT_INT = 6,   /* lt_opt_int; YAML null is "not given" */
    LT_PARAM_OPT_FLOAT = 7, /* lt_opt_float */
    LT_PARAM_INTS = 8,      /* lt_ints */
    LT_PARAM_FLOATS = 9,    /* lt_floats */
    LT_PARAM_TEXTS = 10,    /* lt_texts */
    LT_PARAM_RECORDS = 11   /* LT_LIST(type), type having LT_PARAMS of its own */
};

typedef struct lt_opt_int { int64_t value; bool given; } lt_opt_int;
typedef struct lt_opt_float { double value; bool given; } lt_opt_float;
typedef struct lt_ints { const int64_t *items; int64_t count; } lt_ints;
typedef struct lt_floats { const double *items; int64_t count; } lt_floats;
typedef struct lt_texts { const char *const *items; int64_t count; } lt_texts;
/* Field type for a list of records: LT_LIST(conv_layer) layers; */
#define LT_LIST(type) struct { const type *items; int64_t count; }

struct lt_params;
typedef struct lt_param {
    uint32_t struct_size;
    int32_t type;
    uint32_t offset;         /* of the field in self */
    uint8_t state;           /* kept in checkpoints, not settable */
    uint8_t live;            /* may be changed while a run goes on */
    uint8_t secret;          /* shown nowhere, saved nowhere */
    uint8_t path;            /* a file or folder: relative to the YAML file, or to the working directory from the command line */
    const char *key;         /* the field's name */
    const struct lt_params *(*fields)(void); /* LT_PARAM_RECORDS: schema of one record */
    const char *choices;     /* "min|max" */
    const char *initial;     /* the default as text; NULL: must be given */
    const char *doc;
    const char *range;       /* "1..", "0..1", ">0"; NULL: any */
    const char *unit;        /* "s", "batches"; NULL: none */
    const char *alias;       /* a second name that is accepted; NULL: none */
} lt_param;

typedef struct lt_params {
    uint32_t struct_size;
    uint32_t stride;         /* sizeof(lt_param) where the plugin was compiled: items[i] is at items + i * stride bytes */
    uint32_t self_size;
    uint32_t count;
    const lt_param *items;
} lt_params;
LT_END

/* In place of a default: the configuration must give a value. */
#define LT_REQUIRED NULL

/* ---- what stands in the list ----
 *   LT_PARAM(field, default, doc, attributes...)           any type but the two below
 *   LT_CHOICE(field, "a|b|c", default, doc, attributes...) an enum with the values 0, 1, 2 in the order of the words
 *   LT_RECORD_LIST(field, type, default, doc)              LT_LIST(type) field; default "[]" or LT_REQUIRED
 *   LT_SAVED(field, initial)                               state: saved and restored, not settable
 * and their attributes: LT_RANGE("0..1"), LT_UNIT("s"), LT_ALIAS("old_name"), LT_LIVE, LT_SECRET, LT_PATH. */

#ifndef __cplusplus
#define LT_RANGE(text) .range = (text)
#define LT_UNIT(text) .unit = (text)
#define LT_ALIAS(text) .alias = (text)
#define LT_LIVE .live = 1
#define LT_SECRET .secret = 1
#define LT_PATH .path = 1

#define LT__OF(field) (((lt__self *)0)->field)
#define LT__IS(field, type) __builtin_types_compatible_p(__typeof__(LT__OF(field)), type)
/* 0, or an error that shows `message`, a name: the width of a bit-field must not be negative. C99 has no _Static_assert. */
#define LT__REQUIRE(condition, message) (0 * (int32_t)sizeof(struct { int message : (condition) ? 1 : -1; }))
#define LT__TYPE_OF(field) \
    (LT__IS(field, int64_t)        ? LT_PARAM_INT \
     : LT__IS(field, double)       ? LT_PARAM_FLOAT \
     : LT__IS(field, bool)         ? LT_PARAM_BOOL \
     : LT__IS(field, const char *) ? LT_PARAM_TEXT \
     : LT__IS(field, lt_opt_int)   ? LT_PARAM_OPT_INT \
     : LT__IS(field, lt_opt_float) ? LT_PARAM_OPT_FLOAT \
     : LT__IS(field, lt_ints)      ? LT_PARAM_INTS \
     : LT__IS(field, lt_floats)    ? LT_PARAM_FLOATS \
     : LT__IS(field, lt_texts)     ? LT_PARAM_TEXTS \
                                   : 0)
#define LT__CHECKED_TYPE(field) \
    (LT__TYPE_OF(field) + LT__REQUIRE(LT__TYPE_OF(field) != 0, field##_must_be_int64_t_or_double_or_bool_or_const_char_ptr_or_an_lt_type))
#define LT__PARAM(field, code) .struct_size = sizeof(lt_param), .type = (code), .offset = offsetof(lt__self, field), .key = #field

#define LT_PARAM(field, initial_, ...) {LT__PARAM(field, LT__CHECKED_TYPE(field)), .initial = (initial_), .doc = __VA_ARGS__}
#define LT_SAVED(field, initial_) {LT__PARAM(field, LT__CHECKED_TYPE(field)), .initial = (initial_), .state = 1}
/* 1.5 turned into the field's type is 1 for an enum or integer, not for a float. */
#define LT_CHOICE(field, choices_, initial_, ...) \
    {LT__PARAM(field, LT_PARAM_CHOICE + LT__REQUIRE(sizeof(LT__OF(field)) == 4 && (__typeof__(LT__OF(field)))1.5 == 1, \
                                                    field##_must_be_an_enum_or_int32_t)), \
     .choices = (choices_), .initial = (initial_), .doc = __VA_ARGS__}
#define LT_RECORD_LIST(field, type_, initial_, ...) \
    {LT__PARAM(field, LT_PARAM_RECORDS + LT__REQUIRE(LT__IS(field.items, const type_ *), field##_must_be_LT_LIST_of_##type_)), \
     .fields = type_##_params, .initial = (initial_), .doc = __VA_ARGS__}
#define LT__QUIET
#define LT__LOUD

#else
namespace lt {
template <class T> struct param_type { enum { value = 0 }; };
template <> struct param_type<int64_t> { enum { value = LT_PARAM_INT }; };
template <> struct param_type<double> { enum { value = LT_PARAM_FLOAT }; };
template <> struct param_type<bool> { enum { value = LT_PARAM_BOOL }; };
template <> struct param_type<const char *> { enum { value = LT_PARAM_TEXT }; };
template <> struct param_type<lt_opt_int> { enum { value = LT_PARAM_OPT_INT }; };
template <> struct param_type<lt_opt_float> { enum { value = LT_PARAM_OPT_FLOAT }; };
template <> struct param_type<lt_ints> { enum { value = LT_PARAM_INTS }; };
template <> struct param_type<lt_floats> { enum { value = LT_PARAM_FLOATS }; };
template <> struct param_type<lt_texts> { enum { value = LT_PARAM_TEXTS }; };
template <class A, class B> struct same { enum { value = 0 }; };
template <class A> struct same<A, A> { enum { value = 1 }; };

template <class T> constexpr int32_t checked_type() {
    static_assert(param_type<T>::value != 0, "a parameter must be int64_t, double, bool, const char *, lt_opt_* or a list such as lt_ints");
    return param_type<T>::value;
}
template <class T> constexpr int32_t choice_type() {
    static_assert(sizeof(T) == 4 && static_cast<T>(1) == static_cast<T>(1.5), "a choice must be an enum of 4 bytes or int32_t");
    return LT_PARAM_CHOICE;
}
template <class Items, class Record> constexpr int32_t records_type() {
    static_assert(same<Items, const Record *>::value, "a list of records must be declared with LT_LIST(record)");
    return LT_PARAM_RECORDS;
}

/* One attribute of a parameter; with() lays them over it one by one. */
struct attribute { uint8_t live, secret, path; const char *range, *unit, *alias; };
constexpr uint8_t either(uint8_t a, uint8_t b) { return a ? a : b; }
constexpr const char *either(const char *a, const char *b) { return a ? a : b; }
constexpr lt_param with(lt_param p) { return p; }
template <class... More> constexpr lt_param with(lt_param p, attribute a, More... more) {
    return with(lt_param{p.struct_size, p.type, p.offset, p.state, either(a.live, p.live), either(a.secret, p.secret), either(a.path, p.path),
                         p.key, p.fields, p.choices, p.initial, p.doc, either(a.range, p.range), either(a.unit, p.unit), either(a.alias, p.alias)},
                more...);
}
template <class... Attributes>
constexpr lt_param param(int32_t type, size_t offset, uint8_t state, const char *key, const lt_params *(*fields)(void), const char *choices,
                         const char *initial, const char *doc, Attributes... attributes) {
    return with(lt_param{sizeof(lt_param), type, static_cast<uint32_t>(offset), state, 0, 0, 0, key, fields, choices, initial, doc, nullptr,
                         nullptr, nullptr}, attributes...);
}
} // namespace lt
#define LT_RANGE(text) ::lt::attribute{0, 0, 0, (text), nullptr, nullptr}
#define LT_UNIT(text) ::lt::attribute{0, 0, 0, nullptr, (text), nullptr}
#define LT_ALIAS(text) ::lt::attribute{0, 0, 0, nullptr, nullptr, (text)}
#define LT_LIVE ::lt::attribute{1, 0, 0, nullptr, nullptr, nullptr}
#define LT_SECRET ::lt::attribute{0, 1, 0, nullptr, nullptr, nullptr}
#define LT_PATH ::lt::attribute{0, 0, 1, nullptr, nullptr, nullptr}

#define LT_PARAM(field, initial_, ...) \
    ::lt::param(::lt::checked_type<decltype(lt__self::field)>(), offsetof(lt__self, field), 0, #field, nullptr, nullptr, initial_, __VA_ARGS__)
#define LT_SAVED(field, initial_) \
    ::lt::param(::lt::checked_type<decltype(lt__self::field)>(), offsetof(lt__self, field), 1, #field, nullptr, nullptr, initial_, nullptr)
#define LT_CHOICE(field, choices_, initial_, ...) \
    ::lt::param(::lt::choice_type<decltype(lt__self::field)>(), offsetof(lt__self, field), 0, #field, nullptr, choices_, initial_, __VA_ARGS__)
#define LT_RECORD_LIST(field, type_, initial_, ...) \
    ::lt::param(::lt::records_type<decltype(lt__self::field.items), type_>(), offsetof(lt__self, field), 0, #field, type_##_params, nullptr, \
                initial_, __VA_ARGS__)
/* offsetof into a struct with virtual functions works with every compiler that this ABI knows. */
#define LT__QUIET _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Winvalid-offsetof\"")
#define LT__LOUD _Pragma("GCC diagnostic pop")
#endif

/* Defines `type_params()`, by which a component of that type finds its schema. End it with a semicolon. */
#define LT_PARAMS(type_, ...) LT__PARAMS(static, type_, __VA_ARGS__)
/* The same for a struct without parameters and state. */
#define LT_NO_PARAMS(type_) \
    static const lt_params *type_##_params(void) { \
        static const lt_params list = {sizeof(lt_params), sizeof(lt_param), sizeof(type_), 0, NULL}; \
        return &list; \
    } \
    struct lt__semicolon
#define LT__PARAMS(storage_, type_, ...) \
    LT__QUIET storage_ const lt_params *type_##_params(void) { \
        typedef type_ lt__self; \
        static const lt_param items[] = {__VA_ARGS__}; \
        static const lt_params list = {sizeof(lt_params), sizeof(lt_param), sizeof(lt__self), sizeof items / sizeof items[0], items}; \
        return &list; \
    } \
    LT__LOUD struct lt__semicolon
#endif
