"""Decodes every picture once before training, so that none fails later."""

import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import tensorflow as tf
from absl import logging

from tf_finetune import files
from tf_finetune.config import model_options
from tf_finetune.data import examples, progress
from tf_finetune.data.pictures import decoding, file_kinds

# Pictures that are being decoded or wait to be used.
_AHEAD = 32

Use = Callable[[str, tf.Tensor], None]
_Load = Callable[[bytes], tf.Tensor]

# What TensorFlow says, and what it means to the owner of the picture.
_MEANINGS = (
    (r"PNG size too large", "larger than can be decoded"),
    (r"WebP Animation", "an animated WebP; only still ones are decoded"),
    (
        r"BMP of a kind|channels inherent",
        "a BMP of an unusual kind (RLE, OS/2 or not 8, 24 or 32 bits); "
        "saved as PNG it can be used",
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Verdict:
    """What decoding one picture came to.

    Attributes:
        reason: Why the picture cannot be used; None: it can.
        is_lasting: Whether the same bytes will always give this verdict.
        image: The picture, if it can be used.
    """

    reason: str | None
    is_lasting: bool
    image: tf.Tensor | None = None


def problems(
    pictures: Sequence[examples.Picture],
    *,
    cache_dir: pathlib.Path,
    image_size: int,
    resize: model_options.Resize,
    use: Use | None = None,
    finish: Callable[[], None] | None = None,
) -> dict[str, str]:
    """Finds the pictures that cannot be loaded, using all cores.

    Verdicts are kept by content in verdicts/ of the cache, so that nothing is
    decoded a second time. A cache that cannot be read or written costs time
    only; that is logged.

    Args:
        pictures: Whose headers are fine.
        cache_dir: Folder shared between runs.
        image_size: As they will be loaded; that has no part in a verdict, but
            the decoder is made ready once and not twice.
        resize: Likewise.
        use: Called with the SHA-256 and the pixels (as `decoding.load` gives
            them) of each picture that was decoded, in their order.
        finish: Called when all were decoded, before it is written that they
            were: an interrupted scan hands on the same pictures again.

    Returns:
        Reason by path of each picture that cannot be used.
    """
    store = _store(cache_dir)
    known = _read(store)
    found = {
        picture.path: "cannot be read: it is not there any more"
        for picture in pictures
        if picture.sha256 in known and not os.path.isfile(picture.path)
    }
    load = functools.partial(
        decoding.load_bytes, image_size=image_size, resize=resize
    )
    unknown = [p for p in pictures if p.sha256 not in known]
    fresh: dict[str, str | None] = {}
    for picture, verdict in _judge_all(unknown, load):
        if use and verdict.image is not None:
            use(picture.sha256, verdict.image)
        if verdict.is_lasting:
            fresh[picture.sha256] = verdict.reason
        elif verdict.reason:
            found[picture.path] = verdict.reason
    if finish:
        finish()
    if fresh:
        _merge(store, fresh)
    for picture in pictures:
        reason = fresh.get(picture.sha256) or known.get(picture.sha256)
        if reason:
            found.setdefault(picture.path, reason)
    return found


def _judge_all(
    pictures: Sequence[examples.Picture], load: _Load
) -> Iterator[tuple[examples.Picture, _Verdict]]:
    if not pictures:
        return
    judged = progress.bar(
        _in_parallel(pictures, load),
        total=len(pictures),
        title="Decoding pictures",
    )
    yield from zip(pictures, judged, strict=True)


def _in_parallel(
    pictures: Sequence[examples.Picture], load: _Load
) -> Iterator[_Verdict]:
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for picture in pictures:
            waiting.append(pool.submit(_judge, picture, load))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _judge(picture: examples.Picture, load: _Load) -> _Verdict:
    try:
        contents = pathlib.Path(picture.path).read_bytes()
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return _Verdict(reason=reason, is_lasting=False)
    if hashlib.sha256(contents).hexdigest() != picture.sha256:
        reason = "it changed while the pictures were looked at"
        return _Verdict(reason=reason, is_lasting=False)
    try:
        with tf.device("CPU"):
            image = load(contents)
    except (tf.errors.ResourceExhaustedError, MemoryError):
        return _Verdict(reason="does not fit into memory", is_lasting=False)
    except tf.errors.OpError as error:
        reason = _meaning(error.message, contents)
        return _Verdict(reason=f"does not decode: {reason}", is_lasting=True)
    return _Verdict(reason=None, is_lasting=True, image=image)


def _meaning(message: str, contents: bytes) -> str:
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, message):
            return meaning
    kind = file_kinds.of(contents[: file_kinds.HEAD_BYTES])
    if kind not in file_kinds.DECODABLE:
        return f"it is {kind}"
    return f"a truncated or damaged {kind}"


def _store(cache_dir: pathlib.Path) -> pathlib.Path:
    """Returns the file of verdicts of this decoder in this TensorFlow."""
    name = f"decoder-{decoding.VERSION}-tensorflow-{tf.__version__}.json"
    return pathlib.Path(cache_dir) / "verdicts" / name


def _read(store: pathlib.Path) -> dict[str, str | None]:
    """Returns reason (None: decodes) by SHA-256; empty if there is no file."""
    try:
        verdicts = files.read_json(store)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        logging.warning("%s cannot be read and is ignored: %s", store, error)
        return {}
    is_sound = isinstance(verdicts, dict) and all(
        reason is None or isinstance(reason, str)
        for reason in verdicts.values()
    )
    if not is_sound:
        logging.warning("%s holds no verdicts and is ignored.", store)
        return {}
    return verdicts


def _merge(store: pathlib.Path, fresh: Mapping[str, str | None]) -> None:
    """Adds verdicts; of two runs at once, one may lose what it found."""
    try:
        files.write_json(store, _read(store) | dict(fresh))
    except OSError as error:
        logging.warning("%s cannot be written: %s", store, error)
