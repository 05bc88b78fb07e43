"""The peer: LoRA of PEFT on the upper layers of a network.

Trains an adapter and a head on ants and bees, or any folder with train/ and
val/; batch norms stay as they are. Then it trains half of the epochs, saves the
adapter, loads it into a new network and goes on. Prints one JSON line.

    python peft_adapter.py DATA BACKBONE WEIGHTS [--seed=0] [--image_size=128]
"""

import argparse
import json
import pathlib
import tempfile

import numpy as np
import peft
import torch
import torch_networks
from PIL import Image

_EPOCHS, _BATCH, _RATE, _RANK = 6, 32, 2e-3, 4
_SUFFIXES = (".jpg", ".jpeg", ".png")
# Blocks that are adapted: block_13 to Conv_1 of MobileNetV2, the last two
# separable convolutions of MobileNet.
_UPPER = {"mobilenet_v2": 5, "mobilenet@0.25": 4}


class Adapted(torch.nn.Module):
    """Upper blocks of a network, pooling and a head."""

    def __init__(self, upper: torch.nn.Module, width: int, classes: int):
        super().__init__()
        self.upper, self.head = upper, torch.nn.Linear(width, classes)

    def forward(self, maps):
        return self.head(self.upper(maps).mean(dim=(2, 3)))


def main() -> None:
    """Trains whole and interrupted, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "backbone", "weights"):
        parser.add_argument(name)
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    data = {
        part: _compute_maps(given, pathlib.Path(given.data) / part)
        for part in ("train", "val")
    }
    whole = _adapt(_build(given))
    best = _train(whole, data, given.seed, range(_EPOCHS))
    half = _adapt(_build(given))
    first = _train(half, data, given.seed, range(_EPOCHS // 2))
    with tempfile.TemporaryDirectory() as folder:
        half.save_pretrained(folder)
        file = pathlib.Path(folder, "adapter_model.safetensors")
        size = file.stat().st_size
        resumed = peft.PeftModel.from_pretrained(
            _build(given), folder, is_trainable=True
        )
    loaded = _largest_difference(resumed, half)
    before = {name: each.clone() for name, each in _adapter(resumed).items()}
    rest = _train(resumed, data, given.seed, range(_EPOCHS // 2, _EPOCHS))
    moved = max(
        float((each - before[name]).abs().max())
        for name, each in _adapter(resumed).items()
    )
    difference = _largest_difference(resumed, whole)
    # The layers are changed in place: `whole` is no adapter any more.
    merged = whole.merge_and_unload().eval()
    with torch.no_grad():
        accuracy = _measure_accuracy(merged, data["val"])
    figures = {
        "best": max(best),
        "last": best[-1],
        "merged": accuracy,
        "numbers": sum(each.numel() for each in _adapter(resumed).values()),
        "bytes": size,
        "loaded_difference": loaded,
        "moved": moved,
        "resumed_last": [*first, *rest][-1],
        "resumed_difference": difference,
    }
    print(json.dumps(figures))


def _build(given: argparse.Namespace) -> Adapted:
    torch.manual_seed(given.seed)
    maps, width = torch_networks.build_feature_maps(
        given.backbone, given.weights
    )
    classes = len(list(pathlib.Path(given.data, "train").iterdir()))
    return Adapted(maps[-_UPPER[given.backbone] :], width, classes).eval()


def _adapt(network: Adapted) -> peft.PeftModel:
    """Adds LoRA to the convolutions that PEFT can adapt, those of one group."""
    names = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.groups == 1
    ]
    config = peft.LoraConfig(
        r=_RANK,
        lora_alpha=_RANK,
        target_modules=names,
        modules_to_save=["head"],
    )
    return peft.get_peft_model(network, config).eval()


def _adapter(model: peft.PeftModel) -> dict[str, torch.Tensor]:
    """Returns the values that PEFT writes to a file, the head included."""
    return peft.get_peft_model_state_dict(model)


def _largest_difference(one: peft.PeftModel, two: peft.PeftModel) -> float:
    first, second = _adapter(one), _adapter(two)
    return max(
        float((each - second[name]).abs().max()) for name, each in first.items()
    )


def _train(
    model: peft.PeftModel, data: dict, seed: int, epochs: range
) -> list[float]:
    """Trains for some epochs; returns the accuracy after each."""
    optimizer = torch.optim.AdamW(
        [each for each in model.parameters() if each.requires_grad], _RATE
    )
    views, labels = data["train"]
    found = []
    for epoch in epochs:
        generator = torch.Generator().manual_seed(1000 * seed + epoch)
        order = torch.randperm(len(labels), generator=generator)
        flips = torch.randint(2, [len(labels)], generator=generator)
        for chosen in order.split(_BATCH):
            logits = model(views[flips[chosen], chosen])
            loss = torch.nn.functional.cross_entropy(logits, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            found.append(_measure_accuracy(model, data["val"]))
    return found


def _measure_accuracy(model, data) -> float:
    views, labels = data
    predicted = torch.cat([model(each) for each in views[0].split(_BATCH)])
    return float((predicted.argmax(1) == labels).float().mean())


@torch.no_grad()
def _compute_maps(given: argparse.Namespace, folder: pathlib.Path):
    """Computes the maps below the upper blocks, of pictures and mirrored ones.

    Returns:
        [2, n, channels, height, width] and labels [n].
    """
    maps, _ = torch_networks.build_feature_maps(given.backbone, given.weights)
    lower = maps[: -_UPPER[given.backbone]].eval()
    pictures, labels = [], []
    for label, kind in enumerate(sorted(folder.iterdir())):
        for path in sorted(kind.iterdir()):
            if path.suffix.lower() in _SUFFIXES:
                side = (given.image_size, given.image_size)
                image = Image.open(path).convert("RGB").resize(side, 2)
                pixels = np.asarray(image, "float32").transpose(2, 0, 1)
                pictures.append(torch.from_numpy(pixels / 127.5 - 1))
                labels.append(label)
    batches = torch.stack(pictures).split(_BATCH)
    return torch.stack(
        [
            torch.cat([lower(each) for each in batches]),
            torch.cat([lower(each.flip(3)) for each in batches]),
        ]
    ), torch.tensor(labels)


if __name__ == "__main__":
    main()
