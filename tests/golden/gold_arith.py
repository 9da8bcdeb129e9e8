"""ops_arith.bin: comparisons, choices, functions of elements, activations and reductions beyond those of gold_ops.py (its format).

Values with ties, zeros, infinities and NaNs are here as well: what PyTorch does with them is part of an operation.
"""
import torch
from torch.nn import functional as F

from gold_ops import F64, Writer, first_argmax, integers, positive, randn

INF, NAN = float("inf"), float("nan")


def special(n):
    """Zeros, both infinities and NaN among ordinary numbers: for operations that PyTorch defines there."""
    return torch.cat([randn(n) * 3, torch.tensor([0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 0.5, 2.5, -2.5, 1.5], dtype=F64)])


def zeros(n):
    return torch.cat([randn(n) * 3, torch.zeros(3, dtype=F64), torch.tensor([-0.0, 1.0, -1.0, 3.0, -3.0], dtype=F64)])


def wild(n):
    return torch.cat([randn(n) * 4, torch.tensor([-100.0, -20.0, 20.0, 88.0, 100.0, 1e-8, -1e-8], dtype=F64)])


SHAPES = {
    "same": ((3, 5), (3, 5)), "row": ((6, 17), (17,)), "column": ((6, 17), (6, 1)), "outer": ((7, 1), (1, 9)), "scalar": ((5, 4), ()),
    "channels": ((2, 3, 5, 7), (3, 1, 1)), "both": ((4, 1, 3), (1, 5, 1)), "long": ((203,), (203,)), "empty": ((0, 3), (3,)),
    "wide_row": ((3, 70), (70,)), "wide_column": ((3, 70), (3, 1)),
}


def write_pairs(w):
    compare = {"ne": torch.ne, "lt": torch.lt, "le": torch.le, "gt": torch.gt, "ge": torch.ge, "logical_and": torch.logical_and,
               "logical_or": torch.logical_or, "eq": torch.eq}
    for op, fn in compare.items():
        for variant, (a, b) in SHAPES.items():
            w.case(op, f"arith_{variant}", lambda a=a, b=b: (integers(*a), integers(*b)), fn, wide=variant == "same")
        for dtype in (torch.int64, torch.int32, torch.uint8, torch.bool):
            draw = lambda *shape, dtype=dtype: torch.randint(0, 2 if dtype == torch.bool else 4, shape).to(dtype)  # noqa: E731
            w.case(op, f"arith_{str(dtype)[6:]}", lambda draw=draw: (draw(4, 9), draw(9)), fn)
        w.case(op, "arith_special", lambda: (special(5), special(5).flip(0)), fn, wide=True, compare=False)
    w.case("logical_not", "special", lambda: (special(9),), torch.logical_not, wide=True, compare=False)
    w.case("logical_not", "bool", lambda: (torch.rand(20) > 0.5,), torch.logical_not)
    for op, fn, second in (("maximum", torch.maximum, randn), ("minimum", torch.minimum, randn), ("pow", torch.pow, randn)):
        for variant, (a, b) in SHAPES.items():
            first = positive if op == "pow" else randn
            w.case(op, variant, lambda a=a, b=b, first=first, second=second: (first(*a), second(*b)), fn, wide=variant not in ("long", "empty"))
    for op, fn in (("maximum", torch.maximum), ("minimum", torch.minimum)):
        w.case(op, "ties", lambda: (integers(6, 9), integers(6, 9)), fn, wide=True)
        w.case(op, "i64", lambda: (torch.randint(-9, 9, (5, 4)), torch.randint(-9, 9, (4,))), fn)
    w.case("pow", "edges", lambda: (torch.tensor([0.0, 0.0, 2.0, -2.0, -1.5], dtype=F64), torch.tensor([2.0, 1.0, 0.0, 3.0, 2.0], dtype=F64)),
           power_of_first, wide=True, compare=False)
    for op, fn in (("add", torch.add), ("sub", torch.sub), ("mul", torch.mul)):
        for dtype in (torch.int64, torch.int32, torch.uint8):
            w.case(op, f"arith_{str(dtype)[6:]}", lambda dtype=dtype: (torch.randint(0, 100, (4, 9)).to(dtype), torch.randint(0, 100, (9,)).to(dtype)), fn)
        w.case(op, "arith_empty", lambda: (randn(0, 3), randn(3)), fn, wide=True)
        w.case(op, "arith_wide_row", lambda: (randn(4, 90), randn(90)), fn, wide=True)
        w.case(op, "arith_wide_column", lambda: (randn(4, 90), randn(4, 1)), fn, wide=True)
        w.case(op, "arith_middle", lambda: (randn(2, 5, 70), randn(5, 1)), fn, wide=True)
        w.case(op, "arith_left_small", lambda: (randn(1, 3), randn(50, 3)), fn, wide=True)
        w.case(op, "arith_five", lambda: (randn(2, 1, 3, 1, 4), randn(5, 1, 2, 4)), fn, wide=True)
    for variant, (a, b) in SHAPES.items():
        w.case("where", variant, lambda a=a, b=b: (torch.rand(torch.broadcast_shapes(a, b)) > 0.5, randn(*a), randn(*b)), torch.where, wide=variant != "long")
    w.case("where", "spread_condition", lambda: (torch.rand(1, 70) > 0.5, randn(5, 70), randn()), torch.where, wide=True)
    w.case("where", "i64", lambda: (torch.rand(4, 6) > 0.5, torch.randint(0, 9, (4, 6)), torch.randint(0, 9, (6,))), torch.where)


def power_of_first(a, b):
    """The exponents' gradient at negative bases is NaN: only the first operand's is kept."""
    return torch.pow(a, b.detach())


def write_elements(w):
    unary = {
        "rsqrt": (torch.rsqrt, positive), "sin": (torch.sin, wild), "cos": (torch.cos, wild), "erf": (torch.erf, wild), "square": (torch.square, zeros),
        "reciprocal": (torch.reciprocal, positive), "sign": (torch.sign, zeros), "floor": (torch.floor, zeros), "ceil": (torch.ceil, zeros),
        "round": (torch.round, lambda n: torch.cat([randn(n) * 3, torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5], dtype=F64)])),
        "silu": (F.silu, wild), "hardswish": (F.hardswish, zeros),
        "log": (torch.log, lambda n: torch.cat([positive(n), torch.tensor([1e-30, 1e30, 1.0, 0.99999, 1.00001], dtype=F64)])),
        "exp": (torch.exp, lambda n: randn(n) * 10),
    }
    for op, (fn, make) in unary.items():
        for n in (1, 33, 130):
            w.case(op, f"arith_n{n}", lambda n=n, make=make: (make(n),), fn, wide=True)
        w.case(op, "arith_nd", lambda make=make: (make(120)[:120].reshape(2, 3, 4, 5),), fn, wide=True)
        w.case(op, "arith_empty", lambda: (randn(3, 0),), fn, wide=True)
    w.case("sin", "far", lambda: ((randn(40) * 1e5).float().double(),), torch.sin, wide=True)
    w.case("cos", "far", lambda: ((randn(40) * 1e5).float().double(),), torch.cos, wide=True)
    for op, fn in (("relu", F.relu), ("sign", torch.sign), ("floor", torch.floor), ("square", torch.square), ("abs", torch.abs)):
        w.case(op, "special", lambda: (special(6).detach(),), lambda x, fn=fn: fn(x.detach()), wide=True, compare=False)
    for op, fn in (("square", torch.square), ("sign", torch.sign), ("neg", torch.neg), ("abs", torch.abs)):
        w.case(op, "arith_i64", lambda: (torch.randint(-50, 50, (37,)),), fn)
    for exponent in (2.0, 3.0, 0.5, -0.5, -1.0, -2.0, 0.0, 1.0, 1.7, -2.3):
        w.case("pow_scalar", f"e{exponent}", lambda: (positive(45),), lambda x, e=exponent: torch.pow(x, e), fattrs=(exponent,), wide=True)
    for exponent in (2.0, 3.0, 4.0):
        w.case("pow_scalar", f"signed_e{exponent}", lambda: (zeros(20),), lambda x, e=exponent: torch.pow(x, e), fattrs=(exponent,), wide=True)
    for variant, low, high in (("both", -1.0, 0.5), ("low", -0.3, INF), ("high", -INF, 1.0), ("none", -INF, INF), ("crossed", 1.0, -1.0)):
        limits = dict(min=None if low == -INF else low, max=None if high == INF else high)
        if variant == "none":
            w.case("clamp", variant, lambda: (zeros(40),), lambda x: x * 1, fattrs=(low, high), wide=True)
        elif variant == "crossed":
            w.case("clamp", variant, lambda: (zeros(40).detach(),), lambda x, k=limits: torch.clamp(x.detach(), **k), fattrs=(low, high), wide=True)
        else:
            w.case("clamp", variant, lambda: (zeros(40),), lambda x, k=limits: torch.clamp(x, **k), fattrs=(low, high), wide=True)
    w.case("clamp", "i64", lambda: (torch.randint(-50, 50, (37,)),), lambda x: torch.clamp(x, -7, 12), fattrs=(-7.0, 12.0))
    w.case("clamp", "special", lambda: (special(6).detach(),), lambda x: torch.clamp(x.detach(), -1.5, 2.0), fattrs=(-1.5, 2.0), wide=True, compare=False)
    for n in (1, 130):
        w.case("leaky_relu", f"n{n}", lambda n=n: (zeros(n),), lambda x: F.leaky_relu(x, 0.1), fattrs=(0.1,), wide=True)
        w.case("elu", f"n{n}", lambda n=n: (zeros(n),), lambda x: F.elu(x, 1.3), fattrs=(1.3,), wide=True)
        w.case("elu", f"small_n{n}", lambda n=n: (randn(n) * 1e-3,), lambda x: F.elu(x, 1.0), fattrs=(1.0,), wide=True)
        w.case("softplus", f"n{n}", lambda n=n: (wild(n),), lambda x: F.softplus(x, 1.0, 20.0), fattrs=(1.0, 20.0), wide=True)
        w.case("softplus", f"steep_n{n}", lambda n=n: (wild(n),), lambda x: F.softplus(x, 2.5, 9.0), fattrs=(2.5, 9.0), wide=True)


REDUCED = (("all", (3, 4, 5), (0, 1, 2)), ("vector", (301,), (0,)), ("last", (6, 33), (1,)), ("first", (33, 6), (0,)), ("middle", (3, 17, 5), (1,)),
           ("outer2", (4, 3, 5, 2), (0, 2, 3)), ("scalar", (1,), (0,)), ("tall", (90, 7), (0,)), ("wide", (2, 600), (1,)),
           ("wide_first", (5, 150), (0,)), ("inner2", (2, 3, 4, 20), (0, 2)))


def dims_attrs(dims, keep):
    return (len(dims), *dims, *[0] * (8 - len(dims)), int(keep))


def write_reductions(w):
    for variant, shape, dims in REDUCED:
        for keep in (False, True):
            name, attrs = f"{variant}{'_keep' if keep else ''}", dims_attrs(dims, keep)
            n = 1
            for d in dims:
                n *= shape[d]
            draw = lambda shape=shape: (randn(*shape),)  # noqa: E731
            ties = lambda shape=shape: (integers(*shape),)  # noqa: E731
            how = dict(dim=dims, keepdim=keep)
            for op, fn in (("sum", torch.sum), ("mean", torch.mean)):
                w.case(op, f"arith_{name}", draw, lambda x, fn=fn, how=how: fn(x, **how), attrs, wide=True)
            w.case("max", name, draw, lambda x, how=how: torch.amax(x, **how), attrs, wide=True)
            w.case("min", name, ties, lambda x, how=how: torch.amin(x, **how), attrs, wide=True)
            w.case("logsumexp", name, lambda shape=shape: (randn(*shape) * 3,), lambda x, how=how: torch.logsumexp(x, **how), attrs, wide=True)
            if n > 1:
                w.case("var", name, draw, lambda x, how=how: torch.var(x, correction=1, **how), attrs, (1.0,), wide=True)
                w.case("std", name, draw, lambda x, how=how: torch.std(x, correction=1, **how), attrs, (1.0,), wide=True)
            w.case("var", f"{name}_biased", draw, lambda x, how=how: torch.var(x, correction=0, **how), attrs, (0.0,), wide=True)
    w.case("var", "far", lambda: ((randn(5, 300) + 1000).float().double(),), lambda x: torch.var(x, dim=1), dims_attrs((1,), False), (1.0,), wide=True)
    for variant, shape, dims in (("all", (7,), (0,)), ("last", (5, 4), (1,)), ("first", (4, 5), (0,)), ("middle", (3, 4, 5), (1,))):
        reduce = lambda x, dims=dims: torch.prod(x, dim=dims[0])  # noqa: E731
        w.case("prod", variant, lambda shape=shape: (randn(*shape),), reduce, dims_attrs(dims, False), wide=True)
        w.case("prod", f"zeros_{variant}", lambda shape=shape: (integers(*shape),), reduce, dims_attrs(dims, False), wide=True)
    w.case("prod", "i64", lambda: (torch.randint(-3, 4, (4, 5)),), lambda x: torch.prod(x, dim=1), dims_attrs((1,), False))
    for variant, shape, dim in (("last", (5, 12), 1), ("first", (12, 5), 0), ("middle", (3, 9, 4), 1), ("vector", (201,), 0), ("wide", (3, 90), 1)):
        for keep in (0, 1):
            attrs, name = dims_attrs((dim,), keep), f"{variant}{'_keep' if keep else ''}"
            w.case("argmin", name, lambda shape=shape: (integers(*shape),), lambda x, dim=dim, keep=keep: first_argmax(-x, dim, bool(keep)), attrs)
            w.case("argmax", f"arith_{name}", lambda shape=shape: (randn(*shape),),
                   lambda x, dim=dim, keep=keep: torch.argmax(x, dim, bool(keep)), attrs, wide=True)
            w.case("max_along", name, lambda shape=shape: (randn(*shape),),
                   lambda x, dim=dim, keep=keep: torch.max(x, dim, bool(keep)).values, attrs, wide=True)
            w.case("min_along", name, lambda shape=shape: (randn(*shape),),
                   lambda x, dim=dim, keep=keep: torch.min(x, dim, bool(keep)).values, attrs, wide=True)
    w.case("max", "special", lambda: (special(5).detach(),), lambda x: torch.amax(x.detach(), dim=0), dims_attrs((0,), False), wide=True, compare=False)
    w.case("max", "i64", lambda: (torch.randint(-50, 50, (6, 7)),), lambda x: torch.amax(x, dim=1), dims_attrs((1,), False))
    w.case("argmin", "i64", lambda: (torch.tensor([[3, 1, 2, 1], [-(2**63), 5, 0, 1]]),), lambda x: torch.tensor([1, 0]), dims_attrs((1,), False))
    w.case("logsumexp", "infinite", lambda: (torch.tensor([[-INF, -INF], [INF, 1.0], [-INF, 2.0]], dtype=F64),),
           lambda x: torch.logsumexp(x.detach(), dim=1), dims_attrs((1,), False), wide=True, compare=False)
    for variant, shape, dim in (("last", (5, 12), 1), ("first", (12, 5), 0), ("middle", (3, 9, 4), 1), ("vector", (130,), 0), ("wide", (3, 70), 0)):
        w.case("cumsum", variant, lambda shape=shape: (randn(*shape),), lambda x, dim=dim: torch.cumsum(x, dim), (dim,), wide=True)
    w.case("cumsum", "i64", lambda: (torch.randint(-50, 50, (6, 7)),), lambda x: torch.cumsum(x, 1), (1,))
    w.case("sum", "arith_bool", lambda: (torch.rand(4, 50) > 0.4,), lambda x: torch.sum(x, dim=1), dims_attrs((1,), False))
    w.case("sum", "arith_i64", lambda: (torch.randint(-50, 50, (6, 7)),), lambda x: torch.sum(x, dim=0), dims_attrs((0,), False))
    w.case("sum", "arith_empty", lambda: (randn(3, 0),), lambda x: torch.sum(x, dim=1), dims_attrs((1,), False), wide=True)


def write_arith(gold):
    w = Writer(gold)
    write_pairs(w)
    write_elements(w)
    write_reductions(w)
