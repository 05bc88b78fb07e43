"""The one decoder: encoded bytes to upright RGB pixels.

The scan, training, evaluation, prediction and the exported model all call it,
so that a picture means the same numbers everywhere. It consists of TensorFlow
graph operations only and can therefore be part of a SavedModel.
"""

import functools
import threading
from collections.abc import Callable, Mapping

import tensorflow as tf

from tf_finetune.config import picture_options
from tf_finetune.data.images import (
    file_kinds,
    gif_files,
    orientation,
    png_webp_bmp_files,
    square_images,
)
from tf_finetune.untrusted import picture_signatures

VERSION = 3
"""To be raised whenever the same bytes decode otherwise than before."""

_FIRST = picture_signatures.FIRST_BYTES
# First bytes of the files of each kind; a PNG whose line ends were changed is
# one, which then cannot be decoded.
_SIGNATURES = {**_FIRST, "PNG": _FIRST["PNG"][:4]}

# What libjpeg can shrink by while it decodes, at a part of the cost.
_JPEG_RATIOS = (1, 2, 4, 8)

# Threads that need the decoder at once wait for the first one's.
_TRACING_LOCK = threading.Lock()


def decode(
    contents: tf.Tensor,
    *,
    pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS,
    jpeg: Callable[[tf.Tensor], tf.Tensor] | None = None,
    kind: str | None = None,
) -> tf.Tensor:
    """Decodes a JPEG, PNG, GIF (its first frame), BMP or WebP picture.

    Gray-scale, palette, 16-bit and CMYK pictures come out as RGB; transparent
    ones as they are seen on the background; the EXIF orientation is applied.

    Args:
        contents: Scalar string, the bytes of a file of any name.
        pixels: Background of transparent pixels, and range of 16-bit values.
        jpeg: Function that decodes the bytes of a JPEG to uint8 [height,
            width, 3], not rotated; None: at full size.
        kind: "JPEG", "PNG", "WebP", "GIF" or "BMP" where it is known: a far
            smaller graph of the same operations; None: any of them.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: At execution: the bytes are no such
            picture, or a damaged one.
    """
    background = pixels.background
    decoders = {
        "JPEG": lambda: (jpeg or _decode_jpeg)(contents),
        "PNG": lambda: png_webp_bmp_files.decode_png(contents, pixels),
        "WebP": lambda: png_webp_bmp_files.decode_webp(contents, background),
        "GIF": lambda: gif_files.decode_gif(contents, background),
        "BMP": lambda: png_webp_bmp_files.decode_bmp(
            contents, background=background
        ),
    }
    stored = decoders[kind]() if kind else _decode_any(contents, decoders)
    turn = orientation.read_orientation(contents, kind=kind)
    upright = orientation.turn_upright(stored, turn)
    return tf.ensure_shape(upright, (None, None, 3))


def read_size(contents: tf.Tensor) -> tf.Tensor:
    """Reads the height and width of a picture after its EXIF rotation.

    Args:
        contents: Scalar string, the bytes of a file; a JPEG's header is
            enough, other pictures are decoded.

    Returns:
        int32 [2], height and width.

    Raises:
        tf.errors.InvalidArgumentError: At execution: the bytes are no picture
            that `decode` knows, or a damaged one.
    """

    def read_jpeg_size() -> tf.Tensor:
        sides = tf.image.extract_jpeg_shape(contents)[:2]
        # Orientations 5..8 exchange the sides.
        is_turned = orientation.read_orientation(contents) >= 5
        return tf.where(is_turned, sides[::-1], sides)

    return tf.cond(
        _begins_as(contents, "JPEG"),
        read_jpeg_size,
        lambda: tf.shape(decode(contents))[:2],
    )


def load_file(
    path: tf.Tensor | str | bytes, square: picture_options.Square
) -> tf.Tensor:
    """Reads a picture file, decodes it and makes it square.

    Args:
        path: The picture file; as a tensor a scalar string.
        square: Size of the square, and how a picture becomes one.

    Returns:
        float32 [size, size, 3], 0..255.

    Raises:
        tf.errors.OpError: The file cannot be read or does not decode.
    """
    contents = tf.io.read_file(path)
    if not tf.is_tensor(path):
        contents = contents.numpy()
    return load_bytes(contents, square)


def load_bytes(
    contents: tf.Tensor | bytes, square: picture_options.Square
) -> tf.Tensor:
    """Decodes a picture from the bytes of its file and makes it square.

    A JPEG far larger than needed is decoded at a half, a quarter or an eighth
    of its size: from 4000 x 3000 to 224 in half the time (progressive ones in a
    sixth), with pixels moved by less than 0.5 of 255 on average.

    Args:
        contents: The bytes of a file; as a tensor a scalar string.
        square: Size of the square, and how a picture becomes one.

    Returns:
        float32 [size, size, 3], 0..255.

    Raises:
        tf.errors.OpError: The bytes do not decode.
    """
    # Where the bytes are at hand they tell the kind. Most data sets hold one or
    # two; tracing all the decoders takes a second.
    kind = None
    if isinstance(contents, bytes):
        found = file_kinds.detect_kind(contents[: file_kinds.HEAD_BYTES])
        kind = found if found in file_kinds.DECODABLE else None
    with _TRACING_LOCK:
        function = _compile_loader(square, kind)
    return function(tf.convert_to_tensor(contents))


@functools.cache
def _compile_loader(
    square: picture_options.Square, kind: str | None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `_load` for one square, traced once for all pipelines."""
    # Without autograph, which takes three times as long and changes nothing.
    function = tf.function(
        lambda contents: _load(contents, square, kind),
        input_signature=[tf.TensorSpec((), tf.string)],
        autograph=False,
    )
    # Cached beyond the pipeline whose graph may be under construction here.
    with tf.init_scope():
        return function.get_concrete_function()


def _load(
    contents: tf.Tensor, square: picture_options.Square, kind: str | None
) -> tf.Tensor:
    decoded = decode(
        contents,
        pixels=square.pixels,
        jpeg=lambda each: _decode_reduced_jpeg(each, square),
        kind=kind,
    )
    return square_images.make_square(decoded, square.size, square.resize)


def _decode_jpeg(contents: tf.Tensor, ratio: int = 1) -> tf.Tensor:
    # Bit-equal to Pillow; what `decode_image` does is up to 8 of 255 off.
    return tf.io.decode_jpeg(
        contents, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"
    )


def _decode_reduced_jpeg(
    contents: tf.Tensor, square: picture_options.Square
) -> tf.Tensor:
    """Decodes a JPEG at a reduced scale, at least twice the size needed.

    Twice, so that the antialiased resizing still decides what is seen. Sides
    come out rounded up to whole pixels, which stretches the picture: where
    that would move anything by more than an eighth of a final pixel, a lesser
    ratio is taken.
    """
    sides = tf.image.extract_jpeg_shape(contents)[:2]
    # Padding fits the longer side into the square, the others the shorter.
    decisive = tf.reduce_max if square.resize == "pad" else tf.reduce_min
    ratios = tf.constant(_JPEG_RATIOS)
    is_enough = decisive(sides) >= 2 * square.size * ratios
    # Pixels by which rounding up stretches a side at each ratio; error of 1/8
    # final pixel: added / side * size <= 1/8.
    added = tf.math.floormod(-sides[:, None], ratios)
    is_true = tf.reduce_all(8 * square.size * added <= sides[:, None], axis=0)
    # Place 0 is full size, which always fits.
    places = tf.where(is_enough & is_true, tf.range(len(_JPEG_RATIOS)), 0)
    return tf.switch_case(
        tf.reduce_max(places),
        [
            lambda ratio=ratio: _decode_jpeg(contents, ratio)
            for ratio in _JPEG_RATIOS
        ],
    )


def _decode_any(
    contents: tf.Tensor, decoders: Mapping[str, Callable[[], tf.Tensor]]
) -> tf.Tensor:
    """Decodes with the decoder of the file's kind; refuses other files."""
    # JPEGs first, with a single comparison.
    others = ("PNG", "WebP", "GIF", "BMP")
    return tf.cond(
        _begins_as(contents, "JPEG"),
        decoders["JPEG"],
        lambda: tf.case(
            [(_begins_as(contents, kind), decoders[kind]) for kind in others],
            # Refuses what is no picture.
            default=lambda: tf.io.decode_png(contents, channels=3),
        ),
    )


def _begins_as(contents: tf.Tensor, kind: str) -> tf.Tensor:
    signature = _SIGNATURES[kind]
    return tf.strings.substr(contents, 0, len(signature)) == signature
