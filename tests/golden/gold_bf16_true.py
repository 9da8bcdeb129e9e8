"""bf16_true.bin: what PyTorch does with a model of bfloat16 (precision bf16-true): training, the optimizers one by one, clipping. See write()."""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gold_optimizers import Lion
from gold_train import LeNet

LOW, STEPS, BATCH, N = torch.bfloat16, 20, 8, 64  # N: whole vectors. In the rest of a tensor PyTorch rounds alpha * x of add once more
O = torch.optim
CASES = {  # the test has the same arguments, by name
    "sgd": (O.SGD, {"lr": 0.05}),
    "sgd.all": (O.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "sgd.dampening": (O.SGD, {"lr": 0.03, "momentum": 0.8, "dampening": 0.3, "maximize": True}),
    "adam": (O.Adam, {"lr": 1e-2}),
    "adam.amsgrad": (O.Adam, {"lr": 1e-2, "weight_decay": 0.02, "amsgrad": True}),
    "adamw": (O.AdamW, {"lr": 3e-2, "betas": (0.8, 0.95), "weight_decay": 0.1}),
    "nadam": (O.NAdam, {"lr": 1e-2, "betas": (0.8, 0.97), "weight_decay": 0.1}),
    "rmsprop": (O.RMSprop, {"lr": 1e-2, "weight_decay": 0.05}),
    "rmsprop.all": (O.RMSprop, {"lr": 2e-3, "alpha": 0.95, "momentum": 0.7, "centered": True, "eps": 1e-3}),
    "adagrad": (O.Adagrad, {"lr": 0.1, "lr_decay": 0.02, "weight_decay": 0.1}),
    "adadelta": (O.Adadelta, {"lr": 0.7, "rho": 0.95, "eps": 1e-4, "weight_decay": 0.05}),
    "lion": (Lion, {"lr": 3e-3, "betas": (0.95, 0.98), "weight_decay": 0.2}),
}


class Normed(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(294, 32), nn.Tanh(),
                         nn.Linear(32, 10))


def train(make, pixels, labels, optimizer):
    torch.manual_seed(42)
    model = make().to(LOW)
    optimizer = optimizer(model.parameters())
    losses, norms = [], []
    for step in range(STEPS):
        part = slice(step * BATCH, (step + 1) * BATCH)
        loss = F.cross_entropy(model((pixels[part].float() / 255).to(LOW)), labels[part])
        optimizer.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        losses.append(loss.item())
    return model, np.array(losses), np.array(norms)


def write(g):
    """pixels u8 (160, 1, 28, 28), labels i64 (160): a bright row at 2 label + 4, noise elsewhere; x = pixels / 255.
    <model>/loss, <model>/norm f64 (20), models lenet (Adam 1e-3) and normed (SGD 0.05, momentum 0.9), drawn with seed 42, gradients clipped to
    norm 1; normed/mean, normed/var: running statistics after the steps.
    start (64), grads (20, 64), <case>/param (20, 64), all bf16 as f32: the parameter after every step of an optimizer."""
    torch.set_num_threads(1)
    torch.manual_seed(5)
    labels = torch.randint(0, 10, (STEPS * BATCH,))
    pixels = torch.randint(0, 60, (STEPS * BATCH, 1, 28, 28), dtype=torch.uint8)
    for image, label in zip(pixels, labels):
        image[0, 2 * label + 4] += 190
    g.add("pixels", pixels)
    g.add("labels", labels)
    runs = {"lenet": (LeNet, lambda p: O.Adam(p, lr=1e-3)), "normed": (Normed, lambda p: O.SGD(p, lr=0.05, momentum=0.9))}
    for name, (make, optimizer) in runs.items():
        model, losses, norms = train(make, pixels, labels, optimizer)
        g.add(f"{name}/loss", losses)
        g.add(f"{name}/norm", norms)
        print(f"  {name}: {losses[0]:.4f} -> {losses[-1]:.4f}")
    g.add("normed/mean", model[1].running_mean.float())
    g.add("normed/var", model[1].running_var.float())
    start = torch.randn(N).to(LOW)
    grads = (torch.randn(STEPS, N) * torch.logspace(-3, 1, N)).to(LOW)
    grads[:, 6] = 0
    g.add("start", start.float())
    g.add("grads", grads.float())
    for name, (make, options) in CASES.items():
        p = start.clone().requires_grad_()
        optimizer, history = make([p], **options), []
        for grad in grads:
            p.grad = grad.clone()
            optimizer.step()
            history.append(p.detach().float().clone())
        g.add(f"{name}/param", torch.stack(history))


PART = ("bf16_true", write)
