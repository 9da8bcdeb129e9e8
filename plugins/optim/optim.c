/* plugins/optim/optim.c - the bundle of optimizers and learning-rate schedulers that ships with lthost. One component per file. */
#include <lt/optim.h>
#include <lt/plugin.h>

LT_PLUGIN("org.lthost.optim", "0.1.0",
    optimizer(Adadelta), optimizer(Adagrad), optimizer(Adam), optimizer(AdamW), optimizer(LBFGS), optimizer(Lion),
    optimizer(NAdam), optimizer(RMSprop), optimizer(SGD),
    lr_scheduler(ChainedScheduler), lr_scheduler(ConstantLR), lr_scheduler(CosineAnnealingLR), lr_scheduler(CosineAnnealingWarmRestarts),
    lr_scheduler(CyclicLR), lr_scheduler(ExponentialLR), lr_scheduler(LinearLR), lr_scheduler(LinearWarmupLR), lr_scheduler(MultiStepLR),
    lr_scheduler(OneCycleLR), lr_scheduler(PolynomialLR), lr_scheduler(ReduceLROnPlateau), lr_scheduler(SequentialLR), lr_scheduler(StepLR));
