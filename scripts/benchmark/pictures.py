"""Larger data sets from few pictures: copies that differ in their bytes."""

import csv
import io
import pathlib

from PIL import Image

_SIDE = 64


def copy_pictures(
    folder: pathlib.Path, to: pathlib.Path, *, times: int
) -> pathlib.Path:
    """Copies a folder, with each picture `times` times.

    A JPEG may be followed by any bytes; a few of them make each copy unique.
    """
    for path in sorted(folder.glob("*/*/*.jp*g")):
        target = to / path.parent.relative_to(folder)
        target.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        for number in range(times):
            name = f"{number}_{path.name}"
            (target / name).write_bytes(content + b"%06d" % number)
    return to


def write_table(folder: pathlib.Path) -> pathlib.Path:
    """Writes a CSV file in which copies of one picture are a group."""
    table = folder / "pictures.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "split", "group"])
        for path in sorted(folder.glob("*/*/*.jp*g")):
            split = "train" if path.parts[-3] == "train" else "validation"
            _, original = path.name.split("_", 1)
            label = path.parent.name
            writer.writerow([path, label, split, original])
    return table


def multiply_pictures(
    folder: pathlib.Path, to: pathlib.Path, *, count: int
) -> pathlib.Path:
    """Writes `count` small pictures, a tenth of them for validation."""
    sources = sorted(folder.glob("train/*/*.jp*g"))
    small = [(path.parent.name, _shrink(path)) for path in sources]
    for name in {name for name, _ in small}:
        for part in ("train", "val"):
            (to / part / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name, content = small[number % len(small)]
        part = "val" if number % 10 == 0 else "train"
        path = to / part / name / f"{number:06d}.jpg"
        path.write_bytes(content + b"%06d" % number)
    return to


def count_pictures(folder: pathlib.Path) -> int:
    """Returns the number of pictures in a folder."""
    return len([*folder.glob("*/*/*.jp*g")])


def _shrink(path: pathlib.Path) -> bytes:
    file = io.BytesIO()
    image = Image.open(path).convert("RGB").resize((_SIDE, _SIDE))
    image.save(file, "JPEG", quality=85)
    return file.getvalue()
