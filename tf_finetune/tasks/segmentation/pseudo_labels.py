"""Pseudo-labels of a segmentation: masks of a model's most confident pixels.

Source: Zou et al. 2018, "Unsupervised Domain Adaptation for Semantic
Segmentation via Class-Balanced Self-Training", section 3.3.
"""

import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from tf_finetune import files
from tf_finetune.config import picture_options
from tf_finetune.data import examples
from tf_finetune.data.masks import mask_files, mask_preparation, mask_scan

_BINS = 1000  # Of the histogram of probabilities, per class.


class MaskPseudoLabels:
    """Pseudo-labels that are masks of a model's most confident pixels.

    Each confident pixel has its likeliest class, all others are 255 (ignored).
    """

    by = "predictions"
    exclusive = True

    def find_thresholds(
        self, batches: Iterable[np.ndarray], share: float
    ) -> np.ndarray:
        """Finds the probability threshold of each class.

        Args:
            batches: Probabilities [n, height, width, classes] of all
                pictures, at least one batch.
            share: Share of the pixels predicted to be of a class that get a
                pseudo-label, 0..1.

        Returns:
            [classes], rounded down to a thousandth.
        """
        # Histograms, since the probabilities of all pixels do not fit into
        # memory: for each class, of the pixels where it is the likeliest.
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
        # Pixels in each bin or a higher one.
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
        resize: picture_options.Resize,
    ) -> examples.Mask | None:
        """Writes the pseudo-label of a picture as a mask file.

        Args:
            probabilities: [size, size, classes], of the square picture.
            thresholds: [classes], from `find_thresholds`.
            picture: The picture; the mask has its upright size.
            names: Names of the classes.
            folder: Where the mask is written; made if missing.
            resize: How the picture became square, a value of `--resize`.

        Returns:
            The label, ready for training; None where no pixel is confident,
            and nothing is written.
        """
        indices = _label_pixels(probabilities, thresholds, picture, resize)
        # Pixels of each class; the last place is of ignored ones.
        counts = np.bincount(
            indices.ravel(), minlength=mask_files.IGNORED_INDEX + 1
        )
        if counts[mask_files.IGNORED_INDEX] == indices.size:
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
                int(counts[mask_files.IGNORED_INDEX]),
            ),
            names=tuple(names),
        )

    def count_correct(
        self,
        probabilities: np.ndarray,
        thresholds: np.ndarray,
        picture: examples.Picture,
        *,
        resize: picture_options.Resize,
    ) -> tuple[int, int]:
        """Counts the pixels with a correct pseudo-label, and all with one.

        Args:
            probabilities: [size, size, classes], of the square picture.
            thresholds: [classes], from `find_thresholds`.
            picture: With its true mask; pixels ignored there do not count.
            resize: How the picture became square, a value of `--resize`.

        Returns:
            (correct, all) numbers of pixels.
        """
        guess = _label_pixels(probabilities, thresholds, picture, resize)
        truth = mask_preparation.read_indices(picture.label.indices)
        counted = (guess != mask_files.IGNORED_INDEX) & (
            truth != mask_files.IGNORED_INDEX
        )
        return int((guess == truth)[counted].sum()), int(counted.sum())


PSEUDO_LABELS = MaskPseudoLabels()


def _label_pixels(
    probabilities: np.ndarray,
    thresholds: np.ndarray,
    picture: examples.Picture,
    resize: picture_options.Resize,
) -> np.ndarray:
    """Returns the upright picture's pseudo-label, uint8 [height, width]."""
    from tf_finetune.data.masks import mask_resize  # Loads TensorFlow.

    width, height = mask_scan.measure_upright(picture)
    own = np.asarray(
        mask_resize.restore_size(probabilities, height, width, resize=resize)
    )
    likeliest = own.argmax(axis=-1)
    is_sure = own.max(axis=-1) >= thresholds[likeliest]
    return np.where(is_sure, likeliest, mask_files.IGNORED_INDEX).astype(
        "uint8"
    )
