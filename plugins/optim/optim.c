/* plugins/optim/optim.c - the bundle of optimizers and learning-rate schedulers that ships with lthost. One component per file. */
#include <lt/optim.h>
#include <lt/plugin.h>

LT_PLUGIN("org.lthost.optim", "0.1.0",
    optimizer(Adam), optimizer(AdamW), optimizer(SGD),
    lr_scheduler(CosineAnnealingLR), lr_scheduler(StepLR));
