"""The one scan before training, which decodes every picture.

Where nothing but the head will move, the features are computed on the way, so
that no picture is decoded twice.
"""

import contextlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import assembly, inference
from tf_finetune.cache import opening, passes
from tf_finetune.cache import store as stores
from tf_finetune.config import train
from tf_finetune.data import survey, verification


def problems(
    inspected: survey.Inspected,
    config: train.TrainConfig,
    built: assembly.Assembly,
    *,
    batch_size: int | None,
) -> dict[str, str]:
    """Decodes the pictures that no run has decoded yet.

    Args:
        inspected: The pictures.
        config: What is asked for.
        built: The model.
        batch_size: Of the features that are computed too; None: none are.

    Returns:
        Reason by path of each picture that cannot be used.
    """
    with contextlib.ExitStack() as held:
        use = None
        if batch_size:
            store = features(config, built, held)
            names = [picture.sha256 for picture in inspected.pictures]
            use = _Features(built.extractor, store, names, batch_size)
        found = verification.problems(
            inspected.pictures,
            cache_dir=config.output.cache_folder,
            image_size=built.backbone.image_size,
            resize=config.model.resize,
            use=use,
        )
        if use:
            use.finish()
    return found


def features(
    config: train.TrainConfig,
    built: assembly.Assembly,
    held: contextlib.ExitStack,
) -> stores.Store:
    """Opens the entry of the pooled features."""
    return opening.store(
        built.extractor,
        width=built.extractor.output_shape[-1],
        dtype="float32",
        image_size=built.backbone.image_size,
        resize=config.model.resize,
        cache_dir=config.output.cache_folder,
        what=f"{config.model.backbone} up to features",
        held=held,
    )


class _Features:
    """Computes the rows that a store lacks, of pictures that come singly."""

    def __init__(
        self,
        extractor: keras.Model,
        store: stores.Store,
        names: list[str],
        batch_size: int,
    ) -> None:
        self._extractor = extractor
        self._writer = passes.Writer(store, store.missing(names))
        self._batch_size = batch_size
        self._network: Callable[[tf.Tensor], tf.Tensor] | None = None
        self._waiting: dict[str, tf.Tensor] = {}

    def __call__(self, name: str, image: tf.Tensor) -> None:
        if name in self._writer.names:
            self._waiting[name] = image
        if len(self._waiting) == self._batch_size:
            self._compute()

    def finish(self) -> None:
        """Computes the last ones and writes them."""
        if self._waiting:
            self._compute()
        self._writer.flush()

    def _compute(self) -> None:
        if self._network is None:
            self._network = inference.step(self._extractor)
        rows = self._network(tf.stack([*self._waiting.values()]))
        self._writer.add([*self._waiting], np.asarray(rows))
        self._waiting.clear()
