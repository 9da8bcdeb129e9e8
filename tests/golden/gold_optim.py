"""optim.bin: PyTorch's optimizers over 100 steps on given gradients, and its schedulers over 60 epochs.

    start (37), grads (100, 37) f32: the same for every optimizer. Element 5 gets zeros after step 10, element 6 only zeros.
    <case>/op       "sgd" or "adam" (u8)
    <case>/attrs    i64 sgd [nesterov, maximize]; adam [decoupled, amsgrad, maximize]  (lt_sgd_args, lt_adam_args)
    <case>/fattrs   f64 sgd [lr, momentum, dampening, weight_decay]; adam [lr, beta1, beta2, eps, weight_decay]
    <case>/param    (100, 37) f32, the parameter after each step
    <case>/slot<i>  state after step 100: sgd 0 momentum_buffer; adam 0 exp_avg, 1 exp_avg_sq, 2 max_exp_avg_sq
    <case>/param_f64_run  (37) after step 100 of the same in float64: for judging drift
    step_lr.<v>/{fattrs [base_lr, gamma], attrs [step_size], lr (60) f64};  cosine.<v>/{fattrs [base_lr, eta_min], attrs [T_max], lr (60)}
lr[e] is the rate in use in epoch e: lr[0] before any scheduler step. PyTorch's chainable form. Single-tensor path, as on CPU.
"""
import numpy as np
import torch

N, STEPS, EPOCHS = 37, 100, 60

SGD = {  # lr, momentum, dampening, weight_decay, nesterov, maximize
    "sgd.plain": (0.1, 0, 0, 0, False, False), "sgd.momentum": (0.05, 0.9, 0, 0, False, False),
    "sgd.dampening": (0.05, 0.9, 0.3, 0, False, False), "sgd.nesterov": (0.05, 0.9, 0, 0, True, False),
    "sgd.wd": (0.1, 0, 0, 0.01, False, False), "sgd.nesterov_wd": (0.02, 0.8, 0, 0.05, True, False),
    "sgd.maximize": (0.05, 0.9, 0, 0.01, False, True),
}
ADAM = {  # lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize
    "adam.plain": (1e-3, 0.9, 0.999, 1e-8, 0, False, False, False), "adam.wd": (1e-3, 0.9, 0.999, 1e-8, 0.01, False, False, False),
    "adam.amsgrad": (1e-2, 0.9, 0.99, 1e-8, 0, False, True, False), "adam.betas": (3e-3, 0.4, 0.95, 1e-6, 0, False, False, False),
    "adam.maximize": (1e-3, 0.9, 0.999, 1e-8, 0.01, False, False, True),
    "adamw.plain": (1e-3, 0.9, 0.999, 1e-8, 0.01, True, False, False), "adamw.strong": (1e-2, 0.9, 0.95, 1e-8, 0.1, True, False, False),
    "adamw.amsgrad": (1e-3, 0.9, 0.999, 1e-8, 0.01, True, True, False),
}


def make_sgd(params, lr, momentum, dampening, decay, nesterov, maximize):
    return torch.optim.SGD(params, lr=lr, momentum=momentum, dampening=dampening, weight_decay=decay, nesterov=nesterov, maximize=maximize)


def make_adam(params, lr, beta1, beta2, eps, decay, decoupled, amsgrad, maximize):
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    return kind(params, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=decay, amsgrad=amsgrad, maximize=maximize)


def run(make, args, start, grads, dtype):
    p = start.to(dtype).clone().requires_grad_()
    optimizer = make([p], *args)
    history = []
    for g in grads:
        p.grad = g.to(dtype).clone()
        optimizer.step()
        history.append(p.detach().clone())
    return torch.stack(history), optimizer.state[p]


def write_case(g, name, make, args, start, grads, flags, numbers, keys):
    history, state = run(make, args, start, grads, torch.float32)
    g.text(f"{name}/op", "sgd" if make is make_sgd else "adam")
    g.add(f"{name}/attrs", np.array(flags, dtype=np.int64))
    g.add(f"{name}/fattrs", np.array(numbers, dtype=np.float64))
    g.add(f"{name}/param", history)
    for i, key in enumerate(keys):
        if state.get(key) is not None:
            g.add(f"{name}/slot{i}", state[key])
    g.add(f"{name}/param_f64_run", run(make, args, start, grads, torch.float64)[0][-1])


def rates(make, base):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
    scheduler = make(optimizer)
    out = []
    for _ in range(EPOCHS):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(out, dtype=np.float64)


def write_optim(g):
    torch.manual_seed(7)
    start = torch.randn(N)
    grads = torch.randn(STEPS, N) * torch.logspace(-3, 1, N)
    grads[10:, 5] = 0
    grads[:, 6] = 0
    g.add("start", start)
    g.add("grads", grads)
    for name, args in SGD.items():
        write_case(g, name, make_sgd, args, start, grads, args[4:], args[:4], ("momentum_buffer",))
    for name, args in ADAM.items():
        write_case(g, name, make_adam, args, start, grads, args[5:], args[:5], ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"))
    for base, size, gamma in ((0.1, 10, 0.1), (3e-4, 7, 0.5), (1.0, 1, 0.97)):
        name = f"step_lr.{size}_{gamma}"
        g.add(f"{name}/fattrs", np.array([base, gamma]))
        g.add(f"{name}/attrs", np.array([size]))
        g.add(f"{name}/lr", rates(lambda o, s=size, m=gamma: torch.optim.lr_scheduler.StepLR(o, s, m), base))
    for base, period, low in ((0.1, 60, 0.0), (3e-4, 20, 1e-5), (1.0, 7, 0.1)):
        name = f"cosine.{period}_{low}"
        g.add(f"{name}/fattrs", np.array([base, low]))
        g.add(f"{name}/attrs", np.array([period]))
        g.add(f"{name}/lr", rates(lambda o, t=period, low=low: torch.optim.lr_scheduler.CosineAnnealingLR(o, t, low), base))
