"""Network of a segmentation: softmax per pixel, loss, metrics, serving."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import model_options, train_config, training_options
from tf_finetune.data import examples
from tf_finetune.data.augment import augmentation
from tf_finetune.data.masks import mask_resize
from tf_finetune.feature_cache import fill
from tf_finetune.metrics import mean_iou_metric
from tf_finetune.tasks import probability_network
from tf_finetune.tasks.segmentation import losses, mask_signatures


class MaskTargets:
    """Masks of one split, loaded batch by batch."""

    moves_as = "mask"

    def __init__(
        self,
        pictures: Sequence[examples.Picture],
        *,
        image_size: int,
        resize: model_options.Resize,
        level: training_options.Augmentation,
        num_views: int,
        seed: int,
    ) -> None:
        """Draws the seeds of the geometric augmentation of every view.

        Args:
            pictures: Of the split, their masks prepared.
            image_size: Side of the square in pixels.
            resize: How pictures become square.
            level: Of the augmentation of views beyond the first.
            num_views: Of each picture.
            seed: Start of the random draws.
        """
        self._count = len(pictures)
        self._size = {"image_size": image_size, "resize": resize}
        mixes = augmentation.mixes_images(level)
        self._num_views = 1 if mixes else num_views
        if self._num_views > 1:
            self._change = augmentation.build_target_augmentation(
                level, self.moves_as
            )
        indices = [os.fsencode(each.label.indices) for each in pictures]
        with tf.device("CPU"):
            self._indices = tf.constant(indices)
            self._seeds = tf.constant(
                _draw_seeds(pictures, self._num_views, level, seed)
            )

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return self._count

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns uint8 [batch, image_size, image_size] class indices."""
        side = self._size["image_size"]
        found = tf.map_fn(
            self._load_mask,
            (tf.cast(places, tf.int64), tf.cast(views, tf.int64)),
            fn_output_signature=tf.TensorSpec([side, side], tf.uint8),
        )
        return tf.ensure_shape(found, [None, side, side])

    def _load_mask(
        self, place_and_view: tuple[tf.Tensor, tf.Tensor]
    ) -> tf.Tensor:
        place, view = place_and_view
        mask = mask_resize.load_mask(
            tf.gather(self._indices, place), **self._size
        )
        # View 0 is the picture as it is.
        if self._num_views == 1:
            return mask
        seed = self._seeds[view - 1, place]
        return tf.cond(
            view == 0,
            lambda: mask,
            lambda: self._change(mask[tf.newaxis], seed)[0],
        )


class BlankMasks:
    """Placeholder masks, for trying a training step without data."""

    moves_as = "mask"

    def __init__(self, count: int, num_classes: int, image_size: int) -> None:
        """Creates a mask with stripes of every class.

        Args:
            count: Of the pictures.
            num_classes: Of the task.
            image_size: Side of the square in pixels.
        """
        self._count = count
        columns = np.arange(image_size) % num_classes
        self._mask = np.broadcast_to(columns, [image_size] * 2).astype("uint8")

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return self._count

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns uint8 [batch, image_size, image_size]."""
        del views
        count = tf.shape(places)[0]
        return tf.tile(tf.constant(self._mask)[tf.newaxis], [count, 1, 1])


def _draw_seeds(
    pictures: Sequence[examples.Picture],
    num_views: int,
    level: training_options.Augmentation,
    seed: int,
) -> np.ndarray:
    """Returns the seeds of all views but the first, int32 [views - 1, n, 2].

    There is at least one row.
    """
    # The same seeds as those of the pictures' views, from the same function.
    rows = [
        fill.derive_seeds(
            fill.make_views(
                [each.path for each in pictures],
                [each.sha256 for each in pictures],
                number=number,
                level=level,
                seed=seed,
            )
        )
        for number in range(1, num_views)
    ]
    return np.array(rows or np.zeros([1, len(pictures), 2]), "int32")


class Network(probability_network.ProbabilityNetwork):
    """One softmax over all classes for each pixel."""

    # A decoder has no closed form: it is trained by gradient steps.
    solver = "steps"
    # Few: the probabilities of one picture are size × size × classes numbers.
    max_parity_pictures = 4
    signature_functions: ClassVar = mask_signatures.SIGNATURE_FUNCTIONS
    check_signatures = staticmethod(mask_signatures.check_masks)

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train_config.TrainConfig,
        image_size: int,
    ) -> MaskTargets:
        """Returns uint8 masks [n, image_size, image_size]."""
        return MaskTargets(
            data.split(split),
            image_size=image_size,
            resize=config.model.resize,
            level=config.training.augmentation,
            num_views=config.training.num_views,
            seed=config.seed,
        )

    def build_blank_targets(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> BlankMasks:
        """Returns placeholder masks with stripes of every class."""
        return BlankMasks(count, len(names), image_size)

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> losses.MaskLoss:
        """Builds the loss that `--loss` names."""
        weights = None
        if described is not None:
            pixels, around = (
                [described["masks"]["train"][key][name] for name in names]
                for key in ("pixels", "pixels_there")
            )
            weights = losses.compute_class_weights(
                options.class_weight, pixels=pixels, pixels_of_pictures=around
            )
        return losses.MaskLoss(
            self.default_loss if options.loss == "auto" else options.loss,
            label_smoothing=options.label_smoothing,
            class_weights=weights,
        )

    def metrics(self, names: Sequence[str]) -> list[keras.metrics.Metric]:
        """Builds mean IoU at the resolution of the model's output."""
        return [mean_iou_metric.MeanIoU(len(names))]

    def serve(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns `probabilities` and `masks` at the model's output size.

        `probabilities` float32 [batch, size, size, classes]; `masks` int32
        [batch, size, size], places in labels.txt from 0 on.
        """
        return {
            "masks": tf.argmax(predictions, -1, tf.int32),
            "probabilities": predictions,
        }

    def classify(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns nothing: a picture has no single class."""
        return {}


NETWORK = Network()
