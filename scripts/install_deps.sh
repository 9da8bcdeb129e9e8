#!/usr/bin/env bash
# Installs what building lthost needs on Debian 12+ and Ubuntu 24.04+; does nothing where all of it is there. --test adds what tests use.
set -euo pipefail

packages=(gcc g++ cmake ninja-build pkg-config libc6-dev libyaml-dev libhdf5-dev libdnnl-dev libxxhash-dev zlib1g-dev libcurl4 ca-certificates)
packages+=(libjpeg-dev libpng-dev) # for some plugins, which are not built without
tests=(make clang libcmocka-dev hdf5-tools python3 python3-venv binutils gdb libclang-rt-dev)
if [ "${1:-}" = --test ]; then
    packages+=("${tests[@]}")
fi

if ! command -v apt-get > /dev/null; then
    echo "install_deps: no apt-get here; install by hand: ${packages[*]}" >&2
    exit 0
fi
missing=()
for package in "${packages[@]}"; do
    # Ubuntu 24.04 renamed some libraries for 64-bit time: libcurl4 is libcurl4t64
    if ! dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q 'ok installed' &&
        ! dpkg-query -W -f='${Status}' "${package}t64" 2> /dev/null | grep -q 'ok installed'; then
        missing+=("$package")
    fi
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
echo "installing: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
"${as_root[@]}" apt-get update -q
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"
