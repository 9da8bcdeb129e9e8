"""What is measured: for each work the torch model, its data, its optimizer, and lthost's configuration. Imports torch only when asked for a model.

Batch 64 of MNIST with Adam 1e-3, unless said otherwise:
  Linear32   Linear(32, 2), batch 1, SGD 0.1: almost nothing but the framework
  CNN        the network of PyTorch's own MNIST example
  ResNet18   torchvision's ResNet-18 for 1 channel and 10 classes on 1x28x28
  GPT        nanoGPT's architecture, 6 layers, 6 heads, 384 wide, context 256, batch 8, 65 characters, no dropout, AdamW; GPT_bf16: the same under autocast
  LSTM       one LSTM layer of 128 over the 28 rows of an image, Linear(128, 10)
"""
import os
import sys
from dataclasses import dataclass, field

import common

GOLDEN = os.path.join(common.ROOT, "tests", "golden")


@dataclass
class Work:
    config: str = ""                 # below configs/; none: bench/host_cost.c
    steps: int = 1000                # of lthost
    lightning_steps: int = 500
    batch: int = 64
    bf16: bool = False
    options: list = field(default_factory=list)  # lthost's, so that both do the same work
    images: bool = True              # MNIST: lthost gets the folder of plain IDX files
    large: bool = False              # a step takes milliseconds: measured with fewer of them


GPT = ["--model.block_size=256", "--model.n_layer=6", "--model.n_head=6", "--model.n_embd=384", "--model.dropout=0", "--data.block_size=256",
       "--data.batch_size=8", "--trainer.gradient_clip_val=null", "--trainer.val_check_interval=1.0"]
WORKS = {
    "LinearClassifier": Work("mnist_linear.yaml", 20000, 2000),
    "LitAutoEncoder": Work("mnist_autoencoder.yaml", 20000, 2000),
    "LeNet": Work("mnist_lenet.yaml", 3000, 500),
    "CNN": Work("mnist_cnn.yaml", 150, 60, large=True),
    "ResNet18": Work("mnist_resnet18.yaml", 80, 30, large=True),
    "LSTM": Work("mnist_lstm.yaml", 600, 150, options=["--trainer.gradient_clip_val=null"], large=True),
    "GPT": Work("shakespeare_gpt.yaml", 10, 10, batch=8, options=GPT, images=False, large=True),
    "GPT_bf16": Work("shakespeare_gpt.yaml", 10, 10, batch=8, bf16=True, options=GPT + ["--trainer.precision=bf16-mixed"], images=False, large=True),
    "Linear32": Work("", 500000, 3000, batch=1, images=False),
}


def characters(count=200000):
    """(x, y) of random windows of 65 characters: what is in them changes no step's cost."""
    import torch

    text = torch.randint(0, 65, (count,))
    starts = torch.randint(0, count - 257, (4096,))
    x = torch.stack([text[s : s + 256] for s in starts])
    return x, torch.stack([text[s + 1 : s + 257] for s in starts])


def load(work, idx):
    """(x, y) on which the work trains: 55,000 normalized images, 100,000 random rows, 4,096 windows of text."""
    import numpy as np
    import torch

    if work == "Linear32":
        return torch.randn(100000, 32), torch.zeros(100000)
    if work.startswith("GPT"):
        return characters()
    x = np.fromfile(os.path.join(idx, common.IDX[0]), np.uint8, 55000 * 784, offset=16).reshape(-1, 1, 28, 28)
    y = np.fromfile(os.path.join(idx, common.IDX[1]), np.uint8, 55000, offset=8)
    x = torch.from_numpy(x).float().div(255)
    return (x if work == "LitAutoEncoder" else x.sub(0.1307).div(0.3081)), torch.from_numpy(y).long()


def make(work):
    """(model, loss function of (model, x, y), batch size, optimizer of parameters)."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    sys.path.insert(0, GOLDEN)
    if work == "Linear32":
        return nn.Linear(32, 2), lambda m, x, y: m(x).sum(), 1, lambda p: torch.optim.SGD(p, lr=0.1)
    if work in ("LinearClassifier", "LitAutoEncoder", "LeNet"):
        import gold_train

        return getattr(gold_train, work)(), gold_train.loss_of, 64, lambda p: torch.optim.Adam(p, lr=1e-3)
    if work.startswith("GPT"):
        import gold_gpt

        gold_gpt.LAYERS, gold_gpt.HEADS, gold_gpt.WIDTH, gold_gpt.BLOCK = 6, 6, 384, 256
        model = gold_gpt.GPT(65)
        loss = lambda m, x, y: m(x, y)  # noqa: E731
        if WORKS[work].bf16:
            inner = loss

            def loss(m, x, y):
                with torch.autocast("cpu", torch.bfloat16):
                    return inner(m, x, y)
        return model, loss, 8, lambda p: torch.optim.AdamW(p, lr=3e-4)
    if work == "ResNet18":
        import gold_resnet

        model = gold_resnet.ResNet(18, 1, 10)
    elif work == "LSTM":
        class Rows(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm, self.fc = nn.LSTM(28, 128, batch_first=True), nn.Linear(128, 10)

            def forward(self, x):
                return self.fc(self.lstm(x.flatten(0, 1))[0][:, -1])

        model = Rows()
    else:
        model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
                              nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    return model, lambda m, x, y: F.cross_entropy(m(x), y), 64, lambda p: torch.optim.Adam(p, lr=1e-3)
