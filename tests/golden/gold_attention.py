"""ops_attention.bin: attention with masks, other lengths of keys, heads packed in rows. Records as gold_ops.py says."""
import torch
from gold_ops import Writer, randn
from torch.nn import functional as F


def visible(*shape):
    """A boolean mask in which every row sees at least its first key."""
    mask = torch.rand(shape) > 0.4
    mask[..., 0] = True
    return mask


def write_attention(gold):
    w = Writer(gold)
    sdpa = F.scaled_dot_product_attention

    def qkv(b, h, t, s, d, e=None):
        return randn(b, h, t, d), randn(b, h, s, d), randn(b, h, s, e or d)

    sizes = {"one": (1, 1, 1, 1, 1, 1), "cross": (2, 2, 5, 11, 8, 6), "tails": (1, 1, 35, 67, 17, 33), "long": (1, 1, 13, 300, 8, 8)}
    for variant, (b, h, t, s, d, e) in sizes.items():
        w.case("attention", variant, lambda b=b, h=h, t=t, s=s, d=d, e=e: qkv(b, h, t, s, d, e), sdpa, wide=True)
        w.case("attention", f"{variant}_bool", lambda b=b, h=h, t=t, s=s, d=d, e=e: (*qkv(b, h, t, s, d, e), visible(t, s)), sdpa, wide=True)
        w.case("attention", f"{variant}_added", lambda b=b, h=h, t=t, s=s, d=d, e=e: (*qkv(b, h, t, s, d, e), randn(b, 1, t, s)), sdpa, wide=True)
    w.case("attention", "causal_cross", lambda: qkv(2, 1, 9, 5, 8), lambda q, k, v: sdpa(q, k, v, is_causal=True), (1,), wide=True)
    w.case("attention", "causal_65", lambda: qkv(1, 1, 65, 65, 64), lambda q, k, v: sdpa(q, k, v, is_causal=True), (1,))
    w.case("attention", "mask_of_heads", lambda: (*qkv(2, 3, 6, 7, 4), visible(3, 1, 7)), sdpa, wide=True)

    def packed(x, heads, **options):
        b, t, width = x.shape
        q, k, v = (part.view(b, t, heads, width // 3 // heads).transpose(1, 2) for part in x.split(width // 3, dim=2))
        return sdpa(q, k, v, **options).transpose(1, 2).reshape(b, t, width // 3)

    for heads, t, d in ((1, 4, 5), (3, 33, 16), (6, 10, 32)):
        w.case("self_attention", f"causal_{heads}", lambda h=heads, t=t, d=d: (randn(2, t, 3 * h * d),),
               lambda x, h=heads: packed(x, h, is_causal=True), (1, heads), wide=True)
    w.case("self_attention", "bool", lambda: (randn(2, 7, 24), visible(2, 1, 1, 7)), lambda x, mask: packed(x, 2, attn_mask=mask), (0, 2), wide=True)
    w.case("self_attention", "added", lambda: (randn(2, 7, 24), randn(7, 7)), lambda x, mask: packed(x, 2, attn_mask=mask, scale=0.2), (0, 2),
           (0.2,), wide=True)
