"""Writes the golden data of lthost's tests from PyTorch. Run by hand when a case is added; the files are committed.

    scripts/python_env.sh torch && $LTHOST_VENV/bin/python tests/golden/generate.py [--only rng,init,ops,arith,index,losses,optim,train]

File format: goldfile.py; reader for C: golden.h. Tests read the files and never need Python. `meta/*` records are texts.
`<tensor>.fnv` is the FNV-1a 64 checksum of a tensor's raw bytes (gold_fnv1a). All integers are i64, all flags bool.

rng.bin    seed<S>/<what>, S in 0, 42, 2147483653, 1099511627783; every record follows a fresh manual_seed(S):
           rand_f32 rand_f64 (64), uniform_f32 U(-0.3, 0.7), randn_<n> n = 1..40 and 1000, normal_<n> N(1.5, 0.25),
           randn_f64_<n>, random_i64 (random_()), randint_10, randperm_<n>, randperm_55000.{first,last,fnv} (64 each),
           bernoulli53_<p> (see meta/note), mixed = cat(randn 3, rand 2, randn 1, randperm 5, randn 17, randn 2, rand 1,
           randn 1) without seeding between. randn of >= 16 elements is the AVX2/AVX-512 path of PyTorch (Cephes-style
           log and sincos polynomials); ATEN_CPU_CAPABILITY=default gives other last bits.
init.bin   <layer>/<state_dict key> after manual_seed(0) for each layer; sequential/<key>: one model, one seed.
ops_arith.bin  see gold_arith.py
ops_<group>.bin  see gold_ops.py: <op>.<variant>/{op,attrs,fattrs,in<i>,out0,gout0,gin<i>}
optim.bin  see gold_optim.py
resnet_gradients.bin  see gold_resnet.py
images.bin see gold_images.py
bpe.bin    see gold_bpe.py
recurrent.bin  see gold_recurrent.py
modules.bin  see gold_modules.py
train_{linear,lenet,lstm,autoencoder}.bin  seed 42, real MNIST, split 55000/5000 by Generator(42), shuffled batches of 64, Adam 1e-3:
           init/<key> (small ones) and init/<key>.fnv, split/{train,val}.{first,fnv}, batch{0,1,2}/{index,label} (index
           into the 60000), all_index.fnv (100 x 64), batch0/x0 and batch0/x.fnv (after normalization),
           loss (100 f32), loss_as_f64 (the same numbers), loss_f64_run (PyTorch in float64 from the same weights and
           batches: for judging drift), final/<key> (weights after 100 steps, where init/<key> is stored in full)
"""
import argparse
import os
import sys

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gold_rng  # noqa: E402
import gold_train  # noqa: E402
from gold_train import Absent, mnist_folder  # noqa: E402
from goldfile import GoldFile  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = {  # name: class, normalize, keys stored in full (None: all)
    "linear": (gold_train.LinearClassifier, True, ("fc1.bias", "fc2.weight", "fc2.bias")),
    "lenet": (gold_train.LeNet, True, None),
    "autoencoder": (gold_train.LitAutoEncoder, False,
                    ("encoder.0.bias", "encoder.2.weight", "encoder.2.bias", "decoder.0.weight", "decoder.0.bias", "decoder.2.bias")),
}


def save(name, fill):
    g = GoldFile(os.path.join(HERE, f"{name}.bin"))
    fill(g)
    g.write()


def write_ops():
    import gold_ops

    for group, fill in gold_ops.GROUPS.items():
        save(f"ops_{group}", fill)


def write_index():
    import gold_index

    save("ops_index", gold_index.write_index)


def write_losses():
    import gold_losses

    save("ops_losses", gold_losses.write_losses)


def write_optim():
    import gold_optim

    save("optim", gold_optim.write_optim)


def write_sched():
    import gold_sched

    save("sched", gold_sched.write_sched)


def write_optimizers():
    import gold_optimizers

    save("optimizers", gold_optimizers.write_optimizers)


def write_train():
    for name, (make, normalize, full) in MODELS.items():
        save(f"train_{name}", lambda g: gold_train.write_train(g, make, normalize, full, mnist_folder()))


def write_resnet():
    import gold_resnet

    save("resnet_gradients", lambda g: gold_resnet.write(g, mnist_folder()))


def write_attention():
    import gold_attention

    save("ops_attention", gold_attention.write_attention)


def write_arith():
    import gold_arith

    save("ops_arith", gold_arith.write_arith)


def write_images():
    import gold_images

    save("images", gold_images.write_images)


def write_recurrent():
    import gold_recurrent

    save("recurrent", gold_recurrent.write_recurrent)


def write_modules():
    import gold_modules

    save("modules", gold_modules.write_modules)


def write_lstm():
    save("train_lstm", lambda g: gold_train.write_train(g, gold_train.LSTMClassifier, True, ("fc.weight", "fc.bias"), mnist_folder()))
def write_gpt():
    import gold_gpt

    save("train_gpt", gold_gpt.write_gpt)


def write_bpe():
    import gold_bpe

    save("bpe", gold_bpe.write_bpe)


def write_low():
    import gold_low

    save("ops_low", gold_low.write_low)


PARTS = {
    "train_lstm": write_lstm,
    "modules": write_modules,
    "recurrent": write_recurrent,
    "rng": lambda: save("rng", gold_rng.write_rng),
    "init": lambda: save("init", gold_rng.write_init),
    "ops": write_ops,
    "arith": write_arith,
    "index": write_index,
    "losses": write_losses,
    "optim": write_optim,
    "optimizers": write_optimizers,
    "sched": write_sched,
    "train": write_train,
    "resnet": write_resnet,
    "attention": write_attention,
    "gpt": write_gpt,
    "low": write_low,


    "images": write_images,
    "bpe": write_bpe,
}


def discover():
    """Parts that a gold_*.py brings itself: PART = (name, fill), written to <name>.bin."""
    import glob
    import importlib

    for path in sorted(glob.glob(os.path.join(HERE, "gold_*.py"))):
        with open(path, encoding="utf-8") as source:
            if "\nPART = " in source.read():
                module = os.path.basename(path)[:-3]
                try:
                    name, fill = importlib.import_module(module).PART
                except ModuleNotFoundError as missing:
                    PARTS[module[len("gold_"):]] = lambda missing=missing: refuse(missing)
                    continue
                PARTS[name] = lambda name=name, fill=fill: save(name, fill)


def refuse(missing):
    raise missing


def write(part, wanted):
    """One part; False where a package or data it needs is absent. That ends the run only if the part was asked for by name."""
    try:
        PARTS[part]()
        return True
    except ModuleNotFoundError as missing:
        text = f"{part} needs the package {missing.name}: scripts/python_env.sh torch installs what all parts need"
    except Absent as missing:
        text = f"{part} needs {missing}"
    if wanted:
        sys.exit(text)
    print(f"skipped {text}", file=sys.stderr)
    return False


def main():
    discover()
    parser = argparse.ArgumentParser(description="Write the golden data of lthost's tests.")
    parser.add_argument("--only", help="comma-separated parts; default: all that this machine has what is needed for")
    torch.set_num_threads(1)
    only = parser.parse_args().only
    parts = only.split(",") if only else list(PARTS)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    skipped = [part for part in parts if not write(part, only)]
    if skipped:
        print(f"not written: {', '.join(skipped)}", file=sys.stderr)


if __name__ == "__main__":
    main()
