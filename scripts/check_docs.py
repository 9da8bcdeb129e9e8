#!/usr/bin/env python3
"""Checks what the documentation names: files, functions, and code that is shown.

    check_docs.py [ROOT]           prints offenders as file:line: reason; exit 1 if there are any
    check_docs.py --write [ROOT]   puts the files into the blocks that show them
    check_docs.py --self-test      proves on a made-up tree that every rule can fail

In README.md, docs/*.md and sdk/templates/*/README.md: a path in backticks or in a relative link that begins with a folder of the repository
exists, and so does a bare name of a C, Python or shell file somewhere; a word in backticks, or in a block without a language, that begins
with lt_, lth_ or LT_ occurs in the sources; a block after `<!-- file: PATH -->` equals that file; docs/architecture.md names every folder of
host/ that holds sources.
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
BARE = re.compile(r"[\w./-]+\.(?:c|h|def|py|sh)")
PLAIN = re.compile(r"^```\n(.*?)^```$", re.S | re.M)
SKIPPED = (".", "__", "build", "lthost_logs", "data")
MADE = ("build/", "lthost_logs/", "data/", "checkpoints/")  # folders that a build or a run makes


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def documents(root):
    names = ["README.md", "CHANGELOG.md"] + [f"docs/{name}" for name in sorted(os.listdir(os.path.join(root, "docs"))) if name.endswith(".md")]
    return [name for name in names if os.path.exists(os.path.join(root, name))]


class Tree:
    """What is in the repository: paths, folders at the top, words of the sources."""

    def __init__(self, root):
        self.root, self.words, self.files = root, set(), []
        for where, folders, files in os.walk(root):
            top = os.path.samefile(where, root)
            folders[:] = [name for name in folders if not name.startswith(SKIPPED[:3] if not top else SKIPPED)]
            self.files += [os.path.relpath(os.path.join(where, name), root) for name in files]
        self.tops = {path.split("/")[0] for path in self.files if "/" in path}
        for path in self.files:
            if path.startswith(tuple(f"{folder}/" for folder in SOURCES)) and path.endswith(CODE):
                self.words.update(NAME.findall(read(os.path.join(root, path))))

    def has_end(self, path):
        return any(f"/{file}".endswith(f"/{path}") for file in self.files)

    def knows(self, word):
        return word.endswith("_") or (any(w.startswith(word[:-1]) for w in self.words) if word.endswith("*") else word in self.words)


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


def check_line(tree, name, line, anchors):
    for target in LINK.findall(line):
        if not os.path.exists(os.path.join(tree.root, os.path.dirname(name), target)):
            yield f"link to {target}, which does not exist"
    for anchor in ANCHOR.findall(line):
        if anchor not in anchors:
            yield f"link to #{anchor}, and no heading has that name"
    for ticked in TICKS.findall(line):
        if is_path(ticked, tree.tops):
            if not os.path.exists(os.path.join(tree.root, ticked)):
                yield f"{ticked} does not exist"
        elif BARE.fullmatch(ticked) and not ticked.startswith(MADE) and not tree.has_end(ticked):
            yield f"{ticked} does not exist"
        for word in NAME.findall(ticked):
            if not tree.knows(word):
                yield f"{word} occurs in no source"


def check_blocks(tree, text):
    for match in PLAIN.finditer(text):
        for word in NAME.findall(match.group(1)):
            if not tree.knows(word):
                yield match.start(), f"{word} occurs in no source"
    for match in SHOWN.finditer(text):
        path = os.path.join(tree.root, match.group(1))
        if not os.path.exists(path):
            yield match.start(), f"{match.group(1)} does not exist"
        elif read(path) != match.group(2):
            yield match.start(), f"the block differs from {match.group(1)}; run scripts/check_docs.py --write"


def check_document(tree, name):
    text = read(os.path.join(tree.root, name))
    anchors = headings(text)
    for number, line in enumerate(without_blocks(text).split("\n"), 1):
        for fault in check_line(tree, name, line, anchors):
            yield f"{name}:{number}: {fault}"
    for at, fault in check_blocks(tree, text):
        yield f"{name}:{text.count(chr(10), 0, at) + 1}: {fault}"


def check_folders(tree):
    name = "docs/architecture.md"
    if name in tree.files:
        text = read(os.path.join(tree.root, name))
        for folder in sorted({os.path.dirname(path) for path in tree.files if path.startswith("host/") and path.endswith((".c", ".cu"))} - {"host"}):
            if f"`{folder}`" not in text:
                yield f"{name}:1: does not name {folder}"


def check(root):
    tree = Tree(root)
    return [line for name in documents(root) for line in check_document(tree, name)] + list(check_folders(tree))


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
    ("`a.c` and `b.c`\n", "docs/a.md:1: b.c does not exist"),
    ("```\nlt_bad -> lt_good\n```\n", "lt_bad occurs in no source"),
    ("```sh\nlt_bad\n```\n", None),
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
