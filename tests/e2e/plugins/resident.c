/* Resident: prints how much memory of the process is resident at two training steps. `leak` makes it grow, to show that a test would see
 * it. Test only; Linux. */
#include <lt/callback.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { int64_t from, to, leak; long long begin; } resident;
LT_PARAMS(resident,
    LT_PARAM(from, "1000", "Step after the warm-up."),
    LT_PARAM(to, "10000", "Last step."),
    LT_PARAM(leak, "0", "Bytes lost per batch."));

static long long kib(void) {
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        pages = fscanf(file, "%*d %lld", &pages) == 1 ? pages : 0;
        fclose(file);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static lt_status on_train_batch_end(lt_ctx *ctx, void *self) {
    resident *r = self;
    int64_t step = lt_now(ctx)->global_step;
    if (r->leak) {
        char *volatile lost = malloc((size_t)r->leak);
        if (lost) {
            memset(lost, 1, (size_t)r->leak);
        }
    }
    if (step == r->from) {
        r->begin = kib();
    } else if (step == r->to) {
        lt_print(ctx, "resident: %lld KiB at step %lld, %lld KiB at step %lld", r->begin, (long long)r->from, kib(), (long long)step);
    }
    return LT_OK;
}

LT_CALLBACK(Resident, resident, "Prints how much memory is resident.", .on_train_batch_end = on_train_batch_end);
LT_PLUGIN("org.lthost.test.resident", "0.0.1", callback(Resident));
