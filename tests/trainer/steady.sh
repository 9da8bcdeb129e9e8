#!/bin/sh
# steady.sh LTHOST DIR MODEL THREADS: fails unless the steady batches, logged and shown, make no allocation on the trainer thread. Large
# models are watched for fewer batches: what grows with a step does so in each.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
lthost=$1 probe=$2 model=$3 threads=$4
from=60 to=400 batch=16 data=Digits
set --
case $model in
LSTMClassifier) to=160 ;;
CNN) from=20 to=60 ;;
ResNet)
    from=8 to=14 batch=4
    set -- --model.in_channels=1
    ;;
GPT) # text of its own, since tiny Shakespeare may be absent
    from=20 to=100 batch=4 data=TextFile
    i=0
    while [ $i -lt 1200 ]; do
        echo "To have $i apples, or not to have: that is line $i."
        i=$((i + 1))
    done >text.txt
    set -- --model.block_size=32 --model.n_layer=2 --model.n_head=4 --model.n_embd=64 --model.dropout=0.1 --data.block_size=32 --data.path=text.txt
    ;;
esac
[ $data = TextFile ] || set -- "$@" --data.train_size=$(((to + 10) * batch)) --data.val_size=64
out=$(OMP_NUM_THREADS=$threads LD_PRELOAD=$probe/libsteady_counter.so "$lthost" fit \
    --plugins "$probe/steady_probe.so" --model "$model" --data $data --data.batch_size=$batch "$@" \
    --trainer.max_epochs=1 --trainer.limit_train_batches=$((to + 5)) --trainer.limit_val_batches=2 --trainer.log_every_n_steps=10 \
    "--trainer.callbacks+={class_path: SteadyProbe, init_args: {from: $from, to: $to}}" 2>&1) || { echo "$out"; exit 1; }
line=$(echo "$out" | grep 'steady allocations' || true)
echo "${line:-$out}"
case $line in
*"allocations: 0 in $((to - from)) batches"*) exit 0 ;;
esac
exit 1
