#!/usr/bin/env python3
"""Metric components in a run: values per step and per epoch in metrics.csv, epochs that a signal cut in two, and what goes wrong."""
import os
import signal
import time

import harness


class Metrics(harness.Test):
    def metered(self, model=None, name="config.yaml", **trainer):
        trainer = {"max_epochs": 2, "log_every_n_steps": 1, "enable_progress_bar": False, "enable_model_summary": False, **trainer}
        return self.config(name=name, model={"class_path": "Metered", "init_args": model or {}}, data={"class_path": "Noise",
                           "init_args": {"batch_size": 8}}, trainer=trainer)

    def test_values_are_those_of_the_loss(self):
        """Batches of one size: the mean of the losses is the error over the epoch."""
        self.lthost("fit", "-c", self.metered())
        for metric, loss in (("train_mse_step", "train_loss_step"), ("train_mse_epoch", "train_loss_epoch"), ("val_mse", "val_loss")):
            pairs = list(zip(self.column(metric), self.column(loss)))
            self.assertTrue(pairs, metric)
            for a, b in pairs:
                self.assertAlmostEqual(a, b, delta=1e-6 * (1 + abs(b)), msg=metric)
        self.assertEqual(len(self.column("train_f1_step")), 16)
        f1 = self.column("train_f1_epoch")
        self.assertTrue(len(f1) == 2 and 0.5 < f1[0] <= 1, f1)
        self.assertTrue(0.5 < self.column("val_f1")[-1] <= 1)
        self.lthost("test", "-c", self.path("config.yaml"), says=["test_f1", "test_mse"])

    def test_an_epoch_in_two_parts(self):
        """What a signal interrupts goes on with the states of the checkpoint: the epoch's values are those of an undisturbed run."""
        reference = self.metered(name="whole.yaml", default_root_dir=self.path("whole"))
        self.lthost("fit", "-c", reference)
        config = self.metered({"sleep": 0.15}, default_root_dir=self.path("parts"))
        process = self.start("fit", "-c", config)
        csv = os.path.join(self.path("parts"), "lthost_logs", "version_0", "metrics.csv")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not os.path.isdir(os.path.dirname(csv)):
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 75, self.log_of(process))
        self.lthost("fit", "-c", config, "--model.sleep=0", "--ckpt_path", "last", says="resuming at")
        for name in ("train_mse_epoch", "train_f1_epoch", "train_mse_step", "val_f1"):
            whole, parts = (self.column(name, self.run_dir(root=self.path(root))) for root in ("whole", "parts"))
            self.assertEqual(whole, parts, name)

    def test_mistakes_name_the_metric(self):
        self.lthost("fit", "-c", self.metered({"wrong": True}), status=3, says=["F1Score.update (lt.metric/1)", "target of sample", "labels are 0 to 1"])


if __name__ == "__main__":
    harness.main()
