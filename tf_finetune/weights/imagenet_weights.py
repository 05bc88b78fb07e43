"""The published ImageNet weights, from Keras' cache or downloaded into it."""

import hashlib
import http.client
import os
import pathlib
import queue
import threading
import time
import urllib.error
import urllib.request
from typing import IO

from absl import logging

from tf_finetune import errors, files
from tf_finetune.backbones import backbone
from tf_finetune.weights import weights_source

# A DNS lookup can hang for minutes and cannot be interrupted.
CONNECT_SECONDS = 20.0
# Longest silence in the middle of a download.
STALL_SECONDS = 20.0
_BLOCK_BYTES = 1 << 18
_REPORT_SECONDS = 10.0
_HDF5 = b"\x89HDF\r\n\x1a\n"
# Keras stores these under other names than their addresses have.
_NAMES_IN_CACHE = {
    "NASNet-mobile-no-top.h5": "nasnet_mobile_no_top.h5",
    "NASNet-large-no-top.h5": "nasnet_large_no_top.h5",
}
# Sides in pixels; other inputs get the file of 224, as in Keras.
_PUBLISHED_SIZES = (96, 128, 160, 192, 224)
_USUAL_SIZE = 224
_TENTHS = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}


def fetch_weights(
    spec: backbone.BackboneSpec, *, alpha: float | None, image_size: int
) -> pathlib.Path:
    """Finds the no-top ImageNet file of a backbone; downloads it if needed.

    Args:
        spec: Description of the backbone.
        alpha: Its width; None where width is fixed.
        image_size: Side of the input, pixels; some widths have a file per
            size, and other sizes take the file of 224, as in Keras.

    Returns:
        Path of the file in Keras' cache; its hash is checked where one is
        published.

    Raises:
        UsageError: No weights are published for the backbone.
        RunError: The file is not in the cache and cannot be downloaded; the
            message says which file to put where. Without a network it takes
            `CONNECT_SECONDS` at most.
    """
    weights_source.check_published(spec)
    url = build_url(spec, alpha=alpha, image_size=image_size)
    expected = _select_hash(spec, alpha)
    path = locate_file(spec, alpha=alpha, image_size=image_size)
    if path.is_file() and _is_intact(path, expected):
        return path
    try:
        # Checked before it gets its name: a broken download is never cached.
        with files.replacing(path) as temporary:
            logging.info("Downloading %s to %s", url, path)
            _download_file(url, temporary)
            _check_file(temporary, expected)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise errors.RunError(
            _build_advice(spec, url, path, expected, reason)
        ) from error
    return path


def locate_file(
    spec: backbone.BackboneSpec, *, alpha: float | None, image_size: int
) -> pathlib.Path:
    """Returns the path of ImageNet weights in Keras' cache; it may be missing.

    Args:
        spec: Of a backbone with published weights.
        alpha: Its width; None where width is fixed.
        image_size: Side of the input, pixels.
    """
    url = build_url(spec, alpha=alpha, image_size=image_size)
    name = url.rpartition("/")[2]
    return locate_cache_dir() / _NAMES_IN_CACHE.get(name, name)


def build_url(
    spec: backbone.BackboneSpec, *, alpha: float | None, image_size: int
) -> str:
    """Builds the URL of a backbone's ImageNet weights.

    `spec.weights_url` may hold `{alpha}` ("0.25") or `{tenths}` ("2_5", as
    MobileNet has it), and `{size}`.

    Args:
        spec: Description of the backbone.
        alpha: Its width; None where width is fixed.
        image_size: Side of the input, pixels.
    """
    width = 1.0 if alpha is None else float(alpha)
    size = image_size if image_size in _PUBLISHED_SIZES else _USUAL_SIZE
    if size == 96 and "{tenths}" in spec.weights_url:
        size = _USUAL_SIZE  # MobileNetV2 alone has files of this size.
    return spec.weights_url.format(
        alpha=width, tenths=_TENTHS.get(width, width), size=size
    )


def locate_cache_dir() -> pathlib.Path:
    """Returns the folder in which Keras caches weights.

    Source: keras/src/backend/config.py, `_KERAS_DIR`.
    """
    # Files that Keras itself has downloaded are found there.
    if home := os.environ.get("KERAS_HOME"):
        return pathlib.Path(home) / "models"
    base = os.path.expanduser("~")
    # Keras goes there, too, where the home folder is not writable.
    if not os.access(base, os.W_OK):
        base = "/tmp"
    return pathlib.Path(base) / ".keras" / "models"


def _select_hash(
    spec: backbone.BackboneSpec, alpha: float | None
) -> str | None:
    """Returns the expected hash; where width varies it is that of width 1."""
    varies = "{" in (spec.weights_url or "")
    return None if varies and alpha not in (None, 1.0) else spec.weights_hash


def _is_intact(path: pathlib.Path, expected: str | None) -> bool:
    try:
        _check_file(path, expected)
    except ValueError as error:
        logging.warning("%s is not used: %s.", path, error)
        return False
    return True


def _check_file(path: pathlib.Path, expected: str | None) -> None:
    with open(path, "rb") as file:
        if file.read(len(_HDF5)) != _HDF5:
            raise ValueError("the content is not an HDF5 file")
    if expected is None:
        return
    expected = expected.lower()
    # Keras publishes MD5 for its older files, SHA-256 for others.
    # Not for security: else MD5 fails where FIPS forbids it.
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    found = digest.hexdigest()
    if found.startswith(expected) or files.sha256(path).startswith(expected):
        return
    raise ValueError(
        f"its hash is {found[: len(expected)]}, not {expected}: it is damaged "
        "or another file"
    )


def _download_file(url: str, path: pathlib.Path) -> None:
    response = _open_url(url)
    with response, open(path, "wb") as file:
        length = int(response.headers.get("Content-Length") or 0)
        received, reported = 0, time.monotonic()
        while block := response.read(_BLOCK_BYTES):
            file.write(block)
            received += len(block)
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                logging.info(
                    "%.1f of %.1f MB",
                    received / 1e6,
                    (length or received) / 1e6,
                )
    # `read` with a size raises nothing where a connection ends early.
    if length and received != length:
        raise ValueError(
            f"the download ended after {received:,} of {length:,} bytes"
        )


def _open_url(url: str) -> IO[bytes]:
    """Opens `url`, waiting for at most `CONNECT_SECONDS`.

    Raises:
        OSError: It cannot be opened in time, or at all.
    """
    # In a thread, since a timeout of urlopen does not bound the DNS lookup.
    answers: queue.SimpleQueue = queue.SimpleQueue()

    def connect() -> None:
        try:
            # The timeout bounds each read too, so the download's stalls.
            answers.put(urllib.request.urlopen(url, timeout=STALL_SECONDS))
        except Exception as error:
            answers.put(error)

    # As a daemon: a lookup that hangs must not keep the process alive.
    threading.Thread(target=connect, daemon=True).start()
    try:
        answer = answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise TimeoutError(
            f"no answer within {CONNECT_SECONDS:.0f} seconds"
        ) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _build_advice(
    spec: backbone.BackboneSpec,
    url: str,
    path: pathlib.Path,
    expected: str | None,
    reason: object,
) -> str:
    known = f" (its MD5 or SHA-256 begins with {expected})" if expected else ""
    there = "not intact" if path.exists() else "not"
    return (
        f"The ImageNet weights of {spec.name!r} are {there} in {path.parent} "
        f"and could not be downloaded: {reason}. Either fetch {url}{known} "
        f"elsewhere and save it as {path}, or give a file of weights with "
        "--weights=PATH, or start from random ones with --weights=none."
    )
