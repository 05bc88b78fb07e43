"""The frozen backbone's features, computed once a picture content."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import inference
from tf_finetune.config import train
from tf_finetune.data import decoding, examples, pipeline, progress
from tf_finetune.training import feature_store

# Batches between two writes: a killed pass goes on after the last one.
_BATCHES_PER_SHARD = 64


def extract(
    extractor: keras.Model,
    pictures: Sequence[examples.Picture],
    *,
    image_size: int,
    resize: train.Resize,
    batch_size: int,
    store: feature_store.Store,
) -> np.ndarray:
    """Returns the features of pictures; only unknown contents are computed.

    Args:
        extractor: [batch, image_size, image_size, 3] → [batch, width].
        pictures: n pictures; equal contents are computed once.
        image_size: Side of the model's input, pixels.
        resize: How pictures become square.
        batch_size: Pictures per step.
        store: Where features are looked up and kept.

    Returns:
        [n, width] float32 in the order of `pictures`.
    """
    hashes = [picture.sha256 for picture in pictures]
    rows, known = store.get(hashes)
    missing = {
        picture.sha256: picture.path
        for picture, there in zip(pictures, known, strict=True)
        if not there
    }
    if not missing:
        return rows
    computed = _compute(
        extractor,
        missing,
        image_size=image_size,
        resize=resize,
        batch_size=batch_size,
        store=store,
    )
    place = {name: index for index, name in enumerate(missing)}
    for index in np.flatnonzero(~known):
        rows[index] = computed[place[hashes[index]]]
    return rows


def key(
    extractor: keras.Model, *, image_size: int, resize: train.Resize
) -> str:
    """Returns what names the features of one network on one input.

    Two networks with the same key give the same features of a picture: it
    hashes the weights, the graph (layers by position, since Keras numbers
    their names by a counter of the process), the size and kind of resizing,
    and the versions of TensorFlow and of the decoder, whose numbers may
    change between releases.
    """
    digest = hashlib.sha256()
    facts = [
        _graph(extractor),
        image_size,
        resize,
        tf.__version__,
        decoding.VERSION,
    ]
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    for weight in extractor.weights:
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:32]


def _compute(
    extractor: keras.Model,
    missing: dict[str, str],
    *,
    image_size: int,
    resize: train.Resize,
    batch_size: int,
    store: feature_store.Store,
) -> np.ndarray:
    names = list(missing)
    batches = pipeline.evaluation_images(
        list(missing.values()),
        image_size=image_size,
        resize=resize,
        batch_size=min(batch_size, len(names)),
    )
    step = inference.step(extractor)
    total = -(-len(names) // min(batch_size, len(names)))
    done: list[np.ndarray] = []
    written = 0
    for number, images in enumerate(
        progress.bar(batches, total=total, title="Computing features"), start=1
    ):
        done.append(np.asarray(step(images)))
        if number % _BATCHES_PER_SHARD == 0 or number == total:
            fresh = np.concatenate(done[written:])
            start = sum(len(each) for each in done[:written])
            store.put(names[start : start + len(fresh)], fresh)
            written = number
    return np.concatenate(done)


def _graph(model: keras.Model) -> list[Any]:
    """Returns every operation's settings and inputs, by position."""
    place = {
        id(operation.output): index
        for index, operation in enumerate(model.operations)
    }
    return [
        [
            type(operation).__name__,
            _settings(operation),
            [
                place[id(tensor)]
                for tensor in keras.tree.flatten(operation.input)
                if id(tensor) in place
            ],
        ]
        for operation in model.operations
    ]


def _settings(operation: keras.Operation) -> Any:
    """Returns an operation's config without names, at any depth."""
    return _without_names(operation.get_config())


def _without_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_names(each)
            for name, each in value.items()
            if name not in ("name", "registered_name", "trainable")
        }
    if isinstance(value, (list, tuple)):
        return [_without_names(each) for each in value]
    return value
