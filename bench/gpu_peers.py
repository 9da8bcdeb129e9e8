#!/usr/bin/env python3
"""Measures PyTorch on one GPU: eager, torch.compile and Lightning, on generated data that lies in device memory.

    gpu_peers.py [--works lenet,resnet18,resnet50,gpt2] [--peers eager,compile,lightning] [--steps 50] [--out FILE.json]
    gpu_peers.py --tiny        the same code on the CPU with toy sizes: checks that the script works, measures nothing

Works: LeNet batch 64 f32; ResNet-18 on 32x32 batch 512, ResNet-50 on 224x224 batch 256, GPT-2 124M context 1024 batch 16, all bf16
autocast. Adam 1e-3 for LeNet, SGD with momentum for the ResNets, AdamW for GPT-2; channels_last for the ResNets. The models are written
here, so that nothing is downloaded. One cached batch each: no loader, no copy from the host is measured. Each measurement runs in a
child of its own; seconds are those of the device, between synchronizations; medians over 5 chunks.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402

CHUNKS = 5
WORKS = ("lenet", "resnet18", "resnet50", "gpt2")
PEERS = ("eager", "compile", "lightning")


def models():
    """The model classes; in a function, so that the parent process need not import torch."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class LeNet(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
                             nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))

    def conv(i, o, k, s=1):
        return nn.Conv2d(i, o, k, s, k // 2, bias=False)

    class Block(nn.Module):
        """Residual block; bottleneck if expand is 4."""

        def __init__(self, i, width, stride, expand):
            super().__init__()
            o = width * expand
            if expand == 1:
                layers = [conv(i, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU(True), conv(width, o, 3), nn.BatchNorm2d(o)]
            else:
                layers = [conv(i, width, 1), nn.BatchNorm2d(width), nn.ReLU(True), conv(width, width, 3, stride), nn.BatchNorm2d(width),
                          nn.ReLU(True), conv(width, o, 1), nn.BatchNorm2d(o)]
            self.body = nn.Sequential(*layers)
            self.skip = nn.Identity() if stride == 1 and i == o else nn.Sequential(conv(i, o, 1, stride), nn.BatchNorm2d(o))

        def forward(self, x):
            return F.relu(self.body(x) + self.skip(x))

    class ResNet(nn.Module):
        def __init__(self, blocks, expand, small, classes):
            super().__init__()
            stem = [conv(3, 64, 3)] if small else [nn.Conv2d(3, 64, 7, 2, 3, bias=False)]
            layers = [*stem, nn.BatchNorm2d(64), nn.ReLU(True)] + ([] if small else [nn.MaxPool2d(3, 2, 1)])
            i = 64
            for stage, count in enumerate(blocks):
                for at in range(count):
                    width = 64 << stage
                    layers.append(Block(i, width, 2 if at == 0 and stage else 1, expand))
                    i = width * expand
            self.features = nn.Sequential(*layers)
            self.fc = nn.Linear(i, classes)

        def forward(self, x):
            return self.fc(self.features(x).mean((2, 3)))

    class Layer(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads = heads
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

        def forward(self, x):
            b, t, c = x.shape
            q, k, v = (part.view(b, t, self.heads, -1).transpose(1, 2) for part in self.qkv(self.ln1(x)).chunk(3, -1))
            x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c))
            return x + self.mlp(self.ln2(x))

    class GPT(nn.Module):
        def __init__(self, vocabulary, context, width, heads, depth):
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
            self.layers = nn.Sequential(*[Layer(width, heads) for _ in range(depth)])
            self.ln = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary, bias=False)
            self.head.weight = self.tokens.weight
            nn.init.normal_(self.tokens.weight, std=0.02)

        def forward(self, x):
            return self.head(self.ln(self.layers(self.tokens(x) + self.places.weight[: x.shape[1]])))

    return torch, F, LeNet, ResNet, GPT


def build(work, device, tiny):
    """(model, loss of (model, batch), batch, optimizer, samples a step, bf16)"""
    torch, F, LeNet, ResNet, GPT = models()

    def classify(model, batch):
        return F.cross_entropy(model(batch[0]).float(), batch[1])

    def images(n, channels, size, classes):
        x = torch.randn(n, channels, size, size, device=device)
        x = x.to(memory_format=torch.channels_last) if channels == 3 else x
        return x, torch.randint(0, classes, (n,), device=device)

    def sgd(p):
        return torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=5e-4)

    if work == "lenet":
        n = 8 if tiny else 64
        model, batch, bf16 = LeNet(), images(n, 1, 28, 10), False
        make = lambda p: torch.optim.Adam(p, lr=1e-3)  # noqa: E731
        return model.to(device), classify, batch, make, n, bf16
    if work in ("resnet18", "resnet50"):
        small = work == "resnet18"
        n, size, classes = (4, 32, 10) if tiny else (512, 32, 10) if small else (256, 224, 1000)
        model = ResNet((2, 2, 2, 2), 1, True, classes) if small else ResNet((3, 4, 6, 3), 4, False, classes)
        return model.to(device).to(memory_format=torch.channels_last), classify, images(n, 3, size, classes), sgd, n, True
    sizes = (64, 16, 32, 2, 2) if tiny else (50304, 1024, 768, 12, 12)  # 50257 tokens, padded as everyone does
    n = 2 if tiny else 16
    tokens = torch.randint(0, sizes[0], (n, sizes[1] + 1), device=device)

    def predict(model, batch):
        return F.cross_entropy(model(batch[:, :-1]).flatten(0, 1).float(), batch[:, 1:].flatten())

    make = lambda p: torch.optim.AdamW(p, lr=3e-4, weight_decay=0.1, fused=device.type == "cuda")  # noqa: E731
    return GPT(*sizes).to(device), predict, tokens, make, n * sizes[1], True


def bare_loop(case, device, steps):
    """Seconds per step of each chunk, with eager or compiled PyTorch."""
    import torch

    model, loss_of, batch, make, samples, bf16 = build(case["work"], device, case["tiny"])
    run = model
    if case["peer"] == "compile":
        torch.set_float32_matmul_precision("high")
        run = torch.compile(model, mode="reduce-overhead" if case["work"] == "lenet" else None)
    optimizer = make(model.parameters())
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def step():
        with torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext():
            loss = loss_of(run, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(max(3, steps // 5)):
        step()
    chunks = []
    for _ in range(CHUNKS):
        wait()
        began = time.perf_counter()
        for _ in range(steps):
            step()
        wait()
        chunks.append((time.perf_counter() - began) / steps)
    return chunks, samples


def lightning_loop(case, device, steps):
    """Seconds per step of each chunk under Lightning's Trainer with its defaults."""
    import lightning
    import torch

    model, loss_of, batch, make, samples, bf16 = build(case["work"], device, case["tiny"])
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    moments, warm = [], max(3, steps // 5)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = model

        def training_step(self, item, index):
            if index >= warm and (index - warm) % steps == 0:
                wait()
                moments.append(time.perf_counter())
            loss = loss_of(self.net, item)
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self):
            return make(self.parameters())

    class Same(torch.utils.data.IterableDataset):
        def __iter__(self):
            while True:
                yield batch

    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(max_steps=warm + CHUNKS * steps + 1, accelerator="gpu" if device.type == "cuda" else "cpu", devices=1,
                                    precision="bf16-mixed" if bf16 else "32-true", default_root_dir=folder)
        trainer.fit(Module(), torch.utils.data.DataLoader(Same(), batch_size=None))
    return [(b - a) / steps for a, b in zip(moments, moments[1:])], samples


def one(case):
    import torch

    device = torch.device("cpu" if case["tiny"] else "cuda")
    torch.manual_seed(0)
    steps = 2 if case["tiny"] else case["steps"] * (20 if case["work"] == "lenet" else 1)
    chunks, samples = (lightning_loop if case["peer"] == "lightning" else bare_loop)(case, device, steps)
    result = {"us_per_step": common.spread([c * 1e6 for c in chunks]), "samples_per_step": samples, "torch": torch.__version__}
    if device.type == "cuda":
        result.update(device=torch.cuda.get_device_name(), peak_mb=round(torch.cuda.max_memory_allocated() / 2**20))
    print("\n" + json.dumps(result), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Measure PyTorch and Lightning on one GPU.")
    parser.add_argument("--one", help="one case as JSON, in this process")
    parser.add_argument("--works", default=",".join(WORKS))
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out")
    args = parser.parse_args()
    if args.one:
        one(json.loads(args.one))
        return
    results, failed = [], 0
    for work in args.works.split(","):
        for peer in args.peers.split(","):
            case = {"work": work, "peer": peer, "steps": args.steps, "tiny": args.tiny}
            done = subprocess.run([sys.executable, os.path.abspath(__file__), "--one", json.dumps(case)], capture_output=True, text=True)
            result = common.last_json(done.stdout)
            if done.returncode or result is None:
                failed += 1
                print(f"{work} {peer}: exit {done.returncode}\n{done.stderr[-1500:]}", file=sys.stderr, flush=True)
                continue
            results.append({**case, **result})
            rate = result["samples_per_step"] / result["us_per_step"]["median"] * 1e6
            print(f"{work:9} {peer:9} {result['us_per_step']['median']:12.1f} us/step {rate:14,.0f} samples or tokens/s", file=sys.stderr, flush=True)
    text = json.dumps({"machine": common.machine(), "results": results}, indent=1)
    if args.out:
        with open(args.out, "w", encoding="utf-8") as out:
            out.write(text + "\n")
    else:
        print(text)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
