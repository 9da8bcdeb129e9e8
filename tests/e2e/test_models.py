#!/usr/bin/env python3
"""Models that ship, end to end: an MLPRegressor that takes its width from a table, and learns it; an MNISTModel with its own schedule."""
import math
import random

import harness


class Regressor(harness.Test):
    def table(self, rows, columns=4):
        """y is smooth in the columns, so that a small net explains nearly all of it."""
        draw = random.Random(7)
        path = self.path("table.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write(",".join([*(f"c{k}" for k in range(columns)), "y"]) + "\n")
            for _ in range(rows):
                x = [draw.uniform(-2, 2) for _ in range(columns)]
                file.write(",".join(f"{v:.6f}" for v in [*x, math.sin(x[0]) + 0.5 * x[1] * x[2] + 0.3 * x[3]]) + "\n")
        return path

    def settings(self, path, **init):
        return self.config(model={"class_path": "MLPRegressor", "init_args": {"hidden": [32, 32], "lr": 0.005, **init}},
                           data={"class_path": "CSVTable", "init_args": {"path": path, "targets": ["y"], "batch_size": 32, "shuffle": True}},
                           trainer={"max_epochs": 15, "enable_progress_bar": False, "num_sanity_val_steps": 0})

    def test_width_comes_from_the_table(self):
        rows = 200 if harness.LIGHT else 1500
        config, root = self.settings(self.table(rows)), self.path("run")
        self.lthost("fit", "-c", config, f"--trainer.default_root_dir={root}")
        weights = {path[len("state_dict/"):] for path in self.weights(self.last(self.run_dir(root=root)))}
        self.assertEqual(weights, {f"net.{k}.{p}" for k in (0, 2, 4) for p in ("weight", "bias")})
        self.assertEqual(len(self.entry(self.last(self.run_dir(root=root)), "state_dict/net.0.weight")), 32 * 4 * 4)
        r2 = self.column("val_r2", self.run_dir(root=root))
        self.assertEqual(len(r2), 15)
        self.assertGreater(r2[-1], 0.3 if harness.LIGHT else 0.95)
        self.lthost("test", "-c", config, "--ckpt_path", "last", f"--trainer.default_root_dir={root}")

    def test_same_as_written_out(self):
        config, losses = self.settings(self.table(200)), []
        for width in (0, 4):
            root = self.path(f"width{width}")
            self.lthost("fit", "-c", config, f"--model.in_features={width}", f"--trainer.default_root_dir={root}", "--trainer.max_epochs=2",
                        "--trainer.log_every_n_steps=1")
            losses.append(self.column("train_loss", self.run_dir(root=root)))
        self.assertEqual(losses[0], losses[1])

    def test_wrong_width_is_named(self):
        self.lthost("fit", "-c", self.settings(self.table(50), in_features=9), f"--trainer.default_root_dir={self.path('bad')}", status=3,
                    says=["linear net.0 (9 -> 32) got (32, 4)"])


class Mnist(harness.Test):
    def test_own_schedule_and_f1(self):
        root = self.path("mnist")
        config = self.config(model={"class_path": "MNISTModel", "init_args": {"hidden_dim": 16, "lr": 0.01, "num_epochs": 2}},
                             data={"class_path": "Digits", "init_args": {"batch_size": 64}},
                             trainer={"max_epochs": 2, "limit_train_batches": 20, "limit_val_batches": 4, "num_sanity_val_steps": 0, "log_every_n_steps": 1,
                                      "enable_progress_bar": False, "callbacks": [{"class_path": "LearningRateMonitor"}]})
        self.lthost("fit", "-c", config, f"--trainer.default_root_dir={root}")
        run = self.run_dir(root=root)
        f1, acc = self.column("val_f1", run), self.column("val_acc", run)
        self.assertEqual(len(f1), 2)
        self.assertTrue(all(0 < value <= 1 for value in f1 + acc))
        rates = self.column("lr-Adam", run)
        self.assertAlmostEqual(rates[0], 0.01)
        self.assertAlmostEqual(rates[-1], 0.01 / 100 + (0.01 - 0.01 / 100) / 2, places=9)  # half way down the cosine


if __name__ == "__main__":
    harness.main()
