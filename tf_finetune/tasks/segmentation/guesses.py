"""Masks of pictures without one: the pixels a model is surest about.

Source: Zou et al. 2018, "Unsupervised Domain Adaptation for Semantic
Segmentation via Class-Balanced Self-Training", section 3.3.
"""

import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from tf_finetune import files
from tf_finetune.config import model_options
from tf_finetune.data import examples
from tf_finetune.data.masks import preparation, reading

_BINS = 1000


class Guesses:
    """The likeliest class of each pixel; 255 (ignored) where it is not sure."""

    by = "predictions"
    exclusive = True

    def thresholds(
        self, batches: Iterable[np.ndarray], share: float
    ) -> np.ndarray:
        """Returns the probability from which a pixel is of each class.

        Args:
            batches: Probabilities [n, height, width, classes] of all pictures.
            share: Of the pixels guessed to be of a class, 0..1.

        Returns:
            [classes], to a thousandth, never above what is taken.
        """
        counts = None
        for batch in batches:
            classes = batch.shape[-1]
            flat = batch.reshape(-1, classes)
            place = (flat.max(axis=1) * (_BINS - 1)).astype(int)
            found = np.bincount(
                flat.argmax(axis=1) * _BINS + place, minlength=classes * _BINS
            )
            counts = found if counts is None else counts + found
        counts = counts.reshape(-1, _BINS)
        above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        wanted = share * counts.sum(axis=1, keepdims=True)
        # The highest bin that has enough in and above it.
        return ((above >= wanted).sum(axis=1) - 1) / (_BINS - 1)

    def label(
        self,
        probabilities: np.ndarray,
        thresholds: np.ndarray,
        picture: examples.Picture,
        names: Sequence[str],
        *,
        folder: pathlib.Path,
        resize: model_options.Resize,
    ) -> examples.Mask | None:
        """Writes the mask of a picture.

        Args:
            probabilities: [size, size, classes].
            thresholds: [classes].
            picture: Whose mask it is; it has its size.
            names: Of the classes.
            folder: Where the mask goes.
            resize: How the picture became square.

        Returns:
            None where no pixel is sure.
        """
        indices = _decided(probabilities, thresholds, picture, resize)
        counts = np.bincount(indices.ravel(), minlength=reading.IGNORED + 1)
        if counts[reading.IGNORED] == indices.size:
            return None
        path = folder / f"{picture.sha256}.png"
        folder.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary:
            Image.fromarray(indices).save(temporary, "PNG")
        return examples.Mask(
            path=str(path),
            sha256=files.sha256(path),
            indices=str(path),
            pixels=(
                *counts[: len(names)].tolist(),
                int(counts[reading.IGNORED]),
            ),
            names=tuple(names),
        )

    def compare(
        self,
        probabilities: np.ndarray,
        thresholds: np.ndarray,
        picture: examples.Picture,
        *,
        resize: model_options.Resize,
    ) -> tuple[int, int]:
        """Returns how many guessed pixels are right, and how many there are.

        Args:
            probabilities: [size, size, classes].
            thresholds: [classes].
            picture: With its true mask; what that ignores does not count.
            resize: How the picture became square.
        """
        guess = _decided(probabilities, thresholds, picture, resize)
        truth = preparation.read(picture.label.indices)
        counted = (guess != reading.IGNORED) & (truth != reading.IGNORED)
        return int((guess == truth)[counted].sum()), int(counted.sum())


GUESSES = Guesses()


def _decided(
    probabilities: np.ndarray,
    thresholds: np.ndarray,
    picture: examples.Picture,
    resize: model_options.Resize,
) -> np.ndarray:
    """Returns uint8 [height, width] of the picture as it is seen."""
    from tf_finetune.data.masks import squares  # Loads TensorFlow.

    width, height = preparation.upright(picture)
    own = np.asarray(
        squares.restored(probabilities, height, width, resize=resize)
    )
    likeliest = own.argmax(axis=-1)
    is_sure = own.max(axis=-1) >= thresholds[likeliest]
    return np.where(is_sure, likeliest, reading.IGNORED).astype("uint8")
