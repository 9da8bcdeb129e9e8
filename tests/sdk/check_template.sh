#!/bin/sh
# Builds the model template as an author would: with CMake against the SDK's folder and against an installed package in a place it was
# not built for, and with the one cc line of its README. Runs its unit test; checks what the .so exports.
#     check_template.sh SDK_DIR WORK_DIR
set -eu
sdk=$1 work=$2
rm -rf "$work" && mkdir -p "$work"

fail() { echo "error: $*" >&2; exit 1; }
check_so() {
    names=$(nm -D --defined-only "$1" | awk '{print $3}')
    [ "$names" = lt_plugin_entry_v1 ] || fail "$1 exports: $names"
    readelf -n "$1" | grep -q lthost || fail "$1 has no lthost note"
    readelf -d "$1" | grep -q SONAME && fail "$1 has a SONAME"
    return 0
}
build() { # folder, cmake options
    dir=$1 && shift
    cp -r "$sdk/templates/model" "$dir"
    cmake -S "$dir" -B "$dir/build" -DCMAKE_C_FLAGS="-Werror -Wpedantic" "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; fail "configuring $dir"; }
    cmake --build "$dir/build" >>"$dir.log" 2>&1 || { cat "$dir.log"; fail "building $dir"; }
    (cd "$dir/build" && ctest --output-on-failure >>"$dir.log" 2>&1) || { cat "$dir.log"; fail "the unit test in $dir"; }
    check_so "$dir/build/my_model.so"
}

build "$work/by_folder" -DLTHOST_SDK="$sdk"

cmake -S "$sdk" -B "$work/sdk" -DCMAKE_INSTALL_PREFIX="$work/first" >"$work/sdk.log" 2>&1 || { cat "$work/sdk.log"; fail "configuring the SDK by itself"; }
cmake --install "$work/sdk" >>"$work/sdk.log" 2>&1 || { cat "$work/sdk.log"; fail "installing the SDK"; }
mv "$work/first" "$work/moved"
grep -rlF "$work/first" "$work/moved" && fail "the installed SDK holds the path it was installed to"
build "$work/by_package" -DCMAKE_PREFIX_PATH="$work/moved"

cp -r "$sdk/templates/model" "$work/by_line"
line=$(sed -n 's/^mkdir -p build && cc /cc /p' "$work/by_line/README.md" | sed "s|<lthost>/sdk|$sdk|")
[ -n "$line" ] || fail "README.md has no cc line"
(cd "$work/by_line" && mkdir build && sh -c "$line") || fail "$line"
check_so "$work/by_line/build/my_model.so"

if command -v pkg-config >/dev/null; then
    pc=$(dirname "$(find "$work/moved" -name lthost-sdk.pc)")
    flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags lthost-sdk)
    (cd "$work/by_line" && cc -std=c11 -fPIC -shared -fvisibility=hidden $flags -o build/by_pc.so my_model.c my_data.c) || fail "pkg-config flags: $flags"
    check_so "$work/by_line/build/by_pc.so"
fi
echo "the template builds in every way"
