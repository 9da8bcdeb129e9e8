#!/usr/bin/env python3
"""Checks what the documentation names: files, functions, and code that is shown.

    check_docs.py [ROOT]           prints offenders as file:line: reason; exit 1 if there are any
    check_docs.py --write [ROOT]   puts the files into the blocks that show them
    check_docs.py --self-test      proves on a made-up tree that every rule can fail

In README.md, docs/*.md and sdk/templates/*/README.md: a path in backticks or in a relative link that begins with a folder of the repository
exists; a word in backticks that begins with lt_, lth_ or LT_ occurs in the sources; a block after `<!-- file: PATH -->` equals that file.
It does not judge the prose, and does not run what is shown (tests/docs/check_examples.py does).
"""
import os
import re
import sys
import tempfile

SOURCES = ("host", "sdk", "plugins", "callbacks", "loggers", "bench", "tests")
CODE = (".c", ".h", ".def", ".cmake", ".txt", ".map", ".py", ".cpp", ".hpp")
TICKS = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
ANCHOR = re.compile(r"\]\(#([^)\s]+)\)")
NAME = re.compile(r"\b(?:lth?_\w+|LTH?_\w+)\b\*?")
SHOWN = re.compile(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```\n", re.S)
MADE = ("build/", "lthost_logs/", "data/", "checkpoints/")  # folders that a build or a run makes


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def documents(root):
    names = ["README.md", "CHANGELOG.md"] + [f"docs/{name}" for name in sorted(os.listdir(os.path.join(root, "docs"))) if name.endswith(".md")]
    return [name for name in names if os.path.exists(os.path.join(root, name))]


def words_of_sources(root):
    words = set()
    for folder in SOURCES:
        for where, folders, files in os.walk(os.path.join(root, folder)):
            folders[:] = [name for name in folders if not name.startswith((".", "__", "build"))]
            for name in files:
                if name.endswith(CODE):
                    words.update(NAME.findall(read(os.path.join(where, name))))
    return words


def top_folders(root):
    return {name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name)) and not name.startswith((".", "build"))}


def without_blocks(text):
    """Fenced blocks become blank, lines stay where they are."""
    return re.sub(r"^```.*?^```$", lambda m: re.sub(r"[^\n]", "", m.group(0)), text, flags=re.S | re.M)


def is_path(text, tops):
    first, slash, _ = text.partition("/")
    return bool(slash) and first in tops and not text.startswith(MADE) and not re.search(r"[\s<>*{}$|,:=()]|\.\.\.", text)


def headings(text):
    """Anchors as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", without_blocks(text), re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", title).lower()).replace(" ", "-") for title in titles}


def check_document(root, name, words, tops):
    text = read(os.path.join(root, name))
    anchors = headings(text)
    for number, line in enumerate(without_blocks(text).split("\n"), 1):
        for target in LINK.findall(line):
            if not os.path.exists(os.path.join(root, os.path.dirname(name), target)):
                yield f"{name}:{number}: link to {target}, which does not exist"
        for anchor in ANCHOR.findall(line):
            if anchor not in anchors:
                yield f"{name}:{number}: link to #{anchor}, and no heading has that name"
        for ticked in TICKS.findall(line):
            if is_path(ticked, tops) and not os.path.exists(os.path.join(root, ticked)):
                yield f"{name}:{number}: {ticked} does not exist"
            for word in NAME.findall(ticked):
                known = any(have.startswith(word[:-1]) for have in words) if word.endswith("*") else word in words
                if not known and not word.endswith("_"):
                    yield f"{name}:{number}: {word} occurs in no source"
    for match in SHOWN.finditer(text):
        number, path = text.count("\n", 0, match.start()) + 1, os.path.join(root, match.group(1))
        if not os.path.exists(path):
            yield f"{name}:{number}: {match.group(1)} does not exist"
        elif read(path) != match.group(2):
            yield f"{name}:{number}: the block differs from {match.group(1)}; run scripts/check_docs.py --write"


def check(root):
    words, tops = words_of_sources(root), top_folders(root)
    return [line for name in documents(root) for line in check_document(root, name, words, tops)]


def write(root):
    for name in documents(root):
        path = os.path.join(root, name)
        before = read(path)

        def fill(match):
            head = match.group(0)[: match.start(2) - match.start(0)]
            return head + read(os.path.join(root, match.group(1))) + "```\n"
        after = SHOWN.sub(fill, before)
        if after != before:
            with open(path, "w", encoding="utf-8") as file:
                file.write(after)


FAULTS = (  # text of docs/a.md, what the complaint must contain; None: there must be none
    ("See `host/a.c`, `lt_good`, `lt_goo*` and [b](b.md), [c](#a-title).\n\n# A title\n", None),
    ("`build/x.so` and `host/<x>.c` are no paths to check.\n", None),
    ("`host/b.c`\n", "docs/a.md:1: host/b.c does not exist"),
    ("\n`lt_bad(ctx)`\n", "docs/a.md:2: lt_bad occurs in no source"),
    ("[x](nowhere.md)\n", "nowhere.md"),
    ("[x](#nowhere)\n", "no heading"),
    ("<!-- file: host/a.c -->\n```c\nint lt_good;\n```\n", None),
    ("<!-- file: host/a.c -->\n```c\nint other;\n```\n", "differs from host/a.c"),
)


def self_test():
    for text, expected in FAULTS:
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "docs"))
            os.makedirs(os.path.join(root, "host"))
            for path, content in (("host/a.c", "int lt_good;\n"), ("docs/b.md", ""), ("docs/a.md", text)):
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(content)
            found = check(root)
            if (expected is None and found) or (expected and not any(expected in line for line in found)):
                print(f"self-test: {text!r} gives {found}, expected {expected}")
                return 1
            write(root)
            if any("differs" in line for line in check(root)):
                print(f"self-test: --write does not mend {text!r}")
                return 1
    print(f"self-test: {len(FAULTS)} cases are right")
    return 0


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    if "--self-test" in sys.argv:
        return self_test()
    if "--write" in sys.argv:
        write(root)
    found = check(root)
    print("\n".join(found) if found else "the documentation names what there is")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
