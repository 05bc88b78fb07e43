"""Prepared data sets of TensorFlow Datasets with classes or masks."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, label_protocol
from tf_finetune.data.sources import picture_cache, tfds_prepared

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_MASK_WORDS = ("mask", "segmentation", "annotation", "label")
"""Words in the names of mask features; the first that fits is taken."""


class TfdsDataset:
    """Data source for data sets of TFDS: one picture and one class an example.

    Names are `tfds:NAME`, `tfds:NAME/CONFIG` or either with `:VERSION` behind
    it. The data set must be prepared before; nothing is downloaded: a name
    without prepared files makes TFDS try the network for minutes, and a data
    set may be of hundreds of gigabytes.
    """

    def recognizes(self, data: str) -> bool:
        """Tells if `data` begins with tfds:."""
        return data.startswith("tfds:")

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: label_protocol.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists the pictures; their encoded bytes are written as files once.

        Args:
            options: `data` names the data set, `tfds_data_dir` where it lies.
            labels: Not used: a label is that of the data set.
            cache_dir: The files go into a folder in pictures/ in it.

        Returns:
            The examples; pictures without a label and unused splits are
            dropped.

        Raises:
            DataError: The data set is not prepared here, is damaged, or is not
                one of one picture and one label per example.
            RunError: The cache cannot be written.
        """
        del labels
        prepared, builder = tfds_prepared.open_prepared(options)
        listing = self._list_prepared(
            builder, cache_dir / "pictures", tfds_prepared.hash_state(prepared)
        )
        unused = tfds_prepared.list_unused_splits(builder)
        return dataclasses.replace(listing, dropped=listing.dropped + unused)

    def _list_prepared(
        self,
        builder: "tfds.core.DatasetBuilder",
        folder: pathlib.Path,
        state: str,
    ) -> examples.Listing:
        """Lists pictures with one class each, from files in a new folder."""
        image, label = _find_features(builder)
        name = builder.info.full_name.replace("/", "-")
        return picture_cache.list_pictures(
            folder / f"{name}-{state}",
            lambda: _read_pictures(builder, image, label),
            class_names=tuple(builder.info.features[label].names),
        )


SOURCE = TfdsDataset()


class TfdsMasks(TfdsDataset):
    """Data source for data sets of TFDS: one picture and one mask an example.

    Names are those of `TfdsDataset`.
    """

    def _list_prepared(
        self,
        builder: "tfds.core.DatasetBuilder",
        folder: pathlib.Path,
        state: str,
    ) -> examples.Listing:
        """Lists pictures with one mask each, from files in a new folder."""
        image, mask = _find_picture_and_mask(builder)
        name = builder.info.full_name.replace("/", "-")
        place = folder / f"{name}-{mask}-{state}"
        found = _list_pairs(place, builder, image, mask)
        return examples.Listing(examples=found, dropped=())


MASKS = TfdsMasks()


def _find_features(builder: "tfds.core.DatasetBuilder") -> tuple[str, str]:
    """Returns the names of the picture and the class among the features.

    Raises:
        DataError: There is not exactly one of each.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    supervised = builder.info.supervised_keys or ()
    return tuple(
        _find_only(features, supervised, kind, word)
        for kind, word in (
            (tfds.features.Image, "picture"),
            (tfds.features.ClassLabel, "class"),
        )
    )


def _find_only(features: Any, supervised: tuple, kind: type, word: str) -> str:
    names = [name for name, each in features.items() if type(each) is kind]
    # Where there are several, the makers may have said which one is learned.
    chosen = [name for name in names if name in supervised]
    if len(names) == 1 or len(chosen) == 1:
        return (chosen or names)[0]
    every = ", ".join(
        f"{name} ({type(each).__name__})" for name, each in features.items()
    )
    raise errors.DataError(
        f"The data set must have one feature that is a {word} "
        f"({kind.__name__}); it has {len(names)}. Its features: {every}."
    )


def _read_pictures(
    builder: "tfds.core.DatasetBuilder", image: str, label: str
) -> Iterator[picture_cache.EncodedPicture]:
    names = builder.info.features[label]
    for example, split in tfds_prepared.read_encoded(builder, (image,)):
        yield picture_cache.EncodedPicture(
            content=bytes(example[image]),
            label=_read_label(names, int(example[label])),
            split=split,
        )


def _read_label(names: "tfds.features.ClassLabel", index: int) -> str | None:
    """Returns the name of a class; TFDS marks unlabeled examples with -1."""
    return names.int2str(index) if index >= 0 else None


def _find_picture_and_mask(
    builder: "tfds.core.DatasetBuilder",
) -> tuple[str, str]:
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


def _list_pairs(
    folder: pathlib.Path,
    builder: "tfds.core.DatasetBuilder",
    image: str,
    mask: str,
) -> tuple[examples.Example, ...]:
    """Returns every example as two files, written if they are not there."""
    store = functools.partial(picture_cache.store_picture, folder)
    rows = picture_cache.load_rows(
        folder,
        lambda: (
            [store(bytes(each[image])), store(bytes(each[mask])), split]
            for each, split in tfds_prepared.read_encoded(
                builder, (image, mask)
            )
        ),
        pictures=2,
    )
    return tuple(
        examples.Example(
            path=str(folder / picture),
            label=examples.Mask(path=str(folder / its_mask)),
            split=split,
        )
        for picture, its_mask, split in rows
    )
