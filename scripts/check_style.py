#!/usr/bin/env python3
"""Style rules that a formatter cannot hold: sizes, opening comments, banned functions, machine paths.

    check_style.py [ROOT]        prints offenders as file:line: reason; exit 1 if there are any
    check_style.py --self-test   proves on made-up files that every rule can fail

Rules: file <= 600 lines, function <= 100 lines (counted by braces), line <= 160 columns (tables in .def excepted), an opening
comment in every C, Python and shell file, no unbounded or thread-unsafe library calls, malloc and friends only in host/base and
outside the host, no machine's paths.
"""
import os
import re
import sys
import tempfile

MAX_FILE, MAX_FUNCTION, MAX_LINE = 600, 100, 160
CODE = (".c", ".h", ".def", ".cu", ".cuh")
SCRIPTS = (".py", ".sh")
TEXT = CODE + SCRIPTS + (".md", ".yaml", ".yml", ".cmake", ".txt", ".json", ".in")
SKIP = {".git", "lthost_logs", "__pycache__", ".venv"}
SKIP_TOP = {"data"}  # host/engine/data holds code
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atof|rand|localtime|gets)\s*\(")
MEMORY = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|free)\s*\(")
MEMORY_ALLOWED = ("host/base/", "plugins/", "callbacks/", "loggers/", "tests/", "sdk/testing/", "sdk/templates/", "bench/")
MACHINE = re.compile(r"(?<![\w.$}~/-])/(?:work|root|home)/")


def files_of(root):
    for where, folders, files in os.walk(root):
        skipped = SKIP | SKIP_TOP if where == root else SKIP
        folders[:] = sorted(name for name in folders if name not in skipped and not name.startswith("build"))
        for name in sorted(files):
            path = os.path.relpath(os.path.join(where, name), root)
            if path.endswith(TEXT) or os.path.dirname(path) == ".ci":
                yield path


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def strip_comments(text):
    """Comments, strings and characters become blanks, lines stay where they are."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def strip_directives(text):
    """Preprocessor lines become blank, and so does what stands between #else or #elif and #endif, so that braces match."""
    out, kept, continued = [], [], False
    for line in text.split("\n"):
        word = re.match(r"\s*#\s*(\w+)", line)
        if continued or word:
            if not continued:
                if word.group(1).startswith("if"):
                    kept.append(True)
                elif word.group(1).startswith("el") and kept:
                    kept[-1] = False
                elif word.group(1) == "endif" and kept:
                    kept.pop()
            continued = line.endswith("\\")
            out.append("")
        else:
            out.append(line if all(kept) else "")
    return "\n".join(out)


def functions(text):
    """(first line, length, name) of every function body at the outer level: a brace right after a closed parenthesis."""
    depth, parens, before = 0, 0, ""  # before: what stands since the last group of parentheses, or since the statement began
    name, named_at, start, line = "", 0, 0, 1
    for char in text:
        if char == "\n":
            line += 1
        if depth:
            depth += (char == "{") - (char == "}")
            if not depth:
                if start:
                    yield start, line - start + 1, name
                name, before = "", ""
        elif char == "(":
            if not parens:
                word = re.search(r"(\w+)\s*$", before)
                name, named_at, before = word.group(1) if word else "", line, ""
            parens += 1
        elif char == ")":
            parens = max(0, parens - 1)
        elif parens:
            continue
        elif char == "{" and not re.search(r"\bextern\s*$", before):  # extern "C", its string blanked, opens no level
            start = named_at if name and not re.search(r"[=]|\b(struct|union|enum)\b", before) else 0
            depth = 1
        elif char in ";}":
            name, before = "", ""
        elif char != "{":
            before += char


def opens_with_comment(path, lines):
    rest = lines[1:] if lines and lines[0].startswith("#!") else lines
    first = next((line.strip() for line in rest if line.strip()), "")
    return first.startswith(("/*", "//") if path.endswith(CODE) else ("#", '"""', "'''"))


def check_code(path, text):
    bare = strip_comments(text)
    for number, line in enumerate(bare.split("\n"), 1):
        for match in BANNED.finditer(line):
            yield f"{path}:{number}: {match.group(1)} is banned"
        if not path.startswith(MEMORY_ALLOWED):
            for match in MEMORY.finditer(line):
                yield f"{path}:{number}: {match.group(1)} outside host/base; use base/mem.h or an arena"
    for start, length, name in functions(strip_directives(bare)):
        if length > MAX_FUNCTION:
            yield f"{path}:{start}: function {name} has {length} lines, more than {MAX_FUNCTION}"


def check_file(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as stream:
        text = stream.read()
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if MACHINE.search(line):
            yield f"{path}:{number}: path of one machine"
        if path.endswith(CODE + SCRIPTS) and not path.endswith(".def") and len(line) > MAX_LINE:
            yield f"{path}:{number}: {len(line)} columns, more than {MAX_LINE}"
    if path.endswith(CODE + SCRIPTS):
        count = len(lines) - (lines[-1] == "")
        if count > MAX_FILE:
            yield f"{path}:1: {count} lines, more than {MAX_FILE}"
        if not opens_with_comment(path, lines):
            yield f"{path}:1: no opening comment (what it is, what it refuses to do)"
    if path.endswith(CODE):
        yield from check_code(path, text)


def check(root):
    return [line for path in files_of(root) for line in check_file(root, path)]


HEAD = "/* x.c - an example. */\n"
PLACE = "/" + "root" + "/x"  # taken apart, or this file would be an offender
LONG = "static int big(int x) {\n" + "    x++;\n" * 100 + "}\n"
FAULTS = (  # file, text, what the complaint must contain
    ("host/cli/x.c", "int x;\n", "no opening comment"),
    ("scripts/x.sh", "#!/bin/sh\nset -e\n", "no opening comment"),
    ("host/cli/x.c", HEAD + "int x;\n" * 600, "601 lines"),
    ("host/cli/x.c", HEAD + LONG, "function big has 102 lines"),
    ("host/cli/x.c", HEAD + "int small(void) { return '{'; }\n" + LONG, "host/cli/x.c:3: function big"),
    ("host/cli/x.c", HEAD + "#if A\nint f(int x) {\n#else\nint f(long x) {\n#endif\n" + "    x++;\n" * 120 + "}\n", "function f has"),
    ("host/cli/x.c", HEAD + "void f(char *a) { strcpy(a, \"x\"); }\n", "strcpy is banned"),
    ("plugins/a/x.c", HEAD + "int f(void) { return rand(); }\n", "rand is banned"),
    ("host/cli/x.c", HEAD + "void *f(void) { return malloc(3); }\n", "malloc outside host/base"),
    ("sdk/include/lt/x.h", HEAD + "void f(void *p) { free (p); }\n", "free outside host/base"),
    ("host/cli/x.c", HEAD + "int " + "x" * 160 + ";\n", "more than 160"),
    ("host/engine/data/x.c", HEAD + "int " + "x" * 160 + ";\n", "more than 160"),
    ("host/cli/x.c", HEAD + f"// {PLACE}\n", "path of one machine"),
    ("docs/x.md", f"see {PLACE}\n", "path of one machine"),
    ("configs/x.yaml", f"data_dir: {PLACE}\n", "path of one machine"),
)
GOOD = {
    "host/cli/x.c": HEAD + "/* no strcpy(a, b) here */ const char *s = \"malloc(1) } {\";\nint f(void) { return api->free(my_rand(snprintf(0, 0, s))); }\n"
                    + "A_MACRO(x)\nANOTHER(y)\n" + "int y;\n" * 100 + "LT_BEGIN(z)\nstruct s {\n" + "int a;\n" * 110 + "};\n"
                    + "static const int table[] = {\n" + "    1,\n" * 150 + "};\n",
    "host/base/mem.c": HEAD + "void *f(void) { return malloc(3); }\n", "plugins/a/x.c": HEAD + "void f(void *p) { free(p); }\n",
    "sdk/include/lt/x.h": HEAD + 'extern "C" {\n' + "int x;\n" * 120 + "}\n", "scripts/x.py": '#!/usr/bin/env python3\n"""x."""\n',
    "data/x.c": "", "docs/x.md": "../host/" + "work" + "/x and $HOME/" + "work" + "/\n",
}


def self_test():
    failures = []
    for files, expected in [(GOOD, None)] + [({path: text}, expected) for path, text, expected in FAULTS]:
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                    out.write(text)
            found = check(root)
        if expected is None:
            failures += [f"complaint about a clean tree: {line}" for line in found]
        elif len(found) != 1 or expected not in found[0]:
            failures.append(f"expected one complaint with {expected!r}, got {found}")
    return failures


def main():
    argument = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    found = self_test() if argument == "--self-test" else check(os.path.normpath(argument))
    for line in found:
        print(line)
    if not found and argument == "--self-test":
        print(f"check_style: {len(FAULTS)} faults found as they should be")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
