#!/usr/bin/env bash
# Installs what is missing, builds lthost, trains LeNet and tests it: on MNIST where its files are (LTHOST_DATA, data/), else on digits that
# the program draws itself. Ends with the accuracy, the checkpoint and the line to type next.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_deps.sh
echo "building; the first time takes about a minute"
cmake --preset release -DLTHOST_TESTS=OFF > build-demo.log 2>&1 || { cat build-demo.log; exit 1; }
cmake --build --preset release --target all > build-demo.log 2>&1 || { cat build-demo.log; exit 1; }
rm -f build-demo.log

config=configs/digits_lenet.yaml
for folder in "${LTHOST_DATA:-/nonexistent}/mnist" data/mnist; do
    if ls "$folder"/train-images* > /dev/null 2>&1; then
        config=configs/mnist_lenet.yaml
    fi
done

lthost=build/release/lthost
"$lthost" fit -c "$config"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$lthost" test -c "$config" --ckpt_path best 2>&1 | tee "$log"

checkpoint=$(sed -n 's/^.*checkpoint best: *//p' "$log" | head -n 1)
echo
echo "test accuracy: $(sed -n 's/^test_acc *//p' "$log" | head -n 1)"
echo "checkpoint:    $checkpoint"
echo "next:          $lthost predict -c $config --ckpt_path '$checkpoint'"
