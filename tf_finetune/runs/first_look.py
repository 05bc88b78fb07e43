"""Scans the pictures before training: decodes each and extracts features.

The frozen network runs on the way, so that no picture is decoded twice: it
gives the features that the head is solved on, and activations at the freeze
boundary where fine-tuning is going to read them.
"""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.cache import passes
from tf_finetune.cache import store as stores
from tf_finetune.config import train
from tf_finetune.data import examples
from tf_finetune.data.augmenting import augmentation
from tf_finetune.data.pictures import oddities, verification
from tf_finetune.runs import frozen
from tf_finetune.runs import networks as compiled_networks


def problems(
    pictures: Sequence[examples.Picture],
    config: train.TrainConfig,
    networks: compiled_networks.Networks,
    cache: frozen.Cache,
    *,
    batch_size: int,
) -> dict[str, str]:
    """Decodes the pictures that no run has decoded yet.

    Args:
        pictures: Whose headers are fine.
        config: The run.
        networks: The model, compiled.
        cache: Where its outputs go.
        batch_size: Pictures in each forward pass.

    Returns:
        Reason by path of each picture that cannot be used.
    """
    names = [picture.sha256 for picture in pictures]
    into = {"features": cache.features}
    if keeps_rows(config, networks):
        if config.training.num_views > 1:
            cache.crossing("float16")  # Making room leaves alone what is open.
        rows = cache.crossing("float32")
        # Without room the features of the head are computed alone.
        if cache.make_room(len(rows.missing(names)) * rows.row_bytes):
            into["rows"] = rows
    use = _Pass(networks, into, names, batch_size)
    return verification.problems(
        pictures,
        cache_dir=config.output.cache_folder,
        image_size=networks.image_size,
        resize=config.model.resize,
        pixels=config.model.pixels,
        use=use,
        finish=use.finish,
        report=functools.partial(oddities.warn, pixels=config.model.pixels),
    )


def keeps_rows(
    config: train.TrainConfig, networks: compiled_networks.Networks
) -> bool:
    """Predicts if fine-tuning will read activations at the freeze boundary.

    It does if it is told to; left to itself (`caching`), hardly ever where
    each picture is seen no more often than the cache would compute it.
    """
    wanted, options = config.output.cache, config.training
    if networks.cut is None or wanted == "off":
        return False
    # Mixed pictures have no rows of their own to be cached.
    if augmentation.mixes(options.augmentation):
        return False
    return wanted == "on" or options.epochs >= options.num_views


class _Pass:
    """Computes the rows that stores lack, of pictures that come one by one."""

    def __init__(
        self,
        networks: compiled_networks.Networks,
        into: Mapping[str, stores.Store],
        names: list[str],
        batch_size: int,
    ) -> None:
        self._networks = networks
        self._writers = {
            kind: passes.Writer(store, store.missing(names))
            for kind, store in into.items()
        }
        self._batch_size = batch_size
        self._waiting: dict[str, tf.Tensor] = {}

    def __call__(self, name: str, image: tf.Tensor) -> None:
        # Rows that the cache holds already are not computed again.
        if any(name in writer.names for writer in self._writers.values()):
            self._waiting[name] = image
        if len(self._waiting) == self._batch_size:
            self._compute()

    def finish(self) -> None:
        """Computes the last ones and writes them."""
        if self._waiting:
            self._compute()
        passes.flush([*self._writers.values()])

    def _compute(self) -> None:
        network = self._networks.whole(with_rows="rows" in self._writers)
        answers = network(tf.stack([*self._waiting.values()]))
        for kind, writer in self._writers.items():
            writer.add([*self._waiting], np.asarray(getattr(answers, kind)))
        passes.flush_due([*self._writers.values()])
        self._waiting.clear()
