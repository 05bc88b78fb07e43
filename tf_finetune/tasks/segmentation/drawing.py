"""Masks that can be looked at: coloured, over their picture, side by side."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib import figure, patches
from PIL import Image

from tf_finetune import files
from tf_finetune.evaluation import names

_OPACITY = 0.55
_LEGEND_CLASSES = 40
_NAME_WIDTH = 20
_LARGEST_SIDE = 512
_COLUMNS = ("picture", "truth", "prediction")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """A picture beside what it shows and what the model sees.

    Attributes:
        title: Written above, e.g. the file's name and its mean IoU.
        image: uint8 [height, width, 3].
        true: [height, width] class indices, 255 is ignored.
        predicted: [height, width] class indices.
    """

    title: str
    image: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


def palette() -> np.ndarray:
    """Returns the colour of each index, uint8 [256, 3].

    All differ, neighbours much, and a class keeps its colour however many
    there are. Black is left to 255, what is ignored.

    Source: The colour map of the PASCAL VOC development kit (Everingham et
    al. 2010), from its second entry on: the bits of the number, spread over
    the channels from the highest down.
    """
    number = np.arange(1, 257) % 256
    colours = np.zeros([256, 3], "uint8")
    for bit in range(8):
        for channel in range(3):
            is_set = (number >> (3 * bit + channel)) & 1
            colours[:, channel] |= (is_set << (7 - bit)).astype("uint8")
    return colours


def coloured(mask: np.ndarray) -> np.ndarray:
    """Returns a mask in colours, uint8 [height, width, 3]."""
    return palette()[mask]


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lays a mask's colours over its picture; ignored pixels stay bare.

    Args:
        image: uint8 [height, width, 3].
        mask: uint8 [height, width].

    Returns:
        uint8 [height, width, 3].
    """
    blended = (1 - _OPACITY) * image + _OPACITY * coloured(mask)
    bare = (mask == 255)[..., np.newaxis]
    return np.where(bare, image, blended.round()).astype("uint8")


def write_mask(path: pathlib.Path, mask: np.ndarray) -> None:
    """Writes a mask as PNG, atomically: the pixel values are the indices.

    The file carries the palette, so that viewers show colours.

    Args:
        path: The file to write.
        mask: uint8 [height, width].
    """
    picture = Image.fromarray(mask.astype("uint8"))
    picture.putpalette(palette().ravel().tolist())
    with files.replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def write_picture(path: pathlib.Path, image: np.ndarray) -> None:
    """Writes uint8 [height, width, 3] as PNG, atomically."""
    with files.replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def comparison(
    shown: Sequence[Example], class_names: Sequence[str], path: pathlib.Path
) -> None:
    """Draws pictures, truths and predictions as PNG, a row each, atomically.

    Args:
        shown: At least one.
        class_names: Those that occur are named in the legend.
        path: The file to write.
    """
    drawing = figure.Figure(
        figsize=(10, 2.6 * len(shown) + 0.8), layout="constrained"
    )
    places = drawing.subplots(len(shown), 3, squeeze=False)
    for row, each in zip(places, map(_small, shown), strict=True):
        panels = (
            each.image,
            overlay(each.image, each.true),
            overlay(
                each.image, np.where(each.true == 255, 255, each.predicted)
            ),
        )
        for place, panel, column in zip(row, panels, _COLUMNS, strict=True):
            place.imshow(panel)
            place.set_axis_off()
            place.set_title(column, fontsize=8)
        row[0].set_title(each.title, fontsize=8, parse_math=False)
    _legend(drawing, shown, class_names)
    with files.replacing(path) as temporary:
        drawing.savefig(temporary, dpi=100, format="png")


def _small(example: Example) -> Example:
    """Returns an example no larger than it is drawn, by the nearest pixel.

    A photograph in floating-point colours, three times, takes a gigabyte.
    """
    step = -(-max(example.true.shape) // _LARGEST_SIDE)
    if step == 1:
        return example
    return dataclasses.replace(
        example,
        image=example.image[::step, ::step],
        true=example.true[::step, ::step],
        predicted=example.predicted[::step, ::step],
    )


def _legend(
    drawing: figure.Figure, shown: Sequence[Example], class_names: Sequence[str]
) -> None:
    occurring = sorted(
        {
            int(index)
            for each in shown
            for mask in (each.true, each.predicted)
            for index in np.unique(mask)
        }
    )
    colours = palette() / 255
    handles = [
        patches.Patch(
            color=colours[index],
            label=names.shown(class_names[index], _NAME_WIDTH),
        )
        for index in occurring
        if index < len(class_names)
    ]
    legend = drawing.legend(
        handles=handles[:_LEGEND_CLASSES],
        loc="outside lower center",
        ncols=6,
        fontsize=7,
    )
    for text in legend.get_texts():
        # A class may be called "$".
        text.set_parse_math(False)
