#!/usr/bin/env python3
"""Compiles the SDK's headers as authors will: alone and together, C99 to C2x, C++11 to C++20, gcc and clang, with strict warnings as errors.

    check_headers.py SDK_DIR

Also: the template and a plugin that uses every form, mistakes that must not compile (and what the compiler must then say), and the layout lock.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
C, CXX = ["c99", "c11", "c17", "c2x"], ["c++11", "c++14", "c++17", "c++20"]
COMPILERS = [(c, cxx) for c, cxx in (("gcc", "g++"), ("clang", "clang++")) if shutil.which(c) and shutil.which(cxx)]
HEAD = "#include <lt/model.h>\n#include <lt/callback.h>\n"
PLUGIN = 'LT_PLUGIN("org.x", "1", callback(A));\n'
HOOK = "static lt_status hook(lt_ctx *ctx, void *self) { (void)ctx; (void)self; return LT_OK; }\n"
# (name, source, what the compiler or linker must say)
MISTAKES = [
    ("a hook of the wrong type", HEAD + "static lt_status step(lt_ctx *ctx, void *self) { (void)ctx; (void)self; return 0; }\n"
     'LT_MODEL(A, lt_nothing, "A.", .training_step = step);\nLT_PLUGIN("org.x", "1", model(A));\n', "training_step"),
    ("a parameter of a type that is none", HEAD + 'typedef struct { int n; } t;\nLT_PARAMS(t, LT_PARAM(n, "1", "N."));\n' + HOOK
     + 'LT_CALLBACK(A, t, "A.", .setup = hook);\n' + PLUGIN, "n_must_be_int64_t_or_double"),
    ("a choice that is no enum", HEAD + 'typedef struct { int64_t n; } t;\nLT_PARAMS(t, LT_CHOICE(n, "a|b", "a", "N."));\n' + HOOK
     + 'LT_CALLBACK(A, t, "A.", .setup = hook);\n' + PLUGIN, "n_must_be_an_enum"),
    ("a kind that is none", HEAD + HOOK + 'LT_CALLBACK(A, lt_nothing, "A.", .setup = hook);\nLT_PLUGIN("org.x", "1", calback(A));\n',
     "LT_UNKNOWN_COMPONENT_KIND_calback"),
    ("a component without LT_PLUGIN", HEAD + "static lt_status hook(lt_ctx *ctx, void *self) { (void)self; return lt_ctx_status(ctx); }\n"
     'LT_CALLBACK(A, lt_nothing, "A.", .setup = hook);\nconst void *use(void);\nconst void *use(void) { return &lt_component_A; }\n',
     "one_file_must_say_LT_PLUGIN"),
    ("a component that is not there", HEAD + 'LT_PLUGIN("org.x", "1", callback(B));\n', "lt_component_B"),
]
failures = []


def compile_text(compiler, standard, text, include, *options):
    language = "c++" if standard.startswith("c++") else "c"
    command = [compiler, f"-std={standard}", "-x", language, *include, *options, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def expect_clean(what, result):
    if result.returncode:
        failures.append(f"{what}:\n{result.stderr[:2000]}")


def check_headers(sdk, include):
    headers = sorted(path.name for path in (sdk / "include/lt").glob("*.h"))
    together = "".join(f"#include <lt/{name}>\n" for name in headers)
    for c, cxx in COMPILERS:
        for compiler, standards in ((c, C), (cxx, CXX)):
            for standard in standards:
                for text in (together, "".join(reversed(together.splitlines(True)))):
                    expect_clean(f"all headers, {compiler} {standard}", compile_text(compiler, standard, text, include, "-fsyntax-only", *STRICT))
            for name in headers:
                text = f"#include <lt/{name}>\n#include <lt/{name}>\n"
                expect_clean(f"lt/{name} alone, {compiler} {standards[0]}", compile_text(compiler, standards[0], text, include, "-fsyntax-only", *STRICT))
        for standard in C:
            text = "#include <lt/testing.h>\nint main(void) { return 0; }\n"
            expect_clean(f"lt/testing.h, {c} {standard}", compile_text(c, standard, text, include, "-fsyntax-only", *STRICT))


def check_sources(sdk, include):
    c_files = sorted((sdk / "templates/model").glob("my_*.c")) + [HERE / "every_form.c"]
    for c, cxx in COMPILERS:
        for standard in C:
            for level in ("-O0", "-O2"):
                for path in c_files:
                    result = compile_text(c, standard, path.read_text(), include, level, "-c", "-o", "/dev/null", *STRICT)
                    expect_clean(f"{path.name}, {c} {standard} {level}", result)
        for standard in CXX:
            text = (HERE / "every_form.cpp").read_text()
            expect_clean(f"every_form.cpp, {cxx} {standard}", compile_text(cxx, standard, text, include, "-c", "-o", "/dev/null", *STRICT))


def check_mistakes(include):
    with tempfile.TemporaryDirectory() as folder:
        for c, _ in COMPILERS:
            for name, text, words in MISTAKES:
                options = ["-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,defs", "-o", f"{folder}/a.so"]
                result = compile_text(c, "c11", text, include, *options)
                if result.returncode == 0:
                    failures.append(f"{c} accepts {name}")
                elif words not in result.stderr:
                    failures.append(f"{c} on {name} does not say '{words}':\n{result.stderr[:1000]}")


def main():
    sdk = pathlib.Path(sys.argv[1]).resolve()
    include = ["-I", str(sdk / "include"), "-I", str(sdk / "testing")]
    if not COMPILERS:
        print("no compilers with both C and C++ here")
        return 77
    check_headers(sdk, include)
    check_sources(sdk, include)
    check_mistakes(include)
    for c, _ in COMPILERS:
        abi = subprocess.run([sys.executable, sdk / "abi/abi.py", "--check", "--cc", c], capture_output=True, text=True, check=False)
        if abi.returncode:
            failures.append(abi.stderr)
        lock = '#include <assert.h>\n' + "".join(f"#include <lt/{h.name}>\n" for h in sorted((sdk / "include/lt").glob("*.h")))
        lock += f'#include "{sdk}/abi/layout.inc"\n'
        expect_clean(f"the layout lock, {c}", compile_text(c, "c11", lock, include, "-fsyntax-only"))
    for failure in failures:
        print(f"error: {failure}")
    print(f"{len(failures)} failures with {', '.join(c for c, _ in COMPILERS)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
