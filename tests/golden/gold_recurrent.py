"""recurrent.bin: LSTM and GRU, one layer and one direction, as torch.nn computes them, forward and backward.

A case is named <op>.<variant>.<f32|f64> and has the records
    <case>/op, <case>/attrs (i64[1]: 1 runs backwards in time), <case>/in<i>: x, w_ih, w_hh, b_ih, b_hh, h0, c0, absent ones without record
    <case>/out<k>: y, h, c (LSTM);  <case>/gout<k>: the gradient that arrives, where one does;  <case>/gin<i>
Values are exact in f32 also in the f64 cases.
"""
import zlib

import numpy as np
import torch

SHAPES = (  # name, T, B, I, H
    ("one", 1, 1, 1, 1), ("small", 5, 3, 4, 6), ("tails", 7, 2, 3, 17), ("block", 3, 33, 5, 16), ("chunks", 4, 70, 28, 32), ("wide", 2, 7, 9, 49),
    ("long", 40, 2, 2, 5),
)
OPTIONS = (  # name, bias, initial state, backwards in time, which outputs get a gradient
    ("", True, False, False, "yhc"), ("_state", True, True, False, "yhc"), ("_plain", False, False, False, "y"), ("_reverse", True, True, True, "yhc"),
    ("_last", True, False, False, "h"), ("_cell", False, True, True, "c"),
)


def tensor(*shape, scale=1.0):
    return (torch.randn(shape, dtype=torch.float32) * scale).double()


def run(kind, T, B, I, H, bias, state, reverse, reached, dtype, seed):
    torch.manual_seed(seed)
    gates = 4 if kind == "lstm" else 3
    scale = 1 / H**0.5
    given = [tensor(T, B, I), tensor(gates * H, I, scale=scale), tensor(gates * H, H, scale=scale)]
    given += [tensor(gates * H, scale=scale), tensor(gates * H, scale=scale)] if bias else [None, None]
    given += [tensor(B, H), tensor(B, H)] if state else [None, None]
    given = [None if x is None else x.to(dtype).requires_grad_() for x in given]
    if kind == "gru":
        given = given[:6]
    x, weights, h0 = given[0], [w for w in given[1:5] if w is not None], given[5]
    c0 = given[6] if kind == "lstm" else None
    zero = torch.zeros(1, B, H, dtype=dtype)
    first = h0[None] if h0 is not None else zero
    ordered = x.flip(0) if reverse else x
    if kind == "lstm":
        y, h, c = torch.lstm(ordered, (first, c0[None] if c0 is not None else zero), weights, bias, 1, 0.0, True, False, False)
        outs = [y, h[0], c[0]]
    else:
        y, h = torch.gru(ordered, first, weights, bias, 1, 0.0, True, False, False)
        outs = [y, h[0]]
    outs[0] = outs[0].flip(0) if reverse else outs[0]
    arriving = [torch.randn(o.shape, dtype=torch.float32).to(dtype) if "yhc"[k] in reached else None for k, o in enumerate(outs)]
    pairs = [(o, g) for o, g in zip(outs, arriving) if g is not None]
    torch.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
    return given, outs, arriving


def write_recurrent(gold):
    for kind in ("lstm", "gru"):
        for shape, T, B, I, H in SHAPES:
            for option, bias, state, reverse, reached in OPTIONS:
                if (option and shape not in ("small", "tails")) or (kind == "gru" and "h" not in reached and "y" not in reached):
                    continue
                for dtype, suffix in ((torch.float32, "f32"), (torch.float64, "f64")):
                    if suffix == "f64" and shape in ("chunks", "wide"):
                        continue
                    name = f"{kind}.{shape}{option}.{suffix}"
                    given, outs, arriving = run(kind, T, B, I, H, bias, state, reverse, reached, dtype, zlib.crc32(f"{kind}{shape}{option}".encode()))
                    gold.text(f"{name}/op", kind)
                    gold.add(f"{name}/attrs", np.array([int(reverse)], dtype=np.int64))
                    for i, x in enumerate(given):
                        if x is not None:
                            gold.add(f"{name}/in{i}", x)
                    for k, out in enumerate(outs):
                        gold.add(f"{name}/out{k}", out)
                        if arriving[k] is not None:
                            gold.add(f"{name}/gout{k}", arriving[k])
                    for i, x in enumerate(given):
                        if x is not None and x.grad is not None:
                            gold.add(f"{name}/gin{i}", x.grad)
