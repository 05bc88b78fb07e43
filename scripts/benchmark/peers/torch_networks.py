"""MobileNet, MobileNetV2 and ResNet-50 in PyTorch, with Keras' weights.

Source: Howard et al. 2017, "MobileNets", table 1; Sandler et al. 2018,
"MobileNetV2", table 2; He et al. 2016, "Deep Residual Learning", table 1.
"""

import h5py
import torch
from torch import nn


def build(name: str, weights: str | None) -> tuple[nn.Sequential, int]:
    """Builds a network from images in [-1, 1] [n, 3, h, w] to [n, width]."""
    if name == "resnet50":
        return _ResNet50(), 2048
    maps, width = build_feature_maps(name, weights)
    return nn.Sequential(*maps, nn.AdaptiveAvgPool2d(1), nn.Flatten()), width


def build_feature_maps(
    name: str, weights: str | None
) -> tuple[nn.Sequential, int]:
    """Builds MobileNet 0.25 or V2 up to its last feature maps."""
    layers, width = (
        _build_mobilenet(0.25)
        if name == "mobilenet@0.25"
        else _build_mobilenet_v2()
    )
    network = nn.Sequential(*layers)
    if weights:
        _load_weights(network, weights)
    return network, width


class _Conv(nn.Module):
    """Convolution and batch norm, with the padding of TensorFlow."""

    def __init__(self, name, inputs, outputs, size=1, stride=1, groups=1,
                 relu=True):  # fmt: skip
        super().__init__()
        self.names = name
        # With stride 2, TensorFlow's SAME pads an even side at its end only.
        pad = (0, 1, 0, 1) if stride == 2 else (size // 2,) * 4
        self.pad = nn.ZeroPad2d(pad if size > 1 else 0)
        self.conv = nn.Conv2d(
            inputs, outputs, size, stride, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)
        self.relu = nn.ReLU6() if relu else nn.Identity()

    def forward(self, x):
        return self.relu(self.norm(self.conv(self.pad(x))))


class _Inverted(nn.Module):
    """An inverted residual block."""

    def __init__(self, name, inputs, outputs, stride, expansion):
        super().__init__()
        inner = inputs * expansion
        names = lambda part: (f"{name}_{part}", f"{name}_{part}_BN")  # noqa: E731
        parts = []
        if expansion > 1:
            parts.append(_Conv(names("expand"), inputs, inner))
        parts.append(
            _Conv(names("depthwise"), inner, inner, 3, stride, groups=inner)
        )
        parts.append(_Conv(names("project"), inner, outputs, relu=False))
        self.parts = nn.Sequential(*parts)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.parts(x) if self.adds else self.parts(x)


def _build_mobilenet(alpha: float) -> tuple[list[nn.Module], int]:
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    plan += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    width = int(32 * alpha)
    layers = [_Conv(("conv1", "conv1_bn"), 3, width, 3, 2)]
    for number, (wanted, stride) in enumerate(plan, start=1):
        outputs = int(wanted * alpha)
        deep, point = f"conv_dw_{number}", f"conv_pw_{number}"
        layers.append(
            _Conv((deep, f"{deep}_bn"), width, width, 3, stride, groups=width)
        )
        layers.append(_Conv((point, f"{point}_bn"), width, outputs))
        width = outputs
    return layers, width


def _build_mobilenet_v2() -> tuple[list[nn.Module], int]:
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
    plan += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    layers, width, number = [_Conv(("Conv1", "bn_Conv1"), 3, 32, 3, 2)], 32, 0
    for expansion, outputs, count, stride in plan:
        for repeat in range(count):
            name = f"block_{number}" if number else "expanded_conv"
            step = stride if repeat == 0 else 1
            layers.append(_Inverted(name, width, outputs, step, expansion))
            width, number = outputs, number + 1
    layers.append(_Conv(("Conv_1", "Conv_1_bn"), width, 1280))
    return layers, 1280


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, inner: int, stride: int):
        super().__init__()
        outputs = 4 * inner
        self.parts = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.short = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.short = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x):
        return torch.relu(self.parts(x) + self.short(x))


class _ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]
        width = 64
        for inner, count, stride in (
            (64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2),
        ):  # fmt: skip
            for repeat in range(count):
                step = stride if repeat == 0 else 1
                layers.append(_Bottleneck(width, inner, step))
                width = 4 * inner
        self.layers = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def forward(self, x):
        return self.layers(x)


def _load_weights(network: nn.Module, path: str) -> None:
    with h5py.File(path) as file, torch.no_grad():
        for block in network.modules():
            if isinstance(block, _Conv):
                conv, norm = (_read_arrays(file, name) for name in block.names)
                kernel = torch.tensor(conv[0])
                # Keras: height, width, inputs (or channels), outputs (or 1).
                order = (2, 3, 0, 1) if block.conv.groups > 1 else (3, 2, 0, 1)
                block.conv.weight.copy_(kernel.permute(*order))
                for ours, theirs in zip(
                    (block.norm.weight, block.norm.bias,
                     block.norm.running_mean, block.norm.running_var),
                    norm, strict=True,
                ):  # fmt: skip
                    ours.copy_(torch.tensor(theirs))


def _read_arrays(file: h5py.File, layer: str) -> list:
    group = file[layer]
    return [group[name][()] for name in group.attrs["weight_names"]]
