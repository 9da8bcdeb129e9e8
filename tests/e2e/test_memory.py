#!/usr/bin/env python3
"""A run does not grow: the resident memory of the process after the warm-up is that of the last step, loggers, validation and checkpoints
included. How much is allocated in a step is the business of trainer.steady_*."""
import re

import harness

KIB_ALLOWED = 512  # buffers of files, stacks touched deeper; a loss of 60 bytes a step would show in 9,000 steps


class Growth(harness.Test):
    def growth(self, first, last, model, batch, init=None, leak=0, batches=64, threads=1, save_every=0, **trainer):
        """KiB from step `first` to step `last`."""
        if harness.LIGHT:
            self.skip("resident memory is the sanitizer's own")
        resident = {"class_path": "Resident", "init_args": {"from": first, "to": last, "leak": leak}}
        callbacks = [resident] + ([{"class_path": "ModelCheckpoint", "init_args": {"every_n_train_steps": save_every}}] if save_every else [])
        config = self.config(
            model={"class_path": model, "init_args": init or {}},
            data={"class_path": "Digits", "init_args": {"train_size": batches * batch, "val_size": 2 * batch, "batch_size": batch}},
            trainer={"max_steps": last + 1, "max_epochs": -1, "num_threads": threads, "default_root_dir": self.dir,
                     "callbacks": callbacks, "enable_checkpointing": bool(save_every), **trainer})
        text = self.lthost("fit", "-c", config).text
        found = re.search(r"resident: (\d+) KiB at step \d+, (\d+) KiB", text)
        self.assertIsNotNone(found, text)
        before, after = (int(found.group(k)) for k in (1, 2))
        self.assertGreater(before, 1000)
        print(f"{model}: {before} KiB at step {first}, {after} KiB at step {last}")
        return after - before

    def test_ten_thousand_steps(self):
        self.assertLessEqual(self.growth(1000, 10000, "LinearClassifier", 16, log_every_n_steps=10, check_val_every_n_epoch=5), KIB_ALLOWED)

    def test_with_checkpoints(self):
        """Up to three snapshots of 1.2 MB are under way at either step; a snapshot lost in each of 80 saves would be 96 MB."""
        self.assertLessEqual(self.growth(2000, 10000, "LinearClassifier", 16, save_every=100, check_val_every_n_epoch=20), 4 * 1024)

    def test_two_threads(self):
        self.assertLessEqual(self.growth(1000, 10000, "LinearClassifier", 64, threads=2, log_every_n_steps=50, check_val_every_n_epoch=10), KIB_ALLOWED)

    def test_a_leak_is_seen(self):
        self.assertGreater(self.growth(1000, 10000, "LinearClassifier", 16, leak=100), KIB_ALLOWED)

    def test_convolutions(self):
        self.assertLessEqual(self.growth(20, 100, "CNN", 8, batches=10), KIB_ALLOWED)

    def test_resnet(self):
        self.assertLessEqual(self.growth(6, 16, "ResNet", 4, init={"in_channels": 1}, batches=3), 4 * KIB_ALLOWED)


if __name__ == "__main__":
    harness.main()
