"""Pictures and data sets that exist as descriptions alone."""

from collections.abc import Iterable
from typing import Any

from tf_finetune.data import examples


def make_picture(
    path: Any,
    label: Any,
    sha256: str,
    split: str | None = None,
    *,
    side: int = 1,
    **fields: Any,
) -> examples.Picture:
    """Makes a square picture; other fields have their defaults."""
    return examples.Picture(
        path=str(path),
        label=label,
        sha256=sha256,
        split=split,
        width=side,
        height=side,
        **fields,
    )


def make_data(
    class_names: tuple[str, ...],
    pictures: Iterable[examples.Picture],
    **fields: Any,
) -> examples.ImageData:
    """Makes a data set of which nothing was dropped."""
    given = {"dropped": (), "fingerprint": "", **fields}
    return examples.ImageData(
        class_names=class_names, pictures=tuple(pictures), **given
    )
