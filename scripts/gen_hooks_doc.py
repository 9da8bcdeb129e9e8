#!/usr/bin/env python3
"""Makes docs/hooks.md from the table in sdk/include/lt/hooks.h.

    gen_hooks_doc.py            writes docs/hooks.md
    gen_hooks_doc.py --check    exit 1 if the committed file is not what would be written

The sequences below are written by hand, as the loops in host/trainer are; every hook of the table must stand in one of them, and every name
in them must be a hook of the table or a function of a component's struct. tests/e2e/test_hooks.py holds the same order against recorded runs.
"""
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
HEADER, DOCUMENT = "sdk/include/lt/hooks.h", "docs/hooks.md"
KINDS = {"D": "datamodule", "C": "callbacks", "M": "model"}
NOT_HOOKS = {"training_step", "validation_step", "test_step", "predict_step", "configure_optimizers", "configure", "forward", "step",
             "train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader", "example_input"}
PASS = """{indent}on_{stage}_model_eval
{indent}on_{stage}_start
{indent}on_{stage}_epoch_start
{indent}for each batch:
{indent}    on_before_batch_transfer
{indent}    on_after_batch_transfer
{indent}    on_{stage}_batch_start
{indent}    {step}
{indent}    on_{stage}_batch_end
{indent}on_{stage}_epoch_end
{indent}on_{stage}_end{note}
{indent}on_{stage}_model_train
"""


def evaluation(stage, step, indent="", note="                # epoch metrics are known"):
    return PASS.format(stage=stage, step=step, indent=indent, note=note)


FIT = """configure                                # makes modules and parameters
prepare_data
setup
train_dataloader, val_dataloader
configure_optimizers                     # what the configuration names beats it
on_fit_start
if there is a sanity check (num_sanity_val_steps, not when resuming):
    on_sanity_check_start
    the validation pass, on a few batches
    on_sanity_check_end
on_train_start
for each epoch:
    on_train_epoch_start                 # not when resuming inside this epoch
    for each batch:
        on_before_batch_transfer
        on_after_batch_transfer
        on_train_batch_start             # LT_SKIP ends the epoch
        training_step
        on_before_zero_grad              # first batch of an accumulation window; then gradients are cleared
        on_before_backward               # these two not when training_step reported no loss
        on_after_backward
        last batch of the window:
            on_before_optimizer_step
            configure_gradient_clipping  # or the trainer's clipping
            step                         # of the optimizer, then of a scheduler that is due
        on_train_batch_end
        if validation is due:
            on_validation_model_zero_grad
            the validation pass
    on_train_epoch_end                   # callbacks with LT_CALLBACK_LAST after the model
on_train_end
on_fit_end
teardown
"""
SETUP = "configure\nprepare_data\nsetup\n{loader}\n"
SEQUENCES = (
    ("fit", FIT),
    ("The validation pass", evaluation("validation", "validation_step")),
    ("validate", SETUP.format(loader="val_dataloader") + "the validation pass\nteardown\n"),
    ("test", SETUP.format(loader="test_dataloader") + evaluation("test", "test_step") + "teardown\n"),
    ("predict", SETUP.format(loader="predict_dataloader               # need not be there with --input")
     + evaluation("predict", "predict_step                     # or forward; rows of --input go through forward, without the batch hooks", note="")
     + "teardown\n"),
    ("After a failure", "on_exception                             # not after a signal, which is no failure\nteardown\n"),
)
HEAD = """# Hooks

Made by `scripts/gen_hooks_doc.py` from `sdk/include/lt/hooks.h`; do not edit.

All hooks have the form `lt_status hook(lt_ctx *ctx, void *self)`. Names and order are those of PyTorch Lightning. Within a hook the datamodule
comes first, then the callbacks as the configuration lists them (those with `LT_CALLBACK_LAST` after the others), then the model; at
`on_train_epoch_end` the callbacks with `LT_CALLBACK_LAST` come after the model. The first failure ends the round and the run.
`on_exception` and `teardown` reach every component, whatever the ones before did.

## Sequences
"""


def hooks():
    with open(os.path.join(ROOT, HEADER), encoding="utf-8") as file:
        return re.findall(r'X\((\w+), "(\w+)", "([^"]*)"\)', file.read())


def check_sequences(table):
    names = {name for name, _, _ in table}
    text = "\n".join(re.sub(r"#.*", "", sequence) for _, sequence in SEQUENCES)
    shown = set(re.findall(r"\b(?:on_\w+|prepare_data|setup|teardown|configure_gradient_clipping)\b", text))
    steps = set(re.findall(r"\b(?:\w+_step|\w+_dataloader|configure_optimizers)\b", text)) - shown
    return [f"{name} stands in no sequence" for name in sorted(names - shown)] + [f"{name} is no hook" for name in sorted(shown - names)] \
        + [f"{name} is no function of a component" for name in sorted(steps - NOT_HOOKS)]


def document(table):
    text = HEAD
    for title, sequence in SEQUENCES:
        text += f"\n### {title}\n\n```text\n{sequence}```\n"
    text += "\n## All hooks\n\nIn the order of the hook structs.\n\n| | hook | who has it | when |\n|---|---|---|---|\n"
    for number, (name, kinds, when) in enumerate(table, 1):
        text += f"| {number} | `{name}` | {', '.join(KINDS[kind] for kind in kinds)} | {when} |\n"
    return text


def main():
    table = hooks()
    faults = check_sequences(table)
    path = os.path.join(ROOT, DOCUMENT)
    if not faults and "--check" not in sys.argv:
        with open(path, "w", encoding="utf-8") as file:
            file.write(document(table))
    elif not faults:
        with open(path, encoding="utf-8") as file:
            if file.read() != document(table):
                faults = [f"{DOCUMENT} is out of date; run scripts/gen_hooks_doc.py"]
    print("\n".join(faults) if faults else f"{DOCUMENT}: {len(table)} hooks")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
