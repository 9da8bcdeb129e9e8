"""nn_layers.bin: torch.nn modules of lt/nn_layers.h, as tests/engine/test_nn_layers.c makes them.

<case>/init/<key> (state_dict after manual_seed(3)), x, y, gx (where x is a float), grad/<key>; the loss is sum(y * cos(index)).
"""
import torch
from torch import nn

CASES = (  # name, module, shape of x (None: indices)
    ("conv1d", lambda: nn.Conv1d(4, 6, 3), (2, 4, 11)),
    ("conv1d_options", lambda: nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2, bias=False), (3, 4, 13)),
    ("conv_transpose1d", lambda: nn.ConvTranspose1d(4, 6, 3), (2, 4, 7)),
    ("conv_transpose1d_options", lambda: nn.ConvTranspose1d(4, 6, 3, stride=3, padding=1, output_padding=2, groups=2, dilation=2), (2, 4, 7)),
    ("conv_transpose2d", lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (2, 4, 5, 6)),
    ("conv_transpose2d_options",
     lambda: nn.ConvTranspose2d(4, 2, (3, 2), stride=(2, 3), padding=(1, 2), output_padding=(1, 2), dilation=(1, 2), groups=2, bias=False), (2, 4, 5, 6)),
    ("max_pool1d", lambda: nn.MaxPool1d(3, stride=2, padding=1, ceil_mode=True), (2, 3, 12)),
    ("avg_pool1d", lambda: nn.AvgPool1d(3), (2, 3, 11)),
    ("avg_pool1d_options", lambda: nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False), (2, 3, 11)),
    ("adaptive_avg_pool1d", lambda: nn.AdaptiveAvgPool1d(4), (2, 3, 11)),
    ("adaptive_avg_pool2d", lambda: nn.AdaptiveAvgPool2d((3, 2)), (2, 3, 7, 5)),
    ("adaptive_max_pool2d", lambda: nn.AdaptiveMaxPool2d((2, 3)), (2, 3, 5, 7)),
    ("upsample", lambda: nn.Upsample(scale_factor=2), (2, 3, 4, 5)),
    ("upsample_bilinear", lambda: nn.Upsample(scale_factor=(2, 1.5), mode="bilinear"), (2, 3, 4, 5)),
    ("upsample_aligned", lambda: nn.Upsample(size=(7, 9), mode="bilinear", align_corners=True), (2, 3, 4, 5)),
    ("group_norm", lambda: nn.GroupNorm(2, 6), (3, 6, 5)),
    ("group_norm_bare", lambda: nn.GroupNorm(3, 6, eps=1e-3, affine=False), (3, 6, 5, 2)),
    ("instance_norm2d", lambda: nn.InstanceNorm2d(4), (2, 4, 5, 3)),
    ("instance_norm2d_affine", lambda: nn.InstanceNorm2d(4, eps=1e-3, affine=True), (2, 4, 5, 3)),
    ("rms_norm", lambda: nn.RMSNorm(9), (4, 3, 9)),
    ("rms_norm_bare", lambda: nn.RMSNorm(9, eps=1e-3, elementwise_affine=False), (4, 9)),
    ("layer_norm_over", lambda: nn.LayerNorm((3, 5)), (4, 2, 3, 5)),
    ("layer_norm_over_no_bias", lambda: nn.LayerNorm((3, 5), eps=1e-3, bias=False), (4, 3, 5)),
    ("embedding", lambda: nn.Embedding(7, 3), None),
    ("embedding_padding", lambda: nn.Embedding(7, 3, padding_idx=-2), None),
    ("softmax", lambda: nn.Softmax(dim=-1), (3, 7)),
    ("log_softmax", lambda: nn.LogSoftmax(dim=1), (3, 5, 4)),
    ("unflatten", lambda: nn.Unflatten(1, (2, -1, 2)), (3, 12, 2)),
)


def fill(gold):
    for name, make, shape in CASES:
        torch.manual_seed(3)
        module = make()
        following = torch.rand(3)  # as many draws as torch's
        for key, value in module.state_dict().items():
            gold.add(f"{name}/init/{key}", value.clone())
        gold.add(f"{name}/following", following)
        torch.manual_seed(11)
        x = torch.randn(*shape, requires_grad=True) if shape else torch.tensor([[0, 5, 3, 5], [6, 5, 0, 1]])
        y = module(x)
        if y.requires_grad:
            weights = torch.cos(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape)
            (y * weights).sum().backward()
        gold.add(f"{name}/x", x)
        gold.add(f"{name}/y", y)
        if shape:
            gold.add(f"{name}/gx", x.grad)
        for key, value in module.named_parameters():
            gold.add(f"{name}/grad/{key}", value.grad)


PART = ("nn_layers", fill)
