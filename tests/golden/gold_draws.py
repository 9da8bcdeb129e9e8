"""One drawn call of each operation for gold_edges.py: (inputs in f64 or whole numbers, function, attributes, numbers). Judges nothing."""
import math

import torch
from torch.nn import functional as F

from gold_index import stable_topk
from gold_ops import ACTIVATIONS, CODE, F32, F64, REDUCTIONS, first_argmax

BF16, F16 = torch.bfloat16, torch.float16
FLOATS = {"f64": F64, "f32": F32, "bf16": BF16, "f16": F16}
WHOLE = {"i64": torch.int64, "i32": torch.int32, "u8": torch.uint8}
ALL = {**FLOATS, **WHOLE, "bool": torch.bool}
NUMBERS = {**FLOATS, **WHOLE}
SIZES = (0, 1, 1, 2, 2, 3, 4, 5, 7, 9, 17)


class Unfit(Exception):
    """Drawn again."""


class Fixed:
    """An input that gets no gradient (weights of losses, running statistics)."""

    def __init__(self, value, changed=False):
        self.value, self.changed = value, changed


def randn(*shape):
    return torch.randn(shape, dtype=F32).double()


def positive(*shape):
    return (torch.rand(shape, dtype=F32) * 2 + 0.25).double()


def apart(*shape):
    """No two alike, none near 0: for maxima and kinks."""
    n = math.prod(shape)
    return ((torch.randperm(n).double() + 0.37 - n // 2) * (8.0 / max(n, 8))).float().double().reshape(shape)


def ties(*shape):
    EDGE.add(1)
    return torch.randint(-2, 3, shape).double()


EDGE = set()  # filled by a draw with values at which a gradient is a convention: no finite differences there

def special(x, r):
    EDGE.add(1)
    flat = x.reshape(-1).clone()
    for k in range(min(len(flat), 3)):
        flat[r.randrange(len(flat))] = r.choice((float("inf"), -float("inf"), float("nan"), 0.0, -0.0, 1.0, -1.0, 1e-30, 60000.0))
    return flat.reshape(x.shape)


def shape(r, low=0, high=4, least=0):
    while True:
        s = tuple(r.choice(SIZES) for _ in range(r.randint(low, high)))
        if math.prod(s) <= 150 and all(n >= least for n in s):
            return s


def spread(r, s):
    """A shape that broadcasts with s."""
    other = [n if r.random() < 0.6 else 1 for n in s]
    return tuple(other[r.randint(0, len(other)):] if r.random() < 0.5 else other)


def reduced(r, s, keep=None):
    dims = sorted(r.sample(range(len(s)), r.randint(1, len(s)))) if s else []
    if r.random() < 0.3:
        r.shuffle(dims)
    keep = r.randint(0, 1) if keep is None else keep
    how = dict(dim=tuple(dims) if dims else tuple(range(len(s))), keepdim=bool(keep))
    return how, (len(dims), *dims, *[0] * (8 - len(dims)), keep)


def pair(fn, second=randn, first=randn):
    def draw(r, dtype):
        s = shape(r)
        t = spread(r, s)
        a, b = (s, t) if r.random() < 0.5 else (t, s)
        x, y = first(*a), second(*b)
        if not dtype.is_floating_point:
            x, y = torch.randint(0, 12, a), torch.randint(0, 12, b)
        elif r.random() < 0.25:
            y = special(y, r)
        return (x, y), fn, (), ()

    return draw


def where(r, dtype):
    s = shape(r)
    values = randn if dtype.is_floating_point else (lambda *z: torch.randint(0, 5, z))
    return (Fixed(torch.rand(spread(r, s)) > 0.5), values(*s), values(*spread(r, s))), lambda c, a, b: torch.where(c, a, b), (), ()


def one(fn, make=randn, attrs=(), fattrs=(), wild=True):
    def draw(r, dtype):
        s = shape(r)
        x = make(*s)
        if not dtype.is_floating_point:
            x = torch.randint(0, 12, s)
        elif wild and r.random() < 0.3:
            x = special(x * 5, r)
        return (x,), fn, attrs, fattrs

    return draw


def numbered(fn, numbers, make=randn, wild=True):
    """fn(x, *numbers), numbers drawn among the given tuples."""
    def draw(r, dtype):
        chosen = r.choice(numbers)
        given = chosen if dtype.is_floating_point else [int(n) for n in chosen]
        return one(lambda x: fn(x, *given), make, (), chosen, wild)(r, dtype)

    return draw


def clamp(r, dtype):
    inf = float("inf")
    low, high = r.choice(((-1.0, 2.0), (-inf, 3.0), (1.0, inf), (2.0, -1.0)))
    number = float if dtype.is_floating_point else int
    limits = dict(min=None if low == -inf else number(low), max=None if high == inf else number(high))
    return one(lambda x: torch.clamp(x, **limits), apart, (), (low, high))(r, dtype)


def gelu(r, dtype):
    how = r.randint(0, 1)
    return one(lambda x: F.gelu(x, approximate=("none", "tanh")[how]), randn, (how,))(r, dtype)


def cast(r, dtype):
    to = r.choice(list(ALL.values()))
    s = shape(r)
    x = torch.randint(0, 100, s) if not dtype.is_floating_point or not (to.is_floating_point or to == torch.bool) else randn(*s) * 50
    return (x,), lambda x: x.to(to), (CODE[to],), ()


def full(r, dtype):
    s = shape(r)
    value = float(r.randint(0, 100)) if not dtype.is_floating_point else r.choice((0.3, -1.5, float("inf"), 65504.0))
    return (), lambda: torch.full(s, value).to(dtype), (CODE[dtype], len(s), *s), (value,)


def arange(r, dtype):
    n, start, step = r.choice((0, 1, 7, 30)), r.randint(0, 9), r.choice((1, 2, 3))
    return (), lambda: (torch.arange(n) * step + start).to(dtype), (CODE[dtype], 1, n), (start, step)


def dropout(r, dtype):
    p = r.choice((0.0, 1.0))  # in between: rng.bin has the mask
    return one(lambda x: F.dropout(x, p, True), randn, (), (p,), wild=False)(r, dtype)


def reduction(fn, make=randn, least=0, fattrs=(), whole=True):
    def draw(r, dtype):
        s = shape(r, least=least)
        how, attrs = reduced(r, s)
        x = make(*s) if dtype.is_floating_point else torch.randint(0, 6, s)
        return (x,), lambda x: fn(x, **how) if s else fn(x.reshape(1), dim=(0,), keepdim=False), attrs, fattrs

    return draw


def spread_of(fn):
    def draw(r, dtype):
        correction = r.choice((0.0, 1.0))
        return reduction(lambda x, **how: fn(x, correction=correction, **how), randn, 0, (correction,))(r, dtype)

    return draw


def prod(x, dim, keepdim):
    for d in sorted(dim, reverse=True):
        x = torch.prod(x, dim=d, keepdim=True)
    return x if keepdim else x.squeeze(dim)


def along(fn, make=apart, least=0, keep=True):
    def draw(r, dtype):
        s = shape(r, low=1, least=least)
        d, kept = r.randrange(len(s)), r.randint(0, 1)
        x = make(*s) if dtype.is_floating_point else torch.randint(0, 5, s)
        attrs = (1, d, 0, 0, 0, 0, 0, 0, 0, kept) if keep else (d,)
        return (x,), lambda x: fn(x, d, bool(kept)) if keep else fn(x, d), attrs, ()

    return draw


def first_index(x, d, kept, largest):
    """The first of equals, which PyTorch does not promise; of any dtype."""
    ranked = x.byte() if x.dtype == torch.bool else x
    top = ranked == (ranked.amax(d, keepdim=True) if largest else ranked.amin(d, keepdim=True))
    return (top.cumsum(d) == 0).sum(d, keepdim=kept)


def first_of_equals(largest):
    def both(x, d, kept):
        index = first_index(x, d, kept, largest)
        return x.gather(d, index if kept else index.unsqueeze(d)).squeeze(d) if not kept else x.gather(d, index), index

    return both


def reshape(r, dtype):
    s = shape(r)
    n, to = math.prod(s), []
    for _ in range(r.randint(0, 3)):
        to.append(r.choice([k for k in range(1, 18) if n % k == 0] if n else [0, 1, 2]))
        n = n // to[-1] if to[-1] else n
    if math.prod(s) == 0:
        to = [*to, 0]
    elif n != 1:
        to.append(n)
    values = randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s)
    return (values,), lambda x: x.reshape(to), (0, len(to), *to), ()


def permute(r, dtype):
    s = shape(r, high=5)
    order = r.sample(range(len(s)), len(s))
    values = randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s)
    return (values,), lambda x: x.permute(order), order, ()


def expand(r, dtype):
    s = shape(r, high=3)
    to = (*shape(r, high=1), *(n if n != 1 else r.choice(SIZES) for n in s))
    values = randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s)
    return (values,), lambda x: x.expand(to), (0, len(to), *to), ()


def slice_(r, dtype):
    s = shape(r, low=1)
    d = r.randrange(len(s))
    start = r.randint(0, s[d])
    end, step = r.randint(start, s[d]), r.choice((1, 1, 2, 3))
    cut = tuple(slice(start, end, step) if k == d else slice(None) for k in range(len(s)))
    values = randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s)
    return (values,), lambda x: x[cut], (d, start, end, step), ()


def cat(r, dtype):
    s = list(shape(r, low=1))
    d, items = r.randrange(len(s)), []
    for _ in range(r.randint(1, 8)):
        s[d] = r.choice((0, 1, 2, 3, 5))
        items.append(randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s))
    return items, lambda *x: torch.cat(x, d), (d,), ()


def indexed(op):
    def draw(r, dtype):
        s = shape(r, low=1, least=1)
        d = r.randrange(len(s))
        value = randn if dtype.is_floating_point else (lambda *z: torch.randint(0, 2, z))
        if op == "index_select":
            index = torch.randint(0, s[d], (r.choice(SIZES),))
            return (value(*s), index), lambda x, i: torch.index_select(x, d, i), (d,), ()
        i = tuple(r.choice((0, 1, 3, 8)) if k == d else r.randint(0, n) for k, n in enumerate(s))
        index = torch.randint(0, s[d], i)
        if op == "gather":
            return (value(*s), index), lambda x, i: torch.gather(x, d, i), (d,), ()
        source = tuple(n + r.randint(0, 2) for n in i)
        used = tuple(slice(0, n) for n in i)  # PyTorch has no gradient of a longer source
        return (value(*s), index, value(*source)), lambda x, i, v: torch.scatter_add(x, d, i, v[used]), (d,), ()

    return draw


def masked_fill(r, dtype):
    s = shape(r)
    value = r.choice((0.0, float("-inf"), -2.0)) if dtype.is_floating_point else 1.0
    x = randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s)
    mask = torch.rand(spread(r, s)) > 0.5
    return (x, mask), lambda x, m: x.masked_fill(m, value if dtype.is_floating_point else int(value)), (), (value,)


def pad(r, dtype):
    mode = r.choice((0, 0, 1, 2, 3))
    s = shape(r, 1, 4) if mode == 0 else shape(r, 3, 4, least=2)
    n = r.randint(1, len(s)) if mode == 0 else len(s) - 2
    pads = [r.randint(-1 if mode == 0 else 0, 3 if mode == 0 else 1) for _ in range(2 * n)]
    value = 1.0 if mode == 0 else 0.0
    attrs = [0] * 8
    for k, p in enumerate(pads):
        attrs[2 * (len(s) - 1 - k // 2) + k % 2] = p
    x = randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s)
    extra = {"value": value} if mode == 0 else {}
    return (x,), lambda x: F.pad(x, pads, ("constant", "reflect", "replicate", "circular")[mode], **extra), attrs, (value, mode)


def roll(r, dtype):
    s = shape(r, 1)
    shifts = [r.randint(-20, 20) for _ in s]
    x = randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s)
    return (x,), lambda x: torch.roll(x, shifts, tuple(range(len(s)))), shifts, ()


def flip(r, dtype):
    s = shape(r, 1)
    dims = r.sample(range(len(s)), r.randint(0, len(s)))
    x = randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s)
    return (x,), lambda x: torch.flip(x, dims), [int(d in dims) for d in range(len(s))], ()


def triangle(fn):
    def draw(r, dtype):
        s, d = shape(r, 2), r.randint(-20, 20)
        return (randn(*s) if dtype.is_floating_point else torch.randint(0, 2, s),), lambda x: fn(x, d), (d,), ()

    return draw


def one_hot(r, dtype):
    classes = r.choice((1, 3, 17))
    return (torch.randint(0, classes, shape(r)),), lambda x: F.one_hot(x, classes), (classes,), ()


def topk(r, dtype):
    s = shape(r, 1)
    d, small = r.randrange(len(s)), r.randint(0, 1)
    k = r.randint(0, s[d])
    x = r.choice((randn, ties))(*s) if dtype.is_floating_point else torch.randint(0, 5, s)
    return (x,), lambda x: stable_topk(x, k, d, not small), (d, small, k), ()


def sort(r, dtype):
    s = shape(r, 1)
    d, down = r.randrange(len(s)), r.randint(0, 1)
    x = r.choice((randn, ties))(*s) if dtype.is_floating_point else torch.randint(0, 2, s)
    if dtype.is_floating_point and r.random() < 0.3:
        x = special(x, r)
    return (x,), lambda x: torch.sort(x, dim=d, descending=bool(down), stable=True), (d, down), ()


def matmul(r, dtype):
    lead = shape(r, 0, 2)
    n, k, m = (r.choice((*SIZES, 33)) for _ in range(3))
    a, b = (*lead, n, k), (*spread(r, lead), k, m)
    if r.random() < 0.5:
        a, b = (*spread(r, lead), n, k), (*lead, k, m)
    return (randn(*a), randn(*b)), torch.matmul, (), ()


def linear(r, dtype):
    x, o = shape(r, 1, 3), r.choice((1, 2, 5, 16, 33))
    code = r.randrange(len(ACTIVATIONS))
    bias = r.random() < 0.6
    scale = max(x[-1], 1) ** -0.5
    act = ACTIVATIONS[code][1]
    return (randn(*x), (randn(o, x[-1]) * scale).float().double(), *([randn(o)] if bias else [])), lambda *a: act(F.linear(*a)), (code,), ()


def image(r, channels=None, least=1):
    return r.choice((0, 1, 2, 3, 17)) if r.random() < 0.3 else r.randint(1, 3), channels or r.choice((1, 2, 3, 5)), r.randint(least, 9), r.randint(least, 9)


def conv2d(r, dtype):
    groups = r.choice((1, 1, 2, 3))
    n, c, h, w = image(r, groups * r.choice((1, 2, 3)), 1)
    o = groups * r.choice((1, 2, 3, 8))
    k, s, p, d = ([r.randint(1, 4) for _ in "hw"], [r.randint(1, 3) for _ in "hw"], [r.randint(0, 3) for _ in "hw"], [r.choice((1, 1, 2, 3)) for _ in "hw"])
    bias, code = r.random() < 0.6, r.choice((0, 0, 1, 2, 3))
    scale = (c // groups * k[0] * k[1]) ** -0.5
    act = ACTIVATIONS[code][1]
    fn = lambda *a: act(F.conv2d(*a, stride=s, padding=p, dilation=d, groups=groups))  # noqa: E731
    if n and dtype in (F32, F64) and r.random() < 0.2:  # a pool (halves have equals after rounding) behind it
        q, t = [r.randint(1, 2) for _ in "hw"], [r.randint(1, 3) for _ in "hw"]
        return ((randn(n, c, h, w), (randn(o, c // groups, *k) * scale).float().double(), *([randn(o)] if bias else [])),
                lambda *a: F.max_pool2d(fn(*a), q, t), (*s, *p, *d, groups, code, *q, *t), ())
    return (randn(n, c, h, w), (randn(o, c // groups, *k) * scale).float().double(), *([randn(o)] if bias else [])), fn, (*s, *p, *d, groups, code), ()


def conv_transpose2d(r, dtype):
    groups = r.choice((1, 1, 2, 3))
    n, c, h, w = image(r, groups * r.choice((1, 2, 3)), 1)
    o = groups * r.choice((1, 2, 3, 8))
    k, s, p, d = ([r.randint(1, 4) for _ in "hw"], [r.randint(1, 3) for _ in "hw"], [r.randint(0, 2) for _ in "hw"], [r.choice((1, 1, 2, 3)) for _ in "hw"])
    extra = [r.randint(0, max(s[i], d[i]) - 1) for i in (0, 1)]
    bias = r.random() < 0.6
    scale = (c // groups * k[0] * k[1]) ** -0.5
    fn = lambda *a: F.conv_transpose2d(*a, stride=s, padding=p, output_padding=extra, dilation=d, groups=groups)  # noqa: E731
    return ((randn(n, c, h, w), (randn(c, o // groups, *k) * scale).float().double(), *([randn(o)] if bias else [])), fn,
            (*s, *p, *d, groups, *extra), ())


def pool(fn, average):
    def draw(r, dtype):
        x, k, s = image(r), [r.randint(1, 4) for _ in "hw"], [r.randint(1, 4) for _ in "hw"]
        p, ceil, include = [r.randint(0, n // 2) for n in k], r.randint(0, 1), r.randint(0, 1)
        extra = dict(count_include_pad=bool(include)) if average else {}
        return (apart(*x),), lambda x: fn(x, k, s, p, ceil_mode=bool(ceil), **extra), (*k, *s, *p, ceil, include), ()

    return draw


def adaptive(fn):
    def draw(r, dtype):
        out = (r.choice((1, 2, 3, 7)), r.choice((1, 2, 3, 5)))
        return (apart(*image(r)),), lambda x: fn(x, out), out, ()

    return draw


def interpolate(r, dtype):
    x, mode = image(r), r.randint(0, 2)
    extra = (dict(mode="nearest"), dict(mode="bilinear", align_corners=False), dict(mode="bilinear", align_corners=True))[mode]
    if r.random() < 0.5:
        size = (r.randint(1, 12), r.randint(1, 12))
        return (randn(*x),), lambda x: F.interpolate(x, size, **extra), (min(mode, 1), int(mode == 2), *size), ()
    scale = (r.choice((0.5, 0.7, 1.0, 1.3, 2.0, 3.0)), r.choice((0.5, 0.7, 1.0, 1.3, 2.0, 3.0)))
    size = tuple(math.floor(n * f) for n, f in zip(x[2:], scale))
    return (randn(*x),), lambda x: F.interpolate(x, scale_factor=scale, **extra), (min(mode, 1), int(mode == 2), *size), scale


def batch_norm(r, dtype):
    n, c = r.choice((0, 1, 2, 3, 5)), r.choice((1, 2, 3, 5, 17))
    s = (n, c, *[r.randint(1, 6) for _ in range(r.randint(0, 2))])
    training, code, affine, kept, residual = r.randint(0, 1), r.randint(0, 1), r.random() < 0.7, r.random() < 0.7, r.random() < 0.3
    if training and math.prod(s) // c < 2 and n or not training and not kept:
        raise Unfit
    eps, momentum = r.choice((1e-5, 1e-3)), r.choice((0.1, 0.3, 1.0, 0.0))
    inputs = [randn(*s), randn(c) if affine else None, randn(c) if affine else None, Fixed(randn(c), True) if kept else None,
              Fixed(positive(c), True) if kept else None, randn(*s) if residual else None]

    def norm(x, weight, bias, mean, var, more):
        y = F.batch_norm(x, mean, var, weight, bias, bool(training), momentum, eps)
        return ACTIVATIONS[code][1](y if more is None else y + more)

    return inputs, norm, (training, code), (eps, momentum)


def group_norm(r, dtype):
    groups = r.choice((1, 2, 3))
    s = (r.choice((0, 1, 2, 3)), groups * r.choice((1, 2, 3)), *[r.randint(1, 6) for _ in range(r.randint(0, 2))])
    eps = r.choice((1e-5, 1e-2))
    given = r.randint(0, 2)
    return (randn(*s), *[randn(s[1]) for _ in range(given)]), lambda x, *v: F.group_norm(x, groups, *v, eps=eps), (groups,), (eps,)


def rms_norm(r, dtype):
    s, eps = shape(r, 1, 3), r.choice((1e-5, 1e-2))
    return (randn(*s), *([randn(s[-1])] if r.random() < 0.6 else [])), lambda x, v=None: F.rms_norm(x, s[-1:], v, eps), (), (eps,)


def layer_norm(r, dtype):
    s, eps, given = shape(r, 1, 3), r.choice((1e-5, 1e-2)), r.randint(0, 2)
    return (randn(*s), *[randn(s[-1]) for _ in range(given)]), lambda x, w=None, b=None: F.layer_norm(x, s[-1:], w, b, eps), (), (eps,)


def embedding(r, dtype):
    v, d = r.choice((1, 3, 9)), r.choice((1, 5, 33))
    row = r.randrange(v)
    index = torch.randint(0, v, shape(r))
    if dtype in (BF16, F16) and index.numel() > 2 * v:
        raise Unfit  # adds up in the dtype, as PyTorch
    if r.random() < 0.5:
        return (index, randn(v, d)), F.embedding, (), ()
    EDGE.add(1)
    return (index, randn(v, d)), lambda i, x: F.embedding(i, x, padding_idx=row), (1, row), ()


def attention(r, dtype):
    b, h, t, s = r.choice((0, 1, 2)), r.choice((1, 2, 3)), r.choice((1, 3, 9, 17)), r.choice((1, 4, 9, 33))
    d, e = r.choice((1, 4, 8, 17)), r.choice((1, 8, 5))
    kind, scale = r.choice(("none", "causal", "bool", "added", "both")), r.choice((0.0, 0.3))
    mask = None
    if kind in ("bool", "both"):
        mask = torch.rand([n if r.random() < 0.6 else 1 for n in (b, h, t, s)][r.choice((0, 0, 1, 2)):]) > 0.4
        mask[..., 0] = True
    elif kind == "added":
        mask = randn(*[n if r.random() < 0.6 else 1 for n in (b, h, t, s)][r.choice((0, 0, 1, 2)):])
    lower = torch.ones(t, s, dtype=torch.bool).tril()

    def fn(q, k, v, m=None):
        how = None if scale == 0 else scale
        if kind == "both":
            return F.scaled_dot_product_attention(q, k, v, m & lower, scale=how)
        return F.scaled_dot_product_attention(q, k, v, m, is_causal=kind == "causal", scale=how)

    inputs = (randn(b, h, t, d), randn(b, h, s, d), randn(b, h, s, e))
    return (*inputs, *([] if mask is None else [mask])), fn, (int(kind in ("causal", "both")),), (scale,)


def self_attention(r, dtype):
    b, heads, t, d = r.choice((0, 1, 2)), r.choice((1, 2, 3)), r.choice((1, 3, 9, 17)), r.choice((1, 4, 8, 17))
    causal = r.randint(0, 1)

    def fn(x):
        q, k, v = (part.reshape(b, t, heads, d).transpose(1, 2) for part in x.split(heads * d, dim=2))
        return F.scaled_dot_product_attention(q, k, v, is_causal=bool(causal)).transpose(1, 2).reshape(b, t, heads * d)

    return (randn(b, t, 3 * heads * d),), fn, (causal, heads), ()


def mse(fn, settings=((),)):
    def draw(r, dtype):
        s, code, extra = shape(r), r.randint(0, 2), r.choice(settings)
        return (randn(*s), randn(*s)), lambda x, t: fn(x, t, REDUCTIONS[code], *extra), (code,), extra

    return draw


def chances(*s):
    return (torch.rand(s) * 0.9 + 0.05).double()


def bce(r, dtype):
    s, code = shape(r), r.randint(0, 2)
    weight = [Fixed(positive(*spread(r, s)))] if r.random() < 0.5 else []
    return (chances(*s), chances(*s), *weight), lambda x, t, w=None: F.binary_cross_entropy(x, t, w, reduction=REDUCTIONS[code]), (code,), ()


def bce_logits(r, dtype):
    s, code = shape(r), r.randint(0, 2)
    weight = Fixed(positive(*spread(r, s))) if r.random() < 0.5 else None
    more = [Fixed(positive(*spread(r, s)))] if r.random() < 0.5 else []
    inputs = (randn(*s), chances(*s), *([weight] if weight or more else []), *more)
    return inputs, lambda x, t, w=None, p=None: F.binary_cross_entropy_with_logits(x, t, w, reduction=REDUCTIONS[code], pos_weight=p), (code,), ()


def kl_div(r, dtype):
    s, code, logs = shape(r, 1), r.randint(0, 3), r.randint(0, 1)
    how = (*REDUCTIONS, "batchmean")[code]
    return (randn(*s), randn(*s) if logs else positive(*s)), lambda x, t: F.kl_div(x, t, reduction=how, log_target=bool(logs)), (code, logs), ()


def classes(fn, soft_too):
    def draw(r, dtype):
        c = r.choice((1, 2, 5, 17))
        s = r.choice(((c,), (r.choice((0, 1, 3, 9)), c), (2, c, 3), (2, c, 3, 2)))
        rows = s[:1] + s[2:] if len(s) > 1 else ()
        code, soft = r.randint(0, 2), soft_too and r.random() < 0.4
        target = torch.softmax(randn(*s), min(len(s) - 1, 1)) if soft else torch.randint(0, c, rows)
        target = target.float().double() if soft else target
        smoothing = r.choice((0.0, 0.1, 0.7, 1.0)) if soft_too else 0.0
        ignore = not soft and r.random() < 0.5
        index = r.choice((-100, 0, c - 1))
        if ignore and index < 0 and rows and target.numel():
            target.view(-1)[0] = -100
        weight = [Fixed(positive(c))] if r.random() < 0.5 else []
        extra = dict(label_smoothing=smoothing) if soft_too else {}
        extra.update(dict(ignore_index=index) if ignore else {})
        attrs = (code, int(ignore), index if ignore else 0)
        return ((randn(*s), target, *weight), lambda x, t, w=None: fn(x, t, w, reduction=REDUCTIONS[code], **extra), attrs,
                (smoothing,) if soft_too else ())

    return draw


def cosine(r, dtype):
    s, eps = shape(r, 1, 3), r.choice((1e-8, 0.5))
    if s[-1] == 1 and dtype != F64:
        raise Unfit  # a gradient of 0 that is a difference
    EDGE.update([1] if eps > 0.1 else [])  # PyTorch's gradient takes the norms below eps for constants
    return (randn(*s), randn(*s)), lambda a, b: F.cosine_similarity(a, b, dim=-1, eps=eps), (), (eps,)


def cosine_embedding(r, dtype):
    s = r.choice(((5,), (r.choice((0, 1, 3, 9)), r.choice((1, 2, 7)))))
    code, margin = r.randint(0, 2), r.choice((0.0, 0.3, -0.2))
    target = (torch.randint(0, 2, s[:-1]) * 2 - 1).double()
    loss = lambda a, b, t: F.cosine_embedding_loss(a, b, t, margin=margin, reduction=REDUCTIONS[code])  # noqa: E731
    return (randn(*s), randn(*s), Fixed(target)), loss, (code,), (margin,)


def accuracy(r, dtype):
    n, c = r.choice((0, 1, 2, 9)), r.choice((1, 3, 17))
    return (Fixed(ties(n, c)), torch.randint(0, c, (n,))), lambda x, t: (first_argmax(x, 1, False) == t).float().mean(), (), ()


def recurrent(kind):
    def draw(r, dtype):
        T, B, I, H = r.choice((1, 2, 5)), r.choice((0, 1, 2, 5)), r.choice((1, 3, 9)), r.choice((1, 3, 9, 17))
        g = 4 if kind == "lstm" else 3
        bias, state, back = r.random() < 0.6, r.random() < 0.5, r.randint(0, 1)
        scaled = lambda *s: (randn(*s) * H**-0.5).float().double()  # noqa: E731
        inputs = [randn(T, B, I), scaled(g * H, I), scaled(g * H, H), *((scaled(g * H), scaled(g * H)) if bias else (None, None)),
                  *([randn(B, H) for _ in range(g - 2)] if state else [None] * (g - 2))]

        def fn(x, w_ih, w_hh, b_ih, b_hh, *first):
            zero = x.new_zeros(B, H)
            h = [f if f is not None else zero for f in first]
            weights = [w for w in (w_ih, w_hh, b_ih, b_hh) if w is not None]
            x = x.flip(0) if back else x
            if kind == "lstm":
                y, hn, cn = torch.lstm(x, (h[0][None], h[1][None]), weights, bias, 1, 0.0, True, False, False)
                return y.flip(0) if back else y, hn[0], cn[0]
            y, hn = torch.gru(x, h[0][None], weights, bias, 1, 0.0, True, False, False)
            return y.flip(0) if back else y, hn[0]

        return inputs, fn, (back,), ()

    return draw
