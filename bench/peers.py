#!/usr/bin/env python3
"""Measures PyTorch and PyTorch Lightning on the CPU, on the work that lthost is measured on.

    peers.py [--threads 1,2] [--works LeNet,GPT,...] [--peers eager,compile,lightning,barebones] [--out FILE.json]
    peers.py --one '{"kind": "step", "peer": "eager", "work": "LeNet", "threads": 1, "idx": "FOLDER"}'

Each measurement runs in a child of its own, pinned to as many CPUs as it has threads.
  eager      a bare loop over batches that lie in memory as tensors: forward, loss, zero_grad, backward, optimizer step
  lightning  Trainer with its default callbacks and loggers in a temporary folder, self.log("train_loss"), DataLoader over a
             TensorDataset in memory, shuffle=True, num_workers=0
  barebones  the same with Trainer(barebones=True)
  step: microseconds per step, median over chunks, after warming up.  start: process start to first step done.  Peak RSS of each.
  compile    eager's loop with torch.compile(model); compiling is no part of the figure
Works: works.py.
It does not measure lthost: bench/run.py does, beside these.
"""
import argparse
import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402
from works import WORKS, load, make  # noqa: E402

CHUNKS, CHUNK_SECONDS = 7, 0.6


def per_step(stamps, chunks=CHUNKS):
    """Microseconds per step of each chunk, from the moments at which steps began; the first fifth is warming up."""
    stamps = stamps[len(stamps) // 5 :]
    size = (len(stamps) - 1) // chunks
    return [(stamps[(i + 1) * size] - stamps[i * size]) / size * 1e6 for i in range(chunks)]


def eager_step(case):
    import torch

    model, loss_of, batch, optimizer_of = make(case["work"])
    x, y = load(case["work"], case.get("idx"))
    batches = list(zip(x.split(batch), y.split(batch)))
    batches = [pair for pair in batches if len(pair[0]) == batch]
    optimizer = optimizer_of(model.parameters())
    if case["peer"] == "compile":
        model = torch.compile(model)
    at = 0

    def steps(count):
        nonlocal at
        began = time.perf_counter()
        for _ in range(count):
            xb, yb = batches[at % len(batches)]
            at += 1
            loss = loss_of(model, xb, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return (time.perf_counter() - began) / count

    steps(3) if WORKS[case["work"]].large else steps(20)
    count = max(1, int(CHUNK_SECONDS / steps(2 if WORKS[case["work"]].large else 50)))
    chunks = [steps(count) * 1e6 for _ in range(CHUNKS)]
    return {"us_per_step": common.spread(chunks), "steps": at, "versions": {"torch": torch.__version__}}


def lightning_run(case, steps, on_first_step=None):
    """Trains with Lightning; returns the moments at which the steps began."""
    import logging
    import warnings

    import lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    net, loss_of, batch, optimizer_of = make(case["work"])
    bare = case["peer"] == "barebones"
    precision = {"precision": "bf16-mixed"} if WORKS[case["work"]].bf16 else {}
    stamps = []

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = net

        def training_step(self, item, _index):
            stamps.append(time.perf_counter())
            loss = loss_of(self.net, *item)
            if not bare:
                self.log("train_loss", loss)
            return loss

        def configure_optimizers(self):
            return optimizer_of(self.parameters())

        if on_first_step:
            def on_train_batch_end(self, *_):
                on_first_step()

    loader = DataLoader(TensorDataset(*load(case["work"], case.get("idx"))), batch_size=batch, shuffle=True)
    with tempfile.TemporaryDirectory() as folder:
        options = {"barebones": True} if bare else {"default_root_dir": folder}
        trainer = lightning.Trainer(max_steps=steps, accelerator="cpu", devices=1, **options, **precision)
        trainer.fit(Module(), loader)
    return stamps, {"torch": torch.__version__, "lightning": lightning.__version__}


def lightning_step(case):
    stamps, versions = lightning_run(case, case.get("steps") or WORKS[case["work"]].lightning_steps)
    return {"us_per_step": common.spread(per_step(stamps)), "steps": len(stamps), "versions": versions}


def first_step(case):
    """Does one step, says so, ends: the parent watches the clock."""
    def done():
        print("first step done", flush=True)

    if case["peer"] == "eager":
        model, loss_of, batch, optimizer_of = make(case["work"])
        x, y = load(case["work"], case.get("idx"))
        optimizer = optimizer_of(model.parameters())
        loss_of(model, x[:batch], y[:batch]).backward()
        optimizer.step()
        done()
    else:
        lightning_run(case, 1, done)
    return {}


def one(case):
    """Runs in the child. The last line of its output is the result."""
    import torch

    torch.set_num_threads(case["threads"])
    torch.manual_seed(0)
    if case["kind"] == "start":
        result = first_step(case)
    else:
        result = eager_step(case) if case["peer"] in ("eager", "compile") else lightning_step(case)
    print("\n" + json.dumps(result), flush=True)


def measure(case, cpus, python=sys.executable):
    """Runs one case in a child; returns the case with its figures. Used by bench/run.py too."""
    until = "first step done" if case["kind"] == "start" else None
    done = common.run_child([python, os.path.abspath(__file__), "--one", json.dumps(case)], cpus, case["threads"], until)
    result = common.last_json(done["output"])
    if done["status"] or result is None:
        sys.exit(f"{case}: exit {done['status']}\n{done['output'][-2000:]}")
    out = {key: value for key, value in case.items() if key != "idx"}
    out.update(result, rss_mb=round(done["rss_mb"], 1), foreign=done["foreign"])
    if until:
        out["ms_to_first_step"] = round(done["seconds"] * 1e3, 1)
    return out


def cases(works, peers, threads, idx):
    for work in works:
        for peer in peers:
            for count in threads:
                if peer != "barebones" or work == "Linear32":
                    yield {"kind": "step", "peer": peer, "work": work, "threads": count, "idx": idx}
    for work in ("Linear32", "LeNet"):
        for peer in ("eager", "lightning"):
            if work in works and peer in peers:
                yield {"kind": "start", "peer": peer, "work": work, "threads": threads[0], "idx": idx}


def describe(r):
    figure = f"{r['ms_to_first_step']:10.0f} ms to first step" if r["kind"] == "start" else f"{r['us_per_step']['median']:10.1f} us/step"
    return f"{r['work']:17} {r['peer']:10} {r['threads']} thread(s) {figure}  {r['rss_mb']:.0f} MB, others {r['foreign']:.2f} cores"


def main():
    parser = argparse.ArgumentParser(description="Measure PyTorch and Lightning on the CPU.")
    parser.add_argument("--one", help="one case as JSON, in this process")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--works", default=",".join(WORKS))
    parser.add_argument("--peers", default="eager,lightning,barebones")
    parser.add_argument("--out")
    args = parser.parse_args()
    if args.one:
        one(json.loads(args.one))
        return
    cpus = sorted(os.sched_getaffinity(0))
    threads = [int(t) for t in args.threads.split(",") if int(t) <= len(cpus)]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        idx = common.plain_idx(folder)
        for case in cases(args.works.split(","), args.peers.split(","), threads, idx):
            results.append(measure(case, cpus))
            print(describe(results[-1]), file=sys.stderr, flush=True)
    text = json.dumps({"machine": common.machine(), "results": results}, indent=1)
    if args.out:
        with open(args.out, "w", encoding="utf-8") as out:
            out.write(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
