#!/usr/bin/env bash
# Installs what is missing, builds release and asan, runs all tests that need no GPU; the threaded parts under the thread
# sanitizer too. Ends with ctest's summary.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_deps.sh --test
if [ -z "${LTHOST_VENV:-}" ]; then
    export LTHOST_VENV="$HOME/.cache/lthost-venv"
fi
scripts/python_env.sh readers || echo "no Python readers: tests that need h5py or tensorboard will be reported as skipped"

for preset in release asan; do
    cmake --preset "$preset"
    cmake --build --preset "$preset"
done
failed=0
# threads that hand data over: loader workers, checkpoint writer, compute team
cmake --preset tsan
cmake --build --preset tsan --target tsan_tests
ctest --test-dir build/tsan --output-on-failure -L tsan || failed=1
ctest --test-dir build/asan --output-on-failure -j "$(nproc)" || failed=1
ctest --test-dir build/release --output-on-failure -j "$(nproc)" || failed=1
exit $failed
