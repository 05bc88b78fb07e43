"""Results of decoding pictures, cached by content so that it is done once."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tf_finetune import files
from tf_finetune.config import model_options
from tf_finetune.data.images import appearance, decoding

_VERSION = 1  # Of what is kept about a picture.


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodeResult:
    """Result of decoding one picture.

    Attributes:
        reason: Why the picture cannot be used; None: it can.
        is_lasting: Whether the same bytes will always give this verdict.
        look: What it looks like, if it can be used.
        image: The picture, if it was decoded just now.
    """

    reason: str | None
    is_lasting: bool = True
    look: appearance.Appearance | None = None
    image: tf.Tensor | None = None


def make_store_path(
    cache_dir: pathlib.Path,
    *,
    resize: model_options.Resize,
    pixels: model_options.PixelOptions,
) -> pathlib.Path:
    """Returns the file of the verdicts of this decoder in this TensorFlow."""
    name = (
        # Everything that may change if a picture decodes, or how it looks.
        f"decoder-{decoding.VERSION}.{_VERSION}-{resize}-{pixels.key}-"
        f"tensorflow-{tf.__version__}.json"
    )
    return pathlib.Path(cache_dir) / "verdicts" / name


def read_results(path: pathlib.Path) -> dict[str, DecodeResult]:
    """Returns verdicts by SHA-256; none if there is no sound file."""
    try:
        entries = files.read_json(path)
        return {name: _from_json(entry) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        logging.warning("%s cannot be read and is ignored: %s", path, error)
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        logging.warning(
            "%s holds no decoding results and is ignored: %s", path, error
        )
    return {}


def merge_results(
    path: pathlib.Path, fresh: Mapping[str, DecodeResult]
) -> None:
    """Adds verdicts; of two runs at once, one may lose its own."""
    both = read_results(path) | dict(fresh)
    entries = {name: _to_json(verdict) for name, verdict in both.items()}
    try:
        files.write_json(path, entries)
    except OSError as error:
        logging.warning("%s cannot be written: %s", path, error)


def _to_json(verdict: DecodeResult) -> dict[str, Any]:
    look = verdict.look and appearance.to_json(verdict.look)
    return {"reason": verdict.reason, "look": look}


def _from_json(entry: Mapping[str, Any]) -> DecodeResult:
    reason, look = entry["reason"], entry["look"]
    # A picture has a reason or a look, never both.
    if not isinstance(reason, str | None) or (reason is None) != bool(look):
        raise ValueError("an entry is no verdict")
    return DecodeResult(
        reason=reason, look=appearance.from_json(look) if look else None
    )
