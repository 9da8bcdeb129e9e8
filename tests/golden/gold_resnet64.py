"""resnet64.bin: 100 training steps of ResNet-18 (one input channel) in float64, batches of 8 real MNIST images, Adam 1e-4: with a low rate, as
differences grow with every step. See write()."""
import numpy as np
import torch
from torch.nn import functional as F

from gold_resnet import ResNet
from gold_train import load_mnist, mnist_folder

STEPS, BATCH = 100, 8


def losses_of(pixels, labels, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(42)
    model = ResNet().double()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = []
    for step in range(STEPS):
        part = slice(step * BATCH, (step + 1) * BATCH)
        loss = F.cross_entropy(model(pixels[part].double() / 255), labels[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def write(g):
    """pixels u8 (800, 1, 28, 28), the first 800 of the training set; x = pixels / 255; labels i64 (800); loss f64 (100), weights drawn in f32 with
    seed 42 and made double; drift f64 (100): the same run with two threads less this one, PyTorch's own noise."""
    x, labels = load_mnist(mnist_folder(), False)
    pixels = (x[:STEPS * BATCH] * 255).round().to(torch.uint8)
    labels = labels[:STEPS * BATCH]
    one, two = losses_of(pixels, labels, 1), losses_of(pixels, labels, 2)
    torch.set_num_threads(1)
    g.add("pixels", pixels)
    g.add("labels", labels)
    g.add("loss", one)
    g.add("drift", two - one)
    print(f"  first {one[0]:.12f}, last {one[-1]:.12f}; two threads differ by at most {np.abs((two - one) / one).max():.2g} relative")


PART = ("resnet64", write)
