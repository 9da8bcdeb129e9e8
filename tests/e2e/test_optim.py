#!/usr/bin/env python3
"""Optimizers and schedules of whole runs: parameter groups and nested schedulers from a configuration, what LearningRateMonitor logs of them,
a run resumed in the middle of its schedule against one that was not interrupted, and what is refused."""
import os

import harness

PARTS = ("state_dict/", "optimizer/", "lr_schedulers/", "rng/", "loops/", "data/", "metrics/")
SCHEDULE = {"class_path": "SequentialLR", "interval": "step", "init_args": {"milestones": [10], "schedulers": [
    {"class_path": "LinearLR", "init_args": {"start_factor": 0.1, "total_iters": 10}},
    {"class_path": "OneCycleLR", "init_args": {"max_lr": 0.01, "total_steps": 60}}]}}


class OptimBase(harness.Test):
    def run_config(self, optimizer, scheduler=None, callbacks=(), name="config.yaml", **trainer):
        parts = {"model": {"class_path": "LinearClassifier"}, "data": {"class_path": "Digits", "init_args": {"batch_size": 32}},
                 "optimizer": optimizer}
        if scheduler:
            parts["lr_scheduler"] = scheduler
        settings = {"max_steps": 30, "limit_train_batches": 20, "limit_val_batches": 1, "num_sanity_val_steps": 0, "log_every_n_steps": 1,
                    "enable_progress_bar": False, "enable_model_summary": False, "logger": [{"class_path": "CSVLogger"}],
                    "callbacks": [{"class_path": "LearningRateMonitor", "init_args": {"log_momentum": True}}, *callbacks]}
        return self.config(name=name, trainer={**settings, **trainer}, **parts)

    def resumed_is_equal(self, optimizer, scheduler, at):
        """Once to the end with a checkpoint at step `at`; then on from that one, in a root of its own."""
        save = [{"class_path": "ModelCheckpoint", "init_args": {"every_n_train_steps": at, "save_top_k": -1}}]
        config = self.run_config(optimizer, scheduler, save)
        roots = []
        for root in ("whole", "cut"):
            os.makedirs(self.path(root))
            roots.append(self.path(root, "lthost_logs", "version_0"))
            self.lthost("fit", "-c", config, f"--trainer.default_root_dir={self.path(root)}")
        before = [name for name in os.listdir(os.path.join(roots[1], "checkpoints")) if f"step={at}." in name]
        self.lthost("fit", "-c", config, f"--trainer.default_root_dir={self.path('cut')}", "--ckpt_path",
                    os.path.join(roots[1], "checkpoints", before[0]), says=f"{before[0]}")
        whole, cut = [{path: facts for path, facts in self.entries(self.last(root)).items() if path.startswith(PARTS)} for root in roots]
        self.assertEqual([path for path in whole if whole[path] != cut.get(path)], [])
        self.assertEqual(self.metrics(roots[0]), self.metrics(roots[1]))
        return self.metrics(roots[0])


class Groups(OptimBase):
    OPTIMIZER = {"class_path": "AdamW", "init_args": {"lr": 0.001, "weight_decay": 0.1},
                 "param_groups": [{"params": "*.bias", "weight_decay": 0, "lr": 0.004}]}

    def test_schedule_of_two_groups_resumes(self):
        rows = self.resumed_is_equal(self.OPTIMIZER, SCHEDULE, 23)
        rates = [(row["lr-AdamW/pg1"], row["lr-AdamW/pg2"], row["lr-AdamW/pg1-momentum"]) for row in rows if "lr-AdamW/pg1" in row]
        self.assertEqual(len(rates), 30)
        self.assertAlmostEqual(rates[0][0], 0.0001)
        self.assertAlmostEqual(rates[0][1], 0.0004)
        self.assertAlmostEqual(rates[5][1], 0.0004 + 0.5 * 0.0036)
        self.assertAlmostEqual(rates[10][0], 0.01 / 25)  # where OneCycleLR begins, for both
        self.assertAlmostEqual(rates[10][1], 0.01 / 25)
        self.assertAlmostEqual(rates[10][2], 0.95)
        self.assertLess(rates[20][2], 0.9)

    def test_nadam_resumes(self):
        self.resumed_is_equal({"class_path": "NAdam"}, {"class_path": "ReduceLROnPlateau", "interval": "step", "monitor": "train_loss",
                                                        "init_args": {"patience": 1, "threshold": 0.2}}, 17)

    def test_groups_of_the_command_line(self):
        config = self.run_config({"class_path": "AdamW", "init_args": {"lr": 0.001}}, callbacks=["LearningRateMonitor"], log_every_n_steps=1)
        self.lthost("fit", "-c", config, "--optimizer.param_groups=[{params: '*.bias', lr: 0.004}]", "--optimizer.param_groups.0.weight_decay=0")
        rows = [row for row in self.metrics() if "lr-AdamW/pg2" in row]
        self.assertAlmostEqual(rows[0]["lr-AdamW/pg1"], 0.001)
        self.assertAlmostEqual(rows[0]["lr-AdamW/pg2"], 0.004)
        self.lthost("fit", "-c", config, "--optimizer.param_groups=[{params: '*.bias', lrr: 1}]", status=2, says=["lrr", "command line"])

    def test_refusals(self):
        def refused(optimizer, *says, scheduler=None, status=2):
            self.lthost("fit", "-c", self.run_config(optimizer, scheduler), status=status, says=says)

        refused({"class_path": "SGD", "param_groups": [{"params": "*.bias", "weight_deca": 0}]}, "weight_deca", "config.yaml")
        refused({"class_path": "SGD", "param_groups": [{"weight_decay": 0}]}, "params must say which parameters")
        refused({"class_path": "SGD", "param_groups": {"params": "*"}}, "must be a list of maps")
        refused({"class_path": "SGD", "param_groups": [{"params": "head.*"}]}, "no parameter matches head.*; the model has fc1.weight", status=None)
        refused({"class_path": "LBFGS", "param_groups": [{"params": "*.bias"}]}, "takes one group of parameters, 2 are given", status=None)
        refused({"class_path": "SGD"}, "needs a metric to watch", scheduler={"class_path": "ReduceLROnPlateau"}, status=None)
        refused({"class_path": "SGD", "init_args": {"lr": -1}}, "lr", "at least 0")


class Closure(OptimBase):
    LBFGS = {"class_path": "LBFGS", "init_args": {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 5}}

    def test_resumes_with_its_history(self):
        rows = self.resumed_is_equal(self.LBFGS, None, 13)
        losses = [row["train_loss"] for row in rows if "train_loss" in row]
        self.assertLess(min(losses), losses[0] / 2)

    def test_refuses_accumulation(self):
        self.lthost("fit", "-c", self.run_config(self.LBFGS, accumulate_grad_batches=2), status=None,
                    says="set trainer.accumulate_grad_batches to 1")


if __name__ == "__main__":
    harness.main()
