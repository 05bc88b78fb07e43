"""Compares the whole model with the cached path, on real pictures."""

import os
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import examples
from tf_finetune.data.images import decoding
from tf_finetune.model import inference

_PICTURES = 4
# Above this difference of a logit, relative to the largest one, the cache and
# the model disagree; float32 sums in another order (another batch size) stay
# two orders of magnitude below it.
_TOLERANCE = 1e-3


def check_logits(
    trainer: keras.Model,
    pictures: Sequence[examples.Picture],
    config: train_config.TrainConfig,
    logits: np.ndarray,
) -> None:
    """Compares the whole model with the cached path on real pictures.

    Args:
        trainer: Pictures → logits.
        pictures: The first few of them are decoded.
        config: How they are decoded, and the folder of the cache.
        logits: Of the first pictures, from the cache.

    Raises:
        RunError: They differ; the sentence names the cache where the model
            agrees with itself, and the weights where it does not.
    """
    count = min(_PICTURES, len(logits))
    # The scan's device; another one takes a third of a second to get ready.
    with tf.device("CPU"):
        images = tf.stack(
            [
                decoding.load_file(
                    os.fsencode(picture.path),
                    image_size=trainer.inputs[0].shape[1],
                    resize=config.model.resize,
                    pixels=config.model.pixels,
                )
                for picture in pictures[:count]
            ]
        )
    # Not compiled: what is compiled computes in another way than Keras.
    whole = np.asarray(trainer(images, training=False))
    difference = measure_difference(whole, logits[:count])
    logging.debug(
        "cache check: logits recomputed from %d pictures agree to %.1e "
        "(relative)",
        count,
        difference,
    )
    # So written that NaN is an error, too.
    if not difference <= _TOLERANCE:
        raise errors.RunError(
            explain_difference(
                trainer,
                images,
                whole,
                difference,
                cache_dir=config.output.cache_folder,
            )
        )


def measure_difference(whole: np.ndarray, other: np.ndarray) -> float:
    """Returns the largest difference, relative to the largest of `other`."""
    largest = max(np.max(np.abs(other)), np.finfo("float32").tiny)
    return float(np.max(np.abs(whole - other)) / largest)


def explain_difference(
    trainer: keras.Model,
    images: tf.Tensor,
    whole: np.ndarray,
    difference: float,
    *,
    cache_dir: os.PathLike[str] | str,
) -> str:
    """Explains a difference: by the cache, or by the network itself.

    Args:
        trainer: Pictures → logits.
        images: [batch, size, size, 3] RGB 0..255.
        whole: Its logits of them, not compiled.
        difference: Of the cached logits from these.
        cache_dir: Where the cache lies.
    """
    fresh = np.asarray(
        inference.apply_step(inference.compile_step(trainer), images)
    )
    # Without the cache, but compiled as the cached path is.
    again = measure_difference(whole, fresh)
    if again <= _TOLERANCE:
        return (
            "The cached features are not those of this model: logits differ "
            f"by {difference:.1e} of the largest, and by {again:.1e} when "
            "nothing comes from the cache. Run `python -m tf_finetune.cache "
            f"--cache_dir={cache_dir} --clear=all` and repeat the command."
        )
    return (
        "The network does not agree with itself: compiled and not compiled, "
        f"its logits of the same pictures differ by {again:.1e} of the "
        f"largest ({_TOLERANCE:.0e} is allowed), without any cache. It "
        "magnifies the rounding of float32, as networks do whose kernels and "
        "batch norms were not trained together. The weights are probably not "
        "those of this network; check --weights and --backbone."
    )
