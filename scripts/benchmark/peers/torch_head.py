"""The peer: a PyTorch training loop with `DataLoader`, ten epochs.

Decodes and flips in two worker processes, base frozen and in evaluation mode,
Adam, validation after each epoch. Prints one JSON line.

    python torch_head.py DATA BACKBONE WEIGHTS
"""

import json
import pathlib
import random
import sys
import time

_BEGIN = time.perf_counter()

# The measured time includes these imports.
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch_networks  # noqa: E402
from PIL import Image  # noqa: E402
from torch.utils import data as torch_data  # noqa: E402

_SIZE, _EPOCHS, _BATCH = 224, 10, 32


class Pictures(torch_data.Dataset):
    """Pictures of a folder with one folder per class, scaled to [-1, 1]."""

    def __init__(self, folder: pathlib.Path, flip: bool):
        self.flip = flip
        names = sorted(p.name for p in folder.iterdir() if p.is_dir())
        self.files = [
            (path, label)
            for label, name in enumerate(names)
            for path in sorted((folder / name).iterdir())
            if path.suffix.lower() in (".jpg", ".jpeg", ".png")
        ]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int):
        path, label = self.files[index]
        image = Image.open(path).convert("RGB").resize((_SIZE, _SIZE), 2)
        pixels = np.asarray(image, "float32").transpose(2, 0, 1) / 127.5 - 1
        if self.flip and random.random() < 0.5:
            pixels = pixels[:, :, ::-1]
        return torch.from_numpy(pixels.copy()), label


def main(folder: str, backbone: str, weights: str) -> None:
    """Trains a head and prints its accuracy."""
    start = time.perf_counter()
    torch.manual_seed(0)
    training, validation = (
        torch_data.DataLoader(
            Pictures(pathlib.Path(folder) / part, flip=part == "train"),
            batch_size=_BATCH,
            shuffle=part == "train",
            num_workers=2,
            persistent_workers=True,
        )
        for part in ("train", "val")
    )
    base, width = torch_networks.build(backbone, weights)
    base.eval().requires_grad_(False)
    head = torch.nn.Linear(width, 2)
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    epochs = []
    for _ in range(_EPOCHS):
        for images, labels in training:
            loss = torch.nn.functional.cross_entropy(head(base(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracy = _measure_accuracy(base, head, validation)
        epochs.append((accuracy, time.perf_counter() - _BEGIN))
    seconds = time.perf_counter() - start
    reached = next(when for each, when in epochs if each >= accuracy)
    figures = {
        "accuracy": accuracy,
        "without_start": seconds,
        "reached": reached,
    }
    print(json.dumps(figures))


@torch.no_grad()
def _measure_accuracy(base, head, batches) -> float:
    right = total = 0
    for images, labels in batches:
        right += int((head(base(images)).argmax(1) == labels).sum())
        total += len(labels)
    return right / total


if __name__ == "__main__":
    main(*sys.argv[1:])
