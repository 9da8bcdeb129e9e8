#!/usr/bin/env python3
"""Every command of README.md runs: the lines of its ```sh blocks that start with lthost or build/release/lthost, in order, in a folder that
looks like a checkout. What is not lthost (scripts/demo.sh, git, cc) is not run here."""
import os
import re
import shlex
import subprocess

import harness


class Commands(harness.Test):
    def lines(self):
        path = os.path.join(harness.SOURCE, "README.md")
        if not os.path.exists(path):
            self.skip("there is no README.md")
        with open(path, encoding="utf-8") as file:
            blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", file.read(), re.M | re.S)
        joined = "\n".join(blocks).replace("\\\n", " ")
        lines = [re.sub(r"^\$ ", "", line.strip()) for line in joined.splitlines()]
        return [line for line in lines if re.match(r"(\S*=\S+ )*(build/release/|\./)?lthost\b", line)]

    def test_run(self):
        lines = self.lines()
        self.assertTrue(lines, "README.md shows no command of lthost")
        folder = os.environ.get("LTHOST_DATA")
        os.makedirs(self.path("build", "release"))
        os.symlink(os.path.abspath(harness.BINARY), self.path("build", "release", "lthost"))
        for name in ("configs", "plugins", "callbacks", "loggers", "sdk", "scripts", "tests", "docs"):
            os.symlink(os.path.join(harness.SOURCE, name), self.path(name))
        if not folder and any("mnist" in line for line in lines):
            self.skip("no MNIST in $LTHOST_DATA/mnist")
        small = "--trainer.limit_train_batches=20 --trainer.limit_val_batches=3 --trainer.limit_test_batches=3 --trainer.limit_predict_batches=3"
        for line in lines:
            command = re.sub(r"^((?:\S*=\S+ )*)lthost\b", r"\1build/release/lthost", line.split(" #")[0].strip())
            words = shlex.split(re.sub(r"^(?:\S*=\S+ )*", "", command))
            if words[1:2] and words[1] in ("fit", "validate", "test", "predict") and "--help" not in words:
                command += " " + small
            run = subprocess.run(["bash", "-c", command], cwd=self.dir, env=harness.environment(LTHOST_DATA=folder), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, timeout=200)
            text = run.stdout.decode("utf-8", "replace")
            self.assertIsNone(harness.LEAK.search(text), text)
            self.assertEqual(run.returncode, 0, f"$ {command}\n{text}")
            print(f"ok: {line}")


if __name__ == "__main__":
    harness.main()
