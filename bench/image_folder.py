#!/usr/bin/env python3
"""Measures images per second of ImageFolder beside torchvision's DataLoader: the same files, the same transforms, turn by turn.

    image_folder.py [--lthost build/release/lthost] [--images 512] [--rounds 5] [--workers 0,1,2] [--width 500 --height 375] [--fast]

Run it with the interpreter of `scripts/python_env.sh torch`. It draws JPEGs (quality 90, 4:2:0, smooth shapes with noise: about 60 KB at
500 x 375) into a temporary folder. Train: RandomResizedCrop(224), flip, ToTensor, Normalize. Eval: Resize(256), CenterCrop(224), the same.
lthost runs bench/drain.c, a model without work, compiled here against the SDK; its seconds are those of the epochs after the first.
torchvision: ImageFolder and DataLoader with persistent workers, epochs after the first. A ratio is formed within a round.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
BATCH, EPOCHS = 32, 3


def draw(folder, count, width, height):
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for i in range(count):
        image = np.zeros((height, width, 3), np.float32)
        for c in range(3):
            for _ in range(4):
                a, b, p = rng.normal(0, 0.05, 2).tolist() + [rng.uniform(0, 6)]
                image[..., c] += 30 * np.sin(a * x + b * y + p)
        image += 128
        for _ in range(6):
            x0, y0 = rng.integers(0, width - 40), rng.integers(0, height - 40)
            image[y0 : y0 + rng.integers(10, 150), x0 : x0 + rng.integers(10, 150)] += rng.normal(0, 60, 3)
        image += rng.normal(0, 6, image.shape)
        where = os.path.join(folder, "train", f"class{i % 4}")
        os.makedirs(where, exist_ok=True)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(os.path.join(where, f"{i:05d}.jpg"), quality=90)


def torchvision_child(folder, kind, workers):
    """Prints images per second; runs in a process of its own."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms as T

    torch.set_num_threads(1)
    first = [T.RandomResizedCrop(224), T.RandomHorizontalFlip()] if kind == "train" else [T.Resize(256), T.CenterCrop(224)]
    data = datasets.ImageFolder(os.path.join(folder, "train"), T.Compose([*first, T.ToTensor(), T.Normalize(MEAN, STD)]))
    loader = DataLoader(data, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    times = []
    for _ in range(EPOCHS):
        start, count = time.perf_counter(), 0
        for x, _y in loader:
            count += len(x)
        times.append(count / (time.perf_counter() - start))
    print(json.dumps(max(times[1:])))


def torchvision(folder, kind, workers):
    run = subprocess.run([sys.executable, __file__, "--child", json.dumps([folder, kind, workers])], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def compile_drain(folder):
    out = os.path.join(folder, "drain.so")
    subprocess.run(["cc", "-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-I", os.path.join(ROOT, "sdk", "include"), "-o", out,
                    os.path.join(HERE, "drain.c")], check=True)
    return out


def lthost(binary, folder, kind, workers, fast):
    data = {"data_dir": folder, "mean": MEAN, "std": STD, "batch_size": BATCH, "num_workers": workers, "crop": [224]}
    data.update({"train_crop": "random_resized", "flip": 0.5} if kind == "train" else {"resize": [256]})
    if fast:
        data["jpeg"] = "fast"
    config = {"seed_everything": 1, "plugins": [folder], "model": "Drain", "data": {"class_path": "ImageFolder", "init_args": data},
              "trainer": {"max_epochs": EPOCHS, "limit_val_batches": 0, "logger": False, "callbacks": False, "enable_progress_bar": False}}
    # val and train are the same folder: nothing but the training loader runs
    path = os.path.join(folder, "config.yaml")
    rates = []
    for epochs in (1, EPOCHS):
        config["trainer"]["max_epochs"] = epochs
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        start = time.perf_counter()
        run = subprocess.run([binary, "fit", "-c", path], cwd=folder, capture_output=True, text=True)
        if run.returncode:
            sys.exit(run.stdout + run.stderr)
        rates.append(time.perf_counter() - start)
    images = sum(len(files) for where, _, files in os.walk(os.path.join(folder, "train")))
    return images * (EPOCHS - 1) / (rates[1] - rates[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--lthost", default=os.path.join(ROOT, "build", "release", "lthost"))
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", default="0,1,2")
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--fast", action="store_true", help="jpeg: fast in lthost")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        torchvision_child(*json.loads(args.child))
        return
    with tempfile.TemporaryDirectory() as folder:
        draw(folder, args.images, args.width, args.height)
        compile_drain(folder)
        print(f"{args.images} images {args.width} x {args.height}, {args.rounds} rounds; images/s: median (least to most)")
        for kind in ("train", "eval"):
            for workers in map(int, args.workers.split(",")):
                ours, theirs = [], []
                for _ in range(args.rounds):
                    ours.append(lthost(os.path.abspath(args.lthost), folder, kind, workers, args.fast))
                    theirs.append(torchvision(folder, kind, workers))
                ratios = sorted(a / b for a, b in zip(ours, theirs))
                print(f"{kind:5s} {workers} workers: lthost {statistics.median(ours):7.0f} ({min(ours):.0f} to {max(ours):.0f}), torchvision "
                      f"{statistics.median(theirs):7.0f} ({min(theirs):.0f} to {max(theirs):.0f}), ratio {statistics.median(ratios):.2f} "
                      f"({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)


if __name__ == "__main__":
    main()
