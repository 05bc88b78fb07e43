"""Prepared data sets of TensorFlow Datasets with one mask a picture."""

import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tf_finetune import errors, files
from tf_finetune.config import data_options
from tf_finetune.data import examples, label_protocol
from tf_finetune.data.sources import picture_cache, tfds_prepared

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_MASK_WORDS = ("mask", "segmentation", "annotation", "label")
"""Words in the names of mask features; the first that fits is taken."""


class TfdsMasks:
    """`tfds:NAME` read as in `tfds_dataset`, with a mask for the class."""

    def recognizes(self, data: str) -> bool:
        """Tells if `data` begins with tfds:."""
        return data.startswith("tfds:")

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: label_protocol.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists the pictures; their bytes and masks become files once.

        Raises:
            DataError: The data set is not prepared here, or it has not one
                picture and one mask an example.
        """
        del labels
        prepared, builder = tfds_prepared.open_prepared(options)
        image, mask = _find_features(builder)
        name = builder.info.full_name.replace("/", "-")
        state = tfds_prepared.hash_state(prepared)
        folder = cache_dir / "pictures" / f"{name}-{mask}-{state}"
        found = _list_examples(folder, builder, image, mask)
        unused = tfds_prepared.list_unused_splits(builder)
        return examples.Listing(examples=found, dropped=unused)


SOURCE = TfdsMasks()


def _find_features(builder: "tfds.core.DatasetBuilder") -> tuple[str, str]:
    """Returns the names of the picture and its mask among the features."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    pictures = [
        name
        for name, each in features.items()
        if isinstance(each, tfds.features.Image)
    ]
    # Masks have one channel; so may pictures, hence names go first.
    masks = [name for name in pictures if features[name].shape[-1] == 1]
    named = [n for word in _MASK_WORDS for n in pictures if word in n.lower()]
    # A telling name and one channel, a telling name, or one channel.
    chosen = next((n for n in named if n in masks), None)
    chosen = chosen or next(iter(named or masks), None)
    others = [name for name in pictures if name != chosen]
    image = "image" if "image" in others else next(iter(others), None)
    if chosen is None or image is None:
        every = ", ".join(
            f"{name} ({type(each).__name__})" for name, each in features.items()
        )
        raise errors.DataError(
            "The data set must have a picture and, as another picture, its "
            f"mask. Its features: {every}."
        )
    return image, chosen


def _list_examples(
    folder: pathlib.Path,
    builder: "tfds.core.DatasetBuilder",
    image: str,
    mask: str,
) -> tuple[examples.Example, ...]:
    """Returns every example as two files, written if they are not there."""
    index = folder / "index.json"
    try:
        rows = picture_cache.read_index(folder, pictures=2)
        if rows is None:
            rows = [
                [
                    picture_cache.store_picture(folder, pair[0]),
                    picture_cache.store_picture(folder, pair[1]),
                    split,
                ]
                for pair, split in _read_pairs(builder, image, mask)
            ]
            # Last: an index stands for files that are all there.
            files.write_json(index, rows)
    except OSError as error:
        raise errors.RunError(
            f"Pictures cannot be written to {folder}: {error.strerror}. "
            "--cache_dir names another place."
        ) from error
    return tuple(
        examples.Example(
            path=str(folder / picture),
            label=examples.Mask(path=str(folder / its_mask)),
            split=split,
        )
        for picture, its_mask, split in rows
    )


def _read_pairs(
    builder: "tfds.core.DatasetBuilder", image: str, mask: str
) -> Iterator[tuple[tuple[bytes, bytes], str | None]]:
    for example, split in tfds_prepared.read_encoded(builder, (image, mask)):
        yield (bytes(example[image]), bytes(example[mask])), split
