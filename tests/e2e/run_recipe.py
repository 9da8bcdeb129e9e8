#!/usr/bin/env python3
"""Runs a piece of Python from the documentation in a folder, and prints what it printed as JSON. Exit 77 without `h5py`.

    run_recipe.py RECIPE.py FOLDER
"""
import contextlib
import importlib.util
import io
import json
import os
import sys


def main():
    if not importlib.util.find_spec("h5py"):
        print("skipped: no h5py", file=sys.stderr)
        sys.exit(77)
    with open(sys.argv[1], encoding="utf-8") as file:
        code = compile(file.read(), sys.argv[1], "exec")
    os.chdir(sys.argv[2])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    print(json.dumps(printed.getvalue()))


if __name__ == "__main__":
    main()
