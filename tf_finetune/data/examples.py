"""Records of picture files, their labels and their splits."""

import dataclasses
from collections.abc import Mapping, Sequence

from absl import logging

from tf_finetune.config import picture_options

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """A segmentation mask: a picture of class indices, one a pixel.

    A source fills in `path` alone; the other attributes are known once the mask
    has been inspected and converted.

    Attributes:
        path: Its file, as the user gave it.
        sha256: Hexadecimal hash of the file's bytes.
        indices: Path of the converted mask: a gray PNG of class indices, where
            255 is ignored.
        pixels: Number of pixels of each class and, last, of ignored ones.
        names: Names of the classes, by class index.
        values: Pairs of a value in the original file and its class index.
    """

    path: str
    sha256: str = ""
    indices: str = ""
    pixels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    values: tuple[tuple[int, int], ...] = ()


Label = str | tuple[str, ...] | tuple[float, ...] | Mask
"""A class, several classes, numbers or a mask, depending on the task."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One labeled picture as a data source lists it, before its inspection.

    Attributes:
        path: The picture file, which need not exist or be a picture.
        label: Its ground truth, as the user wrote it: a class name, several
            labels, numbers, or a `Mask`, depending on the task.
        split: One of `SPLITS` where the source brings a split, else None.
        group: Name of a group; pictures of one group must not be divided
            between splits. None: it stands alone.
    """

    path: str
    label: Label
    split: str | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DroppedFile:
    """A file or a folder that is not used, and the reason.

    Attributes:
        path: Path of the file or the folder.
        reason: Why, without a capital and a period. Text up to the first colon
            is the kind of reason, by which files are counted; text behind it is
            about this file alone.
        pictures: Number of pictures in a dropped folder; None: it is a file and
            counts as one.
    """

    path: str
    reason: str
    pictures: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """The examples that a data source lists, and the files it leaves out.

    Attributes:
        examples: In an order that does not depend on the file system.
        dropped: Files beside the examples that are none, and why.
        class_names: Every class that the source declares, also those without
            pictures: a tuple in order, or for masks the name of each mask
            value. Empty: the classes are those of the examples.
    """

    examples: tuple[Example, ...]
    dropped: tuple[DroppedFile, ...] = ()
    class_names: tuple[str, ...] | Mapping[int, str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A usable picture file with its label, size and split.

    Attributes:
        path: The picture file.
        label: Its ground truth, as in `Example`.
        sha256: Hexadecimal hash of the file's bytes; equal files have equal
            hashes.
        width: In pixels, as stored (before any EXIF rotation).
        height: In pixels, as stored.
        split: One of `SPLITS`; None until it is known.
        group: Name of the group that stays in one split; None: it stands alone.
        strata: Classes, or other groups of like pictures, of which every split
            gets its share where splits are drawn at random.
        rare_strata: Strata with too few pictures to be divided; such pictures
            go to training where possible.
        stamp: Hash of size, times and inode of the file before it was read, by
            which a later change is noticed; None: unknown.
    """

    path: str
    label: Label
    sha256: str
    width: int
    height: int
    split: str | None = None
    group: str | None = None
    strata: tuple[str, ...] = ()
    rare_strata: tuple[str, ...] = ()
    # Neither compared nor shown: a copied file is the same picture.
    stamp: int | None = dataclasses.field(
        default=None, compare=False, repr=False
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageData:
    """The cleaned and divided pictures of a run.

    Attributes:
        class_names: Names of the model's outputs, in their order: classes or
            labels, in regression the columns of the targets.
        pictures: Pictures of all splits.
        dropped: Files that are not used, and why.
        fingerprint: Hexadecimal hash over contents, labels and splits.
        resize: How a picture becomes square: "squash", "crop" or "pad".
        pixels: How transparent and 16-bit pictures are decoded.
    """

    class_names: tuple[str, ...]
    pictures: tuple[Picture, ...]
    dropped: tuple[DroppedFile, ...]
    fingerprint: str
    resize: picture_options.Resize = "squash"
    pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that hold a picture, in `SPLITS` order."""
        present = {picture.split for picture in self.pictures}
        return tuple(name for name in SPLITS if name in present)

    def split(self, name: str) -> tuple[Picture, ...]:
        """Returns the pictures of one split in their order; () if it is empty.

        Args:
            name: One of `SPLITS`.
        """
        return tuple(p for p in self.pictures if p.split == name)

    def class_indices(self, pictures: Sequence[Picture]) -> list[int]:
        """Returns the index of each picture's class in `class_names`.

        Args:
            pictures: Pictures whose labels are single class names.

        Raises:
            KeyError: A label is not in `class_names`.
        """
        index = {name: i for i, name in enumerate(self.class_names)}
        return [index[picture.label] for picture in pictures]


def withhold_test(data: ImageData) -> ImageData:
    """Returns the data without its test pictures, and logs their number.

    Args:
        data: Pictures in splits; left unchanged.
    """
    kept = tuple(each for each in data.pictures if each.split != "test")
    logging.info(
        "%d test pictures are withheld (--withhold_test).",
        len(data.pictures) - len(kept),
    )
    # The fingerprint stays that of all splits: `evaluate` finds the same data.
    return dataclasses.replace(data, pictures=kept)
