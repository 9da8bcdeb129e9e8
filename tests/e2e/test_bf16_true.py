#!/usr/bin/env python3
"""trainer.precision bf16-true as a user meets it: LeNet learns the drawn digits, everything that is float is bf16 in the checkpoint, the bits
do not depend on threads, and a run that stops in mid-epoch goes on with the bits of the run that did not."""
import os
import shutil

import harness
from test_resume import ResumeBase

BF16 = "4"  # LT_BF16


class Bf16True(ResumeBase):
    def test_digits(self):
        config = self.shipped("digits_lenet.yaml")
        small = ["--trainer.limit_train_batches=20", "--trainer.limit_val_batches=4"] if harness.LIGHT else []
        for isa in harness.instruction_sets("avx512_bf16", "avx512", "avx2"):
            with self.subTest(isa=isa):
                env, root = {"LTHOST_ISA": isa}, self.root(isa)
                common = ("-c", config, "--trainer.precision=bf16-true", f"--trainer.default_root_dir={root}")
                self.lthost("fit", *common, "--trainer.max_epochs=1", *small, env=env)
                self.lthost("test", *common, "--ckpt_path", "last", says="test_acc", env=env)
                accuracy = self.summary(os.path.join(self.run_dir(root=root), "test-0"))["metrics"]["test_acc"]
                print(f"digits, bf16-true, {isa}: test_acc {accuracy:.4f}")
                if not harness.LIGHT:
                    self.assertGreaterEqual(accuracy, 0.9)
                entries = self.entries(self.last(self.run_dir(root=root)))
                kinds = {facts[0] for path, facts in entries.items() if path.startswith(("state_dict/", "optimizer/0/exp_avg"))}
                self.assertEqual(kinds, {BF16})

    def test_threads_and_resume(self):
        trainer = {"max_epochs": 2, "limit_train_batches": 10, "limit_val_batches": 2, "precision": "bf16-true", "log_every_n_steps": 1,
                   "gradient_clip_val": 0.5, "callbacks": [{"class_path": "ModelCheckpoint", "init_args": {"every_n_train_steps": 7, "save_top_k": -1}}]}
        config = self.config(model="LeNet", data={"class_path": "Digits", "init_args": {"batch_size": 32}}, trainer=trainer)
        for name, threads in (("one", 1), ("two", 2)):
            self.lthost("fit", "-c", config, f"--trainer.num_threads={threads}", f"--trainer.default_root_dir={self.root(name)}")
        one, two = self.run_dir(root=self.path("one")), self.run_dir(root=self.path("two"))
        self.same_end(two, one)
        middle = [name for name in os.listdir(os.path.join(one, "checkpoints")) if "step=7" in name]
        self.assertEqual(len(middle), 1, os.listdir(os.path.join(one, "checkpoints")))
        again = self.run_dir(root=self.root("again"))
        shutil.copytree(one, again)
        self.lthost("fit", "-c", config, "--ckpt_path", os.path.join(again, "checkpoints", middle[0]), f"--trainer.default_root_dir={self.path('again')}",
                    says="resuming at")
        self.same_end(again, one)

    def test_another_optimizer_is_refused(self):
        config = self.config(model="LinearClassifier", data="Digits", optimizer="LBFGS", trainer={"precision": "bf16-true", "max_epochs": 1})
        self.lthost("fit", "-c", config, status=None, says="LBFGS works on f32 and f64 parameters")


if __name__ == "__main__":
    harness.main()
