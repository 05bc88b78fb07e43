"""More pictures than there are: copies that differ in their bytes."""

import io
import pathlib

from PIL import Image

_SIDE = 64


def copied(
    folder: pathlib.Path, to: pathlib.Path, *, times: int
) -> pathlib.Path:
    """Copies a folder so that each picture is there `times` times.

    A JPEG may be followed by any bytes; a few make each copy another content.
    """
    for path in sorted(folder.glob("*/*/*.jp*g")):
        target = to / path.parent.relative_to(folder)
        target.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        for number in range(times):
            name = f"{number}_{path.name}"
            (target / name).write_bytes(content + b"%06d" % number)
    return to


def multiplied(
    folder: pathlib.Path, to: pathlib.Path, *, count: int
) -> pathlib.Path:
    """Makes `count` small pictures, a tenth of them for validation."""
    sources = sorted(folder.glob("train/*/*.jp*g"))
    small = [(path.parent.name, _small(path)) for path in sources]
    for name in {name for name, _ in small}:
        for part in ("train", "val"):
            (to / part / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name, content = small[number % len(small)]
        part = "val" if number % 10 == 0 else "train"
        path = to / part / name / f"{number:06d}.jpg"
        path.write_bytes(content + b"%06d" % number)
    return to


def count(folder: pathlib.Path) -> int:
    """Returns how many pictures lie in a folder."""
    return len([*folder.glob("*/*/*.jp*g")])


def _small(path: pathlib.Path) -> bytes:
    file = io.BytesIO()
    image = Image.open(path).convert("RGB").resize((_SIDE, _SIDE))
    image.save(file, "JPEG", quality=85)
    return file.getvalue()
