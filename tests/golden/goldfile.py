"""Golden files: named arrays in a trivial binary format. Writes and reads them; knows nothing of what is in them.

Format (little endian): the 8 bytes "LTGOLD1\\n", then records until the end of the file:
    u32 name_len, name (no terminator), u32 dtype code, u32 ndim, i64 shape[ndim], raw row-major data
dtype codes are those of sdk/include/lt/base.h. tests/golden/golden.h is the reader for C tests.
"""
import struct

import numpy as np
import torch

MAGIC = b"LTGOLD1\n"
CODES = {"float64": 1, "float32": 2, "float16": 3, "uint16": 4, "int64": 5, "int32": 6, "uint8": 7, "bool": 8}  # uint16: the bits of a bf16
NAMES = {code: name for name, code in CODES.items()}


def as_array(value):
    """A numpy array of a tensor, array, number or list (lists of int are i64, of float f64)."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous()
        if value.dtype == torch.bfloat16:
            value = value.view(torch.uint16)
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype.name not in CODES:
        raise TypeError(f"no dtype code for {array.dtype}")
    return np.ascontiguousarray(array).reshape(array.shape)


def fnv1a(value):
    """FNV-1a 64 over the raw bytes, as gold_fnv1a in golden.h; the u64 is stored in an i64."""
    digest = 0xCBF29CE484222325
    for byte in as_array(value).tobytes():
        digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return np.array(digest, dtype=np.uint64).view(np.int64)


class GoldFile:
    """Collects records and writes them in the order they were added."""

    def __init__(self, path):
        self.path = path
        self.records = {}

    def add(self, name, value):
        if name in self.records:
            raise KeyError(f"{self.path}: record {name} twice")
        self.records[name] = as_array(value)

    def text(self, name, text):
        """A note for human readers, as u8."""
        self.add(name, np.frombuffer(text.encode(), dtype=np.uint8))

    def write(self):
        with open(self.path, "wb") as out:
            out.write(MAGIC)
            for name, array in self.records.items():
                raw = name.encode()
                out.write(struct.pack("<I", len(raw)) + raw)
                out.write(struct.pack("<II", CODES[array.dtype.name], array.ndim))
                out.write(struct.pack(f"<{array.ndim}q", *array.shape))
                out.write(array.tobytes())
            size = out.tell()
        print(f"{self.path}: {len(self.records)} records, {size} bytes", flush=True)


def read(path):
    """All records of a file as a dict name -> array."""
    blob = open(path, "rb").read()
    if blob[:8] != MAGIC:
        raise ValueError(f"{path}: not a golden file")
    at, records = 8, {}
    while at < len(blob):
        (length,) = struct.unpack_from("<I", blob, at)
        name = blob[at + 4 : at + 4 + length].decode()
        at += 4 + length
        code, ndim = struct.unpack_from("<II", blob, at)
        shape = struct.unpack_from(f"<{ndim}q", blob, at + 8)
        at += 8 + 8 * ndim
        dtype = np.dtype(NAMES[code])
        count = int(np.prod(shape, dtype=np.int64))
        records[name] = np.frombuffer(blob, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return records
