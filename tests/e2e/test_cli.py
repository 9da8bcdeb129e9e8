#!/usr/bin/env python3
"""The commands around a run: help of every verb, config print|check|schema, plugin list|info, ckpt info|verify, overrides and merging."""
import os

import harness

VERBS = [["fit"], ["validate"], ["test"], ["predict"], ["config", "print"], ["config", "check"], ["config", "schema"], ["plugin", "list"], ["plugin", "info"],
         ["ckpt", "info"], ["ckpt", "verify"]]
COMPONENTS = {"LeNet": "lr", "LinearClassifier": "hidden", "LitAutoEncoder": "", "MNIST": "data_dir", "Digits": "batch_size",
              "ModelCheckpoint": "save_top_k", "EarlyStopping": "patience",
              "LearningRateMonitor": "logging_interval", "ModelSummary": "max_depth", "ProgressBar": "refresh_rate",
              "CSVLogger": "save_dir", "TensorBoardLogger": "save_dir",
              "SGD": "momentum", "Adam": "betas", "AdamW": "weight_decay", "StepLR": "step_size", "CosineAnnealingLR": "T_max"}


class Help(harness.Test):
    def test_of_everything(self):
        self.lthost("--help", says=["usage: lthost", "fit", "predict"])
        for verb in VERBS:
            self.lthost(*verb, "--help", says="usage: lthost " + " ".join(verb))
        self.lthost("fit", "--help", says=["--trainer.max_epochs", "--trainer.accumulate_grad_batches", "1000"])
        self.lthost("--version", says="lthost 0.")

    def test_without_a_word(self):
        self.lthost(status=2, says="usage: lthost")

    def test_with_a_configuration_names_its_parameters(self):
        self.lthost("fit", "--help", "-c", self.boring(), says=["--model.dropout", "Share of inputs to drop", "--data.batch_size"])


class Config(harness.Test):
    @staticmethod
    def configs():
        """Files that ship; a table that one of them reads lies beside them."""
        return sorted(name for name in os.listdir(os.path.join(harness.SOURCE, "configs")) if name.endswith(".yaml"))

    def test_print_reloads_to_the_same(self):
        for name in self.configs():
            with self.subTest(config=name):
                first = self.lthost("config", "print", "-c", self.shipped(name))
                again = self.lthost("config", "print", "-c", self.write("again.yaml", first.out))
                self.assertEqual(again.out, first.out)
                self.assertIn("max_epochs", first.out)

    def test_check(self):
        for name in self.configs():
            self.lthost("config", "check", "-c", self.shipped(name), says="the configuration is valid")
        self.assertEqual(os.listdir(self.dir), [])

    def test_schema(self):
        self.lthost("config", "schema", says=["seed_everything", "max_epochs", "init_args"])

    def test_files_and_command_line_in_order(self):
        one = self.boring({"lr": 0.5}, max_epochs=7)
        two = self.config("trainer: {max_epochs: 8}\nmodel: {init_args: {dropout: 0.25}}\n", name="two.yaml")
        text = self.lthost("config", "print", "-c", one, "-c", two, "--trainer.max_steps=3", "--data.batch_size", "9").out
        for line in ("max_epochs: 8", "max_steps: 3", "dropout: 0.25", "lr: 0.5", "batch_size: 9"):
            self.assertIn(line, text)

    def test_a_run_saves_every_value_and_runs_again_from_it(self):
        self.lthost("fit", "-c", self.boring({"lr": 0.01}, log_every_n_steps=1))
        text = self.read(self.run_dir(), "config.yaml")
        self.assertIn("dropout: 0", text)
        self.lthost("fit", "-c", os.path.join(self.run_dir(), "config.yaml"), f"--trainer.default_root_dir={self.dir}")
        self.assertEqual(self.weights(self.last()), self.weights(self.last(self.run_dir(1))))

    def test_dotted_names_of_lightning_and_torch(self):
        config = self.boring(callbacks=[{"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val_loss"}}])
        self.lthost("fit", "-c", config, "--optimizer=torch.optim.Adam")


class Plugins(harness.Test):
    def test_list(self):
        text = self.lthost("plugin", "list").out
        for component in [*COMPONENTS, "Boring", "Recorder"]:
            self.assertIn(component, text)

    def test_info(self):
        for component, parameter in COMPONENTS.items():
            self.lthost("plugin", "info", component, says=[component, parameter])
        self.lthost("plugin", "info", "LeNett", status=2, says=["LeNett", "LeNet"])
        self.lthost("plugin", "info", os.path.join(harness.PLUGINS, "e2e_boring.so"), says=["org.lthost.test.boring", "Boring", "Noise"])


class Checkpoint(harness.Test):
    def test_info_and_verify(self):
        self.lthost("fit", "-c", self.boring())
        self.lthost("ckpt", "info", self.last(), says=["epoch 1, step 16", "state_dict/layer.weight", "(2, 32)", "f32", "optimizer/", "config"])
        self.lthost("ckpt", "verify", self.last(), says=["complete", "good"])


class Predict(harness.Test):
    def npy(self, name, shape, values):
        import array
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
        header += " " * (63 - (10 + len(header)) % 64) + "\n"
        return self.write(name, b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + array.array("f", values).tobytes())

    def test_input_and_module(self):
        config = self.config(model="LitAutoEncoder", data={"class_path": "Digits", "init_args": {"batch_size": 8}}, trainer={"max_epochs": 1,
                                                                                                    "limit_train_batches": 2, "limit_val_batches": 1})
        self.lthost("fit", "-c", config)
        x = self.npy("x.npy", (70, 1, 28, 28), [0.5] * (70 * 784))
        self.lthost("predict", "-c", config, "--input", x, says="predictions of 70 samples")
        self.lthost("predict", "-c", config, "--input", self.npy("flat.npy", (5, 784), [0.5] * (5 * 784)), "--module", "encoder",
                    says="predictions of 5 samples")
        self.lthost("predict", "-c", config, "--module", "encodr", status=2, says=["encodr"])
        self.lthost("predict", "-c", config, "--input", "nowhere.npy", status=4, says="nowhere.npy")
        self.lthost("predict", "-c", config, "--input", self.write("bad.npy", "no array"), status=4, says="bad.npy")
        self.lthost("predict", "-c", config, "--input", self.npy("shape.npy", (5, 7), [0.5] * 35), "--module", "encoder", status=3, says=["(5, 7)"])


if __name__ == "__main__":
    harness.main()
