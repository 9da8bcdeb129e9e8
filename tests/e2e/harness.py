"""Runs lthost in a temporary folder and looks at what it says and leaves behind. Standard library only.

A test file holds classes derived from harness.Test and ends with harness.main(). Where a thing that a test needs is absent (MNIST, h5py,
tensorboard, mount), it calls self.skip(why); if any test of a run was skipped and none failed, the exit status is 77: skipped, not passed.
Settings come from the environment (tests.cmake): LTHOST, LTHOST_E2E_PLUGINS, LTHOST_CKPT_DUMP, LTHOST_SOURCE, LTHOST_E2E_LIGHT (smaller
work under sanitizers), LTHOST_DATA, LTHOST_VENV. It imports no third-party package and knows nothing of file formats but CSV.
"""
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ.get("LTHOST_SOURCE") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.environ.get("LTHOST", "lthost")
PLUGINS = os.environ.get("LTHOST_E2E_PLUGINS", "")
DUMP = os.environ.get("LTHOST_CKPT_DUMP", "")
LIGHT = bool(os.environ.get("LTHOST_E2E_LIGHT"))
FLAGS = {"avx512_bf16": "avx512_bf16", "avx512": "avx512dq", "avx2": "avx2"}  # of /proc/cpuinfo, by LTHOST_ISA
LEAK = re.compile(r"(ERROR|SUMMARY|WARNING): (Address|Leak|UndefinedBehavior|Thread)Sanitizer|runtime error:")


def instruction_sets(*wanted):
    """Those of them that this machine has; says which it has not."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = set(file.read().split())
    for isa in wanted:
        if isa in FLAGS and FLAGS[isa] not in flags:
            print(f"skipped: this machine does not have {isa}")
        else:
            yield isa


def environment(**more):
    """A plain environment: what a developer has set for lthost must not change a test."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LTHOST") or k in ("LTHOST_DATA",)}
    kept.update({"LTHOST_PLUGIN_PATH": PLUGINS, "LC_ALL": "C.UTF-8"})
    kept.setdefault("OMP_NUM_THREADS", "1")
    kept.update({k: str(v) for k, v in more.items() if v is not None})
    return kept


DUMP_ENV = {**os.environ, "LTHOST_LIBRARY_PATH": os.path.dirname(os.path.abspath(BINARY))}  # where its HDF5 module lies


class Result:
    """Exit status and output of one run; text is both streams together."""

    def __init__(self, status, out, err, command):
        self.status, self.out, self.err, self.command = status, out, err, command
        self.text = out + err

    def __str__(self):
        return f"$ {' '.join(self.command)}\nexit status {self.status}\n{self.out}\n-- stderr --\n{self.err}"


class Test(unittest.TestCase):
    longMessage = True
    maxDiff = 4000

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="lthost-e2e-")
        self.addCleanup(shutil.rmtree, self.dir, True)

    def skip(self, why):
        raise unittest.SkipTest(why)

    # ---- running ----

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w" if isinstance(text, str) else "wb") as file:
            file.write(text)
        return self.path(name)

    def read(self, *parts):
        with open(self.path(*parts), encoding="utf-8") as file:
            return file.read()

    def lthost(self, *args, status=0, says=(), cwd=None, timeout=None, env=None, preexec=None):
        """Runs it to its end and checks exit status, messages (every one in `says`, a text or a list), and that no sanitizer spoke."""
        command = [BINARY, *map(str, args)]
        run = subprocess.run(command, cwd=cwd or self.dir, env=environment(**(env or {})), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=timeout or (400 if LIGHT else 200), preexec_fn=preexec)
        result = Result(run.returncode, run.stdout.decode("utf-8", "replace"), run.stderr.decode("utf-8", "replace"), command)
        self.assertIsNone(LEAK.search(result.text), str(result))
        if status is not None:
            self.assertEqual(result.status, status, str(result))
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, result.text, str(result))
        return result

    def start(self, *args, env=None, cwd=None):
        """Starts it and returns the process; its output goes to a file (path in .log), so that no pipe can fill up."""
        log = tempfile.NamedTemporaryFile(dir=self.dir, prefix="log-", delete=False)
        process = subprocess.Popen([BINARY, *map(str, args)], cwd=cwd or self.dir, env=environment(**(env or {})), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=subprocess.STDOUT)
        process.log = log.name
        log.close()
        self.addCleanup(self.stop, process)
        return process

    @staticmethod
    def stop(process):
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()

    def log_of(self, process):
        with open(process.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    # ---- configurations ----

    def config(self, text=None, name="config.yaml", **parts):
        """A YAML file from a text, or from parts as JSON, which is YAML: model=..., data=..., trainer={...}."""
        parts.setdefault("seed_everything", 42)
        return self.write(name, text if text is not None else json.dumps(parts, indent=1))

    def boring(self, model=None, data=None, name="config.yaml", **trainer):
        """Boring on Noise; quiet and small unless told otherwise."""
        trainer.setdefault("max_epochs", 1)
        parts = {"model": {"class_path": "Boring", "init_args": model or {}}, "data": {"class_path": "Noise", "init_args": data or {}}}
        return self.config(name=name, trainer=trainer, **parts)

    # ---- what a run leaves behind ----

    def run_dir(self, version=0, root=None, name="lthost_logs"):
        return os.path.join(root or self.dir, name, f"version_{version}")

    def metrics(self, run=None):
        """Rows of metrics.csv, empty cells left out, numbers as float."""
        with open(os.path.join(run or self.run_dir(), "metrics.csv"), encoding="utf-8", newline="") as file:
            return [{k: float(v) for k, v in row.items() if v not in ("", None)} for row in csv.DictReader(file)]

    def column(self, name, run=None):
        return [row[name] for row in self.metrics(run) if name in row]

    def summary(self, run=None):
        with open(os.path.join(run or self.run_dir(), "summary.json"), encoding="utf-8") as file:
            return json.load(file)

    def last(self, run=None):
        return os.path.join(run or self.run_dir(), "checkpoints", "last.h5")

    def entries(self, checkpoint):
        """{path: (dtype, shape, hash)} of a checkpoint, through lthost's own verified reader."""
        run = subprocess.run([DUMP, checkpoint], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=DUMP_ENV)
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        rows = [line.split("\t") for line in run.stdout.decode().splitlines()]
        return {path: (dtype, shape, digest) for path, dtype, shape, digest in rows}

    def entry(self, checkpoint, path):
        """The bytes of one entry."""
        run = subprocess.run([DUMP, checkpoint, path], stdout=subprocess.PIPE, env=DUMP_ENV)
        self.assertEqual(run.returncode, 0, f"{checkpoint}: no {path}")
        return run.stdout

    def weights(self, checkpoint):
        return {path: facts for path, facts in self.entries(checkpoint).items() if path.startswith("state_dict/")}

    # ---- what may be absent ----

    def mnist(self):
        """Folder with the real files, or skip."""
        for root in (os.environ.get("LTHOST_DATA"), os.path.join(SOURCE, "data")):
            if root and os.path.exists(os.path.join(root, "mnist", "train-images-idx3-ubyte.gz")):
                return os.path.join(os.path.abspath(root), "mnist")
        return self.skip("no MNIST in $LTHOST_DATA/mnist or data/mnist")

    def reader(self, script, *args):
        """Runs a reader of tests/e2e with the interpreter that has its packages; skips where they are missing."""
        venv = os.environ.get("LTHOST_VENV", "")
        python = os.path.join(venv, "bin", "python") if venv else ""
        python = python if os.path.exists(python) else sys.executable
        run = subprocess.run([python, os.path.join(SOURCE, "tests", "e2e", script), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        if run.returncode == 77:
            self.skip(run.stderr.decode().strip())
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        return json.loads(run.stdout)

    def shipped(self, name):
        return os.path.join(SOURCE, "configs", name)


def main():
    """unittest's runner for the named classes; 77 if something was skipped and nothing failed."""
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    for _, why in program.result.skipped:
        print(f"skipped: {why}", file=sys.stderr)
    if not program.result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if program.result.skipped else 0)
