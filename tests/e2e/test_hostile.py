#!/usr/bin/env python3
"""Runs at the edge: several checkpoint callbacks, hundreds of metrics, very long names, logging and saving in hooks that may not, and what a
resumed run must still know. Each was a bug once."""
import os
import re
import shlex
import shutil
import signal
import time

import harness


def component(class_path, **init_args):
    return {"class_path": class_path, "init_args": init_args}


def checkpoint(**init_args):
    return component("ModelCheckpoint", **init_args)


class Checkpoints(harness.Test):
    def files(self, version=0):
        return sorted(os.listdir(os.path.join(self.run_dir(version), "checkpoints")))

    def test_callbacks_never_share_a_file(self):
        """Two that name their files alike: what one removes may be the other's best."""
        callbacks = [checkpoint(monitor="val_loss"), checkpoint(monitor="val_loss", mode="max")]
        self.lthost("fit", "-c", self.boring({"lr": 0.01}, max_epochs=3, callbacks=callbacks))
        self.assertEqual(self.files(), ["epoch=0-step=16-v1.h5", "epoch=2-step=48.h5", "last.h5"])

    def test_many_callbacks(self):
        self.lthost("fit", "-c", self.boring({"lr": 0.01}, max_epochs=3, callbacks=[checkpoint(monitor="val_loss")] * 6))
        self.assertEqual(len(self.files()), 7)

    def test_by_time(self):
        config = self.boring({"lr": 0.01, "sleep": 0.02}, max_epochs=2, callbacks=[checkpoint(train_time_interval=0.1, save_top_k=-1)])
        self.lthost("fit", "-c", config)
        self.assertGreater(len(self.files()), 2)

    def test_last_is_one_that_can_be_resumed(self):
        config = self.boring({"lr": 0.01}, callbacks=[checkpoint(save_weights_only=True)])
        self.lthost("fit", "-c", config)
        self.assertEqual(self.files(), ["epoch=0-step=16.h5", "last.h5"])
        self.lthost("fit", "-c", config, "--trainer.max_epochs=2", "--ckpt_path", "last", says=["resuming at", "last.h5"])

    def test_saves_where_none_is_done_are_refused(self):
        for hook in ("on_fit_start", "on_train_start", "on_train_batch_start", "on_fit_end"):
            with self.subTest(hook=hook):
                self.lthost("fit", "-c", self.boring(callbacks=[component("Chatty", hook=hook, save=True)]), status=3, says=["lt_save_checkpoint", hook])
        self.lthost("fit", "-c", self.boring(num_sanity_val_steps=0, callbacks=[component("Chatty", hook="on_validation_end", save=True)]))


class Stop(harness.Test):
    def test_a_stopped_run_goes_on_with_other_settings(self):
        def config(patience):
            return self.boring({"lr": 0}, max_epochs=20, callbacks=[component("EarlyStopping", monitor="val_loss", patience=patience)])

        self.lthost("fit", "-c", config(1), says="stopped early")
        self.assertEqual(self.summary()["epochs"], 2)
        self.lthost("fit", "-c", config(1), "--ckpt_path", "last", says="stopped early")
        self.assertEqual(self.summary()["epochs"], 2)
        self.lthost("fit", "-c", config(4), "--ckpt_path", "last", says="stopped early")
        self.assertEqual(self.summary()["epochs"], 5)


class LearningRate(harness.Test):
    """A setting given on resume beats the checkpoint's."""

    def rates(self, *more):
        config = self.boring(log_every_n_steps=16, callbacks=["LearningRateMonitor"])
        self.lthost("fit", "-c", config, "--optimizer=SGD", "--optimizer.lr=0.1", "--trainer.max_epochs=2", *more[0])
        self.lthost("fit", "-c", config, "--optimizer=SGD", "--trainer.max_epochs=4", "--ckpt_path", "last", *more[1])
        return [round(rate, 9) for rate in self.column("lr-SGD")]

    def test_constant(self):
        self.assertEqual(self.rates([], ["--optimizer.lr=0.5"]), [0.1, 0.1, 0.5, 0.5])

    def test_scheduled(self):
        scheduler = ["--lr_scheduler=StepLR", "--lr_scheduler.step_size=1", "--lr_scheduler.gamma=0.5"]
        self.assertEqual(self.rates(scheduler, ["--optimizer.lr=0.4", *scheduler]), [0.1, 0.05, 0.1, 0.05])

    def test_scheduler_added_and_taken_away(self):
        scheduler = ["--lr_scheduler=StepLR", "--lr_scheduler.step_size=1", "--lr_scheduler.gamma=0.5"]
        self.assertEqual(self.rates([], ["--optimizer.lr=0.1", *scheduler]), [0.1, 0.1, 0.1, 0.05])
        shutil.rmtree(self.path("lthost_logs"))
        self.assertEqual(self.rates(scheduler, ["--optimizer.lr=0.1"]), [0.1, 0.05, 0.1, 0.1])


class Metrics(harness.Test):
    def chatty(self, hook, **more):
        return [component("Chatty", hook=hook, **more)]

    def test_hundreds_make_one_row(self):
        self.lthost("fit", "-c", self.boring(log_every_n_steps=16, callbacks=self.chatty("on_train_batch_end", count=300)))
        rows = [row for row in self.metrics() if "m0" in row]
        self.assertEqual(len(rows), 1)
        self.assertEqual([rows[0][f"m{i}"] for i in range(300)], [float(i) for i in range(300)])

    def test_long_names_survive_a_resume(self):
        """Names that differ behind 700 bytes only, logged in a hook of the epoch: values of the epoch before and after."""
        config = self.boring({"lr": 0.01}, log_every_n_steps=4, callbacks=self.chatty("on_train_epoch_end", name="a/b%", length=700, count=3))
        self.lthost("fit", "-c", config)
        self.lthost("fit", "-c", config, "--trainer.max_epochs=2", "--ckpt_path", "last", says="resuming at")
        name = "a/b%".ljust(700, "x")
        rows = [(int(row["epoch"]), int(row["step"]), row[name + "2"]) for row in self.metrics() if name + "2" in row]
        self.assertEqual(rows, [(0, 15, 2.0), (1, 31, 3.0)])

    def test_one_name_in_a_batch_and_at_its_epochs_end(self):
        config = self.boring(max_epochs=2, log_every_n_steps=16, callbacks=self.chatty("on_train_batch_end") + self.chatty("on_train_epoch_end"))
        self.lthost("fit", "-c", config)
        rows = [(int(row["epoch"]), row["m"]) for row in self.metrics() if "m" in row]
        self.assertEqual(rows, [(0, 0.0), (0, 0.0), (1, 1.0), (1, 1.0)])

    def test_forbidden_hooks(self):
        for hook in ("on_fit_start", "on_validation_end", "on_train_end", "on_fit_end"):
            with self.subTest(hook=hook):
                self.lthost("fit", "-c", self.boring(num_sanity_val_steps=0, callbacks=self.chatty(hook)), status=3, says=["lt_log", hook])

    def test_tensor_of_a_skipped_batch(self):
        callbacks = self.chatty("on_train_batch_start", tensor=True) + [component("Recorder", skip_in="on_train_batch_start", at_batch=2)]
        self.lthost("fit", "-c", self.boring(max_epochs=2, callbacks=callbacks))


class Signals(harness.Test):
    def test_verbs_without_a_resume_end_at_once(self):
        config = self.boring(data={"val_samples": 4000000, "batch_size": 2})
        for verb in ("validate", "test", "predict"):
            with self.subTest(verb=verb):
                process = self.start(verb, "-c", config, "--ckpt_path", "none")
                time.sleep(1.0 if harness.LIGHT else 0.5)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(5), 75, self.log_of(process))
                self.assertIn("no results", self.log_of(process))

    def test_the_offered_command_is_quoted(self):
        process = self.start("fit", "-c", self.boring({"sleep": 0.15}, name="my config.yaml"), f"--trainer.default_root_dir={self.path('it is $HOME')}'s")
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(5), 75, self.log_of(process))
        words = shlex.split(re.search(r"resume with\n\s*(.*)", self.log_of(process)).group(1))
        self.lthost(*words[1:], says="resuming at")

    def test_nothing_saved_nothing_offered(self):
        process = self.start("fit", "-c", self.boring({"sleep": 0.05}, max_epochs=50, enable_checkpointing=False))
        time.sleep(1.0 if harness.LIGHT else 0.5)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(5), 75, self.log_of(process))
        self.assertNotIn("resume with", self.log_of(process))


class Loggers(harness.Test):
    def test_a_place_that_is_not_used_is_said(self):
        loggers = [component("CSVLogger", save_dir="one", name="exp", version=7), component("TensorBoardLogger", save_dir="two")]
        self.lthost("fit", "-c", self.boring(logger=loggers), says=["TensorBoardLogger: its save_dir", "version_7"])
        self.assertNotIn("not used", self.lthost("fit", "-c", self.boring()).text)


class Names(harness.Test):
    def test_long_parameter_names(self):
        config = self.config(model=component("LongNames", length=300), data="Noise", trainer={"max_epochs": 1, "accumulate_grad_batches": 3})
        self.lthost("fit", "-c", config)
        self.lthost("fit", "-c", config, "--trainer.max_epochs=2", "--ckpt_path", "last", says="resuming at")

    def test_too_long_is_refused_at_once(self):
        config = self.config(model=component("LongNames", length=600), data="Noise", trainer={"max_epochs": 1})
        self.lthost("fit", "-c", config, status=3, says=["name", "is too long", "LongNames"])


if __name__ == "__main__":
    harness.main()
