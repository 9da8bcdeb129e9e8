"""ops_fused.bin: every activation behind linear, conv2d (with a pool too) and batch_norm (with a residual too), in the format of gold_ops.py."""
import torch
from torch.nn import functional as F

from gold_ops import ACTIVATIONS, Writer, exactly, randn

ALL = ACTIVATIONS + (("leaky_relu", F.leaky_relu), ("elu", F.elu), ("silu", F.silu), ("softplus", F.softplus), ("hardswish", F.hardswish))


def norm(x, weight, bias, mean, var, residual, fn):
    y = F.batch_norm(x, mean, var, weight, bias, True, 0.1, 1e-5)
    return fn(y if residual is None else y + residual)


def write_fused(gold):
    w = Writer(gold)
    for number, (name, fn) in enumerate(ALL):
        if not number:
            continue
        w.case("linear", f"fused_{name}", lambda: (randn(5, 7, 19), exactly(randn(21, 19) * 0.4), randn(21)),
               lambda *a, fn=fn: fn(F.linear(*a)), (number,), wide=True)
        w.case("linear", f"fused_{name}_bare", lambda: (randn(33, 16), exactly(randn(8, 16) * 0.4)), lambda *a, fn=fn: fn(F.linear(*a)), (number,), wide=True)
        w.case("conv2d", f"fused_{name}", lambda: (randn(3, 4, 7, 6), exactly(randn(18, 4, 3, 3) * 0.3), randn(18)),
               lambda *a, fn=fn: fn(F.conv2d(*a, padding=1)), (1, 1, 1, 1, 1, 1, 1, number), wide=True)
        w.case("conv2d", f"fused_{name}_pool", lambda: (randn(2, 1, 12, 11), exactly(randn(6, 1, 5, 5) * 0.3), randn(6)),
               lambda *a, fn=fn: F.max_pool2d(fn(F.conv2d(*a)), 2), (1, 1, 0, 0, 1, 1, 1, number, 2, 2, 2, 2), wide=True)
        for variant, beside in (("", False), ("_residual", True)):
            w.case("batch_norm", f"fused_{name}{variant}",
                   lambda beside=beside: (randn(4, 6, 5, 3), randn(6), randn(6), randn(6), randn(6).abs() + 0.5, randn(4, 6, 5, 3) if beside else None),
                   lambda *a, fn=fn: norm(*a, fn), (1, number), (1e-5, 0.1), wide=True, changed=(3, 4))


PART = ("ops_fused", write_fused)
