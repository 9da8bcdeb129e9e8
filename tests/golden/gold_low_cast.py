"""low_cast.bin: f32 -> bf16 as PyTorch casts, for all 65,536 upper halves of an f32 with lower halves about a tie: denormals, infinities, overflow.

    lower     i64, the lower halves
    bits.fnv  FNV-1a 64 of the results as u16, for lower[0] all upper halves in order, then for lower[1], ...; 0x7fc0 stands for any NaN, as
              PyTorch's own bits of a NaN are not the same in every version
"""
import numpy as np
import torch
from goldfile import fnv1a

LOWER = (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)


def write(g):
    upper = np.arange(65536, dtype=np.uint32) << 16
    bits = np.concatenate([upper | np.uint32(low) for low in LOWER])
    cast = torch.from_numpy(bits.view(np.float32).copy()).to(torch.bfloat16)
    found = cast.view(torch.int16).numpy().view(np.uint16).copy()
    found[cast.float().isnan().numpy()] = 0x7FC0
    g.add("lower", np.array(LOWER, dtype=np.int64))
    g.add("bits.fnv", fnv1a(found))


PART = ("low_cast", write)
