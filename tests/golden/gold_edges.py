"""ops_edges.bin: every operation of ops.def in every dtype it takes, with drawn shapes: sizes of 0 and 1, odd ones, broadcast operands.

Records as gold_ops.py says, several outputs as gold_index.py. What PyTorch makes of half precision is judged by PyTorch in f64 from the same
(rounded) inputs: PyTorch's own kernels round inside in their own places. Draws that PyTorch refuses, and draws whose f32 and f64 results
disagree (a ReLU or a maximum on the edge), are drawn again.
`python gold_edges.py FILE SEED COUNT [OP]` writes other draws, for hunting; `{op}` limits them to one operation.
"""
import random
import sys
import zlib

import numpy as np
import torch
from torch.nn import functional as F

from gold_draws import *  # noqa: F403
from gold_ops import F32, F64
from goldfile import GoldFile

LOSSES = {k: v for k, v in FLOATS.items() if k in ("f64", "f32", "bf16", "f16")}
OPS = {  # operation: (draw, dtypes)
    "copy": (one(torch.clone), ALL), "cast": (cast, ALL), "full": (full, ALL), "arange": (arange, {k: v for k, v in ALL.items() if k != "bool"}),
    "add": (pair(torch.add), NUMBERS), "sub": (pair(torch.sub), NUMBERS), "mul": (pair(torch.mul), NUMBERS), "div": (pair(torch.div, positive), FLOATS),
    **{op: (pair(fn, ties, ties), ALL) for op, fn in (("eq", torch.eq), ("ne", torch.ne), ("lt", torch.lt), ("le", torch.le), ("gt", torch.gt),
                                                     ("ge", torch.ge), ("logical_and", torch.logical_and), ("logical_or", torch.logical_or))},
    "logical_not": (one(torch.logical_not, ties), ALL),
    "maximum": (pair(torch.maximum), NUMBERS), "minimum": (pair(torch.minimum), NUMBERS), "pow": (pair(torch.pow, randn, positive), FLOATS),
    "where": (where, ALL),
    "add_scalar": (numbered(torch.add, ((2.0,), (5.0,))), NUMBERS), "mul_scalar": (numbered(torch.mul, ((2.0,), (3.0,))), NUMBERS),
    "neg": (one(torch.neg), NUMBERS), "abs": (one(torch.abs, apart), NUMBERS),
    "square": (one(torch.square), NUMBERS), "sign": (one(torch.sign, apart), NUMBERS), "relu": (one(F.relu, apart), NUMBERS),
    **{op: (one(fn, make), FLOATS) for op, fn, make in (
        ("exp", torch.exp, randn), ("log", torch.log, positive), ("sqrt", torch.sqrt, positive), ("rsqrt", torch.rsqrt, positive), ("sin", torch.sin, randn),
        ("cos", torch.cos, randn), ("erf", torch.erf, randn), ("reciprocal", torch.reciprocal, positive), ("floor", torch.floor, apart),
        ("ceil", torch.ceil, apart), ("round", torch.round, apart), ("silu", F.silu, randn), ("tanh", torch.tanh, randn),
        ("sigmoid", torch.sigmoid, randn))},
    "hardswish": (one(F.hardswish, apart, wild=False), FLOATS),  # here, in elu PyTorch's vector and scalar code differ in NaN
    "gelu": (gelu, FLOATS), "clamp": (clamp, NUMBERS),
    "pow_scalar": (numbered(torch.pow, ((2.0,), (3.0,), (0.5,), (-1.0,), (-0.5,), (1.5,), (0.0,)), positive), FLOATS),
    "leaky_relu": (numbered(F.leaky_relu, ((0.01,), (0.5,)), apart), FLOATS), "elu": (numbered(F.elu, ((1.0,), (0.7,)), apart, wild=False), FLOATS),
    "softplus": (numbered(F.softplus, ((1.0, 20.0), (2.0, 1.5))), FLOATS),
    "dropout": (dropout, FLOATS),
    "sum": (reduction(torch.sum), ALL), "mean": (reduction(torch.mean), FLOATS), "max": (reduction(torch.amax, apart), ALL),
    "min": (reduction(torch.amin, apart), ALL), "var": (spread_of(torch.var), FLOATS), "std": (spread_of(torch.std), FLOATS),
    "prod": (reduction(prod), ALL), "logsumexp": (reduction(torch.logsumexp), FLOATS),
    "argmax": (along(lambda x, d, k: first_index(x, d, k, True), ties), ALL),
    "argmin": (along(lambda x, d, k: first_index(x, d, k, False), ties), ALL),
    "max_along": (along(first_of_equals(True)), ALL), "min_along": (along(first_of_equals(False)), ALL),
    "cumsum": (along(torch.cumsum, randn, 0, False), ALL), "softmax": (along(F.softmax, randn, 0, False), FLOATS),
    "log_softmax": (along(F.log_softmax, randn, 0, False), FLOATS),
    "reshape": (reshape, ALL), "permute": (permute, ALL), "slice": (slice_, ALL), "expand": (expand, ALL), "cat": (cat, ALL),
    "gather": (indexed("gather"), ALL), "scatter_add": (indexed("scatter_add"), NUMBERS), "index_select": (indexed("index_select"), ALL),
    "masked_fill": (masked_fill, ALL), "pad": (pad, ALL), "roll": (roll, ALL), "flip": (flip, ALL), "tril": (triangle(torch.tril), ALL),
    "triu": (triangle(torch.triu), ALL), "one_hot": (one_hot, {"i64": torch.int64}), "topk": (topk, ALL), "sort": (sort, ALL),
    "matmul": (matmul, FLOATS), "linear": (linear, FLOATS), "conv2d": (conv2d, FLOATS), "conv_transpose2d": (conv_transpose2d, FLOATS),
    "max_pool2d": (pool(F.max_pool2d, False), FLOATS), "avg_pool2d": (pool(F.avg_pool2d, True), FLOATS),
    "adaptive_avg_pool2d": (adaptive(F.adaptive_avg_pool2d), FLOATS), "adaptive_max_pool2d": (adaptive(F.adaptive_max_pool2d), FLOATS),
    "interpolate": (interpolate, FLOATS), "batch_norm": (batch_norm, FLOATS), "group_norm": (group_norm, FLOATS), "rms_norm": (rms_norm, FLOATS),
    "layer_norm": (layer_norm, FLOATS), "embedding": (embedding, FLOATS), "attention": (attention, FLOATS), "self_attention": (self_attention, FLOATS),
    "mse_loss": (mse(lambda x, t, how: F.mse_loss(x, t, reduction=how)), LOSSES), "l1_loss": (mse(lambda x, t, how: F.l1_loss(x, t, reduction=how)), LOSSES),
    "smooth_l1_loss": (mse(lambda x, t, how, b: F.smooth_l1_loss(x, t, reduction=how, beta=b), ((1.0,), (0.3,))), LOSSES),
    "huber_loss": (mse(lambda x, t, how, b: F.huber_loss(x, t, reduction=how, delta=b), ((1.0,), (0.3,))), LOSSES),
    "bce_loss": (bce, LOSSES), "bce_with_logits": (bce_logits, LOSSES), "kl_div": (kl_div, LOSSES),
    "cross_entropy": (classes(F.cross_entropy, True), LOSSES), "nll_loss": (classes(F.nll_loss, False), LOSSES),
    "cosine_similarity": (cosine, LOSSES), "cosine_embedding_loss": (cosine_embedding, LOSSES), "accuracy": (accuracy, FLOATS),
    "lstm": (recurrent("lstm"), FLOATS), "gru": (recurrent("gru"), FLOATS),
}


# ---- running a draw ----

def run(inputs, fn, dtype, compute):
    """Outputs, gradients that arrive, gradients of the inputs, what inputs are afterwards; computed in `compute` from inputs of `dtype`."""
    used = []
    for x in inputs:
        fixed, x = isinstance(x, Fixed), x.value if isinstance(x, Fixed) else x
        if x is None:
            used.append(None)
        elif x.is_floating_point():
            x = x.to(dtype).to(compute).clone()
            used.append(x if fixed else x.requires_grad_())
        else:
            used.append(x.clone())
    outs = fn(*used)
    outs = list(outs) if isinstance(outs, (tuple, list)) else [outs]
    arriving = {}
    for i, y in enumerate(outs):
        if y.requires_grad:
            torch.manual_seed(i)
            arriving[i] = torch.randn(y.shape, dtype=F32).to(dtype if y.dtype == compute else y.dtype)
    if arriving:
        torch.autograd.backward([outs[i] for i in arriving], [g.to(outs[i].dtype) for i, g in arriving.items()])
    gradients = {i: x.grad for i, x in enumerate(used) if x is not None and x.requires_grad and x.grad is not None}
    after = {i: used[i] for i, x in enumerate(inputs) if isinstance(x, Fixed) and x.changed}
    return [y.detach() for y in outs], arriving, gradients, after


def close(a, b):
    if not a.is_floating_point():
        return torch.equal(a, b)
    a, b = a.double(), b.double()
    top = float(torch.where(torch.isfinite(b), b, 0).abs().max()) if b.numel() else 0
    return torch.allclose(a, b, rtol=1e-6, atol=3e-6 * (1 + top / 4), equal_nan=True)


KEPT_I64 = {"gather": (1,), "scatter_add": (1,), "index_select": (1,), "masked_fill": (1,), "where": ()}


def attempt(op, dtype, seed):
    draw, _ = OPS[op]
    EDGE.clear()
    r = random.Random(seed)
    torch.manual_seed(seed)
    inputs, fn, attrs, fattrs = draw(r, dtype)
    if op == "cast" or not dtype.is_floating_point:
        kept = KEPT_I64.get(op, ())
        inputs = [x if k in kept or x is None or isinstance(x, Fixed) else x.to(dtype) for k, x in enumerate(inputs)]
        EDGE.add(1)
        outs, arriving, gradients, after = run(inputs, fn, dtype, dtype)
    else:
        # What PyTorch's f64 says of these very numbers; f32 must be near, or the draw stands on an edge.
        exact, native = run(inputs, fn, dtype, F64), run(inputs, fn, dtype, F32 if dtype != F64 else F64)
        if not all(close(a, b) for a, b in zip(exact[0], native[0])) or not all(close(exact[2][i], x) for i, x in native[2].items()):
            raise Unfit
        outs, arriving, gradients, after = native if dtype in (F32, F64) else exact
        narrow = lambda x: x.to(dtype) if x.is_floating_point() and op not in ("cast", "accuracy", "full", "arange") else x  # noqa: E731
        outs, gradients, after = [narrow(x) for x in outs], {i: narrow(x) for i, x in gradients.items()}, {i: narrow(x) for i, x in after.items()}
        inputs = [Fixed(x.value.to(dtype) if x.value.is_floating_point() else x.value) if isinstance(x, Fixed) else
                  x.to(dtype) if x is not None and x.is_floating_point() else x for x in inputs]
        if dtype in (BF16, F16) and any(not torch.equal(torch.isfinite(a), torch.isfinite(b)) for a, b in zip(outs, exact[0])):
            raise Unfit
    if op in ("conv_transpose2d", "max_pool2d", "avg_pool2d") and 0 in outs[0].shape[2:]:
        raise Unfit  # PyTorch lets it pass where there are no images
    return inputs, attrs, fattrs, outs, arriving, gradients, after


def put(gold, name, op, result):
    inputs, attrs, fattrs, outs, arriving, gradients, after = result
    gold.text(f"{name}/op", op)
    if EDGE:
        gold.text(f"{name}/edge", "values at which a gradient is a convention")
    gold.add(f"{name}/attrs", np.array(list(attrs) + [0] * (16 - len(attrs)), dtype=np.int64))
    gold.add(f"{name}/fattrs", np.array(list(fattrs) + [0.0] * (4 - len(fattrs)), dtype=np.float64))
    for i, x in enumerate(inputs):
        x = x.value if isinstance(x, Fixed) else x
        if x is not None:
            gold.add(f"{name}/in{i}", x)
    for kind, many in (("out", dict(enumerate(outs))), ("gout", arriving), ("gin", gradients), ("after", after)):
        for i, x in many.items():
            gold.add(f"{name}/{kind}{i}", x)


def write(gold, count, seed=0, only=None, refused=None):
    for op, (_, dtypes) in OPS.items():
        for text, dtype in dtypes.items() if only in (None, op) else ():
            at, done, empty = zlib.crc32(f"{op}.{text}.{seed}".encode()), 0, False
            for at in range(at, at + 400 * count):
                try:
                    result = attempt(op, dtype, at)
                except Unfit:
                    continue
                except (RuntimeError, ValueError, IndexError) as problem:
                    if refused is not None:
                        refused.append((op, text, str(problem).splitlines()[0]))
                    continue
                hollow = any(x.numel() == 0 for x in (*result[3], *(y.value if isinstance(y, Fixed) else y for y in result[0])) if x is not None)
                if text == "f64" and not done and EDGE and result[5] and op != "cast":
                    continue  # the first one goes by finite differences
                if done >= count - 1 and not hollow and not empty:
                    continue  # the last one is empty, if none was
                empty |= hollow
                put(gold, f"{op}.edge{done}.{text}", op, result)
                done += 1
                if done == count:
                    break
            if done < count:
                print(f"{op} in {text}: {done} draws fit, an empty one {empty}")


def write_edges(gold):
    write(gold, 4)


PART = ("ops_edges", write_edges)

if __name__ == "__main__":
    target, reasons = GoldFile(sys.argv[1]), []
    write(target, int(sys.argv[3]), int(sys.argv[2]), sys.argv[4] if len(sys.argv) > 4 else None, reasons)
    target.write()
    for line in sorted({f"{op}: {why[:150]}" for op, _, why in reasons}):
        print(line)
