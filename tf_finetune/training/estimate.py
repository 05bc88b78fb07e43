"""What a run will cost, from two measured steps."""

import dataclasses
import resource
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds and memory of a run, before it starts.

    Attributes:
        features_seconds: One forward pass over all pictures.
        fine_tune_seconds: All epochs and their validation.
        memory_bytes: The largest this process has been so far, which after
            two training steps is close to what training needs.
    """

    features_seconds: float
    fine_tune_seconds: float
    memory_bytes: int

    def text(self) -> str:
        """Returns the estimate as one line."""
        return (
            f"estimate (from two measured steps): features "
            f"{_duration(self.features_seconds)}, fine-tuning at most "
            f"{_duration(self.fine_tune_seconds)}, memory "
            f"{self.memory_bytes / 2**30:.1f} GiB"
        )


def measure(
    trainer: keras.Model,
    extractor: keras.Model,
    batches: tf.data.Dataset,
    *,
    num_pictures: int,
    training_steps: int,
    validated_pictures: int,
) -> Estimate:
    """Runs two steps of each kind, the first to warm up, and scales up.

    The trainer's weights have moved afterwards.

    Args:
        trainer: Compiled for the fine-tuning stage.
        extractor: Pictures → features.
        batches: Training batches, two at least.
        num_pictures: Of all splits.
        training_steps: Of the whole fine-tuning stage; 0: none is run.
        validated_pictures: Over all epochs of that stage.
    """
    steps = iter(batches)
    images, targets = next(steps)
    forward = _seconds(lambda: extractor.predict_on_batch(images))
    step = 0.0
    if training_steps:
        step = _seconds(lambda: trainer.train_on_batch(images, targets))
    loading = _seconds(lambda: next(steps, None))
    per_picture = (forward + loading) / len(np.asarray(targets))
    return Estimate(
        features_seconds=num_pictures * per_picture,
        fine_tune_seconds=training_steps * (step + loading)
        + validated_pictures * per_picture,
        memory_bytes=_peak_bytes(),
    )


def _seconds(work: Callable[[], object]) -> float:
    """Returns the duration of the second of two calls."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
