#!/usr/bin/env python3
"""Reads a checkpoint with h5py and h5dump as docs/checkpoints.md says others can: check_h5py.py WRITER H5DUMP

WRITER is the test program that writes the checkpoint; H5DUMP may be empty. Exit 77 where h5py is not installed.
"""
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError:
    print("h5py is not installed: skipped")
    sys.exit(77)

EXPECTED = {
    "z.weight": ("float32", [[1, 2, 3], [4, 5, 6]]),
    "a.weight": ("float32", [1, 2, -3]),  # bfloat16 in the file
    "a.half": ("float16", [1, -2]),
    "0.mask": ("bool", [True, False, True]),
    "0.double": ("float64", [0.1, -1e300]),
    "0.num_batches_tracked": ("int64", -(2**63)),
    "0.flag": ("bool", True),
    "0.bytes": ("uint8", [1, 0, 1]),
    "0.none": ("int32", np.zeros((0, 3))),
}


def check(path):
    with h5py.File(path) as f:
        state = f["state_dict"]
        assert f.userblock_size == 512
        assert list(f) == ["state_dict", "config", "callbacks"], list(f)
        assert list(state) == list(EXPECTED), list(state)  # as written, not sorted
        for name, (dtype, value) in EXPECTED.items():
            got = state[name][()]
            assert np.asarray(got).dtype == dtype, (name, np.asarray(got).dtype)
            assert np.shape(got) == np.shape(value) and np.array_equal(got, np.asarray(value, dtype)), (name, got)
        assert state["a.weight"].id.get_type().get_size() == 2
        assert f["config"].asstr()[()] == "name: Zürich\n"
        assert f["callbacks/My%2FCallback/reason"].asstr()[()] == ""
    try:
        import torch
    except ImportError:
        return
    with h5py.File(path) as f:  # the line of docs/checkpoints.md
        tensors = {k: torch.from_numpy(np.asarray(v[()])) for k, v in f["state_dict"].items()}
    assert tensors["z.weight"].shape == (2, 3)


def main():
    writer, h5dump = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.h5")
        subprocess.run([writer, "write", path], check=True)
        check(path)
        if h5dump:
            out = subprocess.run([h5dump, "-H", path], check=True, capture_output=True, text=True).stdout
            assert "z.weight" in out and "DATASPACE  SCALAR" in out
    print("h5py", h5py.version.version, "with HDF5", h5py.version.hdf5_version, "reads what lthost writes")


main()
