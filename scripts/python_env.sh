#!/bin/sh
# Makes the Python environment of some tests and of bench/, outside the repository: python_env.sh [readers|torch]
#   readers  h5py, numpy, tensorboard: what reads lthost's files in tests/e2e
#   torch    these, PyTorch, torchvision, Lightning and tokenizers: golden data, comparisons, measurements
# Place: $LTHOST_VENV, else ~/.cache/lthost-venv. Run again it does nothing; `torch` extends an environment of `readers`.
# The last line it prints is the path of the interpreter. lthost itself never needs Python.
set -eu

flavour=${1:-readers}
venv=${LTHOST_VENV:-$HOME/.cache/lthost-venv}
readers="numpy==2.4.6 h5py==3.16.0 tensorboard==2.21.0"
torch="torch==2.15.0 torchvision==0.29.2 lightning==2.6.6 tokenizers==0.23.3"

case $flavour in
readers) wanted=$readers imports="numpy, h5py, tensorboard" ;;
torch) wanted="$readers $torch" imports="numpy, h5py, tensorboard, torch, torchvision, lightning, tokenizers" ;;
*) echo "usage: $0 [readers|torch]" >&2; exit 2 ;;
esac

stamp=$venv/.lthost-$flavour
python=$venv/bin/python
if [ -x "$python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    echo "$python"
    exit 0
fi
if [ ! -x "$python" ] && ! python3 -m venv "$venv" >&2; then
    rm -rf "$venv"
    echo "python_env: cannot make a virtual environment in $venv; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
if ! "$python" -c "import $imports" 2>/dev/null || [ -e "$stamp" ]; then
    # shellcheck disable=SC2086 # a list of words
    "$python" -m pip install --quiet --disable-pip-version-check $wanted >&2
fi
"$python" -c "import $imports" >&2
echo "$wanted" >"$stamp"
echo "$python"
