"""Prepared data sets of TensorFlow Datasets with one class a picture."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, labelling
from tf_finetune.data.sources import picture_cache, tfds_prepared

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


class TfdsDataset:
    """`tfds:NAME`, `tfds:NAME/CONFIG`, `tfds:NAME:VERSION`, prepared before.

    Nothing is downloaded: a name without prepared files makes TFDS try the
    network for minutes, and a data set may be of hundreds of gigabytes.
    """

    def recognises(self, data: str) -> bool:
        """Tells if `data` begins with tfds:."""
        return data.startswith("tfds:")

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: labelling.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists the pictures; their encoded bytes are written as files once.

        Raises:
            DataError: The data set is not prepared here, or it is not one of
                one picture and one class per example.
        """
        prepared, builder = tfds_prepared.opened(options)
        image, label = _features(builder)
        name = builder.info.full_name.replace("/", "-")
        listing = picture_cache.listing(
            cache_dir / "pictures" / f"{name}-{tfds_prepared.state(prepared)}",
            lambda: _pictures(builder, image, label),
            class_names=tuple(builder.info.features[label].names),
        )
        unused = tfds_prepared.unused_splits(builder)
        return dataclasses.replace(listing, dropped=listing.dropped + unused)


SOURCE = TfdsDataset()


def _features(builder: "tfds.core.DatasetBuilder") -> tuple[str, str]:
    """Returns the names of the picture and the class among the features.

    Raises:
        DataError: There is not exactly one of each.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    supervised = builder.info.supervised_keys or ()
    return tuple(
        _only(features, supervised, kind, word)
        for kind, word in (
            (tfds.features.Image, "picture"),
            (tfds.features.ClassLabel, "class"),
        )
    )


def _only(features: Any, supervised: tuple, kind: type, word: str) -> str:
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


def _pictures(
    builder: "tfds.core.DatasetBuilder", image: str, label: str
) -> Iterator[picture_cache.Encoded]:
    names = builder.info.features[label]
    for example, split in tfds_prepared.encoded(builder, (image,)):
        yield picture_cache.Encoded(
            content=bytes(example[image]),
            label=_label(names, int(example[label])),
            split=split,
        )


def _label(names: "tfds.features.ClassLabel", index: int) -> str | None:
    """Returns the name of a class; TFDS marks unlabeled examples with -1."""
    return names.int2str(index) if index >= 0 else None
