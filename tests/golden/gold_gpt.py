"""train_gpt.bin: a GPT of nanoGPT's architecture, 4 layers of 128, its first 100 training steps in PyTorch, and a few under bf16 autocast.

    text (u8), the training text; samples are windows of 64 characters one after the other, batches of 8 in that order
    first/<key>.fnv, the initial weights after manual_seed(42); loss (100 f32), loss_bf16 (100 f32, torch.autocast bf16)
    AdamW lr 1e-4, weight decay 0.1 for matrices and embeddings only, betas 0.9 and 0.99: nanoGPT's two groups
"""
import numpy as np
import torch
from goldfile import fnv1a
from torch import nn
from torch.nn import functional as F

STEPS, BATCH, BLOCK, WIDTH, HEADS, LAYERS = 100, 8, 64, 128, 4, 4
WORDS = "the of and to in is that it was for on are as with his they at be this from have or by one had not but what all were".split()


def make_text():
    """Words in a fixed pseudo-random order, with punctuation: enough structure to learn something in 100 steps."""
    state, out = 1, []
    while sum(map(len, out)) < STEPS * BATCH * BLOCK + 1:
        state = (state * 1103515245 + 12345) % 2**31
        word = WORDS[(state >> 16) % len(WORDS)]
        out.append(word.capitalize() + " " if state >> 16 & 512 else word + (".\n" if state >> 16 & 256 else " "))
    return "".join(out)[: STEPS * BATCH * BLOCK + 1]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_attn = nn.Linear(WIDTH, 3 * WIDTH)
        self.c_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (part.view(b, t, HEADS, c // HEADS).transpose(1, 2) for part in self.c_attn(x).split(c, dim=2))
        return self.c_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).contiguous().view(b, t, c))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc = nn.Linear(WIDTH, 4 * WIDTH)
        self.gelu = nn.GELU()
        self.c_proj = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return self.c_proj(self.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.attn = Attention()
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.mlp = Mlp()

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Modules, ties and initial weights in the order of nanoGPT's model.py."""

    def __init__(self, vocabulary):
        super().__init__()
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(vocabulary, WIDTH), "wpe": nn.Embedding(BLOCK, WIDTH), "h": nn.ModuleList([Block() for _ in range(LAYERS)]),
            "ln_f": nn.LayerNorm(WIDTH)})
        self.lm_head = nn.Linear(WIDTH, vocabulary, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        self.apply(self.draw)
        for name, parameter in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / (2 * LAYERS) ** 0.5)

    @staticmethod
    def draw(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, x, y):
        h = self.transformer.wte(x) + self.transformer.wpe(torch.arange(x.shape[1]))
        for block in self.transformer.h:
            h = block(h)
        logits = self.lm_head(self.transformer.ln_f(h))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1), ignore_index=-1)


def train(text, low):
    """(model as it was drawn, losses)"""
    vocabulary = sorted(set(text))
    tokens = torch.tensor([vocabulary.index(c) for c in text])
    torch.manual_seed(42)
    model = GPT(len(vocabulary))
    first = {key: value.clone() for key, value in model.state_dict().items()}
    groups = [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.99))
    losses = []
    for step in range(STEPS):
        at = step * BATCH * BLOCK
        x, y = (tokens[at + shift : at + shift + BATCH * BLOCK].view(BATCH, BLOCK) for shift in (0, 1))
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            loss = model(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return first, losses


def write_gpt(gold):
    text = make_text()
    gold.add("text", np.frombuffer(text.encode(), np.uint8).copy())
    first, losses = train(text, False)
    for key, value in first.items():
        gold.add(f"first/{key}.fnv", fnv1a(value))
    gold.add("loss", np.array(losses, np.float32))
    gold.add("loss_bf16", np.array(train(text, True)[1], np.float32))
