"""Losses of masks, in float32, with class weights and ignored pixels inside."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.config import training_options
from tf_finetune.data import class_weights

# Lin et al. 2017, "Focal Loss for Dense Object Detection", section 5.1.
_FOCUS = 2.0
# Salehi et al. 2017, section 3.2: false negatives cost more than false
# positives.
_FALSE_POSITIVES, _FALSE_NEGATIVES = 0.3, 0.7
# Pixels; keeps the overlap of a class of a few pixels from jumping.
_SMOOTHING = 1.0


class MaskLoss(keras.losses.Loss):
    """Cross-entropy, focal, dice or tversky loss of masks, or a sum of these.

    Ignored pixels weigh nothing: neither they nor the predictions there enter
    any sum. A picture with ignored pixels alone has a loss of 0.

    Args:
        name: One of these, or several joined by "+", each with the weight 1:
            "cross_entropy", the mean over a picture's pixels; "focal" (Lin et
            al. 2017, equation 4, gamma 2), likewise; "dice" (Milletari et al.
            2016, "V-Net", section 3, without the squares), one minus the
            overlap of each class that occurs in the picture, averaged over
            these classes; "tversky" (Salehi et al. 2017, "Tversky Loss Function
            for Image Segmentation Using 3D Fully Convolutional Deep Networks",
            equation 4, alpha 0.3, beta 0.7), likewise.
        label_smoothing: Share of the label spread over all classes, 0..1; read
            by cross_entropy and focal alone.
        class_weights: One weight per class; None: equal weights. In
            cross_entropy and focal each pixel is multiplied by the weight of
            its class; the classes of dice and tversky are averaged by these
            weights.
    """

    def __init__(
        self,
        name: str,
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        """Chooses the loss function.

        Raises:
            UsageError: There is no such loss, or it is named twice.
        """
        # TensorFlow makes a scope of it, which may hold no "+".
        super().__init__(name=name.replace("+", "_and_"))
        self._parts = [_LOSSES[each] for each in split_loss(name)]
        self._label_smoothing = label_smoothing
        self._class_weights = class_weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Computes the loss of each picture, float32 [batch].

        Args:
            y_true: [batch, height, width] class indices, 255 is ignored.
            y_pred: [batch, height, width, classes] logits.
        """
        pixels = _Pixels(
            y_true,
            y_pred,
            label_smoothing=self._label_smoothing,
            class_weights=self._class_weights,
        )
        return sum(each(pixels) for each in self._parts)


class _Pixels:
    """Terms that the losses share, [batch, pixels, classes] in float32."""

    def __init__(
        self,
        y_true: Any,
        y_pred: Any,
        *,
        label_smoothing: float,
        class_weights: Sequence[float] | None,
    ) -> None:
        classes = y_pred.shape[-1]
        logits = keras.ops.cast(y_pred, "float32")
        logits = keras.ops.reshape(
            logits, [-1, int(np.prod(y_pred.shape[1:-1])), classes]
        )
        mask = keras.ops.reshape(
            keras.ops.cast(y_true, "int32"), [-1, logits.shape[1]]
        )
        # An ignored pixel, 255, has a row of zeros.
        self.labels = keras.ops.one_hot(mask, classes, dtype="float32")
        self.counted = keras.ops.sum(self.labels, axis=-1)
        self.log_probabilities = keras.ops.log_softmax(logits)
        # y · (1 - ε) + ε / classes; ignored pixels stay 0.
        self.soft_labels = (
            self.labels * (1.0 - label_smoothing)
            + keras.ops.expand_dims(self.counted, -1)
            * label_smoothing
            / classes
        )
        weights = np.ones(classes) if class_weights is None else class_weights
        self.class_weights = keras.ops.convert_to_tensor(weights, "float32")


def _cross_entropy(pixels: _Pixels) -> Any:
    return _mean_over_pixels(pixels, pixels.log_probabilities)


def _focal(pixels: _Pixels) -> Any:
    # -(1 - p)^gamma · log(p), equation 4 of Lin et al. 2017.
    misses = 1.0 - keras.ops.exp(pixels.log_probabilities)
    return _mean_over_pixels(
        pixels, keras.ops.power(misses, _FOCUS) * pixels.log_probabilities
    )


def _mean_over_pixels(pixels: _Pixels, gains: Any) -> Any:
    # Divided by the number of pixels, not by the sum of their weights: those
    # have a mean of 1 over the training split.
    losses = -keras.ops.sum(pixels.soft_labels * gains, axis=-1)
    weights = keras.ops.sum(pixels.labels * pixels.class_weights, axis=-1)
    count = keras.ops.sum(pixels.counted, axis=1)
    total = keras.ops.sum(losses * weights, axis=1)
    # The count is 0 in a picture that is ignored throughout; so is the total.
    return total / keras.ops.maximum(count, 1.0)


def _dice(pixels: _Pixels) -> Any:
    return _overlap(pixels, 0.5, 0.5)


def _tversky(pixels: _Pixels) -> Any:
    return _overlap(pixels, _FALSE_POSITIVES, _FALSE_NEGATIVES)


def _overlap(pixels: _Pixels, alpha: float, beta: float) -> Any:
    """Computes one minus the Tversky index; with 0.5 and 0.5 it is Dice's."""
    # Tversky index: TP / (TP + alpha · FP + beta · FN), of soft counts.
    probabilities = keras.ops.exp(pixels.log_probabilities)
    probabilities *= keras.ops.expand_dims(pixels.counted, -1)
    hits = keras.ops.sum(probabilities * pixels.labels, axis=1)
    wrong = keras.ops.sum(probabilities, axis=1) - hits
    # FP = Σ p - TP and FN = Σ y - TP.
    sizes = keras.ops.sum(pixels.labels, axis=1)
    index = (hits + _SMOOTHING) / (
        hits + alpha * wrong + beta * (sizes - hits) + _SMOOTHING
    )
    weights = pixels.class_weights * keras.ops.cast(sizes > 0, "float32")
    total = keras.ops.sum((1.0 - index) * weights, axis=-1)
    # Where no class occurs all weights are zero, and so is the total.
    return total / keras.ops.maximum(keras.ops.sum(weights, axis=-1), 1e-7)


_LOSSES: Mapping[str, Any] = {
    "cross_entropy": _cross_entropy,
    "focal": _focal,
    "dice": _dice,
    "tversky": _tversky,
}


def split_loss(name: str) -> tuple[str, ...]:
    """Splits the name of a sum of losses, such as cross_entropy+dice.

    Args:
        name: One loss, or several joined by "+".

    Returns:
        The names of the losses, in their order.

    Raises:
        UsageError: One of them does not exist, or comes twice.
    """
    found = tuple(name.split("+"))
    for each in found:
        if each not in _LOSSES:
            raise errors.make_unknown_error(
                "--loss of --task=segmentation", each, tuple(_LOSSES)
            )
    if len(set(found)) < len(found):
        raise errors.UsageError(
            f"--loss={name} names a loss twice; write each once."
        )
    return found


def compute_class_weights(
    kind: training_options.ClassWeight,
    *,
    pixels: Sequence[int],
    pixels_of_pictures: Sequence[int],
) -> np.ndarray | None:
    """Computes the weight of each class in the loss.

    The mean weight over the training pixels is 1, so that the learning rate
    keeps its meaning.

    Args:
        kind: "none"; "balanced": the median of the classes' frequencies
            divided by the class' own; "effective_number": see
            `class_weights.weigh_by_effective_number`, of pixels.
        pixels: [classes], training pixels of each class.
        pixels_of_pictures: [classes], all pixels that are not ignored, of the
            training pictures in which the class occurs.

    Returns:
        float32 [classes], 1 for a class without a pixel; None for "none".

    Source: Eigen and Fergus 2015, "Predicting Depth, Surface Normals and
    Semantic Labels with a Common Multi-Scale Convolutional Architecture",
    section 6.3.2 (balanced).
    """
    if kind == "none":
        return None
    counts = np.asarray(pixels, "float64")
    if kind == "effective_number":
        return class_weights.weigh_by_effective_number(counts).astype("float32")
    occurs = counts > 0
    weights = np.ones(len(counts))
    if occurs.any():
        around = np.asarray(pixels_of_pictures, "float64")
        shares = counts[occurs] / around[occurs]
        # Median frequency balancing: median(freq) / freq(c), where freq(c) is
        # the class' share of the pixels of pictures that contain it.
        weights[occurs] = np.median(shares) / shares
        # Mean 1 over the training pixels.
        weights[occurs] /= (weights * counts).sum() / counts.sum()
    return weights.astype("float32")
