"""Affine color transforms, fitted to pixels before and after them."""

import dataclasses

import numpy as np

# M and b have 4 unknowns per channel; the other colors show if y is not affine.
_COLORS = 24
# Tolerance relative to the largest value; float32 rounds at about 1e-7.
_TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorTransform:
    """y = M x + b on one pixel.

    Attributes:
        matrix: [channels, 3].
        offset: [channels].
    """

    matrix: np.ndarray
    offset: np.ndarray

    def __str__(self) -> str:
        if np.count_nonzero(self.matrix - np.diag(np.diag(self.matrix))):
            rows = [_format_values(row) for row in self.matrix]
            return f"x·[{', '.join(rows)}] + {_format_values(self.offset)}"
        scale, offset = (
            _format_values(np.diag(self.matrix)),
            _format_values(self.offset),
        )
        return f"x·{scale} + {offset}"


def draw_colors() -> np.ndarray:
    """Draws random images of one pixel, [colors, 1, 1, 3] in 0..255."""
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (_COLORS, 1, 1, 3)).astype("float32")


def fit_transform(
    colors: np.ndarray, values: np.ndarray
) -> ColorTransform | None:
    """Fits M and b to the middle pixel; None if the transform is not affine.

    Args:
        colors: From `draw_colors`.
        values: [colors, height, width, channels], the transformed colors.
    """
    if values.ndim != 4:
        return None
    middle = values[:, values.shape[1] // 2, values.shape[2] // 2]
    middle = middle.astype("float64")
    inputs = np.concatenate(
        [colors.reshape(-1, 3), np.ones((len(colors), 1))], axis=1
    ).astype("float64")
    # Least squares of [x, 1] · [Mᵀ; b] = y over all colors.
    solved = np.linalg.lstsq(inputs, middle, rcond=None)[0]
    largest = max(np.abs(middle).max(), 1e-30)
    if not np.abs(inputs @ solved - middle).max() <= _TOLERANCE * largest:
        return None
    # Coefficients that are rounding errors become exact zeros.
    solved[:3][np.abs(solved[:3]) < 1e-5 * np.abs(solved[:3]).max()] = 0
    solved[3][np.abs(solved[3]) < 1e-7 * largest] = 0
    return ColorTransform(matrix=solved[:3].T, offset=solved[3])


def is_same(one: ColorTransform, two: ColorTransform) -> bool:
    """Returns whether two transforms agree on all colors, up to rounding."""
    if one.matrix.shape != two.matrix.shape:
        return False
    colors = draw_colors().reshape(-1, 3)
    first = colors @ one.matrix.T + one.offset
    second = colors @ two.matrix.T + two.offset
    return bool(
        np.abs(first - second).max() <= _TOLERANCE * np.abs(second).max()
    )


def _format_values(values: np.ndarray) -> str:
    words = [f"{each:.5g}" for each in values]
    return words[0] if len(set(words)) == 1 else f"({', '.join(words)})"
