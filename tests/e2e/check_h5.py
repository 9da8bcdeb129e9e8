#!/usr/bin/env python3
"""Lists a checkpoint's state_dict with h5py and compares it with what is expected. Exit 1 on a difference, 77 without `h5py`.

    check_h5.py FILE.h5 [--group state_dict] [--expect conv1.weight=6,1,5,5 conv1.bias=6 ...] [--model LeNet]

Prints JSON [[name, shape, dtype], ...] in the order in which h5py iterates. --expect and --model compare names, order and shapes.
It reads only what is asked for and never imports PyTorch: the shapes of the three shipped models stand below.
"""
import argparse
import json
import sys

try:
    import h5py
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

MODELS = {
    "LeNet": "conv1.weight=6,1,5,5 conv1.bias=6 conv2.weight=16,6,5,5 conv2.bias=16 fc1.weight=120,400 fc1.bias=120 "
             "fc2.weight=84,120 fc2.bias=84 fc3.weight=10,84 fc3.bias=10",
    "LinearClassifier": "fc1.weight=128,784 fc1.bias=128 fc2.weight=10,128 fc2.bias=10",
    "LitAutoEncoder": "encoder.0.weight=64,784 encoder.0.bias=64 encoder.2.weight=3,64 encoder.2.bias=3 "
                      "decoder.0.weight=64,3 decoder.0.bias=64 decoder.2.weight=784,64 decoder.2.bias=784",
}


def parse(expected):
    """[(name, shape)] of "name=6,1" words; "name=" is a scalar."""
    pairs = [word.split("=", 1) for word in expected]
    return [(name, [int(d) for d in shape.split(",") if d]) for name, shape in pairs]


def main():
    parser = argparse.ArgumentParser(description="List and check the tensors of a checkpoint.")
    parser.add_argument("file")
    parser.add_argument("--group", default="state_dict")
    parser.add_argument("--expect", nargs="+", default=[])
    parser.add_argument("--model", choices=sorted(MODELS))
    args = parser.parse_args()
    with h5py.File(args.file, "r") as file:
        if args.group not in file:
            sys.exit(f"{args.file}: no group {args.group}; it holds {sorted(file)}")
        found = [(name, list(item.shape), str(item.dtype)) for name, item in file[args.group].items() if isinstance(item, h5py.Dataset)]
    print(json.dumps(found))
    wanted = parse(args.expect or (MODELS[args.model].split() if args.model else []))
    have = [(name, shape) for name, shape, _ in found]
    if wanted and have != wanted:
        sys.exit(f"{args.file}: expected {wanted}, found {have}")


if __name__ == "__main__":
    main()
