"""ops_losses.bin: the losses, as PyTorch computes them. Format: gold_ops.py."""
import torch
from torch.nn import functional as F

from gold_index import Many
from gold_ops import F64, REDUCTIONS, positive, randn

SHAPES = (("2d", (5, 7)), ("one", (1,)), ("odd", (3, 333)), ("nd", (2, 3, 4, 5)), ("scalar", ()))


def probabilities(*shape):
    return torch.rand(shape).double() * 0.98 + 0.01


def write_pairs(w):
    for code, how in enumerate(REDUCTIONS):
        for variant, shape in SHAPES:
            wide, pair = variant != "odd", (lambda shape=shape: (randn(*shape), randn(*shape)))
            w.case("l1_loss", f"{variant}_{how}", pair, lambda x, t, how=how: F.l1_loss(x, t, reduction=how), (code,), wide=wide)
            for f in (1.0, 0.3):
                w.case("smooth_l1_loss", f"{variant}_{how}_{f}", pair, lambda x, t, how=how, f=f: F.smooth_l1_loss(x, t, reduction=how, beta=f), (code,), (f,),
                       wide=wide)
                w.case("huber_loss", f"{variant}_{how}_{f}", pair, lambda x, t, how=how, f=f: F.huber_loss(x, t, reduction=how, delta=f), (code,), (f,),
                       wide=wide)
            chances = lambda shape=shape: (probabilities(*shape), probabilities(*shape))  # noqa: E731
            w.case("bce_loss", f"{variant}_{how}", chances, lambda x, t, how=how: F.binary_cross_entropy(x, t, reduction=how), (code,), wide=wide)
            logits = lambda shape=shape: (randn(*shape) * 3, probabilities(*shape))  # noqa: E731
            w.case("bce_with_logits", f"{variant}_{how}", logits, lambda x, t, how=how: F.binary_cross_entropy_with_logits(x, t, reduction=how), (code,),
                   wide=wide)
            for logs in (0, 1):
                target = (lambda shape=shape: (randn(*shape), randn(*shape))) if logs else (lambda shape=shape: (randn(*shape), positive(*shape)))
                w.case("kl_div", f"{variant}_{how}_{logs}", target, lambda x, t, how=how, logs=logs: F.kl_div(x, t, reduction=how, log_target=bool(logs)),
                       (code, logs), wide=wide)
        edges = lambda: (torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5], dtype=F64), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0], dtype=F64))  # noqa: E731
        w.case("bce_loss", f"edges_{how}", edges, lambda x, t, how=how: F.binary_cross_entropy(x, t.detach(), reduction=how), (code,))
        far = lambda: (torch.tensor([-200.0, -90.0, -30.0, 0.0, 30.0, 90.0, 200.0], dtype=F64), probabilities(7))  # noqa: E731
        w.case("bce_with_logits", f"far_{how}", far, lambda x, t, how=how: F.binary_cross_entropy_with_logits(x, t, reduction=how), (code,))
        for variant, shape in (("same", (6, 9)), ("row", (9,)), ("column", (6, 1)), ("one", (1,))):
            make = lambda shape=shape: (probabilities(6, 9), probabilities(6, 9), positive(*shape))  # noqa: E731
            w.case("bce_loss", f"weight_{variant}_{how}", make, lambda x, t, v, how=how: F.binary_cross_entropy(x, t, v.detach(), reduction=how), (code,))
            make = lambda shape=shape: (randn(6, 9), probabilities(6, 9), positive(*shape))  # noqa: E731
            w.case("bce_with_logits", f"weight_{variant}_{how}", make,
                   lambda x, t, v, how=how: F.binary_cross_entropy_with_logits(x, t, v.detach(), reduction=how), (code,))
            make = lambda shape=shape: (randn(6, 9), probabilities(6, 9), None, positive(*shape))  # noqa: E731
            w.case("bce_with_logits", f"pos_weight_{variant}_{how}", make,
                   lambda x, t, _, v, how=how: F.binary_cross_entropy_with_logits(x, t, pos_weight=v.detach(), reduction=how), (code,))
        make = lambda: (randn(6, 9), probabilities(6, 9), positive(6, 9), positive(9))  # noqa: E731
        w.case("bce_with_logits", f"both_{how}", make,
               lambda x, t, v, p, how=how: F.binary_cross_entropy_with_logits(x, t, v.detach(), pos_weight=p.detach(), reduction=how), (code,))
    w.case("kl_div", "batchmean", lambda: (randn(6, 9), positive(6, 9)), lambda x, t: F.kl_div(x, t, reduction="batchmean"), (3, 0))
    w.case("kl_div", "zeros", lambda: (randn(8), torch.tensor([0.0, 1.0, 0.0, 0.5, 0.0, 2.0, 0.0, 0.0], dtype=F64)),
           lambda x, t: F.kl_div(x, t.detach(), reduction="sum"), (1, 0))
    for op, fn in (("l1_loss", F.l1_loss), ("huber_loss", F.huber_loss)):
        w.case(op, "equal", lambda: (torch.ones(5).double(), torch.ones(5).double()), fn, (0,), (1.0,))
        w.case(op, "empty_sum", lambda: (randn(0, 4), randn(0, 4)), lambda x, t, fn=fn: fn(x, t, reduction="sum"), (1,), (1.0,))
        w.case(op, "empty_mean", lambda: (randn(0, 4), randn(0, 4)), fn, (0,), (1.0,))


def write_entropy(w):
    labels = lambda shape, c: torch.randint(0, c, shape)  # noqa: E731
    kinds = (("2d", (7, 5)), ("one", (5,)), ("image", (2, 5, 3, 4)), ("sequence", (3, 6, 33)), ("tall", (2, 3, 130)), ("classes", (9, 40)))
    for code, how in enumerate(REDUCTIONS):
        for variant, shape in kinds:
            c = shape[1 if len(shape) > 1 else 0]
            rows = shape[:1] + shape[2:] if len(shape) > 1 else ()
            make = lambda s=shape, r=rows, c=c: (randn(*s) * 2, labels(r, c))  # noqa: E731
            weighted = lambda s=shape, r=rows, c=c: (randn(*s) * 2, labels(r, c), positive(c))  # noqa: E731
            name, wide = f"{variant}_{how}", variant in ("2d", "one", "image")
            w.case("cross_entropy", f"plain_{name}", make, lambda x, t, how=how: F.cross_entropy(x, t, reduction=how), (code,), wide=wide)
            w.case("cross_entropy", f"weighted_{name}", weighted,
                   lambda x, t, v, how=how: F.cross_entropy(x, t, v.detach(), reduction=how, label_smoothing=0.2), (code,), (0.2,), wide=wide)
            w.case("nll_loss", f"plain_{name}", make, lambda x, t, how=how: F.nll_loss(x, t, reduction=how), (code,), wide=wide)
            w.case("nll_loss", f"weighted_{name}", weighted, lambda x, t, v, how=how: F.nll_loss(x, t, v.detach(), reduction=how), (code,), wide=wide)
            if len(shape) > 1:
                w.case("cross_entropy", f"ignore_{name}", weighted,
                       lambda x, t, v, how=how: F.cross_entropy(x, t, v.detach(), reduction=how, ignore_index=1, label_smoothing=0.1), (code, 1, 1), (0.1,),
                       wide=wide)
                w.case("nll_loss", f"ignore_{name}", weighted,
                       lambda x, t, v, how=how: F.nll_loss(x, t, v.detach(), reduction=how, ignore_index=1), (code, 1, 1), wide=wide)
            dim = 1 if len(shape) > 1 else 0
            soft = lambda s=shape, d=dim: (randn(*s) * 2, torch.softmax(randn(*s), d).float().double())  # noqa: E731
            w.case("cross_entropy", f"soft_{name}", soft, lambda x, t, how=how: F.cross_entropy(x, t, reduction=how), (code,), wide=wide)
            soft = lambda s=shape, d=dim, c=c: (randn(*s) * 2, torch.softmax(randn(*s), d).float().double(), positive(c))  # noqa: E731
            w.case("cross_entropy", f"soft_weighted_{name}", soft,
                   lambda x, t, v, how=how: F.cross_entropy(x, t, v.detach(), reduction=how, label_smoothing=0.3), (code,), (0.3,))
        w.case("cross_entropy", f"large_image_{how}", lambda: (randn(2, 5, 7) * 1000, labels((2, 7), 5)),
               lambda x, t, how=how: F.cross_entropy(x, t, reduction=how), (code,))
    w.case("nll_loss", "all_ignored", lambda: (randn(3, 4), torch.tensor([1, 1, 1])), lambda x, t: F.nll_loss(x, t, reduction="sum", ignore_index=1), (1, 1, 1))


def write_cosines(w):
    for variant, shape in (("2d", (6, 9)), ("3d", (2, 3, 33)), ("vector", (5,)), ("long", (3, 400))):
        w.case("cosine_similarity", variant, lambda s=shape: (randn(*s), randn(*s)), lambda a, b: F.cosine_similarity(a, b, dim=-1, eps=1e-8), (), (1e-8,))
    w.case("cosine_similarity", "eps", lambda: (randn(6, 9) * 0.1, randn(6, 9)), lambda a, b: F.cosine_similarity(a, b, dim=-1, eps=0.5), (), (0.5,))
    signs = lambda n: (torch.randint(0, 2, (n,)) * 2 - 1).double()  # noqa: E731
    for code, how in enumerate(REDUCTIONS):
        for margin in (0.0, 0.3):
            w.case("cosine_embedding_loss", f"rows_{how}_{margin}", lambda: (randn(11, 7), randn(11, 7), signs(11)),
                   lambda a, b, y, how=how, m=margin: F.cosine_embedding_loss(a, b, y.detach(), margin=m, reduction=how), (code,), (margin,))
        w.case("cosine_embedding_loss", f"vector_{how}", lambda: (randn(7), randn(7), torch.tensor(1.0, dtype=F64)),
               lambda a, b, y, how=how: F.cosine_embedding_loss(a, b, y.detach(), reduction=how), (code,), (0.0,))


def write_losses(gold):
    w = Many(gold)
    write_pairs(w)
    write_entropy(w)
    write_cosines(w)
