"""ops_index.bin: indexing, joining, padding, sorting, as PyTorch computes them. Format: gold_ops.py; operations of several outputs have
out0, out1, ... and a gout<k> for each output that is a float."""
import zlib

import torch
from torch.nn import functional as F

from gold_ops import F32, F64, Writer, integers, randn


def several(make, fn, dtype, seed):
    """(inputs, outputs, gradients of the outputs, gradients of the inputs) in dtype."""
    torch.manual_seed(seed)
    given = [None if x is None else x.to(dtype) if x.dtype == F64 else x for x in make()]
    used = [x.clone().requires_grad_() if x is not None and x.is_floating_point() else x for x in given]
    outs = fn(*used)
    outs = list(outs) if isinstance(outs, (tuple, list)) else [outs]
    arriving = {i: torch.randn(y.shape, dtype=F32).to(y.dtype) for i, y in enumerate(outs) if y.requires_grad}
    if arriving:
        torch.autograd.backward([outs[i] for i in arriving], list(arriving.values()))
    gradients = {i: x.grad for i, x in enumerate(used) if x is not None and x.requires_grad and x.grad is not None}
    return given, [y.detach() for y in outs], arriving, gradients


class Many(Writer):
    def case(self, op, variant, make, fn, attrs=(), fattrs=(), wide=True):
        seed = zlib.crc32(f"{op}.{variant}".encode())
        for dtype, name in ((F32, "f32"), (F64, "f64")) if wide else ((F32, "f32"),):
            given, outs, arriving, gradients = several(make, fn, dtype, seed)
            case = f"{op}.{variant}.{name}"
            self.put(case, op, attrs, fattrs, (given, outs[0], arriving.get(0), gradients, {}))
            for k, y in enumerate(outs[1:], 1):
                self.gold.add(f"{case}/out{k}", y)
                if k in arriving:
                    self.gold.add(f"{case}/gout{k}", arriving[k])


LONG = ("wide", "long", "large", "ordered", "ties")  # in f32 only: the file is committed


def index_of(shape, size):
    return torch.randint(0, size, shape)


def write_joins(w):
    for variant, shapes, dim in (("nine", [(2, k % 3 + 1, 3) for k in range(8)], 1), ("empty_item", [(0, 4), (3, 4), (0, 4)], 0), ("one", [(3, 2)], 1),
                                 ("vectors", [(5,), (1,), (17,)], 0), ("last", [(4, 3, 2), (4, 3, 5)], 2)):
        w.case("cat", f"more_{variant}", lambda s=shapes: [randn(*x) for x in s], lambda *x, d=dim: torch.cat(x, d), (dim,))
    w.case("cat", "i64", lambda: (integers(2, 3).long(), integers(4, 3).long()), lambda *x: torch.cat(x, 0), (0,), wide=False)
    w.case("cat", "u8", lambda: (integers(5, low=0, high=9).byte(), integers(3, low=0, high=9).byte()), lambda *x: torch.cat(x, 0), (0,), wide=False)
    w.case("cat", "bool", lambda: (integers(5, 2).bool(), integers(5, 3).bool()), lambda *x: torch.cat(x, 1), (1,), wide=False)
    for variant, start, end, step in (("whole", 0, 9, 2), ("odd", 1, 8, 3), ("large", 2, 9, 20), ("none", 4, 4, 2)):
        w.case("slice", f"step_{variant}", lambda: (randn(3, 9, 2),), lambda x, s=slice(start, end, step): x[:, s], (1, start, end, step))


def write_indexing(w):
    for variant, x, i, dim in (("rows", (5, 7), (3, 7), 0), ("columns", (5, 7), (5, 4), 1), ("smaller", (6, 5, 4), (2, 9, 3), 1),
                               ("first", (6, 5, 4), (11, 5, 2), 0),
                               ("vector", (300,), (1000,), 0), ("last", (4, 3, 33), (4, 3, 50), 2), ("one", (1, 1), (1, 1), 0), ("empty", (3, 4), (0, 4), 0),
                               ("wide", (40, 130), (60, 130), 0)):
        w.case("gather", variant, lambda x=x, i=i, d=dim: (randn(*x), index_of(i, x[d])),
               lambda x, i, d=dim: torch.gather(x, d, i), (dim,), wide=variant not in LONG)
        w.case("scatter_add", variant, lambda x=x, i=i, d=dim: (randn(*x), index_of(i, x[d]), randn(*i)),
               lambda x, i, s, d=dim: torch.scatter_add(x, d, i, s), (dim,), wide=variant not in LONG)
    w.case("scatter_add", "larger_src", lambda: (randn(5, 7), index_of((3, 4), 5), randn(4, 6)),
           lambda x, i, s: torch.scatter_add(x, 0, i, s[:3, :4]), (0,))
    w.case("gather", "i64", lambda: (integers(5, 7).long(), index_of((5, 3), 7)), lambda x, i: torch.gather(x, 1, i), (1,), wide=False)
    w.case("gather", "bool", lambda: (integers(5, 7).bool(), index_of((5, 3), 7)), lambda x, i: torch.gather(x, 1, i), (1,), wide=False)
    w.case("scatter_add", "i32", lambda: (integers(5).int(), index_of((20,), 5), integers(20).int()),
           lambda x, i, s: torch.scatter_add(x, 0, i, s), (0,),
           wide=False)
    w.case("scatter_add", "u8", lambda: (integers(5, low=0).byte(), index_of((20,), 5), integers(20, low=0).byte()),
           lambda x, i, s: torch.scatter_add(x, 0, i, s), (0,), wide=False)
    for variant, x, n, dim in (("rows", (9, 5), 14, 0), ("columns", (4, 9), 5, 1), ("middle", (3, 6, 4), 8, 1), ("vector", (50,), 77, 0),
                               ("none", (4, 3), 0, 0),
                               ("wide", (11, 200), 23, 0), ("repeated", (2, 33), 64, 0)):
        w.case("index_select", variant, lambda x=x, n=n, d=dim: (randn(*x), index_of((n,), x[d])),
               lambda x, i, d=dim: torch.index_select(x, d, i), (dim,))
    w.case("index_select", "u8", lambda: (integers(9, 5, low=0).byte(), index_of((6,), 9)),
           lambda x, i: torch.index_select(x, 0, i), (0,), wide=False)
    for variant, v, d, shape in (("3d", 13, 5, (2, 3, 4)), ("repeated", 3, 65, (40,)), ("scalar", 4, 6, ()), ("none", 4, 6, (0,))):
        w.case("embedding", variant, lambda v=v, d=d, s=shape: (index_of(s, v), randn(v, d)), F.embedding)
    w.case("embedding", "padding", lambda: (index_of((5, 6), 4), randn(4, 7)), lambda i, x: F.embedding(i, x, padding_idx=2), (1, 2))
    w.case("one_hot", "2d", lambda: (index_of((3, 4), 7),), lambda i: F.one_hot(i, 7), (7,), wide=False)
    w.case("one_hot", "scalar", lambda: (index_of((), 5),), lambda i: F.one_hot(i, 5), (5,), wide=False)
    for variant, x, m in (("same", (5, 33), (5, 33)), ("row", (5, 33), (33,)), ("column", (5, 33), (5, 1)), ("attention", (2, 3, 7, 7), (7, 7)),
                          ("middle", (2, 3, 4), (2, 1, 4)), ("scalar", (3, 4), ())):
        for value in (0.0, float("-inf")):
            w.case("masked_fill", f"{variant}_{value}", lambda x=x, m=m: (randn(*x), integers(*m, low=0, high=2).bool()),
                   lambda x, m, v=value: x.masked_fill(m, v), (), (value,))
    w.case("masked_fill", "i64", lambda: (integers(5, 6).long(), integers(5, 6, low=0, high=2).bool()),
           lambda x, m: x.masked_fill(m, -7), (), (-7.0,),
           wide=False)


MODES = ("constant", "reflect", "replicate", "circular")


def write_moves(w):
    def pad(variant, shape, pads, mode, value=0.0, make=None, wide=True):
        attrs = [0] * 16
        for k, p in enumerate(pads):
            attrs[2 * (len(shape) - 1 - k // 2) + k % 2] = p
        extra = {"value": value} if mode == 0 else {}
        w.case("pad", f"{MODES[mode]}_{variant}", make or (lambda: (randn(*shape),)),
               lambda x: F.pad(x, pads, mode=MODES[mode], **extra), attrs, (value, mode),
               wide=wide)

    pad("image", (2, 3, 5, 6), (1, 2, 3, 0), 0)
    pad("value", (4, 7), (2, 3), 0, 1.5)
    pad("first", (4, 7), (0, 0, 2, 1), 0, -2.0)
    pad("cut", (4, 9, 5), (-1, 2, 3, -2), 0)
    pad("nothing", (3, 4), (0, 0), 0)
    pad("empty", (0, 4), (1, 1), 0)
    pad("grown", (2, 0), (2, 1), 0, 3.0)
    pad("i64", (4, 7), (1, 1), 0, 3.0, lambda: (integers(4, 7).long(),), False)
    pad("bool", (4, 7), (1, 1), 0, 1.0, lambda: (integers(4, 7).bool(),), False)
    for mode in (1, 2, 3):
        pad("image", (2, 3, 5, 6), (1, 2, 3, 2), mode)
        pad("vector", (2, 3, 9), (4, 8), mode)
        pad("volume", (1, 2, 4, 3, 5), (2, 1, 1, 2, 0, 3), mode)
    pad("far", (2, 3, 4), (9, 13), 2)
    for variant, shape, shifts, dims in (("last", (5, 7), (2,), (1,)), ("back", (5, 7), (-3,), (0,)), ("both", (4, 5, 6), (1, 9), (0, 2)),
                                         ("whole", (3, 4), (8,), (1,))):
        attrs = [0] * 8
        for s, d in zip(shifts, dims):
            attrs[d] = s
        w.case("roll", variant, lambda shape=shape: (randn(*shape),), lambda x, s=shifts, d=dims: torch.roll(x, s, d), attrs)
    for variant, shape, dims in (("last", (5, 7), (1,)), ("first", (5, 7), (0,)), ("outer", (3, 4, 5), (0, 2)), ("vector", (33,), (0,))):
        attrs = [int(d in dims) for d in range(len(shape))]
        w.case("flip", variant, lambda shape=shape: (randn(*shape),), lambda x, d=dims: torch.flip(x, d), attrs)
    w.case("flip", "u8", lambda: (integers(3, 9, low=0).byte(),), lambda x: torch.flip(x, (0, 1)), (1, 1), wide=False)
    for op, fn in (("tril", torch.tril), ("triu", torch.triu)):
        for diagonal in (0, 2, -1, 100, -100):
            w.case(op, f"d{diagonal}", lambda: (randn(2, 5, 7),), lambda x, fn=fn, d=diagonal: fn(x, d), (diagonal,))
        w.case(op, "tall", lambda: (randn(9, 3),), lambda x, fn=fn: fn(x), (0,))
        w.case(op, "bool", lambda: (torch.ones(6, 6, dtype=torch.bool),), lambda x, fn=fn: fn(x), (0,), wide=False)


def stable_topk(x, k, dim, largest):
    """PyTorch leaves the order of equals open: ours is that of the stable sort."""
    values, indices = torch.sort(x, dim=dim, descending=largest, stable=True)
    return values.narrow(dim, 0, k), indices.narrow(dim, 0, k)


def write_sorting(w):
    nan, inf = float("nan"), float("inf")
    special = lambda: torch.cat([randn(9), torch.tensor([0.0, -0.0, inf, nan, -inf, 0.0, nan, -0.0], dtype=F64)])  # noqa: E731
    made = {"vector": (lambda: randn(7), 0), "rows": (lambda: randn(5, 33), 1), "columns": (lambda: randn(33, 5), 0), "middle": (lambda: randn(3, 17, 4), 1),
            "ties": (lambda: integers(4, 100), 1), "one": (lambda: randn(3, 1), 1), "long": (lambda: randn(700), 0), "special": (special, 0),
            "large": (lambda: randn(2, 1000) * 1e30, 1), "ordered": (lambda: torch.arange(300).double(), 0), "empty": (lambda: randn(3, 0), 1)}
    for variant, (make, dim) in made.items():
        for down in (0, 1):
            w.case("sort", f"{variant}_{down}", lambda m=make: (m(),),
                   lambda x, d=dim, r=bool(down): torch.sort(x, dim=d, descending=r, stable=True), (dim, down),
                   wide=variant not in LONG)
            if variant != "empty":
                k = {"vector": 7, "one": 1, "long": 5, "large": 300}.get(variant, 4)
                w.case("topk", f"{variant}_{down}", lambda m=make: (m(),), lambda x, d=dim, k=k, r=not down: stable_topk(x, k, d, r), (dim, down, k),
                       wide=variant not in LONG)
    w.case("topk", "zero", lambda: (randn(3, 4),), lambda x: stable_topk(x, 0, 1, True), (1, 0, 0))
    for name, cast in (("i64", torch.Tensor.long), ("i32", torch.Tensor.int), ("u8", torch.Tensor.byte)):
        low = 0 if name == "u8" else -50
        w.case("sort", name, lambda c=cast, lo=low: (c(integers(3, 90, low=lo, high=100)),),
               lambda x: torch.sort(x, dim=1, descending=True, stable=True), (1, 1),
               wide=False)
        w.case("topk", name, lambda c=cast, lo=low: (c(integers(3, 90, low=lo, high=100)),),
               lambda x: stable_topk(x, 6, 1, False), (1, 1, 6), wide=False)
    w.case("sort", "bool", lambda: (integers(3, 20, low=0, high=2).bool(),), lambda x: torch.sort(x, dim=1, stable=True), (1, 0), wide=False)


def write_index(gold):
    w = Many(gold)
    write_joins(w)
    write_indexing(w)
    write_moves(w)
    write_sorting(w)
