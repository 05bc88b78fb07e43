"""Explanations of decoding errors for the owner of a picture.

TensorFlow says of most files no more than that they are invalid. "Damaged" is
said of a file only where a second decoder, Pillow's, cannot read it either.
"""

import io
import re
import warnings

from PIL import Image

from tf_finetune.data.images import file_kinds, sample_formats

# What TensorFlow says, and what it means to the owner of the picture.
_MEANINGS = (
    (r"PNG size too large", "larger than can be decoded"),
    (r"GIF of more pixels", "larger than can be decoded"),
    (r"WebP Animation", "an animated WebP; only still ones are decoded"),
    (
        r"BMP of a kind|channels inherent",
        "a BMP of an unusual kind (RLE, OS/2 or not 8, 24 or 32 bits); "
        "save it as PNG to use it",
    ),
)
_UNSUPPORTED = "a {kind} that TensorFlow does not decode, though other "
_UNSUPPORTED += "programs do; save it anew as PNG to use it"


def explain_failure(message: str, contents: bytes) -> str:
    """Explains why a picture does not decode, in words for its owner.

    Args:
        message: What TensorFlow's decoder said.
        contents: Bytes of the file.
    """
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, message):
            return meaning
    kind = file_kinds.detect_kind(contents[: file_kinds.HEAD_BYTES])
    if kind not in file_kinds.DECODABLE:
        return f"it is {file_kinds.describe_kind(kind)}"
    if kind == "JPEG" and (
        process := sample_formats.describe_rare_jpeg(contents)
    ):
        return (
            f"a JPEG of a rare kind ({process}), which is not supported; save "
            "it as PNG to use it"
        )
    if _is_readable_by_pillow(contents):
        return _UNSUPPORTED.format(kind=kind)
    return f"a truncated or damaged {kind}"


def _is_readable_by_pillow(contents: bytes) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of large pictures, bad EXIF …
            with Image.open(io.BytesIO(contents)) as image:
                image.load()
    except Image.DecompressionBombError:
        return True  # It does not say that it is damaged.
    except Exception:  # Pillow raises whatever its parsers meet.
        return False
    return True
