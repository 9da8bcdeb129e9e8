#!/usr/bin/env python3
"""fit, validate, test, predict as a user types them: on digits that the program draws, and on real MNIST with the results that the
configurations promise; from another working directory; what is left behind; several runs at once."""
import os
import subprocess
import time

import harness


class Digits(harness.Test):
    def test_the_shipped_configuration(self):
        config = self.shipped("digits_lenet.yaml")
        small = ["--trainer.limit_train_batches=20", "--trainer.limit_val_batches=4", "--trainer.max_epochs=1"] if harness.LIGHT else []
        self.lthost("fit", "-c", config, *small)
        tested = self.lthost("test", "-c", config, "--ckpt_path", "best", *(["--trainer.limit_test_batches=4"] if harness.LIGHT else []),
                             says=["checkpoint best", "test_acc"])
        accuracy = self.summary(os.path.join(self.run_dir(), "test-0"))["metrics"]["test_acc"]
        print(f"digits: test_acc {accuracy:.4f}")
        self.assertIn("test_loss", tested.text)
        if not harness.LIGHT:
            self.assertGreaterEqual(accuracy, 0.97)

    def test_every_verb(self):
        config = self.config(model="LeNet", data={"class_path": "Digits", "init_args": {"batch_size": 32}},
                             trainer={"max_epochs": 1, "limit_train_batches": 20, "limit_val_batches": 3, "limit_test_batches": 3, "limit_predict_batches": 3})
        self.lthost("fit", "-c", config)
        self.lthost("validate", "-c", config, says=["no --ckpt_path given: using best", "val_acc"])
        self.lthost("test", "-c", config, "--ckpt_path", "last", says=["test_acc"])
        self.lthost("predict", "-c", config, says="predictions of 96 samples")
        for folder in ("validate-0", "test-0", "predict-0"):
            self.assertTrue(os.path.exists(os.path.join(self.run_dir(), folder, "summary.json")), folder)
        self.lthost("test", "-c", config, "--ckpt_path", "last")
        self.assertTrue(os.path.isdir(os.path.join(self.run_dir(), "test-1")))
        self.lthost("test", "--ckpt_path", self.last(), says="test_acc")  # the configuration is in the file
        self.lthost("test", "-c", config, "--ckpt_path", "none", says="test_acc")

    def test_validate_gives_what_fit_logged(self):
        config = self.config(model="LeNet", data={"class_path": "Digits", "init_args": {"batch_size": 32}}, trainer={"max_epochs": 1,
                                                                                                    "limit_train_batches": 20, "limit_val_batches": 5})
        self.lthost("fit", "-c", config)
        self.lthost("validate", "-c", config, "--ckpt_path", "last")
        logged, again = self.column("val_loss")[-1], self.summary(os.path.join(self.run_dir(), "validate-0"))["metrics"]["val_loss"]
        self.assertEqual(logged, again)


class Mnist(harness.Test):
    def test_lenet(self):
        if harness.LIGHT:
            self.skip("three epochs under a sanitizer: the release build does it")
        folder, config = self.mnist(), self.shipped("mnist_lenet.yaml")
        env = {"LTHOST_DATA": os.path.dirname(folder), "OMP_NUM_THREADS": None}
        self.lthost("fit", "-c", config, env=env)
        self.lthost("test", "-c", config, "--ckpt_path", "best", env=env, says="test_acc")
        accuracy = self.summary(os.path.join(self.run_dir(), "test-0"))["metrics"]["test_acc"]
        print(f"LeNet: test_acc {accuracy:.4f}, {self.summary()['samples_per_second']:.0f} samples/s")
        self.assertGreaterEqual(accuracy, 0.985)
        self.assertEqual(self.summary()["epochs"], 3)

    def test_autoencoder(self):
        if harness.LIGHT:
            self.skip("three epochs under a sanitizer: the release build does it")
        folder, config = self.mnist(), self.shipped("mnist_autoencoder.yaml")
        env = {"LTHOST_DATA": os.path.dirname(folder), "OMP_NUM_THREADS": None}
        self.lthost("fit", "-c", config, env=env)
        loss = self.column("val_loss")[-1]
        print(f"autoencoder: val_loss {loss:.4f}, {self.summary()['samples_per_second']:.0f} samples/s")
        self.assertLess(loss, 0.045)
        self.lthost("predict", "-c", config, "--ckpt_path", "best", "--module", "encoder", env=env, says="predictions of 10000 samples")

    def test_linear(self):
        if harness.LIGHT:
            self.skip("three epochs under a sanitizer: the release build does it")
        folder, config = self.mnist(), self.shipped("mnist_linear.yaml")
        env = {"LTHOST_DATA": os.path.dirname(folder), "OMP_NUM_THREADS": None}
        self.lthost("fit", "-c", config, env=env)
        self.lthost("test", "-c", config, env=env)
        accuracy = self.summary(os.path.join(self.run_dir(), "test-0"))["metrics"]["test_acc"]
        print(f"linear: test_acc {accuracy:.4f}")
        self.assertGreaterEqual(accuracy, 0.965)


class MnistSmall(harness.Test):
    def test_a_few_steps_of_every_configuration(self):
        folder = self.mnist()
        for i, name in enumerate(("mnist_lenet.yaml", "mnist_autoencoder.yaml", "mnist_linear.yaml")):
            self.lthost("fit", "-c", self.shipped(name), "--trainer.limit_train_batches=5", "--trainer.limit_val_batches=2", "--trainer.max_epochs=1",
                        env={"LTHOST_DATA": os.path.dirname(folder)})
            self.lthost("test", "-c", self.shipped(name), "--trainer.limit_test_batches=2", env={"LTHOST_DATA": os.path.dirname(folder)},
                        status=0 if name != "mnist_autoencoder.yaml" else None)


class Folders(harness.Test):
    def test_fast_dev_run_leaves_nothing(self):
        config = self.boring(fast_dev_run=True, log_every_n_steps=1)
        before = sorted(os.listdir(self.dir))
        self.lthost("fit", "-c", config)
        self.assertEqual(sorted(os.listdir(self.dir)), before)

    def test_runs_are_numbered(self):
        config = self.boring()
        for _ in range(3):
            self.lthost("fit", "-c", config)
        self.assertEqual(sorted(os.listdir(self.path("lthost_logs"))), ["version_0", "version_1", "version_2"])

    def test_started_at_once_they_get_different_numbers(self):
        config = self.boring({"sleep": 0.01})
        runs = [self.start("fit", "-c", config) for _ in range(4)]
        for run in runs:
            self.assertEqual(run.wait(100), 0, self.log_of(run))
        self.assertEqual(sorted(os.listdir(self.path("lthost_logs"))), [f"version_{i}" for i in range(4)])
        for i in range(4):
            self.assertEqual(self.summary(self.run_dir(i))["status"], "success")

    def test_a_run_in_use_is_refused(self):
        config = self.boring({"sleep": 0.05}, callbacks=[{"class_path": "ModelCheckpoint", "init_args": {"every_n_train_steps": 2}}], max_epochs=100)
        run = self.start("fit", "-c", config)
        for _ in range(400):
            if os.path.exists(self.last()):
                break
            time.sleep(0.02)
        self.lthost("fit", "-c", config, "--ckpt_path", self.last(), status=1, says="is in use by another lthost")
        self.assertIsNone(run.poll())

    def test_logger_and_callbacks_switched_off(self):
        self.lthost("fit", "-c", self.boring(logger=False, callbacks=False))
        left = sorted(name for name in os.listdir(self.run_dir()) if not name.startswith("."))
        self.assertEqual(left, ["config.yaml", "summary.json"])

    def test_default_root_dir_and_name(self):
        self.lthost("fit", "-c", self.boring(default_root_dir="deep/er"))
        self.assertTrue(os.path.exists(self.run_dir(root=self.path("deep", "er"))))
        self.lthost("fit", "-c", self.boring(logger=[{"class_path": "CSVLogger", "init_args": {"save_dir": "logs", "name": "mine", "version": 7}}]))
        self.assertTrue(os.path.exists(self.path("logs", "mine", "version_7", "metrics.csv")))

    def test_no_validation_data(self):
        self.lthost("fit", "-c", self.boring(data={"val_samples": 0}))
        self.assertTrue(os.path.exists(self.last()))


class Startup(harness.Test):
    def test_one_step_against_config_check(self):
        """Reported, and bounded as a ratio only: a run of one step against printing the same configuration."""
        config = self.boring(max_steps=1, logger=False, callbacks=False, max_epochs=-1, num_sanity_val_steps=0, limit_val_batches=0)

        def best(*args):
            seconds = []
            for _ in range(5):
                began = time.perf_counter()
                subprocess.run([harness.BINARY, *args], cwd=self.dir, env=harness.environment(), check=True, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
                seconds.append(time.perf_counter() - began)
            return min(seconds)
        reference, run = best("config", "check", "-c", config), best("fit", "-c", config)
        print(f"one step: {1000 * run:.1f} ms, config check: {1000 * reference:.1f} ms, ratio {run / reference:.1f}")
        self.assertLess(run / reference, 60)


if __name__ == "__main__":
    harness.main()
