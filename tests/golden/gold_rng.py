"""rng.bin and init.bin: PyTorch's CPU generator and default initializations. See generate.py for the record names."""
import torch
from torch import nn

from goldfile import fnv1a

SEEDS = (0, 42, 2**31 + 5, 2**40 + 7)  # the engine sees seed & 0xffffffff
NORMAL_SIZES = list(range(1, 41)) + [1000]


def draws(g, seed):
    """Each record begins with a fresh manual_seed(seed), except those of `mixed`."""

    def put(name, make):
        torch.manual_seed(seed)
        g.add(f"seed{seed}/{name}", make())

    put("rand_f32", lambda: torch.rand(64))
    put("rand_f64", lambda: torch.rand(64, dtype=torch.float64))
    put("uniform_f32", lambda: torch.empty(64).uniform_(-0.3, 0.7))
    for n in NORMAL_SIZES:
        put(f"randn_{n}", lambda n=n: torch.randn(n))
    for n in (10, 40):
        put(f"normal_{n}", lambda n=n: torch.empty(n).normal_(1.5, 0.25))
        put(f"randn_f64_{n}", lambda n=n: torch.randn(n, dtype=torch.float64))
    put("random_i64", lambda: torch.empty(32, dtype=torch.int64).random_())
    put("randint_10", lambda: torch.randint(0, 10, (32,)))
    for n in (1, 2, 10, 1000):
        put(f"randperm_{n}", lambda n=n: torch.randperm(n))
    torch.manual_seed(seed)
    perm = torch.randperm(55000)
    g.add(f"seed{seed}/randperm_55000.first", perm[:64])
    g.add(f"seed{seed}/randperm_55000.last", perm[-64:])
    g.add(f"seed{seed}/randperm_55000.fnv", fnv1a(perm))
    for p in (0.5, 0.9):
        put(f"bernoulli53_{p}", lambda p=p: torch.rand(100, dtype=torch.float64) < p)
    torch.manual_seed(seed)
    parts = [torch.randn(3), torch.rand(2), torch.randn(1), torch.randperm(5).float(), torch.randn(17), torch.randn(2),
             torch.rand(1), torch.randn(1)]
    g.add(f"seed{seed}/mixed", torch.cat(parts))


def write_rng(g):
    g.text("meta/note", "bernoulli53_<p> is derived, not drawn: rand(100, f64) < p, the path of PyTorch on CPUs that are not "
           "Intel's. MKL wheels on Intel CPUs draw from another generator (VSL MCG31) and are left out.")
    g.text("meta/torch", f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}")
    for seed in SEEDS:
        draws(g, seed)


def write_init(g):
    layers = {
        "linear_784_128": lambda: nn.Linear(784, 128),
        "linear_4_2": lambda: nn.Linear(4, 2),
        "conv2d_1_6_5": lambda: nn.Conv2d(1, 6, 5),
        "conv2d_6_16_5": lambda: nn.Conv2d(6, 16, 5),
        "conv2d_4_8_3x1_groups2": lambda: nn.Conv2d(4, 8, (3, 1), groups=2),
        "batch_norm2d_4": lambda: nn.BatchNorm2d(4),
    }
    for name, make in layers.items():
        torch.manual_seed(0)
        for key, value in make().state_dict().items():
            g.add(f"{name}/{key}", value)
            g.add(f"{name}/{key}.fnv", fnv1a(value))
    torch.manual_seed(0)  # one after the other, from one generator
    model = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3, bias=False), nn.Linear(3, 2))
    for key, value in model.state_dict().items():
        g.add(f"sequential/{key}", value)
