#!/usr/bin/env python3
"""The bits of a run do not depend on how many threads computed it or prepared its batches: with `deterministic: true` and without. Every
loss of metrics.csv (written with all its digits) and everything of last.h5 that training goes on from is compared. Three and four threads
on a machine with fewer cores run all the same: chunks are handed out to as many as there are, in an order that differs from run to run."""
import os
import random
import string

import harness

STATE = ("state_dict/", "optimizer/", "rng/", "loops/", "data/", "metrics/")
GRID = [(threads, workers) for threads in (1, 2, 3, 4) for workers in (0, 1, 4)]
COVER = [(2, 1), (3, 4), (4, 0)]  # each number of threads and of workers once; (1, 0) is what they are compared with


class DeterministicBase(harness.Test):
    def run_of(self, model, threads, workers, deterministic=True, by_environment=False, steps=4, batch=16, data=None, init=None):
        """Trains, returns [losses and rates per step], {path: hash}."""
        root = self.path(f"t{threads}-w{workers}-{deterministic}-{by_environment}")
        data = data or {"class_path": "Digits", "init_args": {"train_size": max(64, batch * steps), "val_size": 32, "batch_size": batch}}
        data = {"class_path": data["class_path"], "init_args": {**data["init_args"], "num_workers": workers}}
        trainer = {"max_steps": steps, "log_every_n_steps": 1, "num_sanity_val_steps": 0, "limit_val_batches": 1, "logger": "CSVLogger", "callbacks": [],
                   "enable_progress_bar": False, "enable_model_summary": False, "deterministic": deterministic, "default_root_dir": root}
        if not by_environment:
            trainer["num_threads"] = threads
        config = self.config(name=f"{os.path.basename(root)}.yaml", model={"class_path": model, "init_args": init or {}}, data=data, trainer=trainer)
        self.lthost("fit", "-c", config, env={"OMP_NUM_THREADS": threads} if by_environment else None)
        run = self.run_dir(root=root)
        state = {path: facts for path, facts in self.entries(self.last(run)).items() if path.startswith(STATE)}
        rows = [{k: v for k, v in row.items() if "time" not in k} for row in self.metrics(run)]
        self.assertEqual(len([row for row in rows if "train_loss" in row]), steps)
        self.assertTrue(any(path.startswith("state_dict/") for path in state) and any(path.startswith("optimizer/") for path in state))
        return rows, state

    def same(self, model, pairs=COVER, **how):
        rows, state = self.run_of(model, 1, 0, **how)
        others = [(t, w, True, False) for t, w in pairs if (t, w) != (1, 0)] + [(2, 4, False, False), (3, 0, False, True)]
        for threads, workers, deterministic, by_environment in others:
            with self.subTest(model=model, threads=threads, workers=workers, deterministic=deterministic):
                other_rows, other_state = self.run_of(model, threads, workers, deterministic, by_environment, **how)
                self.assertEqual(other_rows, rows)
                self.assertEqual(sorted(other_state), sorted(state))
                self.assertEqual([path for path in state if other_state[path] != state[path]], [])

    def steps(self, usual):
        return 2 if harness.LIGHT else usual


class Small(DeterministicBase):
    """Shapes of the configurations that ship."""

    def test_lenet(self):
        self.same("LeNet", COVER if harness.LIGHT else GRID, steps=self.steps(20), batch=64)

    def test_autoencoder(self):
        self.same("LitAutoEncoder", steps=self.steps(20), batch=64)

    def test_linear(self):
        self.same("LinearClassifier", steps=self.steps(20), batch=64)

    def test_lstm(self):
        self.same("LSTMClassifier", steps=self.steps(6), batch=64)

    def test_cnn(self):
        self.same("CNN", steps=self.steps(3), batch=64)

    def test_another_seed_differs(self):
        """What compares equal must be able to differ."""
        first, state = self.run_of("LinearClassifier", 1, 0, steps=2)
        second, other = self.run_of("LinearClassifier", 1, 0, steps=2, by_environment=True, data={"class_path": "Digits", "init_args": {
            "train_size": 64, "val_size": 32, "batch_size": 16, "seed": 2}})
        self.assertNotEqual(first, second)
        self.assertTrue(all(state[path] != other[path] for path in state if path.startswith("state_dict/")))


class ResNet(DeterministicBase):
    """A batch of 20 (a full block of 16 and a tail): stem of few channels, 3x3 of blocked channels on 28x28 and 14x14, small maps of 7x7 and
    4x4, strided 1x1 of the shortcuts, norms and residual sums: the kernels of batch 64."""

    def test_resnet18(self):
        self.same("ResNet", steps=self.steps(3), batch=8 if harness.LIGHT else 20, init={"in_channels": 1})


class GPT(DeterministicBase):
    """Two blocks of the shipped configuration: its width, heads, context and vocabulary, so that each product, the attention and the loss
    have the kernels of the whole model; a batch of 4 of 8."""

    def text(self, length):
        draw = random.Random(3)
        return self.write("text.txt", "".join(draw.choice(string.ascii_letters + " .,:;!?-'\n&$3") for _ in range(length)))

    def test_gpt(self):
        light = harness.LIGHT
        block, batch = (64, 2) if light else (256, 4)
        data = {"class_path": "TextFile", "init_args": {"path": self.text(30 * block * batch), "block_size": block, "batch_size": batch}}
        self.same("GPT", steps=self.steps(3), data=data, init={"block_size": block, "n_layer": 2, "n_head": 6, "n_embd": 96 if light else 384})


if __name__ == "__main__":
    harness.main()
