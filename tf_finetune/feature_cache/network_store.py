"""Opens the cache entry of one network's outputs."""

import contextlib
import pathlib

import keras

from tf_finetune.config import model_options
from tf_finetune.feature_cache import entries, keys
from tf_finetune.feature_cache import store as stores


def open_store(
    model: keras.Model,
    *,
    width: int,
    dtype: str,
    image_size: int,
    resize: model_options.Resize,
    pixels: model_options.PixelOptions = model_options.DEFAULT_PIXELS,
    cache_dir: pathlib.Path,
    what: str,
    held: contextlib.ExitStack,
) -> stores.Store:
    """Opens the store of a network's cached outputs, empty at first.

    Args:
        model: Pictures → outputs to cache.
        width: Numbers a row.
        dtype: Of the rows.
        image_size: Side of the model's input, pixels.
        resize: How pictures become square.
        pixels: How their files are decoded.
        cache_dir: The folder shared between runs.
        what: Description of the entry.
        held: Stack that keeps the entry from eviction until it is closed.

    Raises:
        RunError: The cache directory cannot be written.
    """
    # Rows of both dtypes may exist side by side, in entries of their own.
    key = keys.hash_network(
        model, image_size=image_size, resize=resize, pixels=pixels
    )
    folder = held.enter_context(
        entries.hold_entry(
            cache_dir,
            f"{entries.FEATURES}/{key}-{dtype}",
            what=f"{what}, {image_size} pixels, {dtype}",
        )
    )
    return stores.Store(folder, width=width, dtype=dtype)
