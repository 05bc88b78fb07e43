"""The folder that the documents speak of: small pictures, tables, weights."""

import csv
import functools
import json
import pathlib
from collections.abc import Sequence

import numpy as np
from documents import documented_commands
from PIL import Image
from sklearn import datasets

# Weights files of the documents, and the network that each is of.
WEIGHTS = {
    "mobilenet_0.25_224_notop.h5": "mobilenet@0.25",
    "mobilenet_0.25_224_notop.weights.h5": "mobilenet@0.25",
    "mobilenetv2_1.0_224_notop.h5": "mobilenet_v2",
    "resnet18.weights.h5": "resnet18",
    "resnet50_notop.h5": "resnet50",
    "small_cnn.weights.h5": "small_cnn",
    "mobilenet_v2.pth": "mobilenet_v2",
}
# Their values are random, and batch norms fit them, so that features are of
# the size that pretrained ones have.
_WRITE_WEIGHTS = """
import os
import keras
from tf_finetune.backbones import build
keras.utils.set_random_seed(0)
model = build.build({network!r}, image_size=32).model
for layer in model.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.0
colors = keras.random.uniform([32, 1, 1, 3], 0, 220, seed=0)
noise = keras.random.uniform([32, 32, 32, 3], 0, 40, seed=1)
model(colors + noise, training=True)
model.save_weights("writing.weights.h5")
os.replace("writing.weights.h5", {name!r})
"""
_WRITE_TORCH = """
import pathlib
import sys
sys.path.insert(0, {tests!r})
import torch_files
import torch_golden
vector = torch_golden.read_vector({network!r})
arrays = torch_golden.fill_arrays(vector["arrays"])
torch_files.write_state_dict(pathlib.Path({name!r}), arrays)
"""
_STREET = ("Sky", "Building", "Road", "Unlabelled")
_GENRES = ("Comedy", "Drama", "Romance")


def furnish(folder: pathlib.Path) -> None:
    """Puts into a folder what the documents' commands are given."""
    generator = np.random.default_rng(0)
    for name in ("configs", "scripts"):
        (folder / name).symlink_to(documented_commands.ROOT / name)
    (folder / "home").mkdir()
    for name, count in (("flowers", 12), ("more_flowers", 4)):
        _classes(folder / name, ("daisy", "rose"), count, generator)
    (folder / "shared").mkdir()
    (folder / "shared" / "flowers").symlink_to(folder / "flowers")
    _classes(folder / "labeled", ("day", "night"), 8, generator)
    _classes(folder / "hymenoptera/train", ("ants", "bees"), 9, generator)
    _classes(folder / "hymenoptera/val", ("ants", "bees"), 5, generator)
    for name in (
        "holiday",
        "photos",
        "raccoon",
        "camera/2025",
        "camera/2026/may",
    ):
        _several(folder / name, 4, generator)
    rooms = ("frontal", "bedroom", "bathroom", "kitchen")
    for name in ("bee", "street", *rooms):
        _picture(generator, 1).save(folder / f"{name}.jpg")
    _plants(folder, generator)
    _houses(folder, generator)
    _posters(folder, generator)
    _pairs(folder / "street", _STREET[:3], generator)
    _pairs(folder / "membrane", _STREET[:2], generator)
    for split in ("train", "val", "test"):
        _pairs(folder / "camvid" / split, _STREET, generator)
    (folder / "camvid/classes.json").write_text(json.dumps(_STREET))
    (folder / "street/classes.json").write_text(json.dumps(_STREET[:3]))
    (folder / "membrane/classes.json").write_text(json.dumps(_STREET[:2]))


def writing_of(name: str) -> str:
    """Returns the code that writes the weights file of that name."""
    code = _WRITE_TORCH if name.endswith(".pth") else _WRITE_WEIGHTS
    tests = str(documented_commands.ROOT / "tests")
    return code.format(name=name, network=WEIGHTS[name], tests=tests)


def _picture(generator: np.random.Generator, kind: int) -> Image.Image:
    """A handwritten 0, 1 or 2, which `small_cnn` knows, and some noise."""
    digits = _digits()
    (places,) = np.nonzero(digits.target == kind % 3)
    pixels = digits.images[generator.choice(places)] * (220 / 16)
    pixels = pixels.repeat(5, 0).repeat(6, 1)[..., None]
    noise = generator.integers(0, 30, [40, 48, 3])
    return Image.fromarray((pixels + noise).astype("uint8"))


@functools.cache
def _digits():
    return datasets.load_digits()


def _several(
    folder: pathlib.Path,
    count: int,
    generator: np.random.Generator,
    kind: int | None = None,
) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        this = number if kind is None else kind
        _picture(generator, this).save(folder / f"{number}.jpg")


def _classes(
    folder: pathlib.Path,
    names: Sequence[str],
    count: int,
    generator: np.random.Generator,
) -> None:
    for kind, name in enumerate(names):
        _several(folder / name, count, generator, kind)


def _table(path: pathlib.Path, header: Sequence[str], rows: list) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _plants(folder: pathlib.Path, generator: np.random.Generator) -> None:
    _several(folder / "plants", 30, generator)
    _table(
        folder / "plants.csv",
        ("image", "height", "weight"),
        [
            (f"plants/{n}.jpg", 10 + n % 3 + n / 50, 5 + n % 3 - n / 40)
            for n in range(30)
        ],
    )


def _houses(folder: pathlib.Path, generator: np.random.Generator) -> None:
    """A table with pictures of four rooms; `image` is the front again."""
    views = ("frontal", "bedroom", "bathroom", "kitchen")
    (folder / "houses").mkdir()
    for view in views:
        _several(folder / "houses" / view, 30, generator)
    columns = ("bedrooms", "bathrooms", "area", "zipcode", "price", "split")
    for place, prefix in ((folder, "houses/"), (folder / "houses", "")):
        rows = []
        for n in range(30):
            paths = [f"{prefix}{view}/{n}.jpg" for view in views]
            split = ("train", "train", "validation", "train", "test")[n % 5]
            facts = (2 + n % 3, 1 + n % 2, 900 + 40 * n, 85255 + n % 4)
            price = 100_000 * (2 + n % 3) + 1000 * n
            rows.append([paths[0], *paths, *facts, price, split])
        _table(place / "houses.csv", ("image", *views, *columns), rows)


def _posters(folder: pathlib.Path, generator: np.random.Generator) -> None:
    _several(folder / "posters", 40, generator)
    rows = []
    for n in range(40):
        shown = (n % 2, n % 3 == 0, n % 4 < 2)
        names = "|".join(
            name for name, on in zip(_GENRES, shown, strict=True) if on
        )
        split = ("train", "train", "validation", "test")[n // 2 % 4]
        rows.append([f"posters/{n}.jpg", names, split, *map(int, shown)])
    _table(folder / "posters.csv", ("file", "genres", "split", *_GENRES), rows)


def _pairs(
    folder: pathlib.Path, names: Sequence[str], generator: np.random.Generator
) -> None:
    """Scenes of bands, a class each, at a height of their own."""
    for each in ("images", "masks"):
        (folder / each).mkdir(parents=True)
    for number in range(9):
        edges = np.sort(generator.integers(4, 36, len(names) - 1))
        mask = np.searchsorted(edges, np.arange(40), side="right")
        mask = np.repeat(mask[:, None], 48, 1).astype("uint8")
        pixels = generator.integers(0, 30, [40, 48, 3], dtype="uint8")
        pixels += (mask * 60)[..., None]
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
