"""ops_*.bin: each operation of host/engine/ops/ops.def, forward and backward, as PyTorch computes it.

A case is named <op>.<variant>.<f32|f64> and has the records
    <case>/op       the op's text in ops.def (u8), so that a test can run every case the same way
    <case>/attrs    i64[16], <case>/fattrs f64[4]: lth_attrs as ops.def documents it for that op
    <case>/in<i>    input i of the op; one that is absent (no bias) has no record, later ones keep their number
    <case>/out0     output;  <case>/gout0  the gradient that arrives at it
    <case>/gin<i>   gradient of input i, where PyTorch has one; no gout0, no gin: forward only
    <case>/after<i> input i after the call, where it is changed in place (running statistics)
Values are exact in f32 also in the f64 cases. The f32 results are PyTorch's own f32 results: compare with tolerances that
fit the length of the sums. Every f32 case was drawn again until its results agreed with those of float64, so that no
ReLU and no maximum stands on the edge. Dropout is left out (its mask is in rng.bin).
"""
import zlib

import numpy as np
import torch
from torch.nn import functional as F

F32, F64 = torch.float32, torch.float64
CODE = {F64: 1, F32: 2, torch.float16: 3, torch.bfloat16: 4, torch.int64: 5, torch.int32: 6, torch.uint8: 7, torch.bool: 8}
ACTIVATIONS = (
    ("none", lambda x: x), ("relu", F.relu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid),
    ("gelu", F.gelu), ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")),
)
REDUCTIONS = ("mean", "sum", "none")
RELU = 1


def randn(*shape):
    return torch.randn(shape, dtype=F32).double()


def positive(*shape):
    return (torch.rand(shape, dtype=F32) * 3 + 0.05).double()


def integers(*shape, low=-3, high=4):
    """Small whole numbers: many ties, many zeros."""
    return torch.randint(low, high, shape).double()


def run(make, fn, dtype, seed, changed):
    """(inputs, output, gradient of the output, gradients of the inputs, changed inputs) in dtype."""
    torch.manual_seed(seed)
    given = [None if x is None else x.to(dtype) if x.dtype == F64 else x for x in make()]
    used = []
    for i, x in enumerate(given):
        floats = x is not None and x.is_floating_point() and i not in changed
        used.append(x.clone().requires_grad_() if floats else None if x is None else x.clone())
    out = fn(*used)
    if not out.requires_grad:
        return given, out, None, {}, {i: used[i] for i in changed}
    arriving = torch.randn(out.shape, dtype=F32).to(out.dtype)
    out.backward(arriving)
    gradients = {i: x.grad for i, x in enumerate(used) if x is not None and x.requires_grad and x.grad is not None}
    return given, out.detach(), arriving, gradients, {i: used[i] for i in changed}


def agrees(a, b):
    if not a[1].is_floating_point():
        return bool(torch.equal(a[1], b[1]))
    pairs = [(a[1], b[1])] + [(x, b[3][i]) for i, x in a[3].items()]
    return all(torch.allclose(x.double(), y.double(), rtol=1e-3, atol=1e-4) for x, y in pairs)


class Writer:
    def __init__(self, gold):
        self.gold = gold

    def case(self, op, variant, make, fn, attrs=(), fattrs=(), wide=False, changed=(), compare=True):
        """Adds a case in f32 and, if wide, in f64. make() returns f64 inputs (cast), others as they are, None for absent."""
        seed = zlib.crc32(f"{op}.{variant}".encode())
        for seed in range(seed, seed + 50):
            narrow, exact = run(make, fn, F32, seed, changed), run(make, fn, F64, seed, changed)
            if not compare or agrees(narrow, exact):
                break
        else:
            raise RuntimeError(f"{op}.{variant}: no seed gives a stable case")
        self.put(f"{op}.{variant}.f32", op, attrs, fattrs, narrow)
        if wide:
            self.put(f"{op}.{variant}.f64", op, attrs, fattrs, exact)

    def put(self, name, op, attrs, fattrs, result):
        inputs, out, arriving, gradients, after = result
        g = self.gold
        g.text(f"{name}/op", op)
        g.add(f"{name}/attrs", np.array(list(attrs) + [0] * (16 - len(attrs)), dtype=np.int64))
        g.add(f"{name}/fattrs", np.array(list(fattrs) + [0.0] * (4 - len(fattrs)), dtype=np.float64))
        for i, x in enumerate(inputs):
            if x is not None:
                g.add(f"{name}/in{i}", x)
        g.add(f"{name}/out0", out)
        if arriving is not None:
            g.add(f"{name}/gout0", arriving)
        for i, x in gradients.items():
            g.add(f"{name}/gin{i}", x)
        for i, x in after.items():
            g.add(f"{name}/after{i}", x)


def write_elementwise(gold):
    w = Writer(gold)
    binary = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
    shapes = {
        "same": ((3, 5), (3, 5)), "one": ((1,), (1,)), "row": ((6, 17), (17,)), "column": ((6, 17), (6, 1)), "outer": ((7, 1), (1, 9)),
        "middle": ((2, 3, 4), (3, 1)), "scalar": ((5, 4), ()), "scalar_left": ((), (5, 4)), "channels": ((2, 3, 5, 7), (3, 1, 1)),
        "long": ((1003,), (1003,)), "both": ((4, 1, 3), (1, 5, 1)),
    }
    for op, fn in binary.items():
        for variant, (a, b) in shapes.items():
            second = positive if op == "div" else randn
            w.case(op, variant, lambda a=a, b=b, second=second: (randn(*a), second(*b)), fn, wide=variant != "long")
    w.case("eq", "same", lambda: (integers(4, 9), integers(4, 9)), torch.eq)
    w.case("eq", "row", lambda: (integers(4, 9), integers(9)), torch.eq)
    w.case("eq", "i64", lambda: (torch.randint(0, 4, (20,)), torch.randint(0, 4, (20,))), torch.eq)
    w.case("add_scalar", "x", lambda: (randn(5, 7),), lambda x: x + 0.7, fattrs=(0.7,), wide=True)
    w.case("mul_scalar", "x", lambda: (randn(5, 7),), lambda x: x * -1.3, fattrs=(-1.3,), wide=True)

    zeros = lambda n: torch.cat([randn(n), torch.zeros(3, dtype=F64), torch.tensor([-0.0], dtype=F64)])  # noqa: E731
    wild = lambda n: torch.cat([randn(n) * 4, torch.tensor([-100.0, -20.0, 20.0, 88.0, 100.0, 1e-8, -1e-8], dtype=F64)])  # noqa: E731
    unary = {
        "neg": (torch.neg, randn), "exp": (torch.exp, randn), "log": (torch.log, positive), "sqrt": (torch.sqrt, positive),
        "abs": (torch.abs, zeros), "relu": (F.relu, zeros), "tanh": (torch.tanh, wild), "sigmoid": (torch.sigmoid, wild),
    }
    for op, (fn, make) in unary.items():
        for n in (1, 7, 16, 33, 1000):
            w.case(op, f"n{n}", lambda n=n, make=make: (make(n),), fn, wide=n <= 33)
        if make is randn or make is positive:
            w.case(op, "nd", lambda make=make: (make(2, 3, 4, 5),), fn, wide=True)
    for i, how in enumerate(("none", "tanh")):
        for n in (1, 7, 33, 1000):
            w.case("gelu", f"{how}_n{n}", lambda n=n: (wild(n),), lambda x, how=how: F.gelu(x, approximate=how), (i,), wide=n <= 33)


def write_shape(gold):
    """Reductions, softmax, views, casts, things made from nothing."""
    w = Writer(gold)
    for op, fn in (("sum", torch.sum), ("mean", torch.mean)):
        for variant, shape, dims in (("all", (3, 4, 5), (0, 1, 2)), ("vector", (1001,), (0,)), ("last", (6, 33), (1,)), ("first", (33, 6), (0,)),
                                     ("middle", (3, 17, 5), (1,)), ("outer2", (4, 3, 5, 2), (0, 2, 3)), ("scalar", (1,), (0,)),
                                     ("tall", (300, 20), (0,))):
            for keep in (False, True):
                w.case(op, f"{variant}{'_keep' if keep else ''}", lambda shape=shape: (randn(*shape),),
                       lambda x, fn=fn, dims=dims, keep=keep: fn(x, dim=dims, keepdim=keep),
                       (len(dims), *dims, *[0] * (8 - len(dims)), int(keep)), wide=variant not in ("vector", "tall"))
    for variant, shape, dim in (("last", (5, 12), 1), ("first", (12, 5), 0), ("middle", (3, 9, 4), 1)):
        for keep in (0, 1):
            w.case("argmax", f"{variant}{'_keep' if keep else ''}", lambda shape=shape: (integers(*shape),),
                   lambda x, dim=dim, keep=keep: first_argmax(x, dim, bool(keep)), (1, dim, 0, 0, 0, 0, 0, 0, 0, keep))
    for op, fn in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
        for variant, shape, dim in (("last", (5, 10), 1), ("first", (10, 5), 0), ("middle", (2, 7, 3), 1), ("one", (4, 1), 1), ("vector", (65,), 0),
                                    ("wide", (3, 1000), 1)):
            w.case(op, variant, lambda shape=shape: (randn(*shape) * 3,), lambda x, fn=fn, dim=dim: fn(x, dim=dim), (dim,), wide=variant != "wide")
        w.case(op, "large_values", lambda: (randn(4, 6) * 1000,), lambda x, fn=fn: fn(x, dim=1), (1,), wide=True)

    shaped = lambda *shape: (0, len(shape), *shape)  # noqa: E731
    w.case("reshape", "flat", lambda: (randn(2, 3, 4),), lambda x: x.reshape(24), shaped(24))
    w.case("reshape", "up", lambda: (randn(6, 4),), lambda x: x.reshape(2, 3, 2, 2), shaped(2, 3, 2, 2))
    w.case("expand", "rows", lambda: (randn(1, 4),), lambda x: x.expand(3, 4), shaped(3, 4))
    w.case("expand", "lead", lambda: (randn(3, 1),), lambda x: x.expand(2, 3, 5), shaped(2, 3, 5))
    w.case("permute", "transpose", lambda: (randn(5, 7),), lambda x: x.permute(1, 0), (1, 0))
    w.case("permute", "nd", lambda: (randn(2, 3, 4, 5),), lambda x: x.permute(0, 2, 3, 1), (0, 2, 3, 1))
    w.case("slice", "rows", lambda: (randn(9, 4),), lambda x: x[2:7], (0, 2, 7))
    w.case("slice", "columns", lambda: (randn(3, 9, 2),), lambda x: x[:, 4:5], (1, 4, 5))
    w.case("cat", "rows", lambda: (randn(2, 5), randn(1, 5), randn(4, 5)), lambda *x: torch.cat(x, 0), (0,), wide=True)
    w.case("cat", "columns", lambda: (randn(2, 3, 5), randn(2, 1, 5)), lambda *x: torch.cat(x, 1), (1,))
    w.case("copy", "x", lambda: (randn(4, 7),), torch.clone, wide=True)

    edge = lambda: (torch.cat([randn(20) * 50, torch.tensor([0.0, -0.0, 1.00390625, 65519.0, 1e-8, -2.5, 2.5], dtype=F64)]),)  # noqa: E731
    w.case("cast", "f32_f64", edge, lambda x: x.to(F64), (1,), compare=False)
    for to in (torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.bool):
        w.case("cast", f"f32_{str(to)[6:]}", edge, lambda x, to=to: x.to(to), (CODE[to],), compare=False)
    w.case("cast", "u8_f32", lambda: (torch.randint(0, 256, (40,), dtype=torch.uint8),), lambda x: x.to(F32), (2,))
    w.case("cast", "i64_f32", lambda: (torch.randint(-1000, 1000, (9,)),), lambda x: x.to(F32), (2,))
    w.case("full", "f32", lambda: (), lambda: torch.full((2, 3), 0.3), (2, 2, 2, 3), (0.3,))
    w.case("full", "i64", lambda: (), lambda: torch.full((4,), 7), (5, 1, 4), (7.0,))
    w.case("arange", "f32", lambda: (), lambda: torch.arange(0.5, 8.0, 0.3), (2, 1, 25), (0.5, 0.3))
    w.case("arange", "i64", lambda: (), lambda: torch.arange(3, 20, 2), (5, 1, 9), (3.0, 2.0))


def first_argmax(x, dim, keep):
    """The first of equals, which PyTorch's argmax does not promise."""
    top = x == x.amax(dim, keepdim=True)
    return (top.cumsum(dim) == 0).sum(dim, keepdim=keep)


def write_linear(gold):
    w = Writer(gold)
    for variant, a, b in (("2d", (5, 7), (7, 3)), ("one", (1, 1), (1, 1)), ("odd", (65, 70), (70, 33)), ("batch", (3, 4, 5), (3, 5, 6)),
                          ("batch4", (2, 3, 4, 8), (2, 3, 8, 5)), ("broadcast", (2, 1, 4, 5), (3, 5, 6)), ("left2d", (4, 5), (3, 5, 2)),
                          ("right2d", (3, 2, 4, 5), (5, 6)), ("long_k", (4, 800), (800, 3)), ("vector_row", (1, 40), (40, 17))):
        w.case("matmul", variant, lambda a=a, b=b: (randn(*a), randn(*b)), torch.matmul, wide=variant not in ("odd", "long_k"))
    for code, (name, act) in enumerate(ACTIVATIONS):
        for variant, x, o in (("small", (4, 7), 5), ("tails", (17, 33), 19), ("classes", (64, 84), 10)):
            scale = x[1] ** -0.5
            w.case("linear", f"{name}_{variant}", lambda x=x, o=o, s=scale: (randn(*x), exactly(randn(o, x[1]) * s), randn(o)),
                   lambda x, weight, bias, act=act: act(F.linear(x, weight, bias)), (code,), wide=variant == "small")
        w.case("linear", f"{name}_no_bias", lambda: (randn(3, 6), randn(9, 6)), lambda x, weight, act=act: act(F.linear(x, weight)), (code,), wide=True)
    linear = lambda *args: F.linear(*args)  # noqa: E731
    w.case("linear", "none_3d", lambda: (randn(3, 2, 8), randn(5, 8), randn(5)), linear, (0,), wide=True)
    w.case("linear", "none_one", lambda: (randn(1, 1), randn(1, 1), randn(1)), linear, (0,), wide=True)
    w.case("linear", "none_host_cost", lambda: (randn(1, 32), randn(2, 32), randn(2)), linear, (0,))
    w.case("linear", "none_784", lambda: (randn(20, 784), exactly(randn(16, 784) / 28), randn(16)), linear, (0,))
    w.case("linear", "relu_784", lambda: (randn(7, 784), exactly(randn(24, 784) / 28), randn(24)), lambda *a: F.relu(F.linear(*a)), (RELU,))
    w.case("linear", "relu_400_60", lambda: (randn(19, 400), exactly(randn(60, 400) / 20), randn(60)), lambda *a: F.relu(F.linear(*a)), (RELU,))
    w.case("linear", "none_to_300", lambda: (randn(9, 64), exactly(randn(300, 64) / 8), randn(300)), linear, (0,))
    w.case("linear", "none_64_3", lambda: (randn(64, 64), exactly(randn(3, 64) / 8), randn(3)), linear, (0,))


def exactly(x):
    """Rounded to f32, so that both precisions see the same value."""
    return x.float().double()


CONVOLUTIONS = (  # variant, batch, channels, (H, W), out, (kH, kW), stride, padding, dilation, groups, bias, wide
    ("k1", 2, 3, (5, 6), 4, (1, 1), 1, 0, 1, 1, True, True),
    ("k1s2", 3, 8, (7, 7), 16, (1, 1), 2, 0, 1, 1, False, False),
    ("k2s2", 2, 3, (8, 8), 5, (2, 2), 2, 0, 1, 1, True, True),
    ("k3p1", 2, 3, (7, 6), 4, (3, 3), 1, 1, 1, 1, True, True),
    ("k3p1_no_bias", 4, 16, (9, 9), 16, (3, 3), 1, 1, 1, 1, False, False),
    ("k3s2p1", 3, 4, (11, 9), 6, (3, 3), 2, 1, 1, 1, True, True),
    ("k3d2p2", 2, 3, (9, 9), 4, (3, 3), 1, 2, 2, 1, True, True),
    ("k3g2", 2, 4, (6, 6), 6, (3, 3), 1, 1, 1, 2, True, True),
    ("k3depthwise", 3, 8, (7, 7), 8, (3, 3), 1, 1, 1, 8, True, False),
    ("k3one_pixel", 4, 32, (1, 1), 32, (3, 3), 1, 1, 1, 1, False, False),
    ("k3two_pixels", 5, 24, (2, 2), 40, (3, 3), 2, 1, 1, 1, False, False),
    ("k3_bs16", 16, 5, (8, 8), 7, (3, 3), 1, 1, 1, 1, True, False),
    ("k3x1", 2, 3, (6, 7), 4, (3, 1), 1, 0, 1, 1, True, True),
    ("k5", 2, 2, (9, 9), 3, (5, 5), 1, 0, 1, 1, True, True),
    ("k5s2p2", 17, 1, (12, 12), 6, (5, 5), 2, 2, 1, 1, True, False),
    ("k7s2p3", 2, 3, (16, 16), 8, (7, 7), 2, 3, 1, 1, False, False),
    ("whole_map", 3, 6, (5, 5), 4, (5, 5), 1, 0, 1, 1, True, True),
    ("lenet1_bs3", 3, 1, (28, 28), 6, (5, 5), 1, 2, 1, 1, True, False),
    ("lenet1_small_bs17", 17, 1, (12, 12), 6, (5, 5), 1, 2, 1, 1, True, False),
    ("lenet2_bs1", 1, 6, (14, 14), 16, (5, 5), 1, 0, 1, 1, True, False),
    ("lenet2_bs3", 3, 6, (14, 14), 16, (5, 5), 1, 0, 1, 1, True, False),
    ("lenet2_bs16", 16, 6, (14, 14), 16, (5, 5), 1, 0, 1, 1, True, False),
    ("lenet2_small_bs20", 20, 6, (8, 8), 16, (5, 5), 1, 0, 1, 1, True, False),
)


def write_conv(gold):
    w = Writer(gold)
    for variant, n, c, (height, width), o, (kh, kw), s, p, d, groups, bias, wide in CONVOLUTIONS:
        scale = (c // groups * kh * kw) ** -0.5
        make = lambda n=n, c=c, h=height, x=width, o=o, kh=kh, kw=kw, g=groups, scale=scale, bias=bias: (  # noqa: E731
            randn(n, c, h, x), exactly(randn(o, c // g, kh, kw) * scale), *([randn(o)] if bias else []))
        conv = lambda *a, s=s, p=p, d=d, g=groups: F.conv2d(*a, stride=s, padding=p, dilation=d, groups=g)  # noqa: E731
        w.case("conv2d", variant, make, conv, (s, s, p, p, d, d, groups), wide=wide)
    mixed = lambda *a: F.conv2d(*a, stride=(2, 1), padding=(1, 2), dilation=(1, 2))  # noqa: E731
    w.case("conv2d", "mixed", lambda: (randn(2, 3, 9, 10), randn(4, 3, 3, 2), randn(4)), mixed, (2, 1, 1, 2, 1, 2, 1), wide=True)
    w.case("conv2d", "relu", lambda: (randn(2, 3, 6, 6), randn(4, 3, 3, 3), randn(4)), lambda *a: F.relu(F.conv2d(*a)),
           (1, 1, 0, 0, 1, 1, 1, RELU), wide=True)
    fused = lambda p: lambda *a: F.max_pool2d(F.relu(F.conv2d(*a, padding=p)), 2)  # noqa: E731
    for variant, n, c, size, o, p in (("lenet1", 1, 1, 28, 6, 2), ("lenet1", 16, 1, 28, 6, 2), ("lenet1", 17, 1, 28, 6, 2),
                                      ("lenet2", 3, 6, 14, 16, 0), ("lenet2", 16, 6, 14, 16, 0), ("lenet2", 20, 6, 14, 16, 0)):
        w.case("conv2d", f"{variant}_relu_pool_bs{n}",
               lambda n=n, c=c, size=size, o=o: (randn(n, c, size, size), exactly(randn(o, c, 5, 5) * (25 * c) ** -0.5), randn(o)),
               fused(p), (1, 1, p, p, 1, 1, 1, RELU, 2, 2, 2, 2))


POOLS = (  # variant, shape, kernel, stride, padding, ceil
    ("k2", (2, 3, 6, 6), (2, 2), (2, 2), (0, 0), False), ("k2odd", (2, 3, 7, 5), (2, 2), (2, 2), (0, 0), False),
    ("k2ceil", (2, 3, 7, 5), (2, 2), (2, 2), (0, 0), True), ("k3s2p1", (2, 2, 8, 9), (3, 3), (2, 2), (1, 1), False),
    ("k3s2p1ceil", (2, 2, 8, 9), (3, 3), (2, 2), (1, 1), True), ("k3s1p1", (1, 2, 5, 5), (3, 3), (1, 1), (1, 1), False),
    ("k3s3", (2, 2, 10, 11), (3, 3), (3, 3), (0, 0), False), ("k2x3s1x2", (2, 2, 6, 8), (2, 3), (1, 2), (1, 0), False),
    ("global", (3, 5, 4, 4), (4, 4), (4, 4), (0, 0), False), ("bs17", (17, 6, 8, 8), (2, 2), (2, 2), (0, 0), False),
    ("k2s3", (2, 2, 9, 9), (2, 2), (3, 3), (0, 0), False),
)


def write_pool(gold):
    w = Writer(gold)
    for variant, shape, kernel, stride, padding, ceil in POOLS:
        attrs = (*kernel, *stride, *padding, int(ceil))
        top = lambda x, a=(kernel, stride, padding), c=ceil: F.max_pool2d(x, *a, ceil_mode=c)  # noqa: E731
        w.case("max_pool2d", variant, lambda shape=shape: (randn(*shape),), top, attrs, wide=shape[0] < 17)
        w.case("max_pool2d", f"{variant}_ties", lambda shape=shape: (integers(*shape),), top, attrs)
        for include in (1, 0):
            mean = lambda x, a=(kernel, stride, padding), c=ceil, i=include: F.avg_pool2d(x, *a, ceil_mode=c, count_include_pad=bool(i))  # noqa: E731
            w.case("avg_pool2d", f"{variant}{'' if include else '_exclude_pad'}", lambda shape=shape: (randn(*shape),), mean, (*attrs, include),
                   wide=shape[0] < 17)


def write_norm(gold):
    w = Writer(gold)
    stats = lambda c: (exactly(positive(c)), randn(c), randn(c), exactly(positive(c)))  # noqa: E731
    for variant, shape in (("1d", (6, 5)), ("1d_tails", (33, 19)), ("1d_length", (4, 3, 7)), ("2d", (4, 3, 5, 6)), ("2d_bs2", (2, 16, 3, 3)),
                           ("2d_bs17", (17, 4, 4, 4))):
        for training in (1, 0):
            for act in (0, RELU):
                def norm(x, weight, bias, mean, var, training=training, act=act):
                    return ACTIVATIONS[act][1](F.batch_norm(x, mean, var, weight, bias, bool(training), 0.1, 1e-5))

                w.case("batch_norm", f"{variant}_{'train' if training else 'eval'}{'_relu' if act else ''}",
                       lambda shape=shape: (randn(*shape), *stats(shape[1])), norm, (training, act), (1e-5, 0.1), wide=not act, changed=(3, 4))
    w.case("batch_norm", "2d_train_momentum", lambda: (randn(4, 3, 2, 2), *stats(3)),
           lambda x, weight, bias, mean, var: F.batch_norm(x, mean, var, weight, bias, True, 0.3, 1e-3), (1, 0), (1e-3, 0.3), wide=True, changed=(3, 4))
    w.case("batch_norm", "2d_train_bare", lambda: (randn(4, 3, 2, 2),), lambda x: F.batch_norm(x, None, None, None, None, True, 0.1, 1e-5),
           (1, 0), (1e-5, 0.1), wide=True)
    w.case("batch_norm", "2d_train_no_affine", lambda: (randn(4, 3, 2, 2), None, None, randn(3), positive(3)),
           lambda x, _w, _b, mean, var: F.batch_norm(x, mean, var, None, None, True, 0.1, 1e-5), (1, 0), (1e-5, 0.1), wide=True, changed=(3, 4))


def write_loss(gold):
    w = Writer(gold)
    for code, how in enumerate(REDUCTIONS):
        for variant, shape in (("2d", (5, 7)), ("one", (1,)), ("image", (3, 784)), ("nd", (2, 3, 4, 5))):
            w.case("mse_loss", f"{variant}_{how}", lambda shape=shape: (randn(*shape), randn(*shape)),
                   lambda x, t, how=how: F.mse_loss(x, t, reduction=how), (code,), wide=variant != "image")
        labels = lambda n, c: torch.randint(0, c, (n,))  # noqa: E731
        for variant, n, c in (("10", 12, 10), ("bs64", 64, 10), ("one", 1, 3), ("two", 5, 2), ("wide", 4, 1000), ("tails", 17, 33)):
            w.case("cross_entropy", f"{variant}_{how}", lambda n=n, c=c: (randn(n, c) * 2, labels(n, c)),
                   lambda x, t, how=how: F.cross_entropy(x, t, reduction=how), (code,), wide=variant != "wide")
        w.case("cross_entropy", f"large_values_{how}", lambda: (randn(6, 5) * 1000, labels(6, 5)),
               lambda x, t, how=how: F.cross_entropy(x, t, reduction=how), (code,), wide=True)
        ignore = lambda: (randn(9, 4), torch.tensor([0, 2, 3, 2, 1, 2, 0, 0, 3]))  # noqa: E731
        w.case("cross_entropy", f"ignore_{how}", ignore, lambda x, t, how=how: F.cross_entropy(x, t, reduction=how, ignore_index=2), (code, 1, 2), wide=True)
        outside = lambda: (randn(5, 4), torch.tensor([0, -100, 3, -100, 1]))  # noqa: E731
        w.case("cross_entropy", f"ignore_outside_{how}", outside, lambda x, t, how=how: F.cross_entropy(x, t, reduction=how, ignore_index=-100),
               (code, 1, -100), wide=True)
        w.case("cross_entropy", f"smooth_{how}", lambda: (randn(8, 10), labels(8, 10)),
               lambda x, t, how=how: F.cross_entropy(x, t, reduction=how, label_smoothing=0.1), (code,), (0.1,), wide=True)

        def weighted(x, t, weight, how=how, **extra):
            return F.cross_entropy(x, t, weight.detach(), reduction=how, **extra)

        with_weight = lambda: (randn(8, 5), labels(8, 5), positive(5))  # noqa: E731
        w.case("cross_entropy", f"weight_{how}", with_weight, weighted, (code,), wide=True)
        w.case("cross_entropy", f"weight_smooth_{how}", with_weight, lambda x, t, v, f=weighted: f(x, t, v, label_smoothing=0.2), (code,), (0.2,), wide=True)
        w.case("cross_entropy", f"all_{how}", lambda: (randn(9, 4), torch.tensor([0, 2, 3, 2, 1, 2, 0, 0, 3]), positive(4)),
               lambda x, t, v, f=weighted: f(x, t, v, label_smoothing=0.2, ignore_index=2), (code, 1, 2), (0.2,), wide=True)
    w.case("cross_entropy", "all_ignored_sum", lambda: (randn(3, 4), torch.tensor([1, 1, 1])),
           lambda x, t: F.cross_entropy(x, t, reduction="sum", ignore_index=1), (1, 1, 1), wide=True)
    accuracy = lambda x, t: (first_argmax(x, 1, False) == t).float().mean()  # noqa: E731
    w.case("accuracy", "random", lambda: (randn(64, 10).detach(), torch.randint(0, 10, (64,))), accuracy)
    w.case("accuracy", "ties", lambda: (integers(40, 5), torch.randint(0, 5, (40,))), accuracy)


def write_transformer(gold):
    """The other half of the table: rows that stand in ops.def already."""
    w = Writer(gold)
    for variant, shape in (("2d", (5, 16)), ("3d", (2, 3, 33)), ("wide", (4, 384))):
        w.case("layer_norm", variant, lambda shape=shape: (randn(*shape), randn(shape[-1]), randn(shape[-1])),
               lambda x, weight, bias: F.layer_norm(x, x.shape[-1:], weight, bias, 1e-5), fattrs=(1e-5,), wide=variant != "wide")
    w.case("layer_norm", "no_bias", lambda: (randn(5, 16), randn(16)), lambda x, weight: F.layer_norm(x, (16,), weight, None, 1e-5), fattrs=(1e-5,), wide=True)
    w.case("embedding", "2d", lambda: (torch.randint(0, 11, (3, 7)), randn(11, 6)), F.embedding, wide=True)
    for causal in (0, 1):
        w.case("attention", "causal" if causal else "full", lambda: (randn(2, 3, 9, 8), randn(2, 3, 9, 8), randn(2, 3, 9, 8)),
               lambda q, k, v, causal=causal: F.scaled_dot_product_attention(q, k, v, is_causal=bool(causal)), (causal,), wide=True)
    w.case("attention", "scale", lambda: (randn(1, 2, 17, 4), randn(1, 2, 17, 4), randn(1, 2, 17, 4)),
           lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3), (1,), (0.3,), wide=True)


GROUPS = {
    "elementwise": write_elementwise, "shape": write_shape, "linear": write_linear, "conv": write_conv, "pool": write_pool,
    "norm": write_norm, "loss": write_loss, "transformer": write_transformer,
}
