"""modules.bin: torch.nn modules whole, as tests/engine/test_nn_recurrent.c and test_nn_attention.c make them: initial values from a seed, outputs,
gradients.

lstm.<variant>, gru.<variant>: init/<key> (all keys of state_dict after manual_seed(3)), x, h0, c0 (where given), y, h, c, loss gradients
grad/<key>, gx; the loss is sum(y * cos(index)) + sum(h) + sum(c).
"""
import torch

RECURRENT = (  # name, arguments, has initial state
    ("plain", {}, False), ("deep", {"num_layers": 3, "batch_first": True}, True), ("both", {"num_layers": 2, "bidirectional": True}, True),
    ("nobias", {"bias": False, "bidirectional": True, "batch_first": True}, False), ("dropout", {"num_layers": 3, "dropout": 0.4}, False),
)


def weighted(t):
    return (t * torch.cos(torch.arange(t.numel(), dtype=torch.float32)).reshape(t.shape)).sum()


def write_recurrent_modules(gold):
    for kind, make in (("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)):
        for name, options, state in RECURRENT:
            case = f"{kind}.{name}"
            torch.manual_seed(3)
            module = make(5, 6, **options)
            for key, value in module.state_dict().items():
                gold.add(f"{case}/init/{key}", value)
            copies = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
            torch.manual_seed(11)
            x = torch.randn(4, 3, 5, requires_grad=True)
            batch = x.shape[0] if options.get("batch_first") else x.shape[1]
            h0, c0 = torch.randn(copies, batch, 6), torch.randn(copies, batch, 6)
            given = (h0, c0) if kind == "lstm" else h0
            torch.manual_seed(5)
            y, last = module(x, given) if state else module(x)
            h, c = last if kind == "lstm" else (last, None)
            loss = weighted(y) + h.sum() + (c.sum() if c is not None else 0)
            loss.backward()
            gold.add(f"{case}/x", x)
            if state:
                gold.add(f"{case}/h0", h0)
                if kind == "lstm":
                    gold.add(f"{case}/c0", c0)
            gold.add(f"{case}/y", y)
            gold.add(f"{case}/h", h)
            if c is not None:
                gold.add(f"{case}/c", c)
            gold.add(f"{case}/gx", x.grad)
            for key, value in module.named_parameters():
                gold.add(f"{case}/grad/{key}", value.grad)


def write_modules(gold):
    write_recurrent_modules(gold)
