"""Compares the whole model with the cached path, on real pictures."""

import os

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import errors, inference
from tf_finetune.data.pictures import decoding
from tf_finetune.runs import course as courses

_PICTURES = 4
# Above this difference of a logit, relative to the largest one, the cache and
# the model disagree; float32 sums in another order (another batch size) stay
# two orders of magnitude below it.
_TOLERANCE = 1e-3


def check(course: courses.Course, logits: np.ndarray) -> None:
    """Compares the whole model with the cached path on real pictures.

    Args:
        course: The run.
        logits: Of the first validation pictures, from the cache.

    Raises:
        RunError: They differ; the sentence names the cache where the model
            agrees with itself, and the weights where it does not.
    """
    count = min(_PICTURES, len(logits))
    pictures = course.data.split("validation")[:count]
    # The scan's device; another one takes a third of a second to get ready.
    with tf.device("CPU"):
        images = tf.stack(
            [
                decoding.load(
                    os.fsencode(picture.path),
                    image_size=course.image_size,
                    resize=course.config.model.resize,
                    pixels=course.config.model.pixels,
                )
                for picture in pictures
            ]
        )
    # Not compiled: what is compiled computes in another way than Keras.
    whole = np.asarray(course.built.trainer(images, training=False))
    difference = measure(whole, logits[:count])
    logging.debug(
        "cache check: logits recomputed from %d pictures agree to %.1e "
        "(relative)",
        count,
        difference,
    )
    # So written that NaN is an error, too.
    if not difference <= _TOLERANCE:
        raise errors.RunError(
            explain(
                course.built.trainer,
                images,
                whole,
                difference,
                cache_dir=course.cache_dir,
            )
        )


def measure(whole: np.ndarray, other: np.ndarray) -> float:
    """Returns the largest difference, relative to the largest of `other`."""
    largest = max(np.max(np.abs(other)), np.finfo("float32").tiny)
    return float(np.max(np.abs(whole - other)) / largest)


def explain(
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
    fresh = np.asarray(inference.called(inference.step(trainer), images))
    # Without the cache, but compiled as the cached path is.
    again = measure(whole, fresh)
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
