#!/usr/bin/env python3
"""What others read: h5py lists names and shapes, TensorBoard's reader every scalar, h5dump opens the file."""
import json
import math
import os
import re
import shutil
import subprocess

import harness

SHAPES = {
    "LeNet": {"conv1.weight": [6, 1, 5, 5], "conv1.bias": [6], "conv2.weight": [16, 6, 5, 5], "conv2.bias": [16], "fc1.weight": [120, 400], "fc1.bias": [120],
              "fc2.weight": [84, 120], "fc2.bias": [84], "fc3.weight": [10, 84], "fc3.bias": [10]},
    "LinearClassifier": {"fc1.weight": [128, 784], "fc1.bias": [128], "fc2.weight": [10, 128], "fc2.bias": [10]},
    "LitAutoEncoder": {"encoder.0.weight": [64, 784], "encoder.0.bias": [64], "encoder.2.weight": [3, 64], "encoder.2.bias": [3],
                       "decoder.0.weight": [64, 3], "decoder.0.bias": [64], "decoder.2.weight": [784, 64], "decoder.2.bias": [784]},
}


class ReadersBase(harness.Test):
    def fit(self, model, **trainer):
        config = self.config(model=model, data={"class_path": "Digits", "init_args": {"batch_size": 16}},
                             trainer={"max_epochs": 2, "limit_train_batches": 6, "limit_val_batches": 2, "log_every_n_steps": 1, **trainer})
        self.lthost("fit", "-c", config)
        return config


class StateDict(ReadersBase):
    def test_names_and_shapes(self):
        for i, model in enumerate(SHAPES):
            self.fit(model)
            with self.subTest(model=model):
                found = self.entries(self.last(self.run_dir(i)))
                self.assertEqual({path[11:]: [int(n) for n in facts[1].split(",")] for path,
                                  facts in found.items() if path.startswith("state_dict/")}, SHAPES[model])


class H5py(ReadersBase):
    def test_lists_names_and_shapes_in_order(self):
        for i, model in enumerate(SHAPES):
            self.fit(model)
            with self.subTest(model=model):
                found = self.reader("check_h5.py", self.last(self.run_dir(i)), "--model", model)
                self.assertEqual([[name, shape, "float32"] for name, shape in SHAPES[model].items()], found)

    def test_predictions(self):
        config = self.fit("LeNet")
        self.lthost("predict", "-c", config, "--trainer.limit_predict_batches=3", says="predictions of 48 samples")
        found = self.reader("check_h5.py", os.path.join(self.run_dir(), "predict-0", "predictions.h5"), "--group", "/")
        self.assertIn(["predictions", [48, 10], "float32"], found)


class Text(harness.Test):
    def test_recipe_of_the_documentation(self):
        """Prompts come back as they stand in the part of the text that was set aside, whatever their alphabet; what follows is of the same one."""
        text = "".join(f"Zeile {i}: größer als {i * i % 97}, 界 {i % 7}!\n" for i in range(300))
        with open(self.path("text.txt"), "w", encoding="utf-8") as file:
            file.write(text)
        config = self.config(model={"class_path": "GPT", "init_args": {"vocab_size": len(set(text)), "block_size": 16, "n_layer": 1, "n_head": 2,
                                                                       "n_embd": 16, "max_new_tokens": 5}},
                             data={"class_path": "TextFile", "init_args": {"path": self.path("text.txt"), "block_size": 16, "batch_size": 2}},
                             trainer={"max_steps": 2, "limit_val_batches": 0, "limit_predict_batches": 1})
        self.lthost("fit", "-c", config)
        self.lthost("predict", "-c", config, "--ckpt_path", "last", says="predictions of 2 samples")
        with open(os.path.join(harness.SOURCE, "docs", "checkpoints.md"), encoding="utf-8") as file:
            recipe = re.search(r"## Text from tokens\n.*?```python\n(.*?)```", file.read(), re.S).group(1)
        with open(self.path("recipe.py"), "w", encoding="utf-8") as file:
            file.write(recipe)
        printed = self.reader("run_recipe.py", self.path("recipe.py"), self.run_dir())
        rest = text[int(len(text) * 0.9):]
        self.assertTrue(printed.startswith(rest[:16]), printed)
        self.assertIn(rest[16:32], printed)
        self.assertEqual(len(printed), 2 * (16 + 5 + 1))
        self.assertLessEqual(set(printed), set(text))


class TensorBoard(ReadersBase):
    def test_reads_every_scalar_of_metrics_csv(self):
        self.fit("LeNet")
        found = self.reader("read_events.py", self.run_dir())
        rows = self.metrics()
        names = sorted({name for row in rows for name in row} - {"epoch", "step"})
        self.assertIn("train_loss", names)
        self.assertIn("val_acc", names)
        for name in names:
            mine = [(int(row["step"]), row[name]) for row in rows if name in row]
            self.assertEqual([step for step, _ in found["scalars"][name]], [step for step, _ in mine], name)
            for (_, a), (_, b) in zip(found["scalars"][name], mine):
                self.assertTrue(math.isclose(a, b, rel_tol=1e-6), (name, a, b))
        self.assertTrue(found["hparams"])

    def test_reads_a_resumed_run(self):
        config = self.fit("LinearClassifier")
        self.lthost("fit", "-c", config, "--ckpt_path", "last", "--trainer.max_epochs=3")
        found = self.reader("read_events.py", self.run_dir())
        self.assertEqual([step for step, _ in found["scalars"]["train_loss"]], [int(row["step"]) for row in self.metrics() if "train_loss" in row])


class H5dump(ReadersBase):
    def test_header(self):
        if not shutil.which("h5dump"):
            self.skip("no h5dump")
        self.fit("LeNet")
        run = subprocess.run(["h5dump", "-H", self.last()], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        for text in ('GROUP "state_dict"', 'DATASET "conv1.weight"', "( 6, 1, 5, 5 )", 'GROUP "optimizer"', 'GROUP "rng"', 'GROUP "loops"'):
            self.assertIn(text, run.stdout.decode())


class Summary(ReadersBase):
    def test_summary_and_config_of_a_run(self):
        self.fit("LeNet")
        with open(os.path.join(self.run_dir(), "summary.json"), encoding="utf-8") as file:
            summary = json.load(file)
        self.assertEqual((summary["status"], summary["verb"], summary["epochs"], summary["steps"], summary["samples"]), ("success", "fit", 2, 12, 192))
        self.assertEqual(summary["checkpoint"]["last"], self.last())
        self.assertGreater(summary["samples_per_second"], 0)
        self.assertIn("val_acc", summary["metrics"])
        self.lthost("config", "check", "-c", os.path.join(self.run_dir(), "config.yaml"), says="the configuration is valid")


if __name__ == "__main__":
    harness.main()
