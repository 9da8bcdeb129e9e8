#!/usr/bin/env python3
"""Keeps the ABI: writes and checks what is derived from the SDK's headers.

    abi.py --check [--cc gcc]   fails where a committed file is out of date, or where the ABI changed instead of growing
    abi.py --write [--cc gcc]   writes include/lt/has.h and abi/layout.inc anew; refuses to change or drop a line of layout.inc

has.h says for each wrapper in which table and slot its function lies (LT_HAS). layout.inc holds the offset of every field of every
public struct and the value of every public constant, as static assertions: a line once committed stays as it is, new ones come.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

SDK = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = SDK / "include"
HEADERS = ["base", "params", "component", "plugin", "hooks", "tensor", "indexing", "layers", "losses",
           "nn", "nn_layers", "autograd", "optim", "trainer", "data", "metric", "logger",
           "callback", "model"]
HAS_HEAD = """/* lt/has.h - LT_HAS(lt_f): the table and slot behind each function. Made by sdk/abi/abi.py from the wrappers; do not edit. */
#ifndef LT_HAS_H
#define LT_HAS_H
#include <lt/base.h>
"""
LAYOUT_HEAD = """/* layout.inc - the ABI as assertions: offsets of fields, values of constants (LP64). Made by sdk/abi/abi.py; lines are added, never
 * changed. A build that fails here would break plugins that were built before: append, do not reorder (docs: plugin ABI). */
"""


def wrappers():
    """(function, table, slot) of every wrapper, in the order of the headers."""
    found = {}
    inline = re.compile(r"(?:LT_INLINE|static inline LT_PRINTF\(\d, \d\))[^;{}]*?\b(lt_\w+)\([^{}]*?\) \{([^}]*)\}", re.S)
    macro = re.compile(r"#define (lt_\w+)\(ctx.*?\b(lt__?\w+)\(ctx, ", re.S)
    for header in HEADERS:
        text = (INCLUDE / "lt" / f"{header}.h").read_text()
        for name, body in inline.findall(text):
            slot = re.search(r"\blt__(\w+)->(\w+)\(", body)
            if slot and name not in found:
                found[name] = slot.groups()
        for name, target in macro.findall(text):
            if target in ("lt__sequential", "lt__module_list", "lt__residual"):  # loops over a list, then calls the wrapper
                target = f"lt_nn_{target[4:]}_of"
            if name not in found:
                found[name] = found[target]
    public = [(name, *where) for name, where in found.items() if not name.startswith("lt__")]
    return public


def has_header():
    lines = [f"#define LT__HAS_{name} LT__IN({table}, {slot})" for name, table, slot in wrappers()]
    return HAS_HEAD + "\n".join(lines) + "\n#endif\n"


def preprocessed(cc):
    source = "".join(f"#include <lt/{h}.h>\n" for h in HEADERS)
    run = subprocess.run([cc, "-std=c11", "-E", "-P", "-I", str(INCLUDE), "-"], input=source, capture_output=True, text=True, check=True)
    start = run.stdout.index("typedef int32_t lt_status;")  # what stands before is the C library's
    return run.stdout[start:]


def split_top(text, separator):
    """Splits at separators outside all brackets."""
    parts, depth, last = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "({[") - (c in ")}]")
        if c == separator and depth == 0:
            parts.append(text[last:i])
            last = i + 1
    return parts + [text[last:]]


def field_names(declaration):
    declaration = declaration.strip()
    if not declaration:
        return []
    nested = re.fullmatch(r"struct\s*\{(.*)\}\s*(\w+)", declaration, re.S)
    if nested:
        return [nested[2]]
    function = re.search(r"\(\s*\*\s*(\w+)\s*\)", declaration)
    if function:
        return [function[1]]
    return [re.search(r"(\w+)\s*(\[[^\]]*\])*\s*$", d.strip())[1] for d in split_top(declaration, ",")]


def matching(text, start):
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return i
    raise ValueError("unbalanced braces")


def facts(cc):
    text = preprocessed(cc)
    structs, constants = [], []
    for m in re.finditer(r"\bstruct (lt_[a-z]\w*)\s*\{", text):
        if m[1].startswith("lt__"):
            continue
        body = text[m.end():matching(text, m.end() - 1)]
        names = [name for d in split_top(body, ";") for name in field_names(d)]
        structs.append((m[1], names))
    for m in re.finditer(r"\benum\s*\{", text):
        body = text[m.end():matching(text, m.end() - 1)]
        constants += [n for n in (re.match(r"\s*(LT_\w+)", item) for item in split_top(body, ",")) if n]
    return structs, [c[1] for c in constants]


def layout_header(cc):
    structs, constants = facts(cc)
    lines = ["#include <stdio.h>"] + [f"#include <lt/{h}.h>" for h in HEADERS] + ["int main(void) {"]
    for name, fields in structs:
        for field in fields:
            place = f"offsetof(struct {name}, {field})"
            lines.append(f'printf("_Static_assert({place} == %zu, \\"{name}.{field} moved\\");\\n", {place});')
    for constant in constants:
        lines.append(f'printf("_Static_assert({constant} == %d, \\"{constant} changed\\");\\n", (int){constant});')
    lines.append("return 0; }")
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "facts.c"), pathlib.Path(folder, "facts")
        tables = "\n".join(f"const struct lt_{t}_api *lt__{t};" for t in ["base", "tensor", "autograd", "nn", "optim", "data", "trainer", "metric", "logger"])
        source.write_text("\n".join(lines) + "\n" + tables + "\n")
        subprocess.run([cc, "-std=c11", "-I", str(INCLUDE), "-o", str(program), str(source)], check=True)
        out = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return LAYOUT_HEAD + out


def assertions(text):
    return [line for line in text.splitlines() if line.startswith("_Static_assert")]


def broken(old, new):
    kept = set(assertions(new))
    return [line for line in assertions(old) if line not in kept]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--write", action="store_true")
    parser.add_argument("--cc", default="cc")
    args = parser.parse_args()

    has_path, layout_path = INCLUDE / "lt" / "has.h", SDK / "abi" / "layout.inc"
    if args.write and not has_path.exists():
        has_path.write_text(HAS_HEAD + "#endif\n")
    has = has_header()
    if args.write:
        has_path.write_text(has)
    elif not has_path.exists() or has_path.read_text() != has:
        sys.exit("error: include/lt/has.h is out of date; run sdk/abi/abi.py --write and commit it")

    layout = layout_header(args.cc)
    old = layout_path.read_text() if layout_path.exists() else ""
    changed = broken(old, layout)
    if changed:
        shown = "\n  ".join(changed[:20])
        sys.exit(f"error: {len(changed)} facts of the committed ABI no longer hold, so plugins built before would break:\n  {shown}\n"
                 "Append fields and functions at the end instead. If the break is meant (while the ABI is 0.N), raise LT_ABI_MINOR,\n"
                 "delete sdk/abi/layout.inc, run sdk/abi/abi.py --write and say why in docs/decisions.md")
    if args.write:
        layout_path.write_text(layout)
    elif layout != old:
        sys.exit("error: the ABI grew; run sdk/abi/abi.py --write and commit sdk/abi/layout.inc")
    print(f"{len(assertions(layout))} facts of the ABI hold, {len(wrappers())} functions")


if __name__ == "__main__":
    main()
