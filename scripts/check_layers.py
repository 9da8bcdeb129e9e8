#!/usr/bin/env python3
"""Enforces the three include rules of docs/architecture.md and that the host names no shipped component.

    check_layers.py [ROOT]        prints offenders as file:line: reason; exit 1 if there are any
    check_layers.py --self-test   proves on made-up trees that every rule can fail

Reads #include lines and component macros by pattern; it is no C parser and does not see what macros make up.
"""
import os
import re
import sys
import tempfile

# Who may include whom: folder below host/ -> folders below host/ besides itself. A longer key wins over a shorter one.
ENGINE = ("engine/random", "engine/backends/backend.h", "engine/backends/rules", "engine/ops/ops.def")
TENSOR = ENGINE + ("engine/tensor",)
OPS = TENSOR + ("engine/ops",)
AUTOGRAD = OPS + ("engine/autograd",)
ALLOWED = {
    "base": (),
    "cli": ("base",),
    "config": ("base", "cli"),
    "registry": ("base", "cli", "config"),
    "launch": ("base", "cli", "config"),
    "checkpoint": ("base",),
    "trainer": ("base", "cli", "config", "registry", "launch", "checkpoint", "engine"),
    "engine": ("base",),  # files in the folder itself: the facade; may use all below
    "engine/random": ("base",),
    "engine/backends": ("base", "engine/ops/ops.def"),
    "engine/backends/rules": ("base",),
    "engine/backends/reference": ("base", "engine/backends/backend.h", "engine/backends/rules", "engine/backends/indices.h", "engine/ops/ops.def"),
    "engine/backends/cpu": ("base", "engine/backends/backend.h", "engine/backends/rules", "engine/backends/indices.h", "engine/ops/ops.def"),
    "engine/backends/cuda": ("base", "engine/backends/backend.h", "engine/backends/rules", "engine/ops/ops.def"),
    "engine/tensor": ("base",) + ENGINE,
    "engine/ops": ("base",) + TENSOR,
    "engine/autograd": ("base",) + OPS,
    "engine/nn": ("base",) + AUTOGRAD,
    "engine/optim": ("base", "engine/nn") + AUTOGRAD,
    "engine/data": ("base",) + AUTOGRAD,
    "engine/metrics": ("base",) + AUTOGRAD,
}
PLUGIN_FOLDERS = ("plugins", "callbacks", "loggers")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
COMPONENT = re.compile(r"\bLT_(?:MODEL|DATAMODULE|CALLBACK|LOGGER|OPTIMIZER|LR_SCHEDULER|METRIC)\s*\(\s*([A-Za-z]\w*)")


def sources(root, folder):
    """C files below root/folder, as paths relative to root, sorted."""
    found = []
    for where, folders, files in os.walk(os.path.join(root, folder)):
        folders[:] = [name for name in folders if not name.startswith((".", "build"))]
        found += [os.path.relpath(os.path.join(where, name), root) for name in files if name.endswith((".c", ".h", ".def", ".cu", ".cuh"))]
    return sorted(found)


def lines_of(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as stream:
        return stream.read().split("\n")


def includes(root, path):
    for number, line in enumerate(lines_of(root, path), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    """The longest key of ALLOWED that holds a path below host/."""
    keys = [key for key in ALLOWED if inside(path, key)]
    return max(keys, key=len) if keys else None


def resolve(root, path, target):
    """What a host file includes, as a path below host/; None if it is no file of ours."""
    for candidate in (os.path.join("host", target), os.path.join(os.path.dirname(path), target)):
        if os.path.exists(os.path.join(root, candidate)):
            return os.path.relpath(os.path.normpath(candidate), "host")
    first = target.split("/")[0]
    return target if first in {key.split("/")[0] for key in ALLOWED} else None


def may_include(layer, target):
    if layer == "engine":
        return inside(target, "engine") or inside(target, "base")
    if inside(target, layer) and layer_of(target) == layer:
        return True
    return any(inside(target, allowed) for allowed in ALLOWED[layer])


def check_host(root):
    for path in sources(root, "host"):
        here = os.path.relpath(path, "host")
        layer = layer_of(here)
        if layer is None:
            if os.path.dirname(here):
                yield f"{path}:1: folder host/{os.path.dirname(here)} has no rule; add it to scripts/check_layers.py and docs/architecture.md"
            continue  # host/main.c joins the stages
        for number, _, target in includes(root, path):
            full = resolve(root, path, target)
            if full is not None and full.startswith(".."):
                yield f"{path}:{number}: includes {target}, outside host/"
            elif full is not None and not may_include(layer, full):
                yield f"{path}:{number}: {layer}/ may not include {target} (docs/architecture.md: values flow right, calls go down)"


def check_plugins(root):
    hosts = {key.split("/")[0] for key in ALLOWED}
    for folder in PLUGIN_FOLDERS:
        for path in sources(root, folder):
            own = "/".join(path.split("/")[:2]) if path.count("/") > 1 else folder
            for number, kind, target in includes(root, path):
                local = os.path.normpath(os.path.join(os.path.dirname(path), target))
                ours = inside(local, own) or (folder == "plugins" and inside(local, "plugins/shared"))
                if kind == '"' and ours and os.path.exists(os.path.join(root, local)):
                    continue
                if kind == '"' or target.split("/")[0] in hosts | {"host"} or ".." in target:
                    yield f"{path}:{number}: includes {target}; plugins see only sdk/include, system headers, their own folder and plugins/shared"


def component_ids(root):
    """id -> the file that defines it."""
    ids = {}
    for folder in PLUGIN_FOLDERS:
        for path in sources(root, folder):
            for match in COMPONENT.finditer("\n".join(lines_of(root, path))):
                ids.setdefault(match.group(1), path)
    return ids


def check_ids(root):
    ids = component_ids(root)
    if not ids:
        return
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, sorted(ids))) + r")\b")
    for path in sources(root, "host"):
        for number, line in enumerate(lines_of(root, path), 1):
            for match in pattern.finditer(line):
                yield f"{path}:{number}: names component {match.group(1)} of {ids[match.group(1)]}; defaults belong in host/config/defaults.yaml"


def check(root):
    if not os.path.isdir(os.path.join(root, "host")):
        return [f"{root}: no host/ here"]
    return [*check_host(root), *check_plugins(root), *check_ids(root)]


CLEAN = {
    "host/main.c": '#include "trainer/fit.h"\n#include "cli/cli.h"\n',
    "host/base/error.h": "/* x */\n", "host/cli/cli.h": '#include "base/error.h"\n', "host/trainer/fit.h": '#include "engine/nn/module.h"\n',
    "host/config/bind.c": '#include "bind.h"\n#include "cli/cli.h"\n#include <yaml.h>\n', "host/config/bind.h": "\n",
    "host/engine/nn/module.h": '#include "engine/autograd/tape.h"\n', "host/engine/autograd/tape.h": '#include "engine/ops/ops.h"\n',
    "host/engine/ops/ops.h": '#include "engine/tensor/tensor.h"\n', "host/engine/tensor/tensor.h": '#include "engine/backends/backend.h"\n',
    "host/engine/backends/backend.h": '#include "engine/ops/ops.def"\n', "host/engine/ops/ops.def": "\n",
    "host/engine/backends/cpu/mm.c": '#include "engine/backends/backend.h"\n',
    "plugins/lenet/lenet.c": '#include <lt/model.h>\n#include "part.h"\nLT_MODEL(LeNet, lenet, "x");\n', "plugins/lenet/part.h": "\n",
    "callbacks/early.c": "#include <lt/callback.h>\nLT_CALLBACK(\n    EarlyStopping, early, \"x\");\n",
}
FAULTS = (  # file, text, what the complaint must contain
    ("host/cli/bad.c", '#include "config/bind.h"\n', "cli/ may not include config/bind.h"),
    ("host/base/bad.c", '#include "cli/cli.h"\n', "base/ may not include"),
    ("host/config/bad.c", '#include "trainer/fit.h"\n', "config/ may not include"),
    ("host/registry/bad.c", '#include "../trainer/fit.h"\n', "registry/ may not include"),
    ("host/checkpoint/bad.c", '#include "engine/tensor/tensor.h"\n', "checkpoint/ may not include"),
    ("host/engine/tensor/bad.c", '#include "engine/ops/ops.h"\n', "engine/tensor/ may not include"),
    ("host/engine/ops/bad.c", '#include "engine/autograd/tape.h"\n', "engine/ops/ may not include"),
    ("host/engine/ops/bad.c", '#include "engine/backends/cpu/own.h"\n', "engine/ops/ may not include"),
    ("host/engine/backends/cpu/bad.c", '#include "engine/tensor/tensor.h"\n', "engine/backends/cpu/ may not include"),
    ("host/engine/nn/bad.c", '#include "trainer/fit.h"\n', "engine/nn/ may not include"),
    ("host/extra/bad.c", "\n", "has no rule"),
    ("host/base/bad.c", '#include "../../plugins/lenet/part.h"\n', "outside host/"),
    ("plugins/lenet/bad.c", '#include "base/error.h"\n', "plugins see only"),
    ("plugins/lenet/bad.c", "#include <engine/tensor/tensor.h>\n", "plugins see only"),
    ("callbacks/bad.c", '#include "../plugins/lenet/part.h"\n', "plugins see only"),
    ("host/trainer/bad.c", "/* as LeNet does */\n", "names component LeNet"),
    ("host/trainer/bad.c", 'const char *x = "EarlyStopping";\n', "names component EarlyStopping"),
)


def plant(root, files):
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as out:
            out.write(text)


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as root:
        plant(root, CLEAN)
        failures += [f"complaint about a clean tree: {line}" for line in check(root)]
    for path, text, expected in FAULTS:
        with tempfile.TemporaryDirectory() as root:
            plant(root, {**CLEAN, path: text})
            found = check(root)
            if len(found) != 1 or expected not in found[0]:
                failures.append(f"{path} with {text!r}: expected one complaint with {expected!r}, got {found}")
    with tempfile.TemporaryDirectory() as root:
        plant(root, {**CLEAN, "host/trainer/ok.c": "int LeNets, my_EarlyStopping;\n", "host/config/defaults.yaml": "EarlyStopping\n"})
        failures += [f"complaint about a clean tree: {line}" for line in check(root)]
    return failures


def main():
    argument = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    found = self_test() if argument == "--self-test" else check(os.path.normpath(argument))
    for line in found:
        print(line)
    if not found and argument == "--self-test":
        print(f"check_layers: {len(FAULTS)} faults found as they should be")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
