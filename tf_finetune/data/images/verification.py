"""Decoding of every picture before training, so that none fails later.

TensorFlow says of most files no more than that they are invalid. "Damaged" is
said of a file only where a second decoder, Pillow's, cannot read it either.
"""

import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import io
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from tf_finetune.config import picture_options
from tf_finetune.data import examples, progress
from tf_finetune.data.images import decode_results, decoding, file_kinds

# Pictures that are being decoded or wait to be used.
_MAX_PENDING = 32

UseImage = Callable[[str, tf.Tensor], None]
_DecodeFunction = Callable[[examples.Picture], decode_results.DecodeResult]

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifiedPicture:
    """A picture that decodes, with its appearance.

    Attributes:
        picture: The picture file with its label.
        look: Summary statistics of the decoded pixels (8 x 8 cells).
    """

    picture: examples.Picture
    look: decode_results.Appearance


def decode_pictures(
    pictures: Sequence[examples.Picture],
    *,
    cache_dir: pathlib.Path,
    square: picture_options.Square,
    use: UseImage | None = None,
    finish: Callable[[], None] = lambda: None,
    report: Callable[[list[VerifiedPicture]], None] | None = None,
) -> dict[str, str]:
    """Decodes pictures on all cores and returns those that cannot be used.

    `use` gets the pixels, so that features are extracted from them while the
    next pictures are decoded. Results are cached by content in verdicts/ of
    `cache_dir`; a picture with a cached result is not decoded again. A cache
    that cannot be read or written costs time only; that is logged.

    Args:
        pictures: Pictures with readable headers.
        cache_dir: Cache directory shared between runs.
        square: What pictures are decoded into; its size changes no result.
        use: Called with SHA-256 and pixels (float32 [size, size, 3],
            0..255) of each picture that was decoded now, in their order.
        finish: Called once after the last picture, before results are cached;
            if it raises, the next scan decodes the same pictures again.
        report: Called with the usable pictures and their appearance; of files
            with equal bytes only the first.

    Returns:
        Reason by path, for each picture that cannot be used.
    """
    store = decode_results.make_store_path(cache_dir, square)
    known = decode_results.read_results(store)
    found = _find_missing(pictures, known)
    judge = functools.partial(_decode_and_measure, square=square)
    unknown = [p for p in pictures if p.sha256 not in known]
    fresh: dict[str, decode_results.DecodeResult] = {}
    for picture, verdict in _decode_all(unknown, judge):
        # Images go on at once and are dropped: memory stays bounded.
        if use and verdict.image is not None:
            use(picture.sha256, verdict.image)
        if verdict.is_lasting:
            fresh[picture.sha256] = dataclasses.replace(verdict, image=None)
        elif verdict.reason:
            found[picture.path] = verdict.reason
    finish()
    if fresh:
        decode_results.merge_results(store, fresh)
    judged = known | fresh
    _add_lasting_reasons(found, pictures, judged)
    if report:
        report(_list_verified(pictures, judged, found))
    return found


def _add_lasting_reasons(
    found: dict[str, str],
    pictures: Sequence[examples.Picture],
    judged: Mapping[str, decode_results.DecodeResult],
) -> None:
    for picture in pictures:
        verdict = judged.get(picture.sha256)
        if verdict and verdict.reason:
            # A reason found in this run, such as a missing file, goes first.
            found.setdefault(picture.path, verdict.reason)


def _find_missing(
    pictures: Sequence[examples.Picture],
    known: Mapping[str, decode_results.DecodeResult],
) -> dict[str, str]:
    # Known contents are not read again, so that their files are looked for.
    return {
        picture.path: "cannot be read: the file no longer exists"
        for picture in pictures
        if picture.sha256 in known and not os.path.isfile(picture.path)
    }


def explain_failure(message: str, contents: bytes) -> str:
    """Explains why a picture does not decode, in words for its owner.

    Args:
        message: Error message of TensorFlow's decoder.
        contents: Bytes of the file.

    Returns:
        A phrase such as "a truncated or damaged PNG".
    """
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, message):
            return meaning
    kind = file_kinds.detect_kind(contents[: file_kinds.HEAD_BYTES])
    if kind not in file_kinds.DECODABLE:
        return f"it is {file_kinds.describe_kind(kind)}"
    if kind == "JPEG" and (process := file_kinds.describe_rare_jpeg(contents)):
        return (
            f"a JPEG of a rare kind ({process}), which is not supported; save "
            "it as PNG to use it"
        )
    if _is_readable_by_pillow(contents):
        return _UNSUPPORTED.format(kind=kind)
    return f"a truncated or damaged {kind}"


def _list_verified(
    pictures: Sequence[examples.Picture],
    judged: Mapping[str, decode_results.DecodeResult],
    found: Mapping[str, str],
) -> list[VerifiedPicture]:
    """Returns the usable pictures, of equal files the first."""
    seen: dict[str, VerifiedPicture] = {}
    for picture in pictures:
        verdict = judged.get(picture.sha256)
        if verdict and verdict.look and picture.path not in found:
            fresh = VerifiedPicture(picture=picture, look=verdict.look)
            seen.setdefault(picture.sha256, fresh)
    return list(seen.values())


def _decode_all(
    pictures: Sequence[examples.Picture], judge: _DecodeFunction
) -> Iterator[tuple[examples.Picture, decode_results.DecodeResult]]:
    if not pictures:
        return
    judged = progress.track(
        _decode_in_parallel(pictures, judge),
        total=len(pictures),
        title="Decoding pictures",
    )
    yield from zip(pictures, judged, strict=True)


def _decode_in_parallel(
    pictures: Sequence[examples.Picture], judge: _DecodeFunction
) -> Iterator[decode_results.DecodeResult]:
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for picture in pictures:
            waiting.append(pool.submit(judge, picture))
            # In order, and never more than `_MAX_PENDING` images in memory.
            if len(waiting) > _MAX_PENDING:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _decode_and_measure(
    picture: examples.Picture, square: picture_options.Square
) -> decode_results.DecodeResult:
    try:
        contents = pathlib.Path(picture.path).read_bytes()
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return decode_results.DecodeResult(reason=reason, is_lasting=False)
    # A verdict under the hash of other bytes would be wrong for ever.
    if hashlib.sha256(contents).hexdigest() != picture.sha256:
        reason = "it changed while the pictures were scanned"
        return decode_results.DecodeResult(reason=reason, is_lasting=False)
    try:
        with tf.device("CPU"):
            image = decoding.load_bytes(contents, square)
            stored = _read_16_bit_values(contents)
    except (tf.errors.ResourceExhaustedError, MemoryError):
        # Not kept: another machine, or this one later, may have more.
        reason = "does not fit into memory"
        return decode_results.DecodeResult(reason=reason, is_lasting=False)
    except tf.errors.OpError as error:
        reason = explain_failure(error.message, contents)
        return decode_results.DecodeResult(reason=f"does not decode: {reason}")
    look = decode_results.measure_appearance(
        np.asarray(image), contents, resize=square.resize, stored=stored
    )
    return decode_results.DecodeResult(reason=None, look=look, image=image)


def _read_16_bit_values(contents: bytes) -> np.ndarray | None:
    """Returns the values of a 16-bit picture, [height, width, channels]."""
    if not file_kinds.has_sixteen_bits(contents):
        return None
    return np.asarray(tf.io.decode_png(contents, dtype=tf.uint16))


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
