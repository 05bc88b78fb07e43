"""Images of masks: in color, over their picture, and beside the truth."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib import figure, patches
from PIL import Image

from tf_finetune import files, terminal_escapes

_OPACITY = 0.55
_LEGEND_CLASSES = 40
_NAME_WIDTH = 20  # Characters of a name in the legend.
_LARGEST_SIDE = 512  # Pixels of a picture in a comparison.
# The color of class 0.
_FIRST = np.array([218, 36, 36])
# Linear sRGB to CIE XYZ.
_XYZ = np.array(
    [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
)
_COLUMNS = ("picture", "truth", "prediction")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """Picture with its true and its predicted mask, to be drawn.

    Attributes:
        title: Text above the picture: the file's name and its mean IoU.
        image: uint8 [height, width, 3].
        true: [height, width] class indices, 255 is ignored.
        predicted: [height, width] class indices.
    """

    title: str
    image: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


@functools.cache
def build_palette() -> np.ndarray:
    """Builds the color of each class index; the array is shared, not a copy.

    Each color is the one of a grid that is farthest, in CIELAB, from black
    (the color of 255, ignored) and from all before it: the first twelve lie
    52 apart, the first 32 more than 30, where 2.3 is just noticeable. The web
    page of the server uses the same palette.

    Returns:
        uint8 [256, 3] RGB; do not write to it.

    Source: Glasbey et al. 2007, "Colour displays for categorical images",
    section 2 (sequential search).
    """
    # A grid of 8 × 8 × 8 colors; its first place is black, for ignored pixels.
    steps = np.linspace(0, 255, 8).round()
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)
    grid = np.concatenate([np.zeros([1, 3]), grid.reshape(-1, 3)])
    places = _convert_to_lab(grid)
    # Neither nearly black nor nearly white.
    usable = (places[:, 0] >= 25) & (places[:, 0] <= 95)
    first = int(np.argmin(np.abs(grid - _FIRST).sum(axis=1)))
    nearest = np.linalg.norm(places - places[0], axis=1)
    chosen = [first]
    while len(chosen) < 255:
        gaps = np.linalg.norm(places - places[chosen[-1]], axis=1)
        nearest = np.minimum(nearest, gaps)
        # Rounded, so that sums in another order choose alike.
        chosen.append(int(np.argmax(np.where(usable, nearest, -1).round(6))))
    return grid[[*chosen, 0]].astype("uint8")


def _convert_to_lab(colors: np.ndarray) -> np.ndarray:
    """Converts sRGB 0..255 to CIELAB, [n, 3], under daylight (D65).

    Source: IEC 61966-2-1 for sRGB; CIE 15:2004, section 8.2.1.
    """
    shares = colors / 255
    # The inverse transfer function of sRGB, then XYZ relative to white.
    linear = np.where(
        shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4
    )
    # The white of daylight D65.
    white = np.array([0.9505, 1.0, 1.089])
    xyz = linear @ _XYZ.T / white
    # f(t) = ∛t above (6/29)³, below it the line that continues it.
    roots = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    # L* = 116 f(Y) - 16, a* = 500 (f(X) - f(Y)), b* = 200 (f(Y) - f(Z)).
    x, y, z = roots.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def color_mask(mask: np.ndarray) -> np.ndarray:
    """Colors class indices [height, width]; returns uint8 RGB of that size."""
    return build_palette()[mask]


def overlay_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Blends a mask's colors over its picture; ignored pixels stay as they are.

    Args:
        image: uint8 [height, width, 3].
        mask: uint8 [height, width].

    Returns:
        uint8 [height, width, 3].
    """
    blended = (1 - _OPACITY) * image + _OPACITY * color_mask(mask)
    bare = (mask == 255)[..., np.newaxis]
    return np.where(bare, image, blended.round()).astype("uint8")


def write_mask(path: pathlib.Path, mask: np.ndarray) -> None:
    """Writes a mask as PNG, atomically: the pixel values are the indices.

    The file carries the palette, so that viewers show colors.

    Args:
        path: The file to write.
        mask: [height, width] class indices, 0..255.
    """
    # Mode "P": one byte a pixel is the index; the palette only colors it.
    picture = Image.fromarray(mask.astype("uint8"))
    picture.putpalette(build_palette().ravel().tolist())
    with files.replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def write_picture(path: pathlib.Path, image: np.ndarray) -> None:
    """Writes a picture, uint8 [height, width, 3], as PNG, atomically."""
    with files.replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def draw_comparison(
    shown: Sequence[Example], class_names: Sequence[str], path: pathlib.Path
) -> None:
    """Draws pictures beside true and predicted masks as PNG, atomically.

    Args:
        shown: At least one picture; each becomes a row.
        class_names: Names in the order of the indices; those that occur are
            in the legend.
        path: The file to write.
    """
    drawing = figure.Figure(
        figsize=(10, 2.6 * len(shown) + 0.8), layout="constrained"
    )
    places = drawing.subplots(len(shown), 3, squeeze=False)
    for row, each in zip(places, map(_shrink_example, shown), strict=True):
        panels = (
            each.image,
            overlay_mask(each.image, each.true),
            overlay_mask(
                each.image, np.where(each.true == 255, 255, each.predicted)
            ),
        )
        for place, panel, column in zip(row, panels, _COLUMNS, strict=True):
            place.imshow(panel)
            place.set_axis_off()
            place.set_title(column, fontsize=8)
        row[0].set_title(each.title, fontsize=8, parse_math=False)
    _draw_legend(drawing, shown, class_names)
    with files.replacing(path) as temporary:
        drawing.savefig(temporary, dpi=100, format="png")


def _shrink_example(example: Example) -> Example:
    """Shrinks an example to the size that is drawn, by taking every k-th pixel.

    A photograph in floating-point colors, three times, takes a gigabyte.
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


def _draw_legend(
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
    colors = build_palette() / 255
    handles = [
        patches.Patch(
            color=colors[index],
            label=terminal_escapes.shorten_name(
                class_names[index], _NAME_WIDTH
            ),
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
