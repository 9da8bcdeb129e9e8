#!/usr/bin/env python3
"""Streams and several loaders in a run: lengths that nobody knows, names of metrics, limits, resume in mid-epoch, what is refused."""
import os
import signal
import time

import harness


class Streams(harness.Test):
    def streams(self, data=None, name="config.yaml", model="Boring", **trainer):
        trainer = {"max_epochs": 2, "log_every_n_steps": 1, "enable_progress_bar": False, "enable_model_summary": False, **trainer}
        return self.config(name=name, model={"class_path": model}, data={"class_path": "Streams", "init_args": data or {}}, trainer=trainer)

    def test_an_epoch_ends_with_the_stream(self):
        self.lthost("fit", "-c", self.streams({"num_workers": 1}, enable_progress_bar=True))
        self.assertEqual(self.summary()["steps"], 26)  # 50 samples: 12 batches of 4 and one of 2, twice
        self.assertEqual(len(self.column("train_loss_epoch")), 2)
        for name, count in (("val_loss/dataloader_idx_0", 2), ("val_loss/dataloader_idx_1", 2), ("val_loss", 0)):
            self.assertEqual(len(self.column(name)), count, name)
        self.lthost("test", "-c", self.path("config.yaml"), says=["test_loss/dataloader_idx_1"])
        self.lthost("predict", "-c", self.path("config.yaml"), says="predictions of 40 samples")

    def test_limits(self):
        config = self.streams(limit_train_batches=5, limit_val_batches=2, val_check_interval=2)
        self.lthost("fit", "-c", config)
        self.assertEqual(self.summary()["steps"], 10)
        self.assertEqual(len(self.column("val_loss/dataloader_idx_1")), 4)
        self.lthost("fit", "-c", self.streams(limit_train_batches=0.5), status=2, says="length is not known (a stream)")
        self.lthost("fit", "-c", self.streams(val_check_interval=0.5), status=2, says="or 1.0 for its end")
        self.lthost("fit", "-c", self.streams({"samples": 0}), status=4, says="stream 'noise' gave no batch in epoch 0")

    def test_a_stream_ends_before_its_limit(self):
        """13 batches of training and 2 of validation, whatever larger number is asked for; validated at the end of the epoch all the same."""
        config = self.streams({"val_samples": 8}, limit_train_batches=100, limit_val_batches=100, num_sanity_val_steps=5,
                              callbacks=[{"class_path": "Recorder", "init_args": {"path": self.path("hooks.txt")}}])
        self.lthost("fit", "-c", config)
        self.assertEqual(self.summary()["steps"], 26)
        self.assertEqual(len(self.column("val_loss")), 2)
        ends = [line.split() for line in self.read("hooks.txt").splitlines() if " on_validation_epoch_end " in line]
        self.assertEqual([end[4:] for end in ends], [["2", "sanity"], ["2"], ["2"]])  # batches that there were
        self.lthost("fit", "-c", self.streams({"val_samples": 4}, fast_dev_run=30))
        self.lthost("test", "-c", self.streams({"val_samples": 4}, limit_test_batches=5), says="test_loss")

    def predict(self, config, says):
        return self.lthost("predict", "-c", config, "--ckpt_path", "none", says=says)

    def test_the_last_batch_of_predict(self):
        lasts = [{"class_path": "Lasts"}]
        run = self.predict(self.streams({"val_samples": 9}, callbacks=lasts), "batch 2 of loader 0 is its last")
        self.assertEqual(run.text.count("is its last"), 1)
        self.predict(self.streams({"val_samples": 9}, callbacks=lasts, limit_predict_batches=7), "predictions of 9 samples")
        both = self.streams(callbacks=lasts, limit_predict_batches=2)
        self.predict(both, ["batch 1 of loader 0 is its last", "batch 1 of loader 1 is its last", "predictions of 16 samples"])
        self.predict(self.streams(callbacks=lasts), ["batch 3 of loader 0 is its last", "batch 5 of loader 1 is its last"])

    def test_a_share_of_each_loader(self):
        """Loaders of 4 and 6 batches: 0.2 of the first is less than one batch, and is not dropped without a word."""
        for command, limit in (("fit", "limit_val_batches"), ("test", "limit_test_batches"), ("predict", "limit_predict_batches")):
            config = self.streams(num_sanity_val_steps=0, **{limit: 0.2})
            self.lthost(command, "-c", config, status=2, says=["dataset 'numbered[0:16]', loader 0 of 2", f"trainer.{limit} = 0.2 of 4 batches"])
        recorder = [{"class_path": "Recorder", "init_args": {"path": self.path("share.txt")}}]
        self.lthost("test", "-c", self.streams(limit_test_batches=0.25, callbacks=recorder), "--ckpt_path", "none")
        self.assertIn("callback on_test_epoch_end 0 0 2\n", self.read("share.txt"))  # one of each

    def interrupted(self, silent, workers):
        whole, parts = self.path(f"whole{silent}{workers}"), self.path(f"parts{silent}{workers}")
        self.lthost("fit", "-c", self.streams(name="whole.yaml", default_root_dir=whole))
        config = self.streams({"sleep": 0.1, "silent": silent, "num_workers": workers}, default_root_dir=parts)
        process = self.start("fit", "-c", config)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not os.path.isdir(os.path.join(parts, "lthost_logs", "version_0")):
            time.sleep(0.02)
        time.sleep(0.7)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 75, self.log_of(process))
        self.lthost("fit", "-c", config, "--data.sleep=0", "--ckpt_path", "last", says="resuming at")
        for name in ("train_loss_step", "train_loss_epoch", "val_loss/dataloader_idx_0"):
            self.assertEqual(self.column(name, self.run_dir(root=whole)), self.column(name, self.run_dir(root=parts)), name)

    def test_resume_at_a_position(self):
        self.interrupted(False, 0)
        self.interrupted(False, 1)

    def test_resume_without_positions(self):
        self.interrupted(True, 0)

    def test_pairs(self):
        """24 and 12 samples in batches of 4: 6 and 3 batches."""
        for mode, batches, with_right in ((1, 6, 6), (2, 3, 3), (3, 6, 3)):
            root = self.path(f"mode{mode}")
            self.lthost("fit", "-c", self.streams({"pairs": True, "mode": mode}, model="Pairs", max_epochs=1, default_root_dir=root))
            seen = self.column("with_right", self.run_dir(root=root))
            self.assertEqual((len(seen), sum(seen)), (batches, with_right), mode)
        self.lthost("fit", "-c", self.streams({"pairs": True}), status=3, says=["lt_batch_get", "take it with lt_batch_part first"])
        self.lthost("fit", "-c", self.streams(model="Pairs"), status=3, says="has no item \"left\"")


if __name__ == "__main__":
    harness.main()
