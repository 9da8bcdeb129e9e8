#!/bin/sh
# steady.sh LTHOST DIR MODEL THREADS: fails unless 340 steady batches, logged and shown, make no allocation on the trainer thread.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
out=$(OMP_NUM_THREADS=$4 LD_PRELOAD=$2/libsteady_counter.so "$1" fit \
    --plugins "$2/steady_probe.so" --model "$3" --data Digits --data.batch_size=16 \
    --data.train_size=7000 --data.val_size=64 \
    --trainer.max_epochs=1 --trainer.log_every_n_steps=10 --trainer.callbacks+=SteadyProbe 2>&1) || { echo "$out"; exit 1; }
line=$(echo "$out" | grep 'steady allocations' || true)
echo "${line:-$out}"
case $line in
*"allocations: 0 in 340 batches"*) exit 0 ;;
esac
exit 1
