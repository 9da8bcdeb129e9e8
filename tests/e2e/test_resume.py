#!/usr/bin/env python3
"""A run that is killed at any instant and resumed ends with the bits of the run that was not: weights, optimizer, generator, metrics.csv.
Also SIGTERM and SIGINT: saved, exit status 75, and the command that is printed resumes to the same bits."""
import os
import random
import re
import shlex
import shutil
import signal
import time

import harness

# What of a checkpoint must be equal. Left out: paths, times, and the state of what only reports (loggers' file lengths have times in them).
PARTS = ("state_dict/", "optimizer/", "lr_schedulers/", "rng/", "loops/", "data/", "model/", "metrics/")


class ResumeBase(harness.Test):
    def facts(self, checkpoint):
        return {path: facts for path, facts in self.entries(checkpoint).items() if path.startswith(PARTS) and not path.endswith("stop_reason")}

    def same_end(self, run, reference):
        mine, other = self.facts(self.last(run)), self.facts(self.last(reference))
        self.assertEqual(sorted(mine), sorted(other))
        self.assertEqual([path for path in mine if mine[path] != other[path]], [])
        self.assertEqual(self.metrics(run), self.metrics(reference))

    def root(self, name):
        os.makedirs(self.path(name), exist_ok=True)
        return self.path(name)

    def go_on_until_done(self, args, root, instants, env=None):
        """Starts it, kills it after each of the instants (a share of `self.seconds`), resumes from last until it ends by itself."""
        kills, resumes, version = 0, 0, 0
        for instant in [*instants, None]:
            process = self.start(*args, f"--trainer.default_root_dir={root}", "--ckpt_path", "last", env=env)
            deadline = time.monotonic() + instant * self.seconds if instant is not None else None
            while process.poll() is None and (deadline is None or time.monotonic() < deadline):
                time.sleep(0.002)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
            else:
                self.assertEqual(process.returncode, 0, self.log_of(process))
                resumes += "resuming at" in self.log_of(process)
                break
        version = max(int(name.split("_")[1]) for name in os.listdir(os.path.join(root, "lthost_logs")))
        return kills, resumes, self.run_dir(version, root)

    def reference(self, args, env=None):
        """The run that is not killed, timed."""
        began = time.monotonic()
        self.lthost(*args, f"--trainer.default_root_dir={self.root('reference')}", env=env)
        self.seconds = time.monotonic() - began
        return self.run_dir(root=self.path("reference"))

    def kill_often(self, args, seed, rounds, env=None):
        generator = random.Random(seed)
        reference = self.reference(args, env)
        killed = resumed = i = 0
        # on a busy machine the timed run was slow and the others end before their instant: go on until enough were killed
        while i < rounds or (killed <= rounds // 2 and i < 5 * rounds):
            root = self.root(f"run{i}")
            instants = [generator.random() for _ in range(generator.choice((1, 1, 1, 2, 3)))]
            k, r, run = self.go_on_until_done(args, root, instants, env)
            killed, resumed = killed + k, resumed + r
            self.same_end(run, reference)
            shutil.rmtree(root)
            i += 1
        print(f"{i} runs of {self.seconds:.2f} s, killed {killed} times, {resumed} ended as resumed runs")
        self.assertGreater(killed, rounds // 2)

    def often(self, every, **init):
        return [{"class_path": "ModelCheckpoint", "init_args": {"every_n_train_steps": every, **init}}]


class Kill(ResumeBase):
    def test_at_random_instants(self):
        """Steps, validation in mid-epoch, checkpoints and their replacement: whatever runs at that instant."""
        config = self.boring({"lr": 0.01, "sleep": 0.002}, {"samples": 240}, max_epochs=3, val_check_interval=0.25, log_every_n_steps=1,
                             callbacks=self.often(3))
        self.kill_often(["fit", "-c", config], seed=1, rounds=3 if harness.LIGHT else 20)

    def test_mid_accumulation(self):
        config = self.boring({"lr": 0.01, "sleep": 0.002}, {"samples": 244}, max_epochs=3, accumulate_grad_batches=3, log_every_n_steps=1,
                             gradient_clip_val=0.5, callbacks=self.often(2))
        self.kill_often(["fit", "-c", config], seed=2, rounds=1 if harness.LIGHT else 4)

    def test_scheduler_dropout_and_workers(self):
        config = self.config(
            model={"class_path": "Boring", "init_args": {"dropout": 0.3, "sleep": 0.002}}, data={"class_path": "Noise", "init_args": {"samples": 240,
                                                                                                    "num_workers": 2}},
            optimizer={"class_path": "AdamW", "init_args": {"lr": 0.01}}, lr_scheduler={"class_path": "StepLR", "init_args": {"step_size": 1, "gamma": 0.5}},
            trainer={"max_epochs": 3, "log_every_n_steps": 1, "callbacks": self.often(4) + [{"class_path": "LearningRateMonitor"}]})
        self.kill_often(["fit", "-c", config], seed=3, rounds=1 if harness.LIGHT else 4)

    def test_convolutions(self):
        config = self.config(model="LeNet", data={"class_path": "Digits", "init_args": {"batch_size": 16}},
                             trainer={"max_epochs": 2, "limit_train_batches": 30, "limit_val_batches": 4, "log_every_n_steps": 1, "callbacks": self.often(5)})
        self.kill_often(["fit", "-c", config], seed=4, rounds=1 if harness.LIGHT else 3)


class Positions(ResumeBase):
    """Every checkpoint that a run leaves (save_top_k -1) resumes to the same end, whatever it stands between."""

    def every_checkpoint(self, args, env=None):
        reference = self.reference(args, env)
        folder = os.path.join(reference, "checkpoints")
        files = sorted(name for name in os.listdir(folder) if name != "last.h5")
        self.assertGreater(len(files), 3)
        for name in files[::4] if harness.LIGHT else files:
            with self.subTest(checkpoint=name):
                root = self.root(f"from-{name}")
                shutil.copytree(reference, self.run_dir(root=root))
                self.lthost(*args, f"--trainer.default_root_dir={root}", "--ckpt_path", os.path.join(self.run_dir(root=root), "checkpoints", name),
                            env=env, says="resuming at")
                self.same_end(self.run_dir(root=root), reference)
                self.assertEqual(os.listdir(os.path.join(root, "lthost_logs")), ["version_0"])
                shutil.rmtree(root)

    def all(self, every, **more):
        return self.often(every, save_top_k=-1, **more)

    def test_steps(self):
        self.every_checkpoint(["fit", "-c", self.boring({"lr": 0.01}, {"samples": 40}, max_epochs=2, log_every_n_steps=1, callbacks=self.all(3))])

    def test_accumulation_ends_of_epochs_and_validation(self):
        self.every_checkpoint(["fit", "-c", self.boring({"lr": 0.01}, {"samples": 44}, max_epochs=2, accumulate_grad_batches=3, val_check_interval=0.25,
                                                        log_every_n_steps=1, callbacks=self.all(1))])

    def test_after_validation(self):
        callbacks = [{"class_path": "ModelCheckpoint", "init_args": {"monitor": "val_loss", "save_top_k": -1}}]
        self.every_checkpoint(["fit", "-c", self.boring({"lr": 0.01}, {"samples": 40}, max_epochs=3, val_check_interval=0.5, log_every_n_steps=1,
                                                        callbacks=callbacks)])

    def test_epoch_ends(self):
        callbacks = [{"class_path": "ModelCheckpoint", "init_args": {"save_top_k": -1}}, {"class_path": "EarlyStopping",
                                                                                          "init_args": {"monitor": "val_loss", "patience": 2}}]
        self.every_checkpoint(["fit", "-c", self.boring({"lr": 0.01}, {"samples": 20}, max_epochs=5, log_every_n_steps=1, callbacks=callbacks)])

    def test_workers_may_change(self):
        """The same bits with 0 and 2 workers, so a run may go on with another number."""
        config = self.boring({"lr": 0.01}, {"samples": 40}, max_epochs=2, log_every_n_steps=1, callbacks=self.all(4))
        reference = self.reference(["fit", "-c", config])
        root = self.root("other")
        shutil.copytree(reference, self.run_dir(root=root))
        folder = os.path.join(self.run_dir(root=root), "checkpoints")
        self.lthost("fit", "-c", config, "--data.num_workers=2", "--ckpt_path", os.path.join(folder, "epoch=0-step=4.h5"), f"--trainer.default_root_dir={root}",
                    says="changed since the checkpoint: data.init_args.num_workers 0 -> 2")
        self.same_end(self.run_dir(root=root), reference)


class Signals(ResumeBase):
    def interrupt(self, number, steps=5):
        """Sends it once the run has logged that many steps; returns the output and the printed command."""
        config = self.boring({"lr": 0.01, "sleep": 0.01}, {"samples": 240}, max_epochs=2, log_every_n_steps=1)
        args = ["fit", "-c", config]
        reference = self.reference(args)
        process = self.start(*args, f"--trainer.default_root_dir={self.root('run')}")
        time.sleep(0.4 * self.seconds)
        process.send_signal(number)
        status = process.wait(60)
        text = self.log_of(process)
        self.assertEqual(status, 75, text)
        self.assertEqual(self.summary(self.run_dir(root=self.path("run")))["status"], "interrupted")
        command = re.search(r"resume with\n\s*(.*)", text)
        self.assertTrue(command, text)
        words = shlex.split(command.group(1))
        self.assertEqual(words[:2], ["lthost", "fit"])
        self.lthost(*words[1:], says="resuming at")
        self.same_end(self.run_dir(root=self.path("run")), reference)

    def test_term(self):
        self.interrupt(signal.SIGTERM)

    def test_int(self):
        self.interrupt(signal.SIGINT)

    def test_second_one_ends_at_once(self):
        config = self.boring({"sleep": 3}, max_epochs=2)
        process = self.start("fit", "-c", config)
        time.sleep(1.5 if harness.LIGHT else 0.7)
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(2), 130, self.log_of(process))


class Last(ResumeBase):
    def test_without_any_starts_fresh(self):
        config = self.boring()
        self.lthost("fit", "-c", config, "--ckpt_path", "last", says="no complete checkpoint yet, starting fresh")
        self.assertTrue(os.path.exists(self.last()))

    def test_of_a_finished_run_does_nothing_more(self):
        config = self.boring()
        self.lthost("fit", "-c", config)
        before = self.facts(self.last())
        self.lthost("fit", "-c", config, "--ckpt_path", "last", says="resuming at")
        self.assertEqual(self.facts(self.last()), before)

    def test_last_that_a_kill_left_behind(self):
        """Killed between the two files of its last save: the run has nothing more to save, but last.h5 must catch up."""
        config = self.boring(max_epochs=1, callbacks=self.often(4))
        self.lthost("fit", "-c", config)
        before = self.facts(self.last())
        os.remove(self.last())
        self.lthost("fit", "-c", config, "--ckpt_path", "last", says="resuming at")
        self.assertEqual(self.facts(self.last()), before)

    def test_more_epochs(self):
        config = self.boring({"lr": 0.01}, log_every_n_steps=1)
        self.lthost("fit", "-c", config, "--trainer.max_epochs=2", f"--trainer.default_root_dir={self.root('reference')}")
        self.lthost("fit", "-c", config)
        self.lthost("fit", "-c", config, "--trainer.max_epochs=2", "--ckpt_path", "last", says="changed since the checkpoint: trainer.max_epochs 1 -> 2")
        self.same_end(self.run_dir(), self.run_dir(root=self.path("reference")))

    def test_passes_over_a_damaged_file(self):
        config = self.boring({"lr": 0.01}, max_epochs=2, callbacks=self.often(4, save_top_k=-1))
        self.lthost("fit", "-c", config)
        with open(self.last(), "r+b") as file:
            file.truncate(1000)
        self.lthost("fit", "-c", config, "--ckpt_path", "last", says=["passing over", "truncated", "resuming at"])

    def test_other_model_is_refused(self):
        self.lthost("fit", "-c", self.boring())
        self.lthost("fit", "-c", self.boring({"out": 3}, {"out": 3}), "--ckpt_path", "last", status=4, says=["layer.weight", "(2, 32)", "(3, 32)"])


if __name__ == "__main__":
    harness.main()
