"""ops_low.bin: operations in bf16, as PyTorch computes them on the CPU. Records as gold_ops.py says; gradients where its kernels have them."""
import zlib

import torch
from gold_ops import ACTIVATIONS, Writer, randn, run
from torch.nn import functional as F

LOW = torch.bfloat16


class LowWriter(Writer):
    def low(self, op, variant, make, fn, attrs=(), fattrs=()):
        self.put(f"{op}.{variant}.bf16", op, attrs, fattrs, run(make, fn, LOW, zlib.crc32(f"{op}.{variant}".encode()), ()))


def write_low(gold):
    w = LowWriter(gold)
    for code, (name, act) in enumerate(ACTIVATIONS):
        w.low("linear", name, lambda: (randn(9, 20), randn(7, 20), randn(7)), lambda x, v, b, act=act: act(F.linear(x, v, b)), (code,))
    for variant, (n, i, o) in {"one": (1, 1, 1), "tails": (50, 33, 65), "deep": (3, 500, 49), "tall": (300, 5, 3)}.items():
        w.low("linear", variant, lambda n=n, i=i, o=o: (randn(n, i), randn(o, i), randn(o)), F.linear)
        w.low("linear", f"{variant}_no_bias", lambda n=n, i=i, o=o: (randn(2, n, i), randn(o, i)), F.linear)
    w.low("matmul", "plain", lambda: (randn(5, 18), randn(18, 6)), torch.matmul)
    w.low("matmul", "batched", lambda: (randn(2, 3, 5, 8), randn(2, 3, 8, 6)), torch.matmul)
    w.low("conv2d", "k3", lambda: (randn(2, 3, 8, 8), randn(4, 3, 3, 3), randn(4)), lambda x, v, b: F.conv2d(x, v, b, padding=1), (1, 1, 1, 1, 1, 1, 1))
    w.low("self_attention", "causal", lambda: (randn(2, 9, 24),), lambda x: attend(x, 2), (1, 2))
    w.low("layer_norm", "low", lambda: (randn(6, 24), randn(24), randn(24)), lambda x, v, b: F.layer_norm(x, (24,), v, b), fattrs=(1e-5,))
    for op in ("softmax", "log_softmax"):
        w.low(op, "rows", lambda: (randn(5, 11),), lambda x, op=op: getattr(F, op)(x, 1), (1,))
    w.low("add", "row", lambda: (randn(6, 17), randn(17)), torch.add)
    w.low("mul", "same", lambda: (randn(40), randn(40)), torch.mul)
    w.low("gelu", "exact", lambda: (randn(100),), F.gelu)
    w.low("relu", "plain", lambda: (randn(100),), F.relu)
    w.low("embedding", "2d", lambda: (torch.randint(0, 11, (3, 7)), randn(11, 6)), F.embedding)


def attend(x, heads):
    b, t, width = x.shape
    q, k, v = (part.view(b, t, heads, width // 3 // heads).transpose(1, 2) for part in x.split(width // 3, dim=2))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, width // 3)
