#!/usr/bin/env python3
"""The data plugins in real runs. For each: the bits do not depend on the number of workers, a run that goes on from inside an epoch ends as the
whole one, and what is damaged or absent is named. The files are written here: PNG, CIFAR-10 batches and their archive, text; HDF5 by lthost."""
import base64
import os
import random
import re
import shutil
import struct
import sys
import tarfile
import zlib

import harness
from test_golden import read_golden
from test_resume import ResumeBase


COLUMNS = [f"c{i}" for i in range(32)]


class DataBase(ResumeBase):
    def fitting(self, model, data, init, **trainer):
        trainer = {"max_epochs": 2, "log_every_n_steps": 1, "num_sanity_val_steps": 0, "enable_progress_bar": False, "enable_model_summary": False,
                   "callbacks": self.often(3, save_top_k=-1), **trainer}
        return self.config(model=model, data={"class_path": data, "init_args": init}, trainer=trainer)

    def needs(self, component, library):
        """Plugins whose library is absent are not built."""
        if component not in self.lthost("plugin", "list").text:
            self.skip(f"{component} is not built: it needs {library}")

    def equal_runs(self, config, steps):
        """0 and 2 workers, and a run that goes on after step 3, inside the first epoch: the same losses, weights and generators."""
        reference = self.reference(["fit", "-c", config])
        losses = next(values for values in (self.column(name, reference) for name in ("train_loss_step", "train_loss")) if values)
        self.assertEqual(len(losses), steps)
        self.assertGreater(len(set(losses)), steps // 2)
        self.lthost("fit", "-c", config, "--data.num_workers=2", f"--trainer.default_root_dir={self.root('workers')}")
        self.same_end(self.run_dir(root=self.path("workers")), reference)
        for workers in (0, 2):
            run = self.run_dir(root=self.root(f"resumed{workers}"))
            shutil.copytree(reference, run)
            self.lthost("fit", "-c", config, f"--data.num_workers={workers}", f"--trainer.default_root_dir={self.path(f'resumed{workers}')}",
                        "--ckpt_path", os.path.join(run, "checkpoints", "epoch=0-step=3.h5"), says="resuming at")
            self.same_end(run, reference)


class CsvTable(DataBase):
    def table(self, name="table.csv", rows=60, bad=()):
        draw = random.Random(3)
        lines = [",".join([*COLUMNS, "a", "b"])]
        for row in range(rows):
            cells = [f"{draw.uniform(-2, 2):.4f}" for _ in range(34)]
            if row in bad:
                cells[5] = "five"
            lines.append(",".join(cells))
        return self.write(name, "\n".join(lines) + "\n")

    def settings(self, path, **data):
        data = {"path": path, "targets": ["a", "b"], "batch_size": 4, "val_fraction": 0.2, "test_fraction": 0.1, **data}
        return self.config(model="Boring", data={"class_path": "CSVTable", "init_args": data}, trainer={"max_epochs": 2, "log_every_n_steps": 1})

    def test_equal_runs(self):
        init = {"path": self.table(), "targets": ["a", "b"], "batch_size": 4, "val_fraction": 0.2, "test_fraction": 0.1}
        self.equal_runs(self.fitting("Boring", "CSVTable", init), 2 * 11)  # 60 - 6 - 12 rows in batches of 4

    def test_other_data_with_a_checkpoint(self):
        self.lthost("fit", "-c", self.settings(self.table()))
        self.lthost("test", "-c", self.settings(self.table("other.csv", 40)), "--ckpt_path", "last")
        self.lthost("test", "-c", self.settings(self.table(), ignore=["c3"]), "--ckpt_path", "last", status=2,
                    says="the table has 31 columns of numbers, the checkpoint 32")

    def test_bad_rows(self):
        path = self.table(bad=(7, 20))
        self.lthost("fit", "-c", self.settings(path), status=4, says=["table.csv:9: column 'c5': 'five' is no number", "on_error: skip"])
        self.lthost("fit", "-c", self.settings(path, on_error="skip"),
                    says=["skipped", "table.csv:22: column 'c5'", "58 rows used, 2 malformed ones skipped"])
        self.lthost("fit", "-c", self.settings(path, targets=["price"]), status=2, says="has no column 'price' (targets)")


class Npy(DataBase):
    def array(self, name, shape, seed):
        draw = random.Random(seed)
        count = 1
        for size in shape:
            count *= size
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}\n".encode()
        return self.write(name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
                          + struct.pack(f"<{count}f", *(draw.uniform(-1, 1) for _ in range(count))))

    def test_equal_runs(self):
        init = {"input": self.array("x.npy", (50, 32), 1), "target": self.array("y.npy", (50, 2), 2), "val_size": 10, "batch_size": 4}
        self.equal_runs(self.fitting("Boring", "NpyDataset", init), 2 * 10)

    def test_refusals(self):
        data = {"input": self.array("x.npy", (50, 32), 1), "target": self.array("y.npy", (50, 2), 2), "val_size": 10, "batch_size": 8}
        config = self.config(model="Boring", data={"class_path": "NpyDataset", "init_args": data}, trainer={"max_epochs": 3})
        self.lthost("fit", "-c", config)
        self.lthost("validate", "-c", config, "--ckpt_path", "last")
        data["target"] = self.array("z.npy", (49, 2), 2)
        config = self.config(model="Boring", data={"class_path": "NpyDataset", "init_args": data}, trainer={"max_epochs": 3})
        self.lthost("fit", "-c", config, status=4, says="they do not belong together")
        with open(self.path("x.npy"), "rb") as file:
            swapped = file.read().replace(b"<f4", b">f4")
        data["input"] = self.write("swapped.npy", swapped)
        config = self.config(model="Boring", data={"class_path": "NpyDataset", "init_args": data}, trainer={"max_epochs": 3})
        self.lthost("fit", "-c", config, status=4, says="big-endian numbers")


def png(width, height, pixel):
    """An RGB PNG of pixel(x, y) -> (r, g, b); every row unfiltered."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + \
        chunk(b"IEND", b"")


class Images(DataBase):
    """Two classes of noise, 40 x 36 pixels each; random crops and flips, so that workers that drew differently would show."""

    def folder(self):
        self.needs("ImageFolder", "libjpeg and libpng")
        draw = random.Random(5)
        for part, count in (("train", 12), ("val", 3)):
            for label, low in (("dark", 0), ("light", 100)):
                for i in range(count):
                    self.write(f"images/{part}/{label}/{i:02}.png", png(40, 36, lambda x, y, low=low: [draw.randrange(low, low + 156) for _ in range(3)]))
        return self.path("images")

    def images(self, **more):
        init = {"data_dir": self.path("images"), "resize": [32], "crop": [28], "train_crop": "random", "flip": 0.5, "color": "grey", "batch_size": 4}
        return self.fitting("LinearClassifier", "ImageFolder", {**init, **more})

    def test_equal_runs(self):
        self.folder()
        self.equal_runs(self.images(), 2 * 6)
        self.lthost("test", "-c", self.path("config.yaml"), "--ckpt_path", "last", f"--trainer.default_root_dir={self.path('reference')}", says="test_acc")

    def test_jpeg(self):
        self.folder()
        for i in range(4):
            self.write(f"images/train/dark/j{i}.jpg", base64.b64decode(JPEG))
        self.lthost("fit", "-c", self.images())
        self.assertEqual(self.summary()["samples"], 2 * 28)

    def test_damaged(self):
        self.folder()
        for name in ("dark/03.png", "light/07.png"):
            path = self.path("images", "train", name)
            with open(path, "r+b") as file:
                file.truncate(os.path.getsize(path) // 2)
        for workers in (0, 2):
            self.lthost("fit", "-c", self.images(num_workers=workers, shuffle=False), status=4,
                        says=["train/dark/03.png", "repair or remove it, or set on_error: skip"])
        for workers in (0, 2):
            text = self.lthost("fit", "-c", self.images(on_error="skip", num_workers=workers)).text
            for name in ("dark/03.png", "light/07.png"):
                self.assertEqual(len(re.findall(f"{name} .*: the next one takes its place", text)), 1, text)
            self.assertIn("(2 such so far)", text)
            self.assertRegex(text, r"warning: ImageFolder: \d+ images below .* were skipped")

    def test_absent(self):
        self.needs("ImageFolder", "libjpeg and libpng")
        self.lthost("fit", "-c", self.images(), status=4, says=[self.path("images"), "No such file"])
        os.makedirs(self.path("images", "train"))
        self.lthost("fit", "-c", self.images(), status=4, says="each class is one, with its .jpg, .jpeg or .png files")


class Cifar(DataBase):
    RECORD = 3073

    def batches(self, folder="cifar", each=8):
        draw = random.Random(9)
        for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
            records = (bytes([draw.randrange(10)]) + bytes(draw.randrange(256) for _ in range(self.RECORD - 1)) for _ in range(each))
            self.write(os.path.join(folder, name), b"".join(records))
        return self.path(folder)

    def cifar(self, folder, **more):
        init = {"data_dir": folder, "val_size": 8, "padding": 4, "flip": 0.5, "batch_size": 4, "download": False, **more}
        return self.fitting({"class_path": "Boring", "init_args": {"in": 3072, "out": 10, "classes": True, "lr": 0.001}}, "CIFAR10", init)

    def test_equal_runs(self):
        self.equal_runs(self.cifar(self.batches()), 2 * 8)
        self.lthost("test", "-c", self.path("config.yaml"), "--ckpt_path", "last", f"--trainer.default_root_dir={self.path('reference')}", says="test_loss")

    def test_archive(self):
        """Unpacked where it lies; the run is that of the files."""
        config = self.cifar(self.batches())
        self.lthost("fit", "-c", config, f"--trainer.default_root_dir={self.root('files')}")
        os.makedirs(self.path("packed"))
        with tarfile.open(self.path("packed", "cifar-10-binary.tar.gz"), "w:gz", format=tarfile.USTAR_FORMAT) as archive:
            for name in sorted(os.listdir(self.path("cifar"))):
                archive.add(self.path("cifar", name), f"cifar-10-batches-bin/{name}")
        self.lthost("fit", "-c", self.cifar(self.path("packed")), f"--trainer.default_root_dir={self.root('archive')}")
        self.same_end(self.run_dir(root=self.path("archive")), self.run_dir(root=self.path("files")))
        path = self.path("cut", "cifar-10-binary.tar.gz")
        os.makedirs(self.path("cut"))
        with open(self.path("packed", "cifar-10-binary.tar.gz"), "rb") as whole, open(path, "wb") as cut:
            cut.write(whole.read(60000))
        self.lthost("fit", "-c", self.cifar(self.path("cut")), status=4, says=[path, "damaged or cut off"])

    def test_damaged(self):
        folder = self.batches()
        with open(self.path("cifar", "data_batch_3.bin"), "r+b") as file:
            file.seek(2 * self.RECORD)
            file.write(b"\x0b")
        self.lthost("fit", "-c", self.cifar(folder), status=4, says=["data_batch_3.bin: image 2 has label 11, labels are 0 to 9"])
        with open(self.path("cifar", "data_batch_2.bin"), "r+b") as file:
            file.truncate(5000)
        self.lthost("fit", "-c", self.cifar(folder), status=4, says=["data_batch_2.bin has 5000 bytes, no multiple of 3073"])
        os.remove(self.path("cifar", "data_batch_1.bin"))
        self.lthost("fit", "-c", self.cifar(folder), status=4, says=["cannot open", "data_batch_1.bin"])


class Hdf5(DataBase):
    def rows(self):
        """A file that lthost wrote: the predictions of an untrained Boring on Noise, in two columns."""
        self.needs("HDF5Dataset", "libhdf5")
        config = self.boring(data={"val_samples": 40}, name="source.yaml")
        self.lthost("predict", "-c", config, "--ckpt_path", "none", f"--trainer.default_root_dir={self.root('source')}", says="predictions of")
        found = [os.path.join(root, name) for root, _, names in os.walk(self.path("source")) for name in names if name == "predictions.h5"]
        self.assertEqual(len(found), 1)
        return found[0]

    def hdf5(self, path, **more):
        """Inputs are targets, too: learning to copy."""
        init = {"path": path, "input": "predictions", "target": "predictions", "val_size": 8, "batch_size": 4, **more}
        return self.fitting({"class_path": "Boring", "init_args": {"in": 2, "lr": 0.05}}, "HDF5Dataset", init)

    def test_equal_runs(self):
        config = self.hdf5(self.rows())
        self.equal_runs(config, 2 * 8)
        self.lthost("fit", "-c", config, "--trainer.max_epochs=30", "--data.shuffle=false")
        losses = self.column("train_loss_epoch")
        self.assertLess(losses[-1], 0.1 * losses[0])

    def test_damaged_and_absent(self):
        path = self.rows()
        self.lthost("fit", "-c", self.hdf5(path, input="x"), status=4, says=[path, "'x'"])
        self.lthost("fit", "-c", self.hdf5(path, val_size=40), status=2, says="has only 40 rows")
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2)
        self.lthost("fit", "-c", self.hdf5(path), status=4, says=path)
        self.lthost("fit", "-c", self.hdf5(self.path("none.h5")), status=4, says=self.path("none.h5"))


class Text(DataBase):
    def text(self, **more):
        words = ["the ", "and ", "in ", "heir", "ship", "ling", "\n", "é", "123", "'s "]
        draw = random.Random(11)
        text = "".join(draw.choice(words) for _ in range(260))
        return {"path": self.write("text.txt", text), "block_size": 16, "samples_per_epoch": 32, "batch_size": 4, **more}

    def gpt(self, vocabulary, init):
        model = {"vocab_size": vocabulary, "block_size": 16, "n_layer": 1, "n_head": 2, "n_embd": 16, "dropout": 0.1, "lr": 0.01}
        return self.fitting({"class_path": "GPT", "init_args": model}, "TextFile", init)

    def characters(self):
        return len(set(self.read("text.txt")))

    def pairs(self):
        """A vocabulary of 600 byte pairs in GPT-2's format."""
        golden = read_golden(os.path.join(harness.SOURCE, "tests", "golden", "bpe.bin"))
        return {"level": "bpe", **{key: self.write(name, bytes(golden[key][1])) for key, name in (("vocab", "vocab.json"), ("merges", "merges.txt"))}}

    def test_characters(self):
        init = self.text()
        self.equal_runs(self.gpt(self.characters(), init), 2 * 8)

    def test_characters_in_order(self):
        init = self.text(windows="sequential", stride=20)
        self.lthost("fit", "-c", self.gpt(self.characters(), init))
        self.equal_runs(self.gpt(self.characters(), init), self.summary()["steps"])

    def test_byte_pairs(self):
        self.equal_runs(self.gpt(600, self.text(**self.pairs())), 2 * 8)

    def test_damaged(self):
        init = self.text()
        with open(init["path"], "r+b") as file:
            file.seek(100)
            file.write(b"\xff")
        self.lthost("fit", "-c", self.gpt(20, init), status=4, says="text.txt:")
        init = self.text(**self.pairs())
        with open(init["vocab"], "r+b") as file:
            file.truncate(1000)
        self.lthost("fit", "-c", self.gpt(600, init), status=4, says="vocab.json")
        self.lthost("fit", "-c", self.gpt(20, {**self.text(), "level": "bpe"}), status=2, says="level bpe needs vocab and merges")


class Absent(DataBase):
    """Neither in data/ nor in $LTHOST_DATA: what is missing, every place that was looked at, and what to do. Nothing is downloaded."""

    def refuses(self, data, shared, places, **init):
        config = self.fitting("Boring", data, {"download": False, **init})
        self.lthost("fit", "-c", config, status=4, says=[*places, "or download: true"], env={"LTHOST_DATA": shared})

    def test_unset_and_elsewhere(self):
        unset = "LTHOST_DATA is not set"
        environment = os.environ.pop("LTHOST_DATA", None)
        try:
            self.refuses("MNIST", None, ["no train-images-idx3-ubyte", "data/mnist", "$LTHOST_DATA/mnist", unset])
            self.refuses("MNIST", None, ["data/fashion", "$LTHOST_DATA/fashion", unset], dataset="fashion")
            self.refuses("CIFAR10", None, ["no test_batch.bin", "data/cifar10", "$LTHOST_DATA/cifar10", unset])
            self.refuses("TextFile", None, ["input.txt", "data/tinyshakespeare", "$LTHOST_DATA/tinyshakespeare", unset])
        finally:
            if environment is not None:
                os.environ["LTHOST_DATA"] = environment
        empty = self.root("empty")
        self.refuses("MNIST", empty, ["no train-images-idx3-ubyte", "data/mnist", f"{empty}/mnist"])
        self.refuses("CIFAR10", empty, ["no test_batch.bin", "data/cifar10", f"{empty}/cifar10"])
        self.refuses("TextFile", empty, ["input.txt", "data/tinyshakespeare", f"{empty}/tinyshakespeare"])
        self.refuses("CIFAR10", empty, [self.path("mine")], data_dir=self.path("mine"))

    def test_paths(self):
        """Those that have to be given: the message has the path, made absolute by the place of the YAML file."""
        for data, init in (("CSVTable", {"path": "none.csv", "targets": ["y"]}), ("NpyDataset", {"input": "none.npy"}), ("TextFile", {"path": "none.txt"})):
            path = self.path(init.get("path") or init["input"])
            self.lthost("fit", "-c", self.fitting("Boring", data, init), status=4, says=[path, "No such file"])


class Table(harness.Test):
    """configs/table_mlp.yaml, with nothing but the checkout."""

    def test_is_as_made(self):
        sys.path.insert(0, os.path.join(harness.SOURCE, "scripts"))
        import make_table

        with open(self.shipped("table.csv"), encoding="utf-8", newline="") as file:
            self.assertEqual(file.read(), make_table.table())

    def test_result(self):
        root = f"--trainer.default_root_dir={self.path('run')}"
        epochs = 8 if harness.LIGHT else 40
        self.lthost("fit", "-c", self.shipped("table_mlp.yaml"), root, f"--trainer.max_epochs={epochs}")
        text = self.lthost("test", "-c", self.shipped("table_mlp.yaml"), "--ckpt_path", "best", root).text
        found = {name: float(re.search(rf"{name}\s+(\S+)", text).group(1)) for name in ("test_mae", "test_r2")}
        self.assertLessEqual(found["test_mae"], 1.5 if harness.LIGHT else 0.55, text)
        self.assertGreaterEqual(found["test_r2"], 0.9 if harness.LIGHT else 0.985, text)
        self.assertGreater(found["test_mae"], 0.3, "below the noise of the table: something looks ahead")


# 40 x 36 pixels, grey.
JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9lnN+gXz/wAALCAAkAC"
    "gBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkK"
    "FhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1N"
    "XW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AOXgjrQgjrQgjrQgjrQgjriYI60II60II60II60II64iCOtCCOtCCOtCCOrFxcw6fZyXVxkRxjJ2jJPYAfia"
    "5GCOtCCOtCCOtCCOuQ8X6mbq8GnxMDBbkF8AHMn19gcduc+1TwAVoQAVoQAVNeyPb6ZdzRHbJHC7KcZwQpIrzKACv//Z"
)


if __name__ == "__main__":
    harness.main()
