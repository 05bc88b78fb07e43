"""Duration and memory of a run, estimated from measured steps."""

import dataclasses
import resource
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.model import inference
from tf_finetune.training import fit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated seconds and memory of a run, before it starts.

    Attributes:
        features_seconds: Seconds of one forward pass over all pictures.
        fine_tune_seconds: Seconds of all epochs and their validation.
        memory_bytes: Peak memory of this process so far, which after three
            training steps is close to the peak of training.
    """

    features_seconds: float
    fine_tune_seconds: float
    memory_bytes: int

    def text(self) -> str:
        """Formats the estimate as one line for the log, with units."""
        return (
            f"estimate (from measured steps): features "
            f"{format_duration(self.features_seconds)}, fine-tuning at most "
            f"{format_duration(self.fine_tune_seconds)}, memory "
            f"{self.memory_bytes / 2**30:.1f} GiB"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Measured seconds per picture of each part of a training step.

    Attributes:
        load: Seconds to decode, resize and augment it.
        frozen: Seconds of a forward pass through the layers below the freeze
            boundary.
        step: Seconds of a training step on the layers above.
    """

    load: float
    frozen: float
    step: float


def estimate_fine_tuning(
    costs: Costs,
    *,
    trained: int,
    validated: int,
    missing_features: int,
    missing_rows: int,
    views: int,
    epochs: int,
) -> tuple[float, float]:
    """Estimates the seconds of fine-tuning with the cache and without it.

    Features that the scan has cached already are not counted; missing ones are
    needed either way, for the head. Loading and computing are added up, as they
    share the processor's cores. A forward pass of the upper layers is taken as
    a third of their training step.

    Args:
        costs: Measured seconds per picture.
        trained: Number of pictures in the training split.
        validated: Number of pictures in the validation split.
        missing_features: Number of pictures without cached features.
        missing_rows: Number of pictures without cached activations at the
            freeze boundary.
        views: Number of cached views of each training picture.
        epochs: Most epochs of fine-tuning.

    Returns:
        Seconds with the cache, seconds without it.
    """
    # A step is one forward pass and two backward ones: for inputs and weights.
    forward = costs.step / 3
    whole = costs.load + costs.frozen + forward
    more_views = (views - 1) * trained * (costs.load + costs.frozen)
    # Both ways train the upper layers; only without the cache every epoch
    # decodes the pictures and runs the frozen layers again.
    upper = epochs * (trained * costs.step + validated * forward)
    lower = epochs * (trained + validated) * (costs.load + costs.frozen)
    return (
        max(missing_features, missing_rows) * whole + more_views + upper,
        missing_features * whole + lower + upper,
    )


def measure_run(
    trainer: keras.Model,
    extractor: keras.Model,
    batches: tf.data.Dataset,
    *,
    num_pictures: int,
    training_steps: int,
    validated_pictures: int,
) -> Estimate:
    """Estimates a run by timing some steps of each kind after a warm-up.

    Args:
        trainer: Model compiled for fine-tuning; its weights are restored.
        extractor: Model from pictures to features.
        batches: Training batches of (pictures, targets), at least two.
        num_pictures: Number of pictures of all splits.
        training_steps: Steps of the whole fine-tuning stage; 0: none is timed.
        validated_pictures: Pictures validated over all epochs together.
    """
    steps = iter(batches)
    images, targets = next(steps)
    network = inference.compile_step(extractor)
    forward = _time_second_call(lambda: network(images))
    step = 0.0
    if training_steps:
        # The same batch, so that loading is not part of the step's time.
        # Two steps to warm up and one that is timed.
        same = tf.data.Dataset.from_tensors((images, targets)).repeat(3)
        step = fit.time_step(trainer, same)
    loading = _time_second_call(lambda: next(steps, None))
    per_picture = (forward + loading) / len(np.asarray(targets))
    return Estimate(
        features_seconds=num_pictures * per_picture,
        fine_tune_seconds=training_steps * (step + loading)
        + validated_pictures * per_picture,
        memory_bytes=read_peak_bytes(),
    )


def _time_second_call(work: Callable[[], object]) -> float:
    """Returns the seconds of the second of two calls."""
    work()  # Traces and compiles.
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def read_peak_bytes() -> int:
    """Returns the peak main memory of this process, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, Linux in kibibytes.
    return peak if sys.platform == "darwin" else peak * 1024


def format_duration(seconds: float) -> str:
    """Formats seconds for people: "12 s", "34 min", "5.6 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
