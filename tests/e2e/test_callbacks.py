#!/usr/bin/env python3
"""What the shipped callbacks and loggers do in a run: swapped in the configuration, stopping, monitoring, printing; on a terminal and in a file."""
import os
import pty
import re
import select
import time

import harness


class Swap(harness.Test):
    def test_in_the_configuration(self):
        config = self.boring()
        self.lthost("fit", "-c", config, "--trainer.callbacks+=LearningRateMonitor", "--trainer.log_every_n_steps=1")
        self.assertEqual(set(self.column("lr-SGD")), {0.1})
        other = self.config("trainer:\n  callbacks:\n  - class_path: EarlyStopping\n    init_args: {monitor: val_loss, stopping_threshold: 1.0e+9}\n",
                            name="other.yaml")
        self.lthost("fit", "-c", config, "-c", other, "--trainer.max_epochs=9", says="has reached stopping_threshold")

    def test_resume_with_another_callback(self):
        config = self.boring({"lr": 0.01})
        self.lthost("fit", "-c", config)
        self.lthost("fit", "-c", config, "--trainer.callbacks+=LearningRateMonitor", "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1",
                    "--ckpt_path", "last", says="resuming at")
        self.assertTrue(self.column("lr-SGD"))

    def test_defaults_switched_off_one_by_one(self):
        text = self.lthost("fit", "-c", self.boring(enable_model_summary=False, enable_progress_bar=False, enable_checkpointing=False)).text
        self.assertNotIn("Params", text)
        self.assertFalse(os.path.exists(os.path.join(self.run_dir(), "checkpoints")))

    def test_optimizer_of_the_configuration_beats_the_models(self):
        self.lthost("fit", "-c", self.boring(), "--optimizer=Adam", "--optimizer.lr=0.5", "--trainer.callbacks+=LearningRateMonitor",
                    "--trainer.log_every_n_steps=1")
        self.assertEqual(set(self.column("lr-Adam")), {0.5})


class EarlyStopping(harness.Test):
    def test_stops_and_says_why(self):
        config = self.boring({"lr": 0}, max_epochs=50, callbacks=[{"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss", "patience": 2}}])
        self.lthost("fit", "-c", config, says=["stopped early: val_loss did not improve on", "in the last 2 checks"])
        self.assertEqual(self.summary()["epochs"], 3)

    def test_waits_for_min_epochs(self):
        config = self.boring({"lr": 0}, max_epochs=50, min_epochs=6, callbacks=[{"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss",
                                                                                                    "patience": 2}}])
        self.lthost("fit", "-c", config)
        self.assertEqual(self.summary()["epochs"], 6)

    def test_watches_the_training_loss(self):
        config = self.boring({"lr": 0}, max_epochs=50, callbacks=[{"class_path": "EarlyStopping", "init_args": {"monitor": "train_loss_epoch",
                                                                                                    "patience": 1, "mode": "max", "min_delta": 1}}])
        self.lthost("fit", "-c", config)
        self.assertEqual(self.summary()["epochs"], 2)


class LearningRate(harness.Test):
    def test_rows_follow_the_scheduler(self):
        config = self.boring(max_epochs=3, log_every_n_steps=4, callbacks=["LearningRateMonitor"])
        self.lthost("fit", "-c", config, "--optimizer=SGD", "--optimizer.lr=0.1", "--lr_scheduler=StepLR", "--lr_scheduler.step_size=1",
                    "--lr_scheduler.gamma=0.5")
        rows = [(int(row["step"]), row["lr-SGD"]) for row in self.metrics() if "lr-SGD" in row]
        self.assertEqual(rows, [(s, 0.1 * 0.5 ** (s // 16)) for s in range(3, 48, 4)])


class Checkpoints(harness.Test):
    def files(self):
        return sorted(os.listdir(os.path.join(self.run_dir(), "checkpoints")))

    def test_default_keeps_the_newest_and_last(self):
        self.lthost("fit", "-c", self.boring(max_epochs=3))
        self.assertEqual(self.files(), ["epoch=2-step=48.h5", "last.h5"])

    def test_best_by_a_metric(self):
        config = self.boring({"lr": 0.05}, max_epochs=6, callbacks=[{"class_path": "ModelCheckpoint", "init_args": {"monitor": "val_loss",
                                                                                                    "save_top_k": 2, "filename": "{epoch}-{val_loss:.4f}"}}])
        self.lthost("fit", "-c", config)
        losses = {epoch: value for epoch, value in enumerate(self.column("val_loss"))}
        best = sorted(losses, key=losses.get)[:2]
        self.assertEqual(self.files(), sorted([f"epoch={e}-val_loss={losses[e]:.4f}.h5" for e in best] + ["last.h5"]))
        self.lthost("test", "-c", config, "--ckpt_path", "best", says=f"epoch={best[0]}-val_loss")
        self.assertTrue(self.summary()["checkpoint"]["best"].endswith(f"epoch={best[0]}-val_loss={losses[best[0]]:.4f}.h5"))

    def test_weights_only_cannot_be_resumed(self):
        config = self.boring(callbacks=[{"class_path": "ModelCheckpoint", "init_args": {"save_weights_only": True, "save_last": False}}])
        self.lthost("fit", "-c", config)
        path = os.path.join(self.run_dir(), "checkpoints", "epoch=0-step=16.h5")
        self.lthost("fit", "-c", config, "--ckpt_path", path, status=4, says="weights only")
        self.lthost("test", "-c", config, "--ckpt_path", path, says="test_loss")


class Summary(harness.Test):
    def test_table_with_sizes(self):
        config = self.config(model="LeNet", data={"class_path": "Digits", "init_args": {"batch_size": 8}}, trainer={"max_steps": 1,
                                                                                                    "limit_val_batches": 0, "logger": False})
        text = self.lthost("fit", "-c", config).text
        for pattern in (r"conv1\s+\|\s+Conv2d\s+\|\s+156 \| train \| \[1, 1, 28, 28\]\s+\| \[1, 6, 28, 28\]",
                        r"fc1\s+\|\s+Linear\s+\|\s+48\.1 K .*\[1, 400\]\s+\| \[1, 120\]",
                        r"61\.7 K\s+trainable parameters", r"0\.247\s+MB"):
            self.assertRegex(text, pattern)

    def test_depth(self):
        config = self.config(model="LitAutoEncoder", data={"class_path": "Digits", "init_args": {"batch_size": 8}}, trainer={"max_steps": 1,
                                                                                                    "limit_val_batches": 0, "logger": False})
        shallow = self.lthost("fit", "-c", config).text
        deep = self.lthost("fit", "-c", config, "--trainer.callbacks+=ModelSummary", "--trainer.callbacks.max_depth=-1").text
        self.assertNotIn("encoder.0", shallow)
        self.assertIn("encoder.0", deep)

    def test_bytes_by_precision(self):
        config = self.config(model="LitAutoEncoder", data={"class_path": "Digits", "init_args": {"batch_size": 8}}, trainer={"max_steps": 1,
                                                                                                    "limit_val_batches": 0, "logger": False})
        sizes = []
        for precision in ("bf16-true", "32-true", "64-true"):
            text = self.lthost("fit", "-c", config, f"--trainer.precision={precision}").text
            sizes.append(float(re.search(r"([0-9.]+) +MB of parameters", text).group(1)))
        self.assertGreater(sizes[0], 0.1)
        self.assertAlmostEqual(sizes[1] / sizes[0], 2, delta=0.02)
        self.assertAlmostEqual(sizes[2] / sizes[1], 2, delta=0.02)


class Bar(harness.Test):
    def test_plain_lines_in_a_file(self):
        result = self.lthost("fit", "-c", self.boring(max_epochs=2))
        self.assertNotIn("\r", result.text)
        self.assertNotIn("\x1b", result.text)
        self.assertRegex(result.text, r"(?im)^epoch 0: .*16.* samples/s.*val_loss=")

    def on_terminal(self, *args, seconds=60, width=100):
        """Runs it with a terminal of so many columns as its output; returns all that was written."""
        leader, follower = pty.openpty()
        import fcntl
        import struct
        import subprocess
        import termios
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
        process = subprocess.Popen([harness.BINARY, *args], cwd=self.dir, env=harness.environment(TERM="xterm"), stdin=follower, stdout=follower,
                                   stderr=follower)
        os.close(follower)
        self.addCleanup(self.stop, process)
        out, deadline = b"", time.monotonic() + seconds
        while time.monotonic() < deadline:
            if select.select([leader], [], [], 0.1)[0]:
                try:
                    data = os.read(leader, 65536)
                except OSError:
                    break
                out += data
                if not data:
                    break
        os.close(leader)
        self.assertEqual(process.wait(10), 0, out.decode("utf-8", "replace"))
        return out.decode("utf-8")

    def test_live_on_a_terminal(self):
        text = self.on_terminal("fit", "-c", self.boring({"sleep": 0.02}, max_epochs=2))
        self.assertIn("\r", text)
        bars = re.findall(r"Epoch 0 +(\d+)%.*?(\d+)/16", text)
        self.assertGreater(len(bars), 2, text)
        self.assertEqual([int(b) for _, b in bars], sorted(int(b) for _, b in bars))
        self.assertIn("it/s", text)
        self.assertIn("train_loss", text)

    def test_gives_way_on_a_narrow_terminal(self):
        for width, shown, missing in ((72, ["it/s, train_loss=0.", "<"], []), (40, ["/16", "it/s"], ["<", "train_loss=0.0"])):
            with self.subTest(width=width):
                text = self.on_terminal("fit", "-c", self.boring({"sleep": 0.02}, max_epochs=1), width=width)
                bars = re.findall(r"Epoch 0 +\d+%[^\r\n]*", text)
                self.assertTrue(bars, text)
                for bar in bars:
                    self.assertLess(len(bar), width)
                    self.assertTrue(bar.endswith("]"), bar)
                for part in shown:
                    self.assertIn(part, bars[-1])
                for part in missing:
                    self.assertNotIn(part, bars[-1])

    def test_refresh_rate_0_switches_it_off(self):
        text = self.on_terminal("fit", "-c", self.boring({"sleep": 0.01}, callbacks=[{"class_path": "ProgressBar", "init_args": {"refresh_rate": 0}}]))
        self.assertNotIn("it/s", text)


class Logging(harness.Test):
    def test_steps_and_epochs_in_metrics_csv(self):
        self.lthost("fit", "-c", self.boring(max_epochs=2, log_every_n_steps=4))
        rows = self.metrics()
        self.assertEqual([int(row["step"]) for row in rows if "train_loss_step" in row], [3, 7, 11, 15, 19, 23, 27, 31])
        self.assertEqual([(int(row["epoch"]), int(row["step"])) for row in rows if "train_loss_epoch" in row], [(0, 15), (1, 31)])
        self.assertEqual(len(self.column("val_loss")), 2)

    def test_epoch_mean_is_weighted_by_batch_size(self):
        """10 samples in batches of 4: the last one has 2 and counts as 2."""
        self.lthost("fit", "-c", self.boring({"lr": 0}, {"samples": 10, "shuffle": False}, log_every_n_steps=1))
        steps, mean = self.column("train_loss_step"), self.column("train_loss_epoch")[0]
        self.assertEqual(len(steps), 3)
        self.assertAlmostEqual((4 * steps[0] + 4 * steps[1] + 2 * steps[2]) / 10, mean, places=6)

    def test_accumulation_counts_steps_not_batches(self):
        self.lthost("fit", "-c", self.boring(accumulate_grad_batches=4, log_every_n_steps=1))
        self.assertEqual([int(row["step"]) for row in self.metrics() if "train_loss_step" in row], [0, 1, 2, 3])

    def test_hparams(self):
        self.lthost("fit", "-c", self.boring({"lr": 0.25}))
        text = self.read(self.run_dir(), "hparams.yaml")
        self.assertIn("model/lr: 0.25", text)
        self.assertIn("data/batch_size: 4", text)

    def test_callbacks_may_log(self):
        config = self.boring(log_every_n_steps=1, callbacks=[{"class_path": "Recorder", "init_args": {"log_in": "on_train_batch_end"}}])
        self.lthost("fit", "-c", config)
        self.assertEqual(set(self.column("from_callback")), {7.0})


if __name__ == "__main__":
    harness.main()
