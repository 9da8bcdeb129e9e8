#!/usr/bin/env python3
"""Lists what TensorBoard's own reader finds in a run folder, as JSON. Exit 1 if it finds no event, 77 without `tensorboard`.

    read_events.py RUN_FOLDER [--tag TAG]     {"scalars": {tag: [[step, value], ...]}, "texts": {tag: [[step, text], ...]}, "hparams": [tags]}

It uses the reader that TensorBoard's server uses, so that what is shown here is what a user sees. It never writes.
"""
import argparse
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    from tensorboard.backend.event_processing import plugin_event_accumulator
    from tensorboard.util import tensor_util
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)


def event_folders(root):
    """Folders with event files, below and including root."""
    return sorted(where for where, _, files in os.walk(root) if any("tfevents" in name for name in files))


def read(folder):
    everything = {"tensors": 0}  # 0: keep all
    reader = plugin_event_accumulator.EventAccumulator(folder, tensor_size_guidance=everything)
    reader.Reload()

    def values(plugin, convert):
        try:
            tags = sorted(reader.PluginTagToContent(plugin))
        except KeyError:
            return {}
        return {tag: [[e.step, convert(tensor_util.make_ndarray(e.tensor_proto))] for e in reader.Tensors(tag)] for tag in tags}

    scalars = values("scalars", lambda array: float(array.reshape(-1)[0]))
    texts = values("text", lambda array: "\n".join(item.decode("utf-8", "replace") for item in array.reshape(-1)))
    try:
        hparams = sorted(reader.PluginTagToContent("hparams"))
    except KeyError:
        hparams = []
    return {"scalars": scalars, "texts": texts, "hparams": hparams}


def main():
    parser = argparse.ArgumentParser(description="List the scalars, texts and hparams of a run folder.")
    parser.add_argument("folder")
    parser.add_argument("--tag", help="only this scalar, as [[step, value], ...]")
    args = parser.parse_args()
    found = {"scalars": {}, "texts": {}, "hparams": []}
    for folder in event_folders(args.folder):
        one = read(folder)
        prefix = os.path.relpath(folder, args.folder)
        prefix = "" if prefix == "." else prefix + "/"
        for kind in ("scalars", "texts"):
            found[kind].update({prefix + tag: points for tag, points in one[kind].items()})
        found["hparams"] += one["hparams"]
    json.dump(found["scalars"].get(args.tag, []) if args.tag else found, sys.stdout, indent=1)
    print()
    sys.exit(0 if found["scalars"] or found["texts"] or found["hparams"] else 1)


if __name__ == "__main__":
    main()
