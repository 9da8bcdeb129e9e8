/* lt/callback.h - the component kind lt.callback/1: watches a run and asks for stops and checkpoints; never edits the trainer. */
#ifndef LT_CALLBACK_H
#define LT_CALLBACK_H
#include <lt/component.h>
#include <lt/hooks.h>
#include <lt/plugin.h>
#include <lt/trainer.h>

LT_BEGIN
enum { LT_CALLBACK_LAST = 1 }; /* base.flags: runs after other callbacks, and after the model at on_train_epoch_end */

/* get_interface("lt.checkpointing/1") of a callback that writes checkpoints: what `--ckpt_path best|last` and the summary need. */
#define LT_CHECKPOINTING "lt.checkpointing/1"
typedef struct lt_checkpointing {
    uint32_t struct_size;
    uint32_t reserved;
    const char *(*best_path)(lt_ctx *ctx, void *self);  /* "" when none; plugin, until the next hook */
    const char *(*last_path)(lt_ctx *ctx, void *self);
    double (*best_score)(lt_ctx *ctx, void *self);      /* NAN when none */
    const char *(*monitor)(lt_ctx *ctx, void *self);    /* "" when none */
    bool (*higher_is_better)(lt_ctx *ctx, void *self);
} lt_checkpointing;

typedef struct lt_callback {
    lt_component base;
    lt_status (*save)(lt_ctx *ctx, void *self, lt_state_writer *out); /* state beyond LT_SAVED fields */
    lt_status (*load)(lt_ctx *ctx, void *self, const lt_state_reader *in);
    /* Distinguishes several instances in a checkpoint; NULL: the component id, then "Id-1", ... Plugin, until destroy. */
    const char *(*state_key)(lt_ctx *ctx, void *self);
#define LT__X(name, kinds, text) lt_hook *name;
    LT_HOOKS(LT__X)
#undef LT__X
} lt_callback;
LT_END
#ifndef __cplusplus
#define LT_CALLBACK(id_, type_, doc_, ...) LT__COMPONENT(lt_callback, "lt.callback/1", id_, type_, doc_, __VA_ARGS__)
#else
namespace lt {
/* As lt::model. */
struct callback {
    enum { state_version = 0 };
    virtual const void *get_interface(const char *) { return nullptr; }
    virtual lt_status save(lt_ctx *, lt_state_writer *) { return LT_OK; }
    virtual lt_status load(lt_ctx *, const lt_state_reader *) { return LT_OK; }
    virtual const char *state_key(lt_ctx *) { return nullptr; }
#define LT__X(name, kinds, text) \
    virtual lt_status name(lt_ctx *) { return LT_OK; }
    LT_HOOKS(LT__X)
#undef LT__X
protected:
    ~callback() = default;
};
template <> struct is_kind<callback> { enum { value = 1 }; };
template <class T>
constexpr lt_callback make_callback(const char *id, const lt_params *(*params)(void), const char *doc, uint32_t flags = 0) {
#define LT__X(name, kinds, text) , LT__HOOK(name)
    return lt_callback{base<T>(sizeof(lt_callback), "lt.callback/1", id, params, doc, flags), LT__HOOK(save), LT__HOOK(load),
        LT__HOOK(state_key)
        LT_HOOKS(LT__X)};
#undef LT__X
}
} // namespace lt
/* LT_CALLBACK(Id, type, "doc") or LT_CALLBACK(Id, type, "doc", flags) */
#define LT_CALLBACK(id_, type_, ...) LT__COMPONENT(lt_callback, id_, (::lt::make_callback<type_>(#id_, type_##_params, __VA_ARGS__)))
#endif
#endif
