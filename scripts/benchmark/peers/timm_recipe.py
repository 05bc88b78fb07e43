"""The peer: a recipe as timm's scripts are run, within a wall time.

AdamW with layer decay 0.75, cosine schedule with warm-up, random crops,
RandAugment, Mixup, all layers from the first step on; the parts are timm's
own. The number of epochs is that which fits, from the time of one measured
beforehand on a copy of the network, which does not count.

    python timm_recipe.py DATA BACKBONE WEIGHTS OUTPUT --seconds=60
"""

import copy
import math
import pathlib
import time

_BEGIN = time.perf_counter()

import numpy as np  # noqa: E402  (the measured time includes these)
import recipe_flags  # noqa: E402
import timm.data  # noqa: E402
import timm.loss  # noqa: E402
import torch  # noqa: E402
import torch_networks  # noqa: E402
from torchvision import datasets  # noqa: E402

_BATCH, _RATE, _WEIGHT_DECAY, _LAYER_DECAY = 32, 1e-3, 0.05, 0.75
_WARMUP = 0.1


def main() -> None:
    """Trains and writes the probabilities of the test pictures."""
    given = recipe_flags.read_flags()
    torch.manual_seed(given.seed)
    np.random.seed(given.seed)
    training, test = _make_loaders(pathlib.Path(given.data), given.image_size)
    network, width = torch_networks.build(given.backbone, given.weights)
    classes = len(training.dataset.classes)
    head = torch.nn.Linear(width, classes)
    torch.nn.init.zeros_(head.weight)
    start = time.perf_counter()
    _train(*copy.deepcopy((network, head)), training, classes, epochs=1)
    measuring = time.perf_counter() - start
    left = given.seconds - (start - _BEGIN)
    _train(
        network, head, training, classes, epochs=max(1, int(left / measuring))
    )
    network.eval()
    with torch.no_grad():
        found = [
            (torch.softmax(head(network(images)), dim=1), labels)
            for images, labels in test
        ]
    probabilities, labels = (
        torch.cat(part) for part in zip(*found, strict=True)
    )
    np.savez(
        given.output,
        probabilities=probabilities.numpy(),
        labels=labels.numpy(),
        measuring_seconds=measuring,
    )


def _make_loaders(data: pathlib.Path, image_size: int):
    # The networks' weights expect [-1, 1].
    scaling = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    training = timm.data.create_transform(
        image_size,
        is_training=True,
        auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic",
        **scaling,
    )
    plain = timm.data.create_transform(
        image_size, interpolation="bicubic", crop_pct=1.0, **scaling
    )
    pictures = datasets.ImageFolder(data / "train", training)
    return (
        torch.utils.data.DataLoader(
            pictures,
            # Even, as Mixup requires.
            batch_size=min(_BATCH, len(pictures) // 2 * 2),
            shuffle=True,
            num_workers=2,
            persistent_workers=True,
            drop_last=True,
        ),
        torch.utils.data.DataLoader(
            datasets.ImageFolder(data / "test", plain), batch_size=_BATCH
        ),
    )


def _group_parameters(network, head) -> list[dict]:
    """Groups parameters by block, with the factor decay^(blocks above)."""
    blocks = [
        block for block in network if any(True for _ in block.parameters())
    ]
    groups = []
    for above, block in enumerate([head, *reversed(blocks)]):
        for decays in (True, False):
            # Biases and norms have one axis; timm leaves them undecayed.
            chosen = [p for p in block.parameters() if (p.ndim > 1) == decays]
            groups.append(
                {
                    "params": chosen,
                    "factor": _LAYER_DECAY**above,
                    "weight_decay": _WEIGHT_DECAY if decays else 0.0,
                }
            )
    return groups


def _train(network, head, training, classes: int, *, epochs: int) -> None:
    mixup = timm.data.Mixup(
        mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1,
        num_classes=classes,
    )  # fmt: skip
    loss = timm.loss.SoftTargetCrossEntropy()
    optimizer = torch.optim.AdamW(_group_parameters(network, head), lr=_RATE)
    steps, step = epochs * len(training), 0
    network.train()
    for _ in range(epochs):
        for images, labels in training:
            for group in optimizer.param_groups:
                group["lr"] = group["factor"] * _schedule(step, steps)
            images, targets = mixup(images, labels)
            optimizer.zero_grad()
            loss(head(network(images)), targets).backward()
            optimizer.step()
            step += 1


def _schedule(step: int, steps: int) -> float:
    """Returns the learning rate: linear warm-up, then a half cosine to 0."""
    warm = max(1, round(_WARMUP * steps))
    if step < warm:
        return _RATE * (step + 1) / warm
    return (
        _RATE * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
    )


if __name__ == "__main__":
    main()
