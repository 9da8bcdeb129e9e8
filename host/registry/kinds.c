/* registry/kinds.c - the kinds of component and the sizes of their structs. A table; decides nothing. */
#include "registry/parts.h"
#include <string.h>

typedef struct kind_facts {
    const char *name, *id;
    size_t size, first_size;
} kind_facts;

/* The last field that ABI 0.2 had, of each kind. Never changes. */
#define FIRST_END(type, field) (offsetof(struct type, field) + sizeof(((struct type *)0)->field))
#define FIRST_model            FIRST_END(lt_model, teardown)
#define FIRST_datamodule       FIRST_END(lt_datamodule, teardown)
#define FIRST_callback         FIRST_END(lt_callback, teardown)
#define FIRST_logger           FIRST_END(lt_logger, load)
#define FIRST_optimizer        FIRST_END(lt_optimizer, load)
#define FIRST_lr_scheduler     FIRST_END(lt_lr_scheduler, load)
#define FIRST_metric           FIRST_END(lt_metric_component, count)

static const kind_facts kinds[LTH_KIND_COUNT] = {
#define LTH_X(name, type) {#name, "lt." #name "/1", sizeof(struct type), FIRST_##name},
    LTH_KINDS(LTH_X)
#undef LTH_X
};

const char *lth_kind_name(lth_kind kind) { return kinds[kind].name; }
const char *lth_kind_id(lth_kind kind) { return kinds[kind].id; }
size_t lth_kind_size(lth_kind kind) { return kinds[kind].size; }
size_t lth_kind_first_size(lth_kind kind) { return kinds[kind].first_size; }

bool lth_kind_parse(const char *name_or_id, lth_kind *out) {
    for (int i = 0; i < LTH_KIND_COUNT; i++) {
        if (!strcmp(name_or_id, kinds[i].name) || !strcmp(name_or_id, kinds[i].id)) {
            *out = (lth_kind)i;
            return true;
        }
    }
    return false;
}
