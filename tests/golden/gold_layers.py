"""ops_layers.bin: transposed convolution, adaptive pools, interpolation, group and RMS norm, and odd conv2d, in the format of gold_ops.py."""
import torch
from torch.nn import functional as F

from gold_ops import Writer, exactly, integers, randn

TRANSPOSED = (  # variant, batch, C, (H, W), O, (kH, kW), stride, padding, output_padding, dilation, groups, bias
    ("k2s2", 2, 3, (4, 5), 4, (2, 2), (2, 2), (0, 0), (0, 0), (1, 1), 1, True),
    ("k3", 2, 3, (5, 4), 4, (3, 3), (1, 1), (0, 0), (0, 0), (1, 1), 1, True),
    ("k3p1", 2, 4, (6, 5), 3, (3, 3), (1, 1), (1, 1), (0, 0), (1, 1), 1, False),
    ("k4s2p1", 3, 8, (4, 4), 6, (4, 4), (2, 2), (1, 1), (0, 0), (1, 1), 1, True),
    ("k3s2p1o1", 2, 5, (4, 3), 4, (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 1, True), ("k3d2", 2, 3, (4, 5), 2, (3, 3), (1, 1), (1, 1), (0, 0), (2, 2), 1, True),
    ("k3g2", 2, 4, (4, 4), 6, (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 2, True),
    ("depthwise", 2, 6, (5, 5), 6, (3, 3), (1, 1), (1, 1), (0, 0), (1, 1), 6, False),
    ("mixed", 2, 3, (4, 6), 4, (3, 2), (2, 3), (1, 0), (1, 2), (1, 2), 1, True), ("k1", 3, 5, (3, 3), 7, (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1, True),
    ("line", 2, 3, (1, 9), 4, (1, 4), (1, 2), (0, 1), (0, 0), (1, 1), 1, True), ("many", 3, 12, (6, 7), 14, (4, 4), (2, 2), (1, 1), (0, 0), (1, 1), 1, True),
)


def write_transposed(w):
    for variant, n, c, (h, x), o, kernel, s, p, extra, d, groups, bias in TRANSPOSED:
        scale = (c // groups * kernel[0] * kernel[1]) ** -0.5
        make = lambda n=n, c=c, h=h, x=x, o=o, k=kernel, g=groups, scale=scale, bias=bias: (  # noqa: E731
            randn(n, c, h, x), exactly(randn(c, o // g, *k) * scale), *([randn(o)] if bias else []))
        fn = lambda *a, s=s, p=p, e=extra, d=d, g=groups: F.conv_transpose2d(  # noqa: E731
            *a, stride=s, padding=p, output_padding=e, dilation=d, groups=g)
        w.case("conv_transpose2d", variant, make, fn, (*s, *p, *d, groups, *extra), wide=True)


def write_convolutions(w):
    """What the first half left out: groups, depthwise with a multiplier, asymmetric everything, also in f64 with ReLU and pool."""
    for variant, c, size, o, k, s, p, d, groups in (
            ("g4", 8, (6, 7), 12, (3, 3), (1, 1), (1, 1), (1, 1), 4), ("depthwise_x2", 6, (7, 6), 12, (3, 3), (2, 2), (1, 1), (1, 1), 6),
            ("wide_padding", 3, (5, 6), 4, (3, 5), (1, 2), (2, 3), (1, 1), 1), ("k1x7", 4, (3, 11), 5, (1, 7), (1, 1), (0, 3), (1, 1), 1),
            ("d3s2", 3, (13, 12), 4, (3, 2), (2, 3), (3, 1), (3, 2), 1), ("line", 4, (1, 20), 6, (1, 5), (1, 2), (0, 2), (1, 1), 1),
            ("line_g2", 4, (1, 17), 6, (1, 3), (1, 1), (0, 2), (1, 2), 2), ("many", 20, (7, 8), 36, (3, 3), (1, 1), (1, 1), (1, 1), 1)):
        scale = (c // groups * k[0] * k[1]) ** -0.5
        w.case("conv2d", f"layers_{variant}", lambda c=c, z=size, o=o, k=k, g=groups, scale=scale: (
            randn(3, c, *z), exactly(randn(o, c // g, *k) * scale), randn(o)),
            lambda *a, s=s, p=p, d=d, g=groups: F.conv2d(*a, stride=s, padding=p, dilation=d, groups=g), (*s, *p, *d, groups), wide=True)
    for act, fn in ((0, lambda x: x), (1, F.relu), (2, torch.tanh), (3, torch.sigmoid)):
        w.case("conv2d", f"layers_act{act}_pool", lambda: (randn(2, 3, 9, 8), exactly(randn(5, 3, 3, 3) * 0.2), randn(5)),
               lambda *a, fn=fn: F.max_pool2d(fn(F.conv2d(*a, padding=1)), 2), (1, 1, 1, 1, 1, 1, 1, act, 2, 2, 2, 2), wide=True)
    w.case("conv2d", "layers_overlapping_pool", lambda: (randn(2, 3, 9, 8), exactly(randn(5, 3, 3, 3) * 0.2), randn(5)),
           lambda *a: F.max_pool2d(F.relu(F.conv2d(*a)), 3, 2), (1, 1, 0, 0, 1, 1, 1, 1, 3, 3, 2, 2), wide=True)


def write_adaptive(w):
    for variant, shape, out in (("one", (2, 3, 5, 7), (1, 1)), ("same", (2, 3, 4, 4), (4, 4)), ("odd", (2, 3, 7, 5), (3, 2)), ("up", (1, 2, 3, 4), (5, 7)),
                                ("row", (3, 4, 1, 9), (1, 4)), ("bs17", (17, 3, 8, 8), (1, 1)), ("7", (2, 5, 14, 14), (7, 7))):
        w.case("adaptive_avg_pool2d", variant, lambda s=shape: (randn(*s),), lambda x, o=out: F.adaptive_avg_pool2d(x, o), out, wide=True)
        w.case("adaptive_max_pool2d", variant, lambda s=shape: (randn(*s),), lambda x, o=out: F.adaptive_max_pool2d(x, o), out, wide=True)
    w.case("adaptive_max_pool2d", "ties", lambda: (integers(2, 3, 7, 6),), lambda x: F.adaptive_max_pool2d(x, (3, 2)), (3, 2))


def write_interpolate(w):
    for variant, shape, size in (("up2", (2, 3, 4, 5), (8, 10)), ("odd", (2, 3, 5, 4), (7, 9)), ("down", (2, 2, 9, 8), (4, 3)), ("same", (1, 2, 4, 4), (4, 4)),
                                 ("from_one", (2, 3, 1, 1), (3, 4)), ("to_one", (2, 3, 5, 4), (1, 1)), ("row", (2, 3, 1, 7), (1, 15))):
        w.case("interpolate", f"nearest_{variant}", lambda s=shape: (randn(*s),), lambda x, z=size: F.interpolate(x, z), (0, 0, *size), wide=True)
        for align in (0, 1):
            w.case("interpolate", f"bilinear{'_aligned' if align else ''}_{variant}", lambda s=shape: (randn(*s),),
                   lambda x, z=size, a=align: F.interpolate(x, z, mode="bilinear", align_corners=bool(a)), (1, align, *size), wide=True)
    for variant, shape, scale in (("2", (2, 3, 4, 5), (2.0, 2.0)), ("1.7", (2, 3, 5, 6), (1.7, 2.3)), ("0.6", (2, 3, 7, 6), (0.6, 0.55))):
        size = tuple(int(n * s) for n, s in zip(shape[2:], scale))
        w.case("interpolate", f"nearest_scale_{variant}", lambda s=shape: (randn(*s),), lambda x, f=scale: F.interpolate(x, scale_factor=f),
               (0, 0, *size), scale, wide=True)
        for align in (0, 1):
            w.case("interpolate", f"bilinear{'_aligned' if align else ''}_scale_{variant}", lambda s=shape: (randn(*s),),
                   lambda x, f=scale, a=align: F.interpolate(x, scale_factor=f, mode="bilinear", align_corners=bool(a)), (1, align, *size), scale, wide=True)


def write_norms(w):
    for variant, shape, groups in (("2d", (4, 6, 5, 3), 2), ("one_group", (3, 4, 7), 1), ("instance", (2, 5, 6, 7), 5), ("flat", (6, 32), 4),
                                   ("wide", (2, 16, 9, 9), 8), ("tails", (17, 6, 11), 3)):
        w.case("group_norm", variant, lambda s=shape: (randn(*s), randn(s[1]), randn(s[1])),
               lambda x, a, b, g=groups: F.group_norm(x, g, a, b, 1e-5), (groups,), (1e-5,), wide=True)
        w.case("group_norm", f"{variant}_bare", lambda s=shape: (randn(*s),), lambda x, g=groups: F.group_norm(x, g, None, None, 1e-3), (groups,), (1e-3,),
               wide=True)
    w.case("group_norm", "no_bias", lambda: (randn(2, 4, 5), randn(4)), lambda x, a: F.group_norm(x, 2, a, None, 1e-5), (2,), (1e-5,), wide=True)
    for variant, shape in (("1d", (7,)), ("2d", (5, 33)), ("3d", (3, 4, 16)), ("wide", (9, 300)), ("one", (4, 1)), ("rows", (65, 24))):
        w.case("rms_norm", variant, lambda s=shape: (randn(*s), randn(s[-1])), lambda x, a: F.rms_norm(x, a.shape, a, 1e-5), (), (1e-5,), wide=True)
        w.case("rms_norm", f"{variant}_bare", lambda s=shape: (randn(*s),), lambda x: F.rms_norm(x, x.shape[-1:], None, 1e-6), (), (1e-6,), wide=True)


def write_layers(gold):
    w = Writer(gold)
    write_transposed(w)
    write_convolutions(w)
    write_adaptive(w)
    write_interpolate(w)
    write_norms(w)


PART = ("ops_layers", write_layers)
