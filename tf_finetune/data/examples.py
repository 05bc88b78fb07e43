"""Records of picture files, their labels and their splits."""

import dataclasses
from collections.abc import Mapping, Sequence

from tf_finetune.config import model_options

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """A segmentation mask: a picture of class indices, one a pixel.

    Attributes:
        path: Its file.
        sha256: Of the file's bytes, once it has been inspected.
        indices: The file of class indices that was made of it, a gray PNG;
            255 is ignored.
        pixels: How many are of each class and, last, how many are ignored.
        names: Of the classes that the indices mean.
        values: Pairs of a value in the file and its class index.
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
    """One labeled picture as a source lists it, before its inspection.

    Attributes:
        path: The picture file.
        label: What it shows, as the user wrote it.
        split: One of `SPLITS` where the source brings a split, else None.
        group: Pictures of one group must not be divided between splits.
    """

    path: str
    label: Label
    split: str | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DroppedFile:
    """A file or a folder that is not used, and the reason.

    Attributes:
        path: Of the file or the folder.
        reason: What follows a colon is about this one alone.
        pictures: How many pictures a dropped folder holds; None: it is a
            file and counts as one.
    """

    path: str
    reason: str
    pictures: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """The examples that a source lists, and the files it leaves out.

    Attributes:
        examples: In an order that does not depend on the file system.
        dropped: Files that lay among them and are no examples.
        class_names: Every class the source declares, also without pictures,
            or those of masks by value; empty: those of the examples.
    """

    examples: tuple[Example, ...]
    dropped: tuple[DroppedFile, ...] = ()
    class_names: tuple[str, ...] | Mapping[int, str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A usable picture file with its label, size and split.

    Attributes:
        path: The picture file.
        label: What it shows.
        sha256: Of the file's bytes; equal pictures have equal hashes.
        width: In pixels, as stored (before any EXIF rotation).
        height: In pixels, as stored.
        split: One of `SPLITS` once it is known.
        group: As in `Example`.
        strata: Of what every split gets its share where splits are drawn.
        rare_strata: Strata with too few pictures for that; they are trained on.
        stamp: Of the file before it was read, by which `inspection` notices
            that it was written since; None: unknown.
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
        class_names: Of the model's outputs, in their order: classes, or
            what is measured.
        pictures: Of all splits.
        dropped: What cleaning left out, and why.
        fingerprint: Hexadecimal hash over contents, labels and splits.
        resize: How the model's input is made of them.
        pixels: How their files are decoded.
    """

    class_names: tuple[str, ...]
    pictures: tuple[Picture, ...]
    dropped: tuple[DroppedFile, ...]
    fingerprint: str
    resize: model_options.Resize = "squash"
    pixels: model_options.PixelOptions = model_options.DEFAULT_PIXELS

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that hold a picture, in `SPLITS` order."""
        present = {picture.split for picture in self.pictures}
        return tuple(name for name in SPLITS if name in present)

    def split(self, name: str) -> tuple[Picture, ...]:
        """Returns the pictures of one split."""
        return tuple(p for p in self.pictures if p.split == name)

    def class_indices(self, pictures: Sequence[Picture]) -> list[int]:
        """Returns the index of each picture's class in `class_names`."""
        index = {name: i for i, name in enumerate(self.class_names)}
        return [index[picture.label] for picture in pictures]
