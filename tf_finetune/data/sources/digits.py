"""Scikit-learn's handwritten digits: real pictures that need no download."""

import io
import pathlib
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, label_protocol
from tf_finetune.data.sources import picture_cache

_SIZE = 32
"""Side of the pictures in pixels; the data set's own are 8 by 8."""

_FORM = re.compile(r"(?:digits:)?([0-9])-([0-9])")


class Digits:
    """Data source for `digits:5-9`: those of the 1,797 digits that are 5 to 9.

    The classes are the digits; pictures are gray, 32 by 32 pixels.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten
    Digits", as `sklearn.datasets.load_digits` ships it.
    """

    def recognizes(self, data: str) -> bool:
        """Tells if `data` begins with digits:."""
        return data.startswith("digits:")

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: label_protocol.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists the digits as PNG files, which are written to the cache once.

        Args:
            options: `data` is digits:FIRST-LAST.
            labels: Not used.
            cache_dir: The files go into the folder pictures/digits-FIRST-LAST
                in it.

        Raises:
            DataError: `options.data` is not of the form digits:FIRST-LAST.
            RunError: The cache cannot be written.
        """
        match = _FORM.fullmatch(options.data)
        if not match or match[1] > match[2]:
            raise errors.DataError(
                f"--data={options.data} must be digits:FIRST-LAST with digits "
                "from 0 to 9, e.g. digits:5-9."
            )
        first, last = int(match[1]), int(match[2])
        return picture_cache.list_pictures(
            cache_dir / "pictures" / f"digits-{first}-{last}",
            lambda: _load_digits(first, last),
            class_names=tuple(str(d) for d in range(first, last + 1)),
        )


SOURCE = Digits()


def _load_digits(
    first: int, last: int
) -> Iterator[picture_cache.EncodedPicture]:
    # Imported here: scikit-learn takes a while, and few runs need it.
    from sklearn import datasets

    data = datasets.load_digits()
    for pixels, digit in zip(data.images, data.target, strict=True):
        if first <= digit <= last:
            yield picture_cache.EncodedPicture(
                content=_encode_png(pixels), label=str(digit)
            )


def _encode_png(pixels: np.ndarray) -> bytes:
    """Encodes [8, 8] ink of 0..16 as a gray PNG of `_SIZE` pixels, 0..255."""
    gray = np.rint(pixels * (255 / 16)).astype(np.uint8)
    image = Image.fromarray(gray).resize(
        (_SIZE, _SIZE), Image.Resampling.BILINEAR
    )
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()
