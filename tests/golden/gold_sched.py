"""sched.bin: PyTorch's learning-rate schedulers over 100 steps, on two parameter groups (rates 0.1 and 0.004).

    <case>/yaml   the init_args of the scheduler, as a flow-style YAML map (u8); <case>/class: its class
    <case>/lr     (101, 2) f64: the rates before any step and after each
    <case>/momentum (101, 2) f64, of cases that cycle it: SGD with momentum 0.9, or for <case>/adam Adam's first beta
    <case>/metric (100) f64: what ReduceLROnPlateau is shown
LinearWarmupLR is ours; its case is PyTorch's LambdaLR with the same straight line, then the cosine.
"""
import math

import numpy as np
import torch
from torch.optim import lr_scheduler as S

BASE, STEPS = (0.1, 0.004), 100


def make_optimizer(adam):
    params = [torch.zeros(1, requires_grad=True) for _ in BASE]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(params, BASE)]
    return torch.optim.Adam(groups) if adam else torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def momentum_of(group):
    return group["betas"][0] if "betas" in group else group["momentum"]


def write_case(g, name, class_path, yaml, make, metrics=None, adam=False, momentum=False):
    optimizer = make_optimizer(adam)
    scheduler = make(optimizer)
    rates, momenta = [], []
    for step in range(STEPS + 1):
        rates.append([group["lr"] for group in optimizer.param_groups])
        momenta.append([momentum_of(group) for group in optimizer.param_groups])
        optimizer.step()
        if step < STEPS:
            scheduler.step(*([metrics[step]] if metrics is not None else []))
    g.text(f"{name}/class", class_path)
    g.text(f"{name}/yaml", yaml)
    g.add(f"{name}/lr", np.array(rates, dtype=np.float64))
    if momentum:
        g.add(f"{name}/momentum", np.array(momenta, dtype=np.float64))
    if adam:
        g.add(f"{name}/adam", np.array(1))
    if metrics is not None:
        g.add(f"{name}/metric", np.array(metrics, dtype=np.float64))


def plain(g):
    cases = [
        ("step", "StepLR", "step_size: 7, gamma: 0.5", lambda o: S.StepLR(o, 7, 0.5)),
        ("multistep", "MultiStepLR", "milestones: [30, 50, 50, 80], gamma: 0.3", lambda o: S.MultiStepLR(o, [30, 50, 50, 80], 0.3)),
        ("constant", "ConstantLR", "factor: 0.25, total_iters: 9", lambda o: S.ConstantLR(o, 0.25, 9)),
        ("constant.defaults", "ConstantLR", "", S.ConstantLR),
        ("linear", "LinearLR", "start_factor: 0.01, end_factor: 0.8, total_iters: 33", lambda o: S.LinearLR(o, 0.01, 0.8, 33)),
        ("linear.defaults", "LinearLR", "", S.LinearLR),
        ("linear.down", "LinearLR", "start_factor: 1.0, end_factor: 0.0, total_iters: 100", lambda o: S.LinearLR(o, 1.0, 0.0, 100)),
        ("exponential", "ExponentialLR", "gamma: 0.97", lambda o: S.ExponentialLR(o, 0.97)),
        ("polynomial", "PolynomialLR", "total_iters: 60, power: 2.5", lambda o: S.PolynomialLR(o, 60, 2.5)),
        ("polynomial.defaults", "PolynomialLR", "", S.PolynomialLR),
        ("cosine", "CosineAnnealingLR", "T_max: 40, eta_min: 0.001", lambda o: S.CosineAnnealingLR(o, 40, 0.001)),
        ("restarts", "CosineAnnealingWarmRestarts", "T_0: 7, T_mult: 2, eta_min: 1e-4", lambda o: S.CosineAnnealingWarmRestarts(o, 7, 2, 1e-4)),
        ("restarts.same", "CosineAnnealingWarmRestarts", "T_0: 9", lambda o: S.CosineAnnealingWarmRestarts(o, 9)),
    ]
    for name, class_path, yaml, make in cases:
        write_case(g, name, class_path, yaml, make)


def cycles(g):
    for adam in (False, True):
        end = ".adam" if adam else ""
        write_case(g, f"cyclic{end}", "CyclicLR", "base_lr: 0.01, max_lr: 0.1, step_size_up: 13",
                   lambda o: S.CyclicLR(o, 0.01, 0.1, 13), adam=adam, momentum=True)
        write_case(g, f"cyclic.halves{end}", "CyclicLR",
                   "base_lr: [0.01, 0.002], max_lr: [0.1, 0.05], step_size_up: 10, step_size_down: 4, mode: triangular2, "
                   "base_momentum: 0.7, max_momentum: 0.95",
                   lambda o: S.CyclicLR(o, [0.01, 0.002], [0.1, 0.05], 10, 4, "triangular2", base_momentum=0.7, max_momentum=0.95),
                   adam=adam, momentum=True)
        write_case(g, f"one{end}", "OneCycleLR", "max_lr: [0.2, 0.01], total_steps: 100",
                   lambda o: S.OneCycleLR(o, [0.2, 0.01], 100), adam=adam, momentum=True)
        write_case(g, f"one.three{end}", "OneCycleLR",
                   "max_lr: 0.3, epochs: 10, steps_per_epoch: 12, pct_start: 0.4, anneal_strategy: linear, "
                   "three_phase: true, div_factor: 10, final_div_factor: 100",
                   lambda o: S.OneCycleLR(o, 0.3, epochs=10, steps_per_epoch=12, pct_start=0.4, anneal_strategy="linear", three_phase=True,
                                          div_factor=10.0, final_div_factor=100.0), adam=adam, momentum=True)
    write_case(g, "cyclic.exp", "CyclicLR", "base_lr: 0.01, max_lr: 0.1, step_size_up: 6, mode: exp_range, gamma: 0.98, cycle_momentum: false",
               lambda o: S.CyclicLR(o, 0.01, 0.1, 6, mode="exp_range", gamma=0.98, cycle_momentum=False))


def plateaus(g):
    noise = np.random.RandomState(3).rand(STEPS)
    falling = np.concatenate([2 * np.exp(-np.arange(30) / 8), 0.05 + 0.002 * noise[30:]])
    write_case(g, "plateau", "ReduceLROnPlateau", "patience: 3, factor: 0.4", lambda o: S.ReduceLROnPlateau(o, patience=3, factor=0.4), falling)
    write_case(g, "plateau.max", "ReduceLROnPlateau",
               "mode: max, patience: 2, cooldown: 5, threshold: 0.01, threshold_mode: abs, min_lr: [0.002, 0.001], factor: 0.5",
               lambda o: S.ReduceLROnPlateau(o, "max", 0.5, 2, 0.01, "abs", 5, [0.002, 0.001]), -falling)
    write_case(g, "plateau.nan", "ReduceLROnPlateau", "patience: 10, min_lr: 1e-5", lambda o: S.ReduceLROnPlateau(o, min_lr=1e-5),
               np.where(noise > 0.5, np.nan, falling))


def composites(g):
    def sequence(o):
        parts = [S.LinearLR(o, 0.1, 1.0, 10), S.CosineAnnealingLR(o, 50), S.ExponentialLR(o, 0.9)]
        return S.SequentialLR(o, parts, [10, 60])

    write_case(g, "sequential", "SequentialLR",
               "milestones: [10, 60], schedulers: [{class_path: LinearLR, init_args: {start_factor: 0.1, total_iters: 10}}, "
               "{class_path: torch.optim.lr_scheduler.CosineAnnealingLR, init_args: {T_max: 50}}, "
               "{class_path: ExponentialLR, init_args: {gamma: 0.9}}]", sequence)

    def restarts(o):
        return S.SequentialLR(o, [S.ConstantLR(o, 0.5, 4), S.CosineAnnealingWarmRestarts(o, 11, 2), S.StepLR(o, 5, 0.5)], [20, 70])

    write_case(g, "sequential.restarts", "SequentialLR",
               "milestones: [20, 70], schedulers: [{class_path: ConstantLR, init_args: {factor: 0.5, total_iters: 4}}, "
               "{class_path: CosineAnnealingWarmRestarts, init_args: {T_0: 11, T_mult: 2}}, "
               "{class_path: StepLR, init_args: {step_size: 5, gamma: 0.5}}]", restarts)
    write_case(g, "chained", "ChainedScheduler",
               "schedulers: [{class_path: ConstantLR, init_args: {factor: 0.1, total_iters: 20}}, {class_path: ExponentialLR, init_args: {gamma: 0.95}}, "
               "{class_path: MultiStepLR, init_args: {milestones: [40, 41]}}]",
               lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 20), S.ExponentialLR(o, 0.95), S.MultiStepLR(o, [40, 41])], o))

    def warm(step):
        return step / 20 if step <= 20 else (1 + math.cos(math.pi * (step - 20) / 80)) / 2

    write_case(g, "warmup", "LinearWarmupLR", "warmup_steps: 20, schedulers: [{class_path: CosineAnnealingLR, init_args: {T_max: 80}}]",
               lambda o: S.LambdaLR(o, warm))


def write_sched(g):
    plain(g)
    cycles(g)
    plateaus(g)
    composites(g)
    write_case(g, "lambda", "LambdaLR", "", lambda o: S.LambdaLR(o, lambda e: 0.95**e + 0.1 * (e % 3)))
    write_case(g, "multiplicative", "MultiplicativeLR", "", lambda o: S.MultiplicativeLR(o, lambda e: 0.9 + 0.1 * (e % 2)))
