/* lt/component.h - what the kinds of component have in common: the head of their structs, and the macros that fill it.
 *
 * The host allocates a zeroed `self` of the schema's self_size, calls `construct` if there is one, binds the parameters into it, and
 * then calls hooks. It calls `destroy` once, after the last hook, and frees self. A hook that is NULL is not called.
 *
 *     LT_CALLBACK(EarlyStopping, early_stop, "Stops when a metric stops improving.",
 *         .on_validation_end = on_validation_end,
 *         .base.flags = LT_CALLBACK_LAST);
 *
 * Hooks without a mark of their own: [trainer]; what they are given is borrowed. A hook returns LT_OK or what lt_fail gave it, and fails, too, if it
 * leaves a failure in ctx.
 *
 * Besides its hooks an author may set base.flags, base.state_version, base.get_interface, base.construct and base.destroy.
 * This header does not ship a component: lt/plugin.h does. */
#ifndef LT_COMPONENT_H
#define LT_COMPONENT_H
#include <lt/base.h>

LT_BEGIN
typedef struct lt_component { /* first member of every kind's struct, as `base` */
    uint32_t struct_size;     /* of the whole kind's struct, as the plugin knows it */
    uint32_t flags;           /* of the kind: LT_CALLBACK_LAST, LT_MODEL_CAPTURABLE, ... */
    uint32_t state_version;   /* of what save writes and LT_SAVED fields mean; lt_state_version tells load which one wrote */
    uint32_t reserved_word;
    const char *kind;         /* "lt.model/1" */
    const char *id;           /* class_path in a config: letters, digits, '_' */
    const char *doc;          /* one sentence, for help */
    const lt_params *(*params)(void);
    void (*construct)(void *self); /* before parameters are bound; NULL: zeroes do. Must not fail */
    void (*destroy)(void *self);   /* NULL: nothing to do */
    /* What a component offers beyond its kind: the struct of that id (static), or NULL. NULL: nothing. [trainer] */
    const void *(*get_interface)(void *self, const char *id);
    const void *reserved[4];
} lt_component;

/* The type of a component without parameters and state: LT_CALLBACK(Hello, lt_nothing, "...", ...). */
typedef struct lt_nothing { char unused; } lt_nothing;
/* Its schema: nothing to bind, nothing to save; static. [any] */
static inline __attribute__((unused)) const lt_params *lt_nothing_params(void) {
    static const lt_params none = {sizeof(lt_params), sizeof(lt_param), sizeof(lt_nothing), 0, NULL};
    return &none;
}
LT_END

#ifndef __cplusplus
/* Each member is designated by itself, so that the author's `.base.flags = ...` overrides nothing. */
#define LT__COMPONENT(struct_, kind_, id_, type_, doc_, ...) \
    LT_EXTERN LT_HIDDEN const struct struct_ lt_component_##id_; \
    const struct struct_ lt_component_##id_ = {.base.struct_size = sizeof(struct struct_), .base.kind = kind_, .base.id = #id_, \
                                               .base.doc = doc_, .base.params = type_##_params, __VA_ARGS__}
#else
/* C++: a component is a class derived from lt::model, lt::callback, lt::logger or lt::datamodule, its hooks marked `override`.
 * Hooks that it does not override are NULL for the host. Constructors must not throw; an exception that leaves a hook becomes the
 * hook's failure. Everything is constant-initialized: no code runs when the plugin is loaded. */
#include <exception>
#include <new>
namespace lt {
template <class T> void construct(void *self) { new (self) T(); }
template <class T> void destroy(void *self) { static_cast<T *>(self)->T::~T(); }

template <class C> struct is_kind { enum { value = 0 }; }; /* 1 for lt::model and its like: the hook was not overridden */

template <class T, class M, M method> struct call; /* the member function as a C hook */
template <class T, class C, class R, class... Args, R (C::*method)(lt_ctx *, Args...)> struct call<T, R (C::*)(lt_ctx *, Args...), method> {
    typedef R (*type)(lt_ctx *, void *, Args...);
    static R hook(lt_ctx *ctx, void *self, Args... args) {
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
        try {
            return (static_cast<T *>(self)->*method)(ctx, args...);
        } catch (const std::exception &e) {
            lt_fail(ctx, LT_EPLUGIN, "C++ exception: %s", e.what());
        } catch (...) {
            lt_fail(ctx, LT_EPLUGIN, "C++ exception of unknown type");
        }
        return R();
#else
        return (static_cast<T *>(self)->*method)(ctx, args...);
#endif
    }
};
template <class T, class M, M method> struct pick;
template <class T, class C, class R, class... Args, R (C::*method)(lt_ctx *, Args...)> struct pick<T, R (C::*)(lt_ctx *, Args...), method> {
    template <int absent, class Unused = void> struct choose {
        static constexpr R (*value())(lt_ctx *, void *, Args...) { return &call<T, R (C::*)(lt_ctx *, Args...), method>::hook; }
    };
    template <class Unused> struct choose<1, Unused> {
        static constexpr R (*value())(lt_ctx *, void *, Args...) { return nullptr; }
    };
    static constexpr R (*value())(lt_ctx *, void *, Args...) { return choose<is_kind<C>::value>::value(); }
};
/* The same for get_interface, which takes no ctx. */
template <class T> struct interface_of {
    static const void *get(void *self, const char *id) { return static_cast<T *>(self)->get_interface(id); }
    typedef const void *(*type)(void *, const char *);
    template <class C> static constexpr type choose(const void *(C::*)(const char *)) { return is_kind<C>::value ? nullptr : &get; }
};
template <class T>
constexpr lt_component base(size_t size, const char *kind, const char *id, const lt_params *(*params)(void), const char *doc, uint32_t flags) {
    return lt_component{static_cast<uint32_t>(size), flags, static_cast<uint32_t>(T::state_version), 0, kind, id, doc, params, construct<T>,
                        destroy<T>, interface_of<T>::choose(&T::get_interface), {nullptr, nullptr, nullptr, nullptr}};
}
} // namespace lt
#define LT__HOOK(hook) ::lt::pick<T, decltype(&T::hook), &T::hook>::value()
#define LT__COMPONENT(struct_, id_, make_) \
    LT_EXTERN LT_HIDDEN const struct struct_ lt_component_##id_; \
    const struct struct_ lt_component_##id_ = make_
#endif
#endif
