"""The data plugins in real runs: tables and NumPy arrays trained on, resumed, refused. Images and text have models of their own elsewhere."""
import random
import struct

import harness

COLUMNS = [f"c{i}" for i in range(32)]


class CsvTable(harness.Test):
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

    def test_workers_change_nothing(self):
        losses = []
        for version, workers in enumerate((0, 2)):
            self.lthost("fit", "-c", self.settings(self.table(), num_workers=workers))
            losses.append(self.column("train_loss_step", self.run_dir(version)) or self.column("train_loss", self.run_dir(version)))
        self.assertEqual(len(losses[0]), 2 * 11)  # 60 - 6 - 12 rows in batches of 4
        self.assertEqual(losses[0], losses[1])

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


class Npy(harness.Test):
    def array(self, name, shape, seed):
        draw = random.Random(seed)
        count = 1
        for size in shape:
            count *= size
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}\n".encode()
        return self.write(name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
                          + struct.pack(f"<{count}f", *(draw.uniform(-1, 1) for _ in range(count))))

    def test_fit(self):
        data = {"input": self.array("x.npy", (50, 32), 1), "target": self.array("y.npy", (50, 2), 2), "val_size": 10, "batch_size": 8}
        config = self.config(model="Boring", data={"class_path": "NpyDataset", "init_args": data}, trainer={"max_epochs": 3})
        self.lthost("fit", "-c", config)
        self.lthost("validate", "-c", config, "--ckpt_path", "last")
        data["target"] = self.array("z.npy", (49, 2), 2)
        config = self.config(model="Boring", data={"class_path": "NpyDataset", "init_args": data}, trainer={"max_epochs": 3})
        self.lthost("fit", "-c", config, status=4, says="they do not belong together")


if __name__ == "__main__":
    harness.main()
