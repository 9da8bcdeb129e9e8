"""modules.bin: torch.nn modules whole, as tests/engine/test_nn_recurrent.c and test_nn_attention.c make them: initial values from a seed, outputs,
gradients.

mha.<variant>: init/<key>, in_proj (what in_proj_weight is set to), q (k where it differs), masks, y, weights (where asked for), gq, gk, grad/<key>
encoder.<variant>: init/<key>, q, y, gq, grad/<key>; both: the loss is sum(y * cos(index)), dropout draws from seed 5
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
                gold.add(f"{case}/init/{key}", value.clone())
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


ATTENTION = (  # name, arguments of MultiheadAttention, of the call; masks are made in write_attention_modules
    ("self", {"batch_first": True}, {}), ("time", {}, {}), ("nobias", {"bias": False, "batch_first": True}, {}), ("cross", {"batch_first": True}, {}),
    ("padding", {"batch_first": True}, {"key_padding_mask": "bool"}), ("mask", {}, {"attn_mask": "float"}),
    ("both", {"batch_first": True}, {"key_padding_mask": "bool", "attn_mask": "bool"}), ("heads", {"batch_first": True}, {"attn_mask": "heads"}),
    ("mixed", {"batch_first": True}, {"key_padding_mask": "bool", "attn_mask": "float"}), ("weights", {"batch_first": True}, {"need_weights": True}),
    ("dropout", {"batch_first": True, "dropout": 0.3}, {}),
)
ENCODER = (
    ("post", {"batch_first": True, "dropout": 0.0}), ("pre", {"norm_first": True, "activation": "gelu", "dropout": 0.0}),
    ("dropped", {"batch_first": True, "norm_first": True, "dropout": 0.25}),
)


def write_attention_modules(gold):
    B, T, S, E, heads = 3, 5, 5, 8, 2
    for name, options, call in ATTENTION:
        case = f"mha.{name}"
        torch.manual_seed(3)
        module = torch.nn.MultiheadAttention(E, heads, **options)
        for key, value in module.state_dict().items():
            gold.add(f"{case}/init/{key}", value.clone())
        torch.manual_seed(11)
        with torch.no_grad():
            module.in_proj_weight.copy_(torch.randn(3 * E, E) * 0.4)
        keys = 4 if name == "cross" else S
        shape = (lambda n: (B, n, E)) if options.get("batch_first") else (lambda n: (n, B, E))
        q = torch.randn(shape(T), requires_grad=True)
        k = torch.randn(shape(keys), requires_grad=True) if name == "cross" else q
        given = dict(call)
        if "key_padding_mask" in call:
            given["key_padding_mask"] = torch.tensor([[False] * S, [False, False, True, False, True], [False] * 3 + [True] * 2])
            gold.add(f"{case}/key_padding_mask", given["key_padding_mask"])
        if "attn_mask" in call:
            hide = torch.triu(torch.ones(T, S, dtype=torch.bool), 1)
            mask = {"bool": hide, "float": torch.randn(T, S), "heads": torch.randn(B * heads, T, S)}[call["attn_mask"]]
            given["attn_mask"] = mask
            gold.add(f"{case}/attn_mask", mask)
            if name == "mixed":
                given["key_padding_mask"] = torch.zeros(B, S).masked_fill(given["key_padding_mask"], float("-inf"))
        given.setdefault("need_weights", False)
        torch.manual_seed(5)
        y, weights = module(q, k, k, **given)
        weighted(y).backward()
        gold.add(f"{case}/in_proj", module.in_proj_weight)
        gold.add(f"{case}/q", q)
        gold.add(f"{case}/y", y)
        gold.add(f"{case}/gq", q.grad)
        if name == "cross":
            gold.add(f"{case}/k", k)
            gold.add(f"{case}/gk", k.grad)
        if weights is not None:
            gold.add(f"{case}/weights", weights)
        for key, value in module.named_parameters():
            gold.add(f"{case}/grad/{key}", value.grad)
    for name, options in ENCODER:
        case = f"encoder.{name}"
        torch.manual_seed(3)
        module = torch.nn.TransformerEncoderLayer(E, heads, dim_feedforward=12, **options)
        for key, value in module.state_dict().items():
            gold.add(f"{case}/init/{key}", value.clone())
        torch.manual_seed(11)
        x = torch.randn((B, T, E) if options.get("batch_first") else (T, B, E), requires_grad=True)
        torch.manual_seed(5)
        y = module(x)
        weighted(y).backward()
        gold.add(f"{case}/q", x)
        gold.add(f"{case}/y", y)
        gold.add(f"{case}/gq", x.grad)
        for key, value in module.named_parameters():
            gold.add(f"{case}/grad/{key}", value.grad)


def write_modules(gold):
    write_recurrent_modules(gold)
    write_attention_modules(gold)
