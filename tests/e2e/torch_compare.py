#!/usr/bin/env python3
"""Loads a checkpoint of lthost into the same model written in PyTorch and compares outputs. Exit 1 on a difference, 77 without torch.

    torch_compare.py --make-input x.npy [--count 64]                    writes inputs (count, 1, 28, 28) f32 to predict on
    torch_compare.py --checkpoint last.h5 --predictions predictions.h5 --input x.npy [--model LeNet] [--tolerance 1e-5]
    torch_compare.py --checkpoint last.h5 --predictions predictions.h5 --mnist FOLDER     the inputs are MNIST's test images
    torch_compare.py --checkpoint last.h5 --load-only                   load_state_dict alone, strict

--predictions: the dataset named by --dataset, else the first one with as many rows as there are inputs.
The models are those of tests/golden/gold_train.py. It never trains and never writes a checkpoint.
"""
import argparse
import os
import sys

try:
    import h5py
    import numpy as np
    import torch
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
import gold_train  # noqa: E402


def load_model(name, checkpoint):
    """The line a user would write, strict about names and shapes."""
    model = getattr(gold_train, name)()
    with h5py.File(checkpoint, "r") as file:
        model.load_state_dict({k: torch.from_numpy(v[...]) for k, v in file["state_dict"].items()})
    return model.eval()


def inputs_of(args):
    if args.input:
        return torch.from_numpy(np.load(args.input)).float().reshape(-1, 1, 28, 28)
    x = gold_train.read_idx(os.path.join(args.mnist, "t10k-images-idx3-ubyte.gz")).unsqueeze(1).float().div(255)
    return x if args.model == "LitAutoEncoder" else x.sub(0.1307).div(0.3081)


def predictions_of(path, dataset, rows):
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[...]}) if isinstance(item, h5py.Dataset) else None)
    if dataset:
        return found[dataset]
    for name, array in found.items():
        if array.ndim >= 2 and len(array) == rows:
            return array
    sys.exit(f"{path}: no dataset with {rows} rows among { {name: a.shape for name, a in found.items()} }")


def main():
    parser = argparse.ArgumentParser(description="Compare lthost's predictions with PyTorch's.")
    for option in ("--checkpoint", "--predictions", "--dataset", "--input", "--mnist", "--make-input"):
        parser.add_argument(option)
    parser.add_argument("--model", default="LeNet", choices=("LeNet", "LinearClassifier", "LitAutoEncoder"))
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--tolerance", type=float, default=1e-5, help="absolute, and relative to the value where that is above 1")
    parser.add_argument("--load-only", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.make_input:
        np.save(args.make_input, torch.rand(args.count, 1, 28, 28, generator=torch.Generator().manual_seed(1)).numpy())
        return
    if not args.checkpoint:
        parser.error("--checkpoint is missing")
    model = load_model(args.model, args.checkpoint)
    if args.load_only:
        print(f"{args.model}: {len(model.state_dict())} tensors loaded")
        return
    if not args.predictions or not (args.input or args.mnist):
        parser.error("--predictions and one of --input, --mnist are needed")
    x = inputs_of(args)
    with torch.inference_mode():
        expected = torch.cat([model(part) for part in x.split(1000)]).numpy()
    given = predictions_of(args.predictions, args.dataset, len(x)).reshape(len(x), -1)
    if given.shape != expected.shape:
        sys.exit(f"shape {given.shape}, expected {expected.shape}")
    worst = float((np.abs(given - expected) / np.maximum(1, np.abs(expected))).max())
    print(f"{args.model}: {len(x)} predictions, worst difference {worst:.2e}, tolerance {args.tolerance:.0e}")
    sys.exit(0 if worst <= args.tolerance else 1)


if __name__ == "__main__":
    main()
