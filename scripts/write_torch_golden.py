"""Writes golden vectors of torchvision's networks for the tests.

Needs torch and torchvision, which nothing else here does:

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch torchvision
    /tmp/torch/bin/python scripts/write_torch_golden.py [NAME ...]

Each network gets random weights and random batch-norm statistics
(`tests/torch_golden.py`); 16 numbers of its last feature map are written to
tests/weights/torch/golden/NAME.json, computed in float64. With --architectures
it prints the table of tf_finetune/weights/torch/architectures.py instead.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import torchvision

_ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT / "tests"))

import torch_golden  # noqa: E402

_MEAN, _STDDEV = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Side of the picture in pixels; 64 where nothing is said.
_SIDES = {"inception_v3": 96, "alexnet": 96, "cifar_resnet20": 32}
_SIDES["cifar_resnet56"] = 32
# Pictures in [-1, 1], as torchvision's published weights take them.
_SYMMETRIC = ("googlenet", "inception_v3")
# Of the kernels, see `torch_golden.fill_arrays`; 1 where nothing is said.
_GAINS = {"efficientnet_b0": 2}
NAMES = (
    *("alexnet", "googlenet", "inception_v3", "cifar_resnet20"),
    *("cifar_resnet56", "resnet18", "resnet34", "resnet50", "resnet101"),
    *("resnet152", "vgg16", "vgg19", "densenet121", "densenet169"),
    *("densenet201", "mobilenet_v2", "mobilenet_v3_small"),
    *("mobilenet_v3_large", "convnext_tiny", "convnext_small"),
    *("convnext_base", "convnext_large"),
    *(f"efficientnet_b{number}" for number in range(8)),
)
_TOPS = (
    "fc.",
    "classifier.",
    "head.",
    "heads.",
    "AuxLogits.",
    "aux1.",
    "aux2.",
)


class _CifarBlock(torch.nn.Module):
    """A block of He et al. 2016, section 4.2, with shortcuts of option A."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        convolution = torch.nn.Conv2d
        self.conv1 = convolution(
            width_in, width, 3, stride=stride, padding=1, bias=False
        )
        self.bn1 = torch.nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, padding=1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(width)
        self.grows = width_in != width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.grows:
            quarter = out.shape[1] // 4
            x = torch.nn.functional.pad(
                x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter)
            )
        return torch.relu(out + x)


class _CifarResNet(torch.nn.Module):
    """ResNet-20 or -56, as github.com/akamaster/pytorch_resnet_cifar10."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        before = 16
        for stage, width in enumerate((16, 32, 64), start=1):
            layers = []
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                layers.append(_CifarBlock(before, width, stride))
                before = width
            setattr(self, f"layer{stage}", torch.nn.Sequential(*layers))
        self.linear = torch.nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.layer3(self.layer2(self.layer1(x)))


def _build(name: str) -> torch.nn.Module:
    if name.startswith("cifar_resnet"):
        return _CifarResNet((int(name[12:]) - 2) // 6)
    keywords = {}
    if name in _SYMMETRIC:
        keywords = {"init_weights": False}
    return torchvision.models.get_model(name, weights=None, **keywords)


def _compute_features(
    name: str, net: torch.nn.Module, x: torch.Tensor
) -> torch.Tensor:
    """Computes the last feature map, [1, channels, height, width]."""
    if name.startswith("cifar_resnet"):
        return net(x)
    if name.startswith("resnet"):
        parts = [*net.children()][:-2]
        return torch.nn.Sequential(*parts)(x)
    if name in _SYMMETRIC:
        found = []
        last = "inception5b" if name == "googlenet" else "Mixed_7c"
        getattr(net, last).register_forward_hook(
            lambda module, inputs, output: found.append(output)
        )
        net(x)
        return found[0]
    x = net.features(x)
    if name.startswith("densenet"):
        return torch.relu(x)
    # Keras normalizes the map, torchvision its mean; same layer.
    return net.classifier[0](x) if name.startswith("convnext") else x


def write_vector(name: str) -> None:
    """Writes the golden vector of one network."""
    net = _build(name).double().eval()
    state = net.state_dict()
    shapes = {
        key: list(value.shape)
        for key, value in state.items()
        if not key.endswith("num_batches_tracked")
    }
    gain = _GAINS.get(name, 1)
    arrays = torch_golden.fill_arrays(shapes, gain)
    net.load_state_dict(
        {**state, **{k: torch.from_numpy(v) for k, v in arrays.items()}}
    )
    side = _SIDES.get(name, 64)
    image = torch_golden.draw_image(side).astype("float64")
    if name in _SYMMETRIC:
        scaled = image / 127.5 - 1
    else:
        scaled = (image / 255 - np.array(_MEAN)) / np.array(_STDDEV)
    with torch.no_grad():
        x = torch.from_numpy(scaled).permute(2, 0, 1)[None]
        found = _compute_features(name, net, x)
    features = found[0].permute(1, 2, 0).numpy()
    places = torch_golden.choose_positions(features.size)
    content = {
        "written_by": f"torch {torch.__version__}, torchvision "
        f"{torchvision.__version__}",
        "gain": gain,
        "side": side,
        "shape": list(features.shape),
        "largest": float(np.abs(features).max()),
        "values": [float(each) for each in features.ravel()[places]],
        "arrays": shapes,
    }
    torch_golden.FOLDER.mkdir(exist_ok=True)
    path = torch_golden.FOLDER / f"{name}.json"
    lines = [
        f"{json.dumps(key)}: {json.dumps(value)}"
        for key, value in content.items()
    ]
    path.write_text("{" + ",\n".join(lines) + "}\n", "utf-8")
    print(name, content["shape"], content["largest"])


def print_architectures() -> None:
    """Prints arrays and parameters without classifier, by network."""
    # Convolutional networks, including those that have no backbone here.
    names = torchvision.models.list_models(
        module=torchvision.models, exclude=("vit*", "swin*", "regnet*", "max*")
    )
    for name in ["cifar_resnet20", "cifar_resnet56", *names]:
        with torch.device("meta"):
            net = _build(name)
        state = {
            key: value
            for key, value in net.state_dict().items()
            if not key.endswith("num_batches_tracked")
            and not key.startswith((*_TOPS, "linear."))
        }
        total = sum(value.numel() for value in state.values())
        print(name, len(state), total)


if __name__ == "__main__":
    if sys.argv[1:] == ["--architectures"]:
        print_architectures()
    else:
        for each in sys.argv[1:] or NAMES:
            write_vector(each)
