"""resnet_gradients.bin: ResNet-18 with one input channel, batch 8 of real MNIST: the first loss and every gradient. See write()."""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

from gold_train import load_mnist
from goldfile import fnv1a


def conv3(i, o, stride=1):
    return nn.Conv2d(i, o, 3, stride, 1, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, i, width, stride, downsample):
        super().__init__()
        self.conv1, self.bn1 = conv3(i, width, stride), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv3(width, width), nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, i, width, stride, downsample):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv3(width, width, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, width * 4, 1, bias=False), nn.BatchNorm2d(width * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """torchvision's, statement by statement where the generator is drawn from."""

    LAYERS = {18: (BasicBlock, (2, 2, 2, 2)), 34: (BasicBlock, (3, 4, 6, 3)), 50: (Bottleneck, (3, 4, 6, 3))}

    def __init__(self, depth=18, channels=1, classes=10, small=False):
        super().__init__()
        block, counts = self.LAYERS[depth]
        self.inplanes = 64
        self.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False) if small else nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        for s in range(4):
            setattr(self, f"layer{s + 1}", self.stage(block, 64 << s, counts[s], 1 if s == 0 else 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def stage(self, block, width, count, stride):
        out, downsample = width * block.expansion, None
        if stride != 1 or self.inplanes != out:
            downsample = nn.Sequential(nn.Conv2d(self.inplanes, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        layers = [block(self.inplanes, width, stride, downsample)]
        self.inplanes = out
        return nn.Sequential(*layers, *(block(out, width, 1, None) for _ in range(1, count)))

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class CNN(nn.Module):
    """The network of PyTorch's MNIST example."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3, 1), nn.Conv2d(32, 64, 3, 1)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.relu(self.fc1(torch.flatten(self.dropout1(x), 1)))
        return self.fc2(self.dropout2(x))


def write(g, mnist):
    """Seed 42, split 55000/5000 by Generator(42), shuffled batches of 8: x (8, 1, 28, 28), y (8); loss (f32), loss_f64 (in float64 from the same weights);
    init/<key>.fnv; grad/<key>: shape (5,) f64: sum, sum of absolutes, sum of squares, largest absolute value, sum of the gradient of the
    float64 run; slice/<key>: every step-th element, at most 512, f32; slice64/<key>: the same of the float64 run."""
    torch.set_num_threads(1)
    x, y = load_mnist(mnist, True)
    train, _ = random_split(TensorDataset(x, y), [55000, 5000], generator=torch.Generator().manual_seed(42))
    torch.manual_seed(42)
    model = ResNet()
    xb, yb = next(iter(DataLoader(train, batch_size=8, shuffle=True)))
    initial = {key: value.clone() for key, value in model.state_dict().items()}
    for key, value in initial.items():
        g.add(f"init/{key}.fnv", fnv1a(value))
    wide = ResNet().double()
    wide.load_state_dict(initial)
    g.add("x", xb)
    g.add("y", yb)
    losses = []
    for m, dtype in ((model, torch.float32), (wide, torch.float64)):
        loss = F.cross_entropy(m(xb.to(dtype)), yb)
        loss.backward()
        losses.append(loss.item())
    g.add("loss", np.float32(losses[0]))
    g.add("loss_f64", np.float64(losses[1]))
    exact = dict(wide.named_parameters())
    worst = 0.0
    for key, p in model.named_parameters():
        a, b = p.grad.flatten().double(), exact[key].grad.flatten()
        step = max(1, a.numel() // 512)
        g.add(f"grad/{key}", torch.stack([a.sum(), a.abs().sum(), (a * a).sum(), a.abs().max(), b.sum()]))
        g.add(f"slice/{key}", p.grad.flatten()[::step][:512])
        g.add(f"slice64/{key}", b[::step][:512])
        worst = max(worst, ((a - b).abs() / (1e-5 + 1.3e-6 * b.abs())).max().item())
    print(f"  loss {losses[0]:.7f}, in f64 {losses[1]:.7f}; f32 gradients against f64, in units of assert_close's tolerance: {worst:.2f}")
