#!/usr/bin/env python3
"""Runs what docs/plugin-guide.md says: builds every example as C99 and C11 with strict warnings, trains with them, and compares the messages
that the guide shows with those that lthost gives.

    check_examples.py [--write] SOURCE LTHOST WORK CC [CXX]

Commands come from the guide itself (blocks after `<!-- run: NAME -->`), messages are compared with the blocks after `<!-- output: NAME -->`:
line by line, without the folder of the test and without code offsets; a line that ends in " ..." need only begin so. --write puts the
messages of this run into the guide. Code in the guide is compared by scripts/check_docs.py.
"""
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

STRICT = "-Wall -Wextra -Wpedantic -Wshadow -Werror"
PLUGIN = "-std=c11 -O2 -g1 -fno-optimize-sibling-calls -fPIC -shared -fvisibility=hidden"
HOOK = "static lt_status on_fit_start(lt_ctx *ctx, void *self) { (void)self; %s }\n"
CALLBACK = '#include <lt/callback.h>\n%sLT_CALLBACK(Example, lt_nothing, "An example.", .on_fit_start = on_fit_start);\n' \
    'LT_PLUGIN("org.example.example", "1.0.0", callback(Example));\n'
THREAD = '''#include <lt/logger.h>
#include <lt/tensor.h>
static lt_status scalars(lt_ctx *ctx, void *self, const lt_scalars *const *rows, uint32_t count) {
    (void)self, (void)rows, (void)count;
    lt_full(ctx, LT_F32, 0, NULL, 1);
    return lt_ctx_status(ctx);
}
LT_LOGGER(WrongThread, lt_nothing, "Makes a tensor on the logger thread.", .scalars = scalars);
LT_PLUGIN("org.example.wrong-thread", "1.0.0", logger(WrongThread));
'''
DEFAULT = '#include <lt/callback.h>\ntypedef struct { int64_t n; } example;\nLT_PARAMS(example, LT_PARAM(n, "many", "A number."));\n' \
    'LT_CALLBACK(Example, example, "An example.");\nLT_PLUGIN("org.example.example", "1.0.0", callback(Example));\n'
GUIDE = "docs/plugin-guide.md"
failures = []


class Bench:
    def __init__(self, source, lthost, work, cc, cxx):
        self.source, self.lthost, self.cc, self.cxx = source, lthost, cc, cxx
        self.work = work
        self.guide = (source / GUIDE).read_text(encoding="utf-8")
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(source / "docs/examples", work)
        (work / "made").mkdir()
        self.env = {k: v for k, v in os.environ.items() if k != "LTHOST_PLUGIN_PATH"}

    def sh(self, command, status=0, **env):
        command = command.replace("<lthost>", str(self.source)).replace("lthost ", f"{self.lthost} ")
        result = subprocess.run(command, shell=True, cwd=self.work, env={**self.env, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                errors="replace", check=False)
        if result.returncode != status:
            failures.append(f"status {result.returncode}, expected {status}: {command}\n{result.stdout}")
        return result.stdout

    def run_block(self, name, standard="c11"):
        block = re.search(rf"<!-- run: {name} -->\n```sh\n(.*?)```", self.guide, re.S).group(1)
        block = re.sub(r"\bcc -std=c11", f"{self.cc} -std={standard} {STRICT}", block)
        return self.sh(re.sub(r"\bc\+\+ -std=c\+\+11", f"{self.cxx} -std=c++11 {STRICT}", block))

    def build(self, name, text, flags=""):
        (self.work / f"made/{name}.c").write_text(text)
        self.sh(f"{self.cc} {PLUGIN} {flags} -I<lthost>/sdk/include -o made/{name}.so made/{name}.c")

    def expect(self, what, condition):
        if not condition:
            failures.append(what)


# ---- running ----

def train(bench):
    for standard in ("c99", "c11"):
        shutil.rmtree(bench.work / "lthost_logs", ignore_errors=True)
        said = bench.run_block("build", standard)
        bench.expect(f"{standard}: the gradient check, the stop and the best value are told:\n{said}",
                     "cube: the gradient is right" in said and "is good enough" in said and "best val_acc: 0.9" in said)
    lines = [json.loads(line) for line in (bench.work / "lthost_logs/version_0/metrics.jsonl").read_text().splitlines()]
    bench.expect("metrics.jsonl has the metrics of each epoch", sum("val_acc" in line for line in lines) >= 2)
    bench.sh("lthost fit -c config.yaml --optimizer Signum --optimizer.lr=0.003 --lr_scheduler WarmupLR --lr_scheduler.warmup=50 "
             "--lr_scheduler.interval=step --trainer.callbacks+=LearningRateMonitor --trainer.max_epochs=4 --trainer.log_every_n_steps=1")
    rates = [json.loads(line)["lr-Signum"] for line in (bench.work / "lthost_logs/version_1/metrics.jsonl").read_text().splitlines() if "lr-Signum" in line]
    bench.expect(f"the rate rises from 0.00003 to 0.003 in 50 steps: {rates[:2]} {rates[-1:]}",
                 len(rates) > 60 and abs(rates[0] - 3e-5) < 1e-9 and abs(rates[-1] - 3e-3) < 1e-9 and rates == sorted(rates))
    said = bench.sh("lthost fit -c config.yaml --model Blocks --trainer.callbacks+=ModelSummary")
    bench.expect(f"the blocks learn, and the summary counts what was left open:\n{said}", "is good enough" in said and "ModuleList" in said)
    bench.run_block("unit")
    bench.sh("lthost fit -c config.yaml --data.num_workers=2 --trainer.fast_dev_run=true")
    if bench.cxx:
        bench.expect("Pace logs", "samples_per_second" in bench.run_block("cxx"))


# ---- messages ----

def make_broken(bench):
    made, rings = bench.work / "made", bench.work / "build/datamodule.so"
    bench.build("no_reason", CALLBACK % (HOOK % "(void)ctx; return LT_EINVAL;"))
    bench.build("undefined", "double helper(double x);\n" + CALLBACK % (HOOK % 'lt_print(ctx, "%g", helper(1)); return LT_OK;'))
    bench.build("wrong_default", DEFAULT)
    bench.build("wrong_thread", THREAD)
    bench.build("no_note", "int answer = 42;\n")
    plain = CALLBACK % (HOOK % "(void)ctx; return LT_OK;")
    (made / "all.map").write_text("{ local: *; };\n")
    bench.build("hidden_entry", plain, "-Wl,--version-script=made/all.map")
    bench.build("other_sizes", plain, "-fshort-enums")
    data = bytearray(rings.read_bytes())
    struct.pack_into("<III", data, data.index(b"lthost\0\0") + 8, 0, 99, 99)
    (made / "abi.so").write_bytes(data)
    (made / "cut_off.so").write_bytes(rings.read_bytes()[:3000])
    for name in ("everybodys.so", "others.so", "again.so"):
        shutil.copy(rings, made / name)
    (made / "everybodys.so").chmod(0o666)
    (made / "open").mkdir()
    shutil.copy(rings, made / "open")
    (made / "open").chmod(0o777)


def messages(bench):
    """name -> what lthost says."""
    def info(name):
        return bench.sh(f"lthost plugin info made/{name}.so", status=3)
    fit = "lthost fit -c config.yaml --trainer.enable_model_summary=false "
    outputs = {"no-note": info("no_note"), "cut-off": info("cut_off"), "undefined": info("undefined"), "hidden-entry": info("hidden_entry"),
               "world-writable": info("everybodys"), "open-folder": info("open/datamodule"), "wrong-default": info("wrong_default"),
               "other-sizes": info("other_sizes"), "abi": info("abi")}
    if os.geteuid() == 0 and bench.lthost.stat().st_uid != 12345:
        os.chown(bench.work / "made/others.so", 12345, -1)
        outputs["other-owner"] = info("others")
    outputs["shapes"] = bench.sh(fit + "--trainer.callbacks=false --model.features=3", status=3)
    outputs["no-reason"] = bench.sh(fit + "--trainer.callbacks=false --plugins made/no_reason.so --trainer.callbacks=Example", status=3)
    thread = bench.sh(fit + "--trainer.callbacks=false --plugins made/wrong_thread.so --trainer.logger=WrongThread --trainer.max_epochs=1")
    outputs["wrong-thread"] = thread[thread.index("warning:"):].split("\nrun folder")[0] + "\n"
    outputs["parameters"] = bench.sh(fit + "--model.hiden=8 --data.batch_size=0 --trainer.max_epoch=3 --trainer.val_check_interval=often", status=2)
    outputs["unknown-component"] = bench.sh(fit + "--model Perceptrn", status=2)
    outputs["ambiguous"] = bench.sh(fit + "--plugins made/again.so", status=2)
    outputs["relative-path"] = bench.sh("lthost plugin list", status=2, LTHOST_PLUGIN_PATH="build")
    found = bench.sh("lthost ckpt info lthost_logs/version_0/checkpoints/last.h5")
    outputs["state"] = "".join(line + "\n" for line in found.splitlines() if "/GoodEnough/" in line)
    return outputs


def plain(bench, text):
    """Without what differs from machine to machine: the folders, and the time."""
    for folder in (bench.work, os.path.realpath(bench.work)):
        text = text.replace(f"{folder}/", "")
    text = text.replace(f"{bench.lthost.parent}/", "<lthost>/build/release/")
    return re.sub(r"belongs to user \d+, neither to root nor to you \(\d+\)", "belongs to user 12345, neither to root nor to you (1000)", text)


def same(shown, said):
    shown, said = ([re.sub(r"\.so\+0x[0-9a-f]+", ".so+0x0", line) for line in text.splitlines()] for text in (shown, said))
    return len(shown) == len(said) and all(b.startswith(a[:-4]) if a.endswith(" ...") else a == b for a, b in zip(shown, said))


def block(name):
    return re.compile(rf"(<!-- output: {name} -->\n```text\n)(.*?)(```\n)", re.S)


def compare(bench, outputs, writing):
    shown = set(re.findall(r"<!-- output: ([\w-]+) -->", bench.guide))
    for name in sorted(shown - set(outputs) - {"other-owner"}):
        failures.append(f"no command makes the output {name}")
    for name, text in outputs.items():
        text, found = plain(bench, text), block(name).search(bench.guide)
        if not found:
            failures.append(f"{GUIDE} has no block for {name}:\n{text}")
        elif not same(found.group(2), text) and writing:
            bench.guide = bench.guide.replace(found.group(0), found.group(1) + text + found.group(3))
        elif not same(found.group(2), text):
            failures.append(f"{GUIDE} shows for {name}:\n{found.group(2)}and lthost says:\n{text}(tests/docs/check_examples.py --write mends it)")
    if writing:
        (bench.source / GUIDE).write_text(bench.guide, encoding="utf-8")


def main():
    arguments = [a for a in sys.argv[1:] if a != "--write"]
    source, lthost, work = (pathlib.Path(a).resolve() for a in arguments[:3])
    bench = Bench(source, lthost, work, arguments[3], arguments[4] if len(arguments) > 4 else None)
    train(bench)
    if not failures:
        make_broken(bench)
    if not failures:
        compare(bench, messages(bench), "--write" in sys.argv)
    for failure in failures:
        print(f"error: {failure}")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
