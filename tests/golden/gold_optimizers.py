"""optimizers.bin: every optimizer of the bundle over 100 steps on given gradients, in f32 and f64, with varied options.

    start (41), grads (100, 41) f32 (for f64 runs: the same numbers in f64). Element 5 gets zeros after step 10, element 6 only zeros.
    <case>/class, <case>/yaml   (u8) the class and its init_args
    <case>/f32, <case>/f64 (19, 41): the parameter after the steps `kept` (0 is the first); single-tensor path, as on CPU
Lion is not in PyTorch: written here from arXiv:2302.06675, algorithm 2.
lbfgs.<case>/...: see write_lbfgs.
"""
import numpy as np
import torch

N, STEPS = 41, 100
KEPT = [*range(10), *range(19, 100, 10)]


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = (m * b1 + p.grad * (1 - b1)).sign()
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


O = torch.optim
CASES = {  # class, keyword arguments
    "sgd": (O.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": (O.Adam, {"lr": 1e-2, "weight_decay": 0.02, "amsgrad": True}),
    "adamw": (O.AdamW, {"lr": 3e-3, "betas": (0.8, 0.95)}),
    "nadam": (O.NAdam, {}),
    "nadam.l2": (O.NAdam, {"lr": 1e-2, "betas": (0.8, 0.97), "weight_decay": 0.1, "momentum_decay": 0.05}),
    "nadam.decoupled": (O.NAdam, {"lr": 5e-3, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    "rmsprop": (O.RMSprop, {}),
    "rmsprop.centered": (O.RMSprop, {"lr": 1e-3, "alpha": 0.9, "centered": True, "eps": 1e-4}),
    "rmsprop.momentum": (O.RMSprop, {"lr": 1e-3, "momentum": 0.9, "weight_decay": 0.05}),
    "rmsprop.all": (O.RMSprop, {"lr": 2e-3, "alpha": 0.95, "momentum": 0.7, "centered": True, "weight_decay": 0.01, "eps": 1e-3, "maximize": True}),
    "adagrad": (O.Adagrad, {}),
    "adagrad.decay": (O.Adagrad, {"lr": 0.1, "lr_decay": 0.02, "weight_decay": 0.1, "initial_accumulator_value": 0.3, "eps": 1e-6, "maximize": True}),
    "adadelta": (O.Adadelta, {}),
    "adadelta.all": (O.Adadelta, {"lr": 0.7, "rho": 0.95, "eps": 1e-4, "weight_decay": 0.05, "maximize": True}),
    "lion": (Lion, {"lr": 1e-3}),
    "lion.decay": (Lion, {"lr": 3e-3, "betas": (0.95, 0.98), "weight_decay": 0.2}),
}


def yaml(options):
    def value(v):
        return str(v).lower() if isinstance(v, bool) else "[" + ", ".join(map(repr, v)) + "]" if isinstance(v, tuple) else repr(v)

    return ", ".join(f"{k}: {value(v)}" for k, v in options.items())


def run(make, options, start, grads, dtype):
    p = start.to(dtype).clone().requires_grad_()
    optimizer = make([p], **options)
    history = []
    for g in grads:
        p.grad = g.to(dtype).clone()
        optimizer.step()
        history.append(p.detach().clone())
    return torch.stack([history[k] for k in KEPT])


def write_optimizers(g):
    torch.manual_seed(11)
    start = torch.randn(N)
    grads = torch.randn(STEPS, N) * torch.logspace(-3, 1, N)
    grads[10:, 5] = 0
    grads[:, 6] = 0
    g.add("kept", np.array(KEPT))
    g.add("start", start)
    g.add("grads", grads)
    for name, (make, options) in CASES.items():
        g.text(f"{name}/class", make.__name__)
        g.text(f"{name}/yaml", yaml(options))
        g.add(f"{name}/f32", run(make, options, start, grads, torch.float32))
        g.add(f"{name}/f64", run(make, options, start, grads, torch.float64))
    write_lbfgs(g)


LBFGS = {
    "fixed": {"lr": 0.5, "max_iter": 4, "history_size": 5},
    "wolfe": {"line_search_fn": "strong_wolfe", "max_iter": 5, "history_size": 6},
    "wolfe.defaults": {"line_search_fn": "strong_wolfe"},
    "wolfe.maximize": {"lr": 0.8, "line_search_fn": "strong_wolfe", "max_iter": 3, "max_eval": 6, "history_size": 3, "maximize": True},
}


def write_lbfgs(g):
    """lbfgs.<case>/{yaml, f64 (steps, 12), loss (steps), calls (steps)}: Rosenbrock's function in 12 variables from lbfgs.start, 20 steps: the
    parameters, the loss at the start of each step, evaluations so far. (In f32 small differences grow too fast to compare.)"""
    start = torch.linspace(-1.5, 1.2, 12, dtype=torch.float64)
    g.add("lbfgs.start", start)
    for name, options in LBFGS.items():
        p = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([p], **options)
        calls, history, losses, counts = [0], [], [], []

        def closure():
            optimizer.zero_grad()
            loss = (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum() * (-1 if options.get("maximize") else 1)
            loss.backward()
            calls[0] += 1
            return loss

        for _ in range(20):
            losses.append(optimizer.step(closure).item())
            history.append(p.detach().clone())
            counts.append(calls[0])
        g.text(f"lbfgs.{name}/yaml", yaml(options))
        g.add(f"lbfgs.{name}/f64", torch.stack(history))
        g.add(f"lbfgs.{name}/loss", np.array(losses))
        g.add(f"lbfgs.{name}/calls", np.array(counts))
