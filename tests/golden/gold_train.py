"""train_*.bin: what PyTorch does in the first 100 training steps on real MNIST. See generate.py for the record names."""
import gzip
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

from goldfile import fnv1a

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = 100


class Absent(Exception):
    """What a part needs and this machine does not have."""


def mnist_folder():
    for root in (os.environ.get("LTHOST_DATA"), "data", os.path.join(HERE, "../../data"), os.path.join(HERE, "../../../shared/data")):
        if root and os.path.exists(os.path.join(root, "mnist", "train-images-idx3-ubyte.gz")):
            return os.path.join(root, "mnist")
    raise Absent("MNIST: set LTHOST_DATA to the folder that holds mnist/*.gz")


class LinearClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class LSTMClassifier(nn.Module):
    """Reads an image row by row; the last hidden state says what it is."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 128, batch_first=True)
        self.fc = nn.Linear(128, 10)

    def forward(self, x):
        return self.fc(self.lstm(x.squeeze(1))[0][:, -1])


class LitAutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 3))
        self.decoder = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 784))

    def forward(self, x):
        return self.decoder(self.encoder(x.flatten(1)))


def loss_of(model, x, y):
    out = model(x)
    return F.mse_loss(out, x.flatten(1)) if isinstance(model, LitAutoEncoder) else F.cross_entropy(out, y)


def read_idx(path):
    with gzip.open(path) as stream:
        blob = stream.read()
    shape = [int.from_bytes(blob[4 + 4 * d : 8 + 4 * d], "big") for d in range(blob[3])]
    return torch.from_numpy(np.frombuffer(blob, np.uint8, offset=4 + 4 * len(shape)).reshape(shape).copy())


def load_mnist(folder, normalize):
    """(60000, 1, 28, 28) f32 and labels, in torchvision's order of operations: /255, -mean, /std, each in f32."""
    x = read_idx(os.path.join(folder, "train-images-idx3-ubyte.gz")).unsqueeze(1).float().div(255)
    if normalize:
        x = x.sub(0.1307).div(0.3081)
    return x, read_idx(os.path.join(folder, "train-labels-idx1-ubyte.gz")).long()


def run(model, batches, dtype):
    """100 Adam steps; the losses as f64 (exact for an f32 run)."""
    model = model.to(dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for x, y in batches:
        loss = loss_of(model, x.to(dtype), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses, dtype=np.float64)


def write_train(g, make, normalize, full, mnist):
    """`full`: keys whose initial values are stored; every key has a checksum."""
    torch.set_num_threads(1)
    x, y = load_mnist(mnist, normalize)
    data = TensorDataset(x, y, torch.arange(len(x)))
    train, val = random_split(data, [55000, 5000], generator=torch.Generator().manual_seed(42))

    torch.manual_seed(42)
    model = make()
    loader = DataLoader(train, batch_size=64, shuffle=True, num_workers=0)
    batches, indices = [], []
    for xb, yb, at in loader:  # the iterator draws _base_seed, then the sampler its own seed, from the default generator
        batches.append((xb, yb))
        indices.append(at)
        if len(batches) == STEPS:
            break
    initial = {key: value.clone() for key, value in model.state_dict().items()}
    for key, value in initial.items():
        g.add(f"init/{key}.fnv", fnv1a(value))
        if full is None or key in full:
            g.add(f"init/{key}", value)
    g.add("split/train.first", np.array(train.indices[:64]))
    g.add("split/train.fnv", fnv1a(np.array(train.indices)))
    g.add("split/val.first", np.array(val.indices[:64]))
    g.add("split/val.fnv", fnv1a(np.array(val.indices)))
    for i in range(3):
        g.add(f"batch{i}/index", indices[i])
        g.add(f"batch{i}/label", batches[i][1])
    g.add("all_index.fnv", fnv1a(torch.stack(indices)))
    g.add("batch0/x0", batches[0][0][0])
    g.add("batch0/x.fnv", fnv1a(batches[0][0]))

    losses = run(model, batches, torch.float32)
    g.add("loss", losses.astype(np.float32))
    g.add("loss_as_f64", losses)
    for key, value in model.state_dict().items():
        if full is None or key in full:
            g.add(f"final/{key}", value)
    wide = make()
    wide.load_state_dict(initial)
    exact = run(wide, batches, torch.float64)
    g.add("loss_f64_run", exact)
    drift = np.abs(losses - exact) / exact
    print(f"  first {losses[0]:.7f} last {losses[-1]:.7f}; f32 against f64, relative: max {drift.max():.2e}", flush=True)
