#!/usr/bin/env python3
"""Bad input: for each case the exit status (DESIGN: 1 training, 2 configuration, 3 plugin, 4 data or checkpoint) and what the message says.
None of them may leave a sanitizer report, and none may take the program down by a signal."""
import gzip
import os
import re
import resource
import shutil
import signal
import struct
import subprocess

import harness


class Config(harness.Test):
    def refused(self, text, *says, args=(), status=2):
        result = self.lthost("fit", "-c", self.config(text), *args, status=status, says=says)
        self.assertFalse(os.path.exists(self.path("lthost_logs")), "a refused configuration leaves nothing behind")
        return result

    def test_missing_file(self):
        self.lthost("fit", "-c", "nowhere.yaml", status=2, says=["nowhere.yaml", "No such file"])

    def test_no_config(self):
        self.lthost("fit", status=2, says="model")

    def test_empty_file(self):
        self.refused("", "model")

    def test_malformed(self):
        self.refused("model: [Boring\ndata: Noise\n", "config.yaml:")
        self.refused("model: Boring\n\tdata: Noise\n", "config.yaml:2")

    def test_not_a_map(self):
        self.refused("- model\n", "is no configuration")

    def test_folder_as_file(self):
        os.makedirs(self.path("folder"))
        self.lthost("fit", "-c", "folder", status=2, says="folder")

    def test_unknown_key_names_the_nearest(self):
        self.refused("model: Boring\ndata: Noise\ntrainer:\n  max_epoch: 3\n", "config.yaml:4", "max_epoch", "max_epochs")
        self.refused("modle: Boring\ndata: Noise\n", "config.yaml:1", "modle", "model")

    def test_unknown_parameter_names_the_nearest(self):
        self.refused("model:\n  class_path: Boring\n  init_args:\n    dropuot: 0.5\ndata: Noise\n", "config.yaml:4", "dropuot", "dropout")

    def test_wrong_types(self):
        self.refused("model: Boring\ndata: Noise\ntrainer:\n  max_epochs: many\n", "config.yaml:4", "max_epochs", "many")
        self.refused("model:\n  class_path: Boring\n  init_args:\n    lr: fast\ndata: Noise\n", "config.yaml:4", "lr", "fast")
        self.refused("model: Boring\ndata:\n  class_path: Noise\n  init_args:\n    batch_size: 0\n", "config.yaml:5", "batch_size")
        self.refused("model: Boring\ndata: Noise\ntrainer:\n  gradient_clip_algorithm: norn\n", "config.yaml:4", "norn", "norm")

    def test_all_errors_at_once(self):
        self.refused("model:\n  class_path: Boring\n  init_args:\n    dropuot: 0.5\ndata: Noize\ntrainer:\n  max_epoch: 3\n", "dropuot", "Noize", "max_epoch")

    def test_missing_component_names_the_nearest(self):
        self.refused("model: Borin\ndata: Noise\n", "config.yaml:1", "Borin", "Boring")
        self.refused("model: Boring\ndata: Noise\ntrainer:\n  callbacks: [EarlyStoping]\n", "EarlyStoping", "EarlyStopping")

    def test_component_of_another_kind(self):
        self.refused("model: Noise\ndata: Noise\n", "Noise", "datamodule")

    def test_missing_required_parameter(self):
        self.refused("model: Boring\ndata: Noise\ntrainer:\n  callbacks: [EarlyStopping]\n", "monitor")

    def test_no_model(self):
        self.refused("data: Noise\n", "model")

    def test_command_line(self):
        config = self.config("model: Boring\ndata: Noise\n")
        self.lthost("fit", "-c", config, "--trainer.max_epoch=3", status=2, says=["max_epoch", "max_epochs"])
        self.lthost("fit", "-c", config, "--trainer.max_epochs=x", status=2, says="max_epochs")
        self.lthost("fti", status=2, says=["fti", "fit"])
        self.lthost("fit", "-c", status=2)
        self.lthost("ckpt", "info", status=2)

    def test_limits_that_cannot_be(self):
        text = "model: Boring\ndata: Noise\ntrainer:\n  max_epochs: 1\n"
        for key, value, message in (("limit_train_batches", "1.5", "limit_train_batches"), ("limit_val_batches", "-3", "limit_val_batches"),
                                    ("val_check_interval", "99", "val_check_interval"), ("limit_train_batches", "0.001", "less than one batch")):
            self.lthost("fit", "-c", self.config(text), f"--trainer.{key}={value}", status=2, says=message)

    def test_names_the_command_line_where_that_was_it(self):
        result = self.lthost("fit", "-c", self.config("model: Boring\ndata: Noise\n"), "--model=Borring", status=2)
        self.assertIn("command line: there is no model", result.text)

    def test_monitor_that_is_not_logged(self):
        for callback in ("ModelCheckpoint", "EarlyStopping"):
            with self.subTest(callback=callback):
                self.lthost("fit", "-c", self.boring(callbacks=[{"class_path": callback, "init_args": {"monitor": "val_lost"}}]), status=2,
                            says=["val_lost", "logged so far: ", "val_loss"])


class Plugin(harness.Test):
    BROKEN = "e2e_broken.so"

    def copy(self, change=None):
        with open(os.path.join(harness.PLUGINS, self.BROKEN), "rb") as file:
            data = bytearray(file.read())
        if change:
            change(data)
        return self.write("changed.so", bytes(data))

    def fit(self, plugin, *says, status=3, model="changed.so:BadShapes"):
        config = self.config(f"model: {model}\ndata: Noise\nplugins: [{plugin}]\n")
        return self.lthost("fit", "-c", config, status=status, says=says)

    def test_that_is_none(self):
        self.fit(self.write("changed.so", "this is text\n"), "changed.so")
        self.fit(self.write("changed.so", b""), "changed.so")

    def test_library_without_a_note(self):
        library = next((path for path in ("/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6",
                                          "/lib64/libm.so.6") if os.path.exists(path)), None)
        if not library:
            self.skip("no libm.so.6 to take")
        shutil.copy(library, self.path("m.so"))
        self.fit(self.path("m.so"), "m.so", model="m.so:BadShapes")

    def test_cut_off(self):
        def cut(data):
            del data[len(data) // 3:]
        self.fit(self.copy(cut), "changed.so")

    def test_of_another_abi(self):
        """The note of a built plugin, patched: only what the file says is changed."""
        def patch(data):
            at = data.index(b"lthost\0\0")
            major, minor = struct.unpack_from("<II", data, at + 8)
            self.assertEqual((major, minor)[0], 0)
            struct.pack_into("<III", data, at + 8, 0, 99, 99)
        self.fit(self.copy(patch), "changed.so", "0.99", "org.lthost.test.broken")

    def test_missing_file(self):
        self.fit(self.path("nowhere.so"), "nowhere.so", status=2, model="nowhere.so:X")

    def test_not_searched_in_the_working_directory(self):
        shutil.copy(os.path.join(harness.PLUGINS, self.BROKEN), self.path("here.so"))
        config = self.config("model: BadShapes\ndata: Noise\n")
        self.lthost("fit", "-c", config, env={"LTHOST_PLUGIN_PATH": ""}, status=2, says="BadShapes")


class Hook(harness.Test):
    """A model's mistake is told with plugin, component, hook, operation, shapes and, where there are line tables, the source line."""

    def line_of(self, mark):
        with open(os.path.join(harness.SOURCE, "tests", "e2e", "plugins", "broken.c"), encoding="utf-8") as file:
            return next(i for i, line in enumerate(file, 1) if mark in line)

    def test_shapes_that_do_not_fit(self):
        config = self.config(model="BadShapes", data={"class_path": "Noise", "init_args": {"in": 756}}, trainer={"max_epochs": 1,
                                                                                                    "num_sanity_val_steps": 0}, optimizer="SGD")
        result = self.lthost("fit", "-c", config, status=3, says=["org.lthost.test.broken", "BadShapes", "training_step", "linear", "(4, 756)", "784 -> 64"])
        found = re.search(r"broken\.c:(\d+)", result.text)
        self.assertTrue(found, str(result))
        self.assertEqual(int(found.group(1)), self.line_of("BAD-SHAPES-LINE"))

    def test_nan_loss(self):
        config = self.boring({"nan_at": 5}, log_every_n_steps=1)
        self.lthost("fit", "-c", config, status=1, says=["loss is nan", "epoch 0", "batch 5", "global step 5"])
        self.assertEqual(self.summary()["status"], "failed")
        self.assertEqual(len(self.column("train_loss_step") or self.column("train_loss")), 5)

    def test_no_training_step(self):
        self.lthost("fit", "-c", self.config(model="NoStep", data="Noise", trainer={"max_epochs": 1}), status=3, says=["NoStep", "training_step"])

    def test_no_loss_skips_batches(self):
        config = self.config(model="NoLoss", data="Noise", trainer={"max_epochs": 1})
        self.lthost("fit", "-c", config)

    def test_monitor_that_nobody_logs(self):
        config = self.boring(callbacks=[{"class_path": "EarlyStopping", "init_args": {"monitor": "val_los"}}])
        self.lthost("fit", "-c", config, status=2, says=["val_los", "EarlyStopping"])

    def test_a_failing_logger_is_told_and_left_out(self):
        config = self.boring(logger=["BadLogger", "CSVLogger"], log_every_n_steps=1)
        self.lthost("fit", "-c", config, says=["BadLogger", "the server does not answer"])
        self.assertEqual(len(self.column("train_loss_step")), 16)

    def test_crash_says_whose_hook_it_was(self):
        if harness.LIGHT:
            return  # a sanitizer reports crashes itself
        config = self.config("model: Crash\ndata: Noise\ntrainer:\n  num_sanity_val_steps: 0\n")
        self.lthost("fit", "-c", config, status=-signal.SIGSEGV, says=["SIGSEGV in Crash.training_step of plugin org.lthost.test.broken"])


class Data(harness.Test):
    """IDX files made here: a few digits of noise."""

    def idx(self, name, kind, shape, data, packed=False):
        blob = struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + bytes(data)
        return self.write(f"mnist/{name}" + (".gz" if packed else ""), gzip.compress(blob) if packed else blob)

    def files(self, train=100, labels=None, test=20):
        self.idx("train-images-idx3-ubyte", 8, (train, 28, 28), bytes(i * 7 % 256 for i in range(train * 784)))
        self.idx("train-labels-idx1-ubyte", 8, (train,), labels or bytes(i % 10 for i in range(train)))
        self.idx("t10k-images-idx3-ubyte", 8, (test, 28, 28), bytes(test * 784))
        self.idx("t10k-labels-idx1-ubyte", 8, (test,), bytes(i % 10 for i in range(test)))

    def fit(self, status=0, says=(), **init):
        config = self.config(model="LinearClassifier", trainer={"max_epochs": 1, "logger": False},
                             data={"class_path": "MNIST", "init_args": {"data_dir": self.path("mnist"), "val_size": 10, "batch_size": 16,
                                                                        "download": False, "dataset": "custom", **init}})
        return self.lthost("fit", "-c", config, status=status, says=says)

    def test_good_files(self):
        self.files()
        self.fit()

    def test_missing(self):
        self.fit(4, ["train-images-idx3-ubyte", self.path("mnist"), "data_dir"])

    def test_truncated(self):
        self.files()
        path = self.path("mnist", "train-images-idx3-ubyte")
        for size in (0, 3, 10, 16, 16 + 784 * 50):
            with open(path, "r+b") as file:
                file.truncate(size)
            self.fit(4, ["train-images-idx3-ubyte"])

    def test_truncated_gz(self):
        self.files()
        os.remove(self.path("mnist", "train-images-idx3-ubyte"))
        path = self.idx("train-images-idx3-ubyte", 8, (100, 28, 28), os.urandom(78400), packed=True)
        self.fit()
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2)
        self.fit(4, ["train-images-idx3-ubyte.gz"])

    def test_header_that_lies(self):
        self.files()
        self.idx("train-images-idx3-ubyte", 8, (2**31, 28, 28), bytes(784))
        self.fit(4, "train-images-idx3-ubyte")
        self.idx("train-images-idx3-ubyte", 8, (2**32 - 1, 2**32 - 1, 2**32 - 1), bytes(784))
        self.fit(4, "train-images-idx3-ubyte")

    def test_labels_out_of_range(self):
        self.files(labels=bytes([*range(10)] * 9 + [0, 1, 2, 3, 4, 5, 6, 7, 8, 250]))
        self.fit(4, ["train-labels-idx1-ubyte", "250", "out of range"])

    def test_numbers_of_images_and_labels_differ(self):
        self.files()
        self.idx("train-labels-idx1-ubyte", 8, (99,), bytes(99))
        self.fit(4, ["100 images", "99 labels"])

    def test_dataset_that_cannot_be_read(self):
        config = self.boring(data={"lie": 30})
        self.lthost("fit", "-c", config, status=4, says="cannot be read")
        config = self.boring(data={"lie": 30, "num_workers": 2})
        self.lthost("fit", "-c", config, status=4, says="cannot be read")


class Checkpoint(harness.Test):
    def setUp(self):
        super().setUp()
        self.settings = self.boring(max_epochs=1)
        self.lthost("fit", "-c", self.settings)
        with open(self.last(), "rb") as file:
            self.good = file.read()

    def damaged(self, data, *says):
        path = self.write("damaged.h5", bytes(data))
        for args in (("ckpt", "verify", path), ("ckpt", "info", path), ("test", "-c", self.settings, "--ckpt_path", path), ("fit", "-c",
                                                                                                    self.settings, "--ckpt_path", path)):
            self.lthost(*args, status=4, says=["damaged.h5", *says])

    def test_truncated(self):
        for size in (0, 7, 100, 511, 512, 600, len(self.good) // 2, len(self.good) - 1):
            self.damaged(self.good[:size])

    def test_longer(self):
        self.damaged(self.good + b"x")

    def test_bits_flipped(self):
        places = range(0, len(self.good), len(self.good) // (3 if harness.LIGHT else 12))
        for at in places:
            data = bytearray(self.good)
            data[at] ^= 16
            path = self.write("damaged.h5", bytes(data))
            self.lthost("ckpt", "verify", path, status=4, says="damaged.h5")

    def test_no_checkpoint(self):
        self.damaged(b"nothing of the kind, but long enough to hold a header " * 20)
        self.lthost("test", "-c", self.settings, "--ckpt_path", "nowhere.h5", status=4, says="nowhere.h5")

    def test_without_any_says_what_to_do(self):
        os.makedirs(self.path("elsewhere"))
        for verb in ("test", "validate", "predict"):
            self.lthost(verb, "-c", self.settings, cwd=self.path("elsewhere"), status=4, says=["lthost fit", "--ckpt_path FILE", "--ckpt_path none"])


class Disk(harness.Test):
    def mount(self, size):
        """A small file system, or skip: it needs the right to mount."""
        folder = self.path("small")
        os.makedirs(folder)
        run = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode:
            self.skip(f"cannot mount a tmpfs: {run.stdout.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", folder])
        return folder

    def test_full(self):
        folder = self.mount("300k")
        config = self.config(model="LinearClassifier", data="Digits", trainer={"max_epochs": 1, "limit_train_batches": 5, "default_root_dir": folder})
        self.lthost("fit", "-c", config, status=1, says=["No space left", ".h5", "free some or choose another folder"])
        self.assertFalse([name for name in os.listdir(os.path.join(self.run_dir(root=folder),
                                                                   "checkpoints")) if not name.startswith(".") and name.endswith(".h5")
                          and self.lthost("ckpt", "verify", os.path.join(self.run_dir(root=folder), "checkpoints", name), status=None).status])

    def test_read_only(self):
        folder = self.mount("1m")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        self.lthost("fit", "-c", self.boring(default_root_dir=folder), status=1, says=[folder, "default_root_dir", "Read-only"])


class Folder(harness.Test):
    def test_place_that_is_a_file(self):
        place = self.write("file", "x")
        self.lthost("fit", "-c", self.boring(default_root_dir=place), status=1, says=[place, "a file of that name is in the way"])

    def test_not_writable(self):
        if os.geteuid() == 0:
            self.skip("root may write everywhere; Disk.test_read_only needs a mount, Folder.test_place_that_is_a_file neither")
        os.makedirs(self.path("locked"), mode=0o555)
        self.lthost("fit", "-c", self.boring(default_root_dir=self.path("locked")), status=1, says=["locked", "Permission denied"])


class FileSize(harness.Test):
    def test_limit_reached_in_a_checkpoint(self):
        """What a full disk does to a write, without needing one: a limit on the size of files, for whom mounting is not allowed."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
        config = self.config(model="LinearClassifier", data="Digits", trainer={"max_epochs": 1, "limit_train_batches": 5, "limit_val_batches": 2,
                                                                               "logger": False})
        self.lthost("fit", "-c", config, status=1, says=["File too large", ".h5"], preexec=limit)
        self.assertEqual([name for name in os.listdir(os.path.dirname(self.last())) if name.endswith(".h5")], [])
        self.assertEqual(self.summary()["status"], "failed")

    def test_good_checkpoint_before_it_stays(self):
        config = self.config(model="LinearClassifier", data="Digits", trainer={"max_epochs": 1, "limit_train_batches": 5, "limit_val_batches": 2,
                                                                               "logger": False})
        self.lthost("fit", "-c", config)
        before = self.entries(self.last())

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
        self.lthost("fit", "-c", config, "--ckpt_path", "last", "--trainer.max_epochs=2", status=1, preexec=limit)
        self.assertEqual(self.entries(self.last()), before)
        self.lthost("fit", "-c", config, "--ckpt_path", "last", "--trainer.max_epochs=2", says="resuming at")


if __name__ == "__main__":
    harness.main()
