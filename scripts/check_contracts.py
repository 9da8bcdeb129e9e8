#!/usr/bin/env python3
"""Checks that every function of the SDK's headers says what it promises.

    check_contracts.py [ROOT]      prints offenders as file:line: reason; exit 1 if there are any
    check_contracts.py --self-test proves that every rule can fail

A public function (lt_..., static inline in sdk/include/lt/*.h) has a comment right above it, at the end of its line, or above the unbroken row of
functions that it stands in; and a thread ([trainer], [loader], [logger], [any], [setup]) in that comment, in the heading of its section
(`/* ---- ... ---- */`), or in the comment that opens the file. Whether the comment is true is for readers and tests.
"""
import os
import re
import sys

FUNCTION = re.compile(r"(?:LT_INLINE|static inline)\b.*?\b(lt_[a-z0-9]\w*)\(")
THREAD = re.compile(r"\[(?:trainer|loader|logger|any|setup)\]")
EXPLAINS_TAGS = "base.h"  # its opening comment lists all of them


def check_header(name, text):
    head = text[: text.find("*/")]
    of_file = bool(THREAD.search(head)) and name != EXPLAINS_TAGS
    of_section, comment, row, inside = False, "", False, False
    for number, line in enumerate(text.split("\n"), 1):
        start = line.strip()
        if inside or start.startswith("/*"):
            comment = (comment if inside else "") + start
            inside = "*/" not in start
            of_section = bool(THREAD.search(comment)) if "/* ----" in comment else of_section
            row = True
            continue
        match = FUNCTION.match(line)
        if match and not match.group(1).startswith("lt__"):
            own = line[line.rfind("}"):] if "/*" in line[line.rfind("}"):] else ""
            if not row and not own:
                yield f"{name}:{number}: {match.group(1)} has no comment"
            elif not (of_file or of_section or THREAD.search(comment) or THREAD.search(own)):
                yield f"{name}:{number}: {match.group(1)} does not say on which thread it may be called"
        elif not start or (not line.startswith((" ", "}")) and not match):
            row = False  # a blank line, a type, a macro: what follows needs a comment of its own


def check(root):
    folder = os.path.join(root, "sdk", "include", "lt")
    found = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            found += check_header(name, file.read())
    return found


HEAD = "/* lt/a.h - an example. */\n"
CASES = (  # text of a header, what the complaint must contain; None: there must be none
    (HEAD + "/* One. [any] */\nLT_INLINE int lt_one(void) { return 1; }\nLT_INLINE int lt_two(void) { return 2; }\n", None),
    (HEAD + "/* ---- all [trainer] ---- */\n/* One. */\nLT_INLINE int lt_one(void) {\n    return 1;\n}\nLT_INLINE int lt_two(void) { return 2; }\n", None),
    (HEAD + "\nLT_INLINE int lt_one(void) { return 1; } /* one [any] */\n", None),
    ("/* lt/a.h - an example. All: [trainer] */\n\n/* One. */\nLT_INLINE int lt_one(void) { return 1; }\n", None),
    (HEAD + "\nLT_INLINE int lt__one(void) { return 1; }\n", None),
    (HEAD + "\nLT_INLINE int lt_one(void) { return 1; }\n", "a.h:3: lt_one has no comment"),
    (HEAD + "/* One. [any] */\nLT_INLINE int lt_one(void) { return 1; }\n\nstatic inline int lt_two(void) { return 2; }\n", "a.h:5: lt_two has no comment"),
    (HEAD + "/* One. [any] */\ntypedef int lt_one;\nLT_INLINE int lt_two(void) { return 2; }\n", "lt_two has no comment"),
    (HEAD + "/* One. */\nLT_INLINE int lt_one(void) { return 1; }\n", "a.h:3: lt_one does not say on which thread"),
    (HEAD + "/* ---- a [any] ---- */\n/* ---- b ---- */\n/* One. */\nLT_INLINE int lt_one(void) { return 1; }\n", "lt_one does not say"),
)


def self_test():
    for text, expected in CASES:
        found = list(check_header("a.h", text))
        if (expected is None and found) or (expected and not any(expected in line for line in found)):
            print(f"self-test: {text!r} gives {found}, expected {expected}")
            return 1
    print(f"self-test: {len(CASES)} cases are right")
    return 0


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    if "--self-test" in sys.argv:
        return self_test()
    found = check(arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    print("\n".join(found) if found else "every function has its contract")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
