"""Scans the pictures before training: decodes each and extracts features.

The frozen network runs on the way, so that no picture is decoded twice: it
gives the features that the head is solved on, and activations at the freeze
boundary where fine-tuning is going to read them.
"""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.config import train_config
from tf_finetune.data import examples
from tf_finetune.data.augment import augmentation
from tf_finetune.data.images import image_warnings, verification
from tf_finetune.feature_cache import fill
from tf_finetune.feature_cache import store as stores
from tf_finetune.runs import compiled_networks, run_cache


def decode_and_extract(
    pictures: Sequence[examples.Picture],
    config: train_config.TrainConfig,
    networks: compiled_networks.CompiledNetworks,
    cache: run_cache.RunCache,
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
    if will_read_activations(config, networks):
        if config.training.num_views > 1:
            cache.open_activations(
                "float16"
            )  # Making room leaves alone what is open.
        rows = cache.open_activations("float32")
        # Without room the features of the head are computed alone.
        if cache.make_room(len(rows.missing(names)) * rows.row_bytes):
            into["rows"] = rows
    use = _FeatureExtraction(networks, into, names, batch_size)
    return verification.decode_pictures(
        pictures,
        cache_dir=config.output.cache_folder,
        image_size=networks.image_size,
        resize=config.model.resize,
        pixels=config.model.pixels,
        use=use,
        finish=use.finish,
        report=functools.partial(
            image_warnings.warn_of_oddities, pixels=config.model.pixels
        ),
    )


def will_read_activations(
    config: train_config.TrainConfig,
    networks: compiled_networks.CompiledNetworks,
) -> bool:
    """Predicts if fine-tuning will read activations at the freeze boundary.

    It does if it is told to; left to itself (`cache_choice`), hardly ever where
    each picture is seen no more often than the cache would compute it.
    """
    wanted, options = config.output.cache, config.training
    if networks.boundary is None or wanted == "off":
        return False
    # Mixed pictures have no rows of their own to be cached.
    if augmentation.mixes_images(options.augmentation):
        return False
    return wanted == "on" or options.epochs >= options.num_views


class _FeatureExtraction:
    """Computes the rows that stores lack, of pictures that come one by one."""

    def __init__(
        self,
        networks: compiled_networks.CompiledNetworks,
        into: Mapping[str, stores.Store],
        names: list[str],
        batch_size: int,
    ) -> None:
        self._networks = networks
        self._writers = {
            kind: fill.Writer(store, store.missing(names))
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
        fill.flush_all([*self._writers.values()])

    def _compute(self) -> None:
        network = self._networks.pretrained_step(
            with_rows="rows" in self._writers
        )
        answers = network(tf.stack([*self._waiting.values()]))
        for kind, writer in self._writers.items():
            writer.add([*self._waiting], np.asarray(getattr(answers, kind)))
        fill.flush_if_due([*self._writers.values()])
        self._waiting.clear()
