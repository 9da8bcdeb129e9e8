"""metrics.bin: what torchmetrics says of three batches, per batch and over all of them.

<case>/{id,params}: texts, the component and its parameters as YAML; <case>/{preds,target}<k>, k = 0, 1, 2 (target missing: none);
<case>/batch<k>, <case>/epoch: f64 values. Batches differ in size; scores have ties.
"""
import torch
import torchmetrics as tm
from torchmetrics.text import Perplexity

SIZES = (17, 5, 32)


def scores(classes, spatial=(), soft=False):
    out = [torch.round(torch.randn(n, classes, *spatial) * 8) / 8 for n in SIZES]  # multiples of 1/8: ties
    return [torch.softmax(x, 1) for x in out] if soft else out


def labels(classes, spatial=()):
    return [torch.randint(0, classes, (n, *spatial)) for n in SIZES]


def cases():
    c = 5
    for name, cls in (("Accuracy", tm.Accuracy), ("Precision", tm.Precision), ("Recall", tm.Recall), ("F1Score", tm.F1Score)):
        for average in ("micro", "macro", "weighted", "none"):
            yield f"{name}.{average}", name, cls(task="multiclass", num_classes=c, average=average), \
                f"num_classes: {c}, average: {average}", scores(c), labels(c)
        yield f"{name}.top2", name, cls(task="multiclass", num_classes=c, average="macro", top_k=2), \
            f"num_classes: {c}, average: macro, top_k: 2", [torch.randn(n, c) for n in SIZES], labels(c)  # topk of ties is anybody's
        yield f"{name}.labels", name, cls(task="multiclass", num_classes=7, average="macro"), "num_classes: 7, average: macro", labels(4), labels(5)
        yield f"{name}.spatial", name, cls(task="multiclass", num_classes=c, average="macro", ignore_index=2), \
            f"num_classes: {c}, average: macro, ignore_index: 2", scores(c, (3, 2)), labels(c, (3, 2))
        yield f"{name}.binary_logits", name, cls(task="binary"), "task: binary", [torch.randn(n) * 2 for n in SIZES], labels(2)
        yield f"{name}.binary_probabilities", name, cls(task="binary", threshold=0.3), "task: binary, threshold: 0.3", \
            [torch.rand(n) for n in SIZES], labels(2)
    for normalize in ("none", "true", "pred", "all"):
        yield f"ConfusionMatrix.{normalize}", "ConfusionMatrix", tm.ConfusionMatrix(task="multiclass", num_classes=c, normalize=normalize), \
            f'num_classes: {c}, normalize: "{normalize}"', scores(c), labels(c)
    yield "ConfusionMatrix.binary", "ConfusionMatrix", tm.ConfusionMatrix(task="binary"), "task: binary", [torch.rand(n) for n in SIZES], labels(2)
    for name, cls in (("AUROC", tm.AUROC), ("AveragePrecision", tm.AveragePrecision)):
        for average in ("macro", "weighted", "none"):
            yield f"{name}.{average}", name, cls(task="multiclass", num_classes=c, average=average), f"num_classes: {c}, average: {average}", \
                scores(c, soft=True), labels(c)
        yield f"{name}.logits", name, cls(task="multiclass", num_classes=c), f"num_classes: {c}", scores(c), labels(c)
        yield f"{name}.binary", name, cls(task="binary"), "task: binary", [torch.round(torch.rand(n) * 16) / 16 for n in SIZES], labels(2)
        yield f"{name}.no_positives", name, cls(task="binary"), "task: binary", [torch.rand(n) for n in SIZES], labels(1)
    pair = lambda *shape: [torch.randn(n, *shape) for n in SIZES]  # noqa: E731
    yield "MeanSquaredError.plain", "MeanSquaredError", tm.MeanSquaredError(), "", pair(3), pair(3)
    yield "MeanSquaredError.root", "MeanSquaredError", tm.MeanSquaredError(squared=False), "squared: false", pair(), pair()
    yield "MeanAbsoluteError.plain", "MeanAbsoluteError", tm.MeanAbsoluteError(), "", pair(2, 2), pair(2, 2)
    x = pair(3)
    y = [v + 0.5 * torch.randn_like(v) * torch.tensor([1.0, 3.0, 0.1]) for v in x]
    for how in ("uniform_average", "raw_values", "variance_weighted"):
        yield f"R2Score.{how}", "R2Score", tm.R2Score(multioutput=how), f"num_outputs: 3, multioutput: {how}", x, y
    yield "R2Score.adjusted", "R2Score", tm.R2Score(adjusted=2), "num_outputs: 3, adjusted: 2", x, y
    yield "Perplexity.plain", "Perplexity", Perplexity(), "", [torch.randn(n, 4, 11) for n in SIZES], labels(11, (4,))
    yield "Perplexity.ignore", "Perplexity", Perplexity(ignore_index=3), "ignore_index: 3", [torch.randn(n, 4, 11) for n in SIZES], labels(11, (4,))
    yield "MeanMetric.plain", "MeanMetric", tm.MeanMetric(), "", pair(), None
    yield "MeanMetric.weights", "MeanMetric", tm.MeanMetric(), "", pair(), [torch.rand(n) for n in SIZES]
    nans = pair()
    nans[1][2] = float("nan")
    yield "MeanMetric.nan", "MeanMetric", tm.MeanMetric(nan_strategy="ignore"), "", nans, None
    # Logits in samples that do not count: most metrics drop these first, those of stat scores do not.
    for name, cls in (("ConfusionMatrix", tm.ConfusionMatrix), ("AUROC", tm.AUROC), ("AveragePrecision", tm.AveragePrecision), ("F1Score", tm.F1Score)):
        soft, target = [torch.rand(n) for n in SIZES], labels(2)
        many, classes = scores(c, (3,), soft=True), labels(c, (3,))
        for k in range(len(SIZES)):
            soft[k][1], target[k][1] = 7.0, -1
            many[k][2, :, 1], classes[k][2, 1] = torch.tensor([3.0, -2, 0, 1, 5]), -1
        yield f"{name}.dropped", name, cls(task="binary", ignore_index=-1), "task: binary, ignore_index: -1", soft, target
        yield f"{name}.dropped_class", name, cls(task="multiclass", num_classes=c, ignore_index=-1), f"num_classes: {c}, ignore_index: -1", many, classes


def write_metrics(g):
    torch.manual_seed(0)
    g.text("meta/versions", f"torch {torch.__version__}, torchmetrics {tm.__version__}")
    for name, component, metric, params, preds, target in cases():
        g.text(f"{name}/id", component)
        g.text(f"{name}/params", params or " ")
        for k in range(len(SIZES)):
            args = [preds[k]] + ([target[k]] if target else [])
            g.add(f"{name}/preds{k}", preds[k])
            if target:
                g.add(f"{name}/target{k}", target[k])
            g.add(f"{name}/batch{k}", metric(*args).double().flatten())
        g.add(f"{name}/epoch", metric.compute().double().flatten())


PART = ("metrics", write_metrics)
