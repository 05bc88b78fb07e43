"""Network of a segmentation: softmax per pixel, loss, metrics, serving."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import picture_options, train_config, training_options
from tf_finetune.data import examples
from tf_finetune.data.augment import augmentation
from tf_finetune.data.masks import mask_resize
from tf_finetune.feature_cache import fill
from tf_finetune.tasks import probability_network
from tf_finetune.tasks.segmentation import losses, mask_signatures


class MeanIoU(keras.metrics.Metric):
    """Mean IoU over the classes with true pixels, accumulated over batches.

    Args:
        num_classes: Number of classes; other values of a mask are ignored.
        name: Name that `fit` reports.
    """

    def __init__(self, num_classes: int, name: str = "mean_iou") -> None:
        """Creates an empty confusion matrix."""
        super().__init__(name=name)
        self._num_classes = num_classes
        self.confusion = self.add_variable(
            shape=(num_classes, num_classes),
            initializer="zeros",
            # Replicas count different pictures of a batch.
            aggregation="sum",
            name="confusion",
        )

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Adds the pixels of a batch.

        Args:
            y_true: [batch, height, width] class indices; 255 is ignored.
            y_pred: [batch, height, width, classes] logits or probabilities.
            sample_weight: Must be None, else `ValueError` is raised.
        """
        if sample_weight is not None:
            raise ValueError(
                "MeanIoU takes no sample weights; ignore pixels instead."
            )
        classes = self._num_classes
        true = keras.ops.reshape(keras.ops.cast(y_true, "int32"), [-1])
        predicted = keras.ops.reshape(
            keras.ops.cast(keras.ops.argmax(y_pred, axis=-1), "int32"), [-1]
        )
        # Cell (true, predicted) has index true · classes + predicted; ignored
        # pixels are counted in a further one that is dropped.
        cells = keras.ops.where(
            true < classes, true * classes + predicted, classes**2
        )
        counts = keras.ops.segment_sum(
            keras.ops.ones_like(cells, dtype="float32"),
            cells,
            num_segments=classes**2 + 1,
        )
        self.confusion.assign_add(
            keras.ops.reshape(counts[:-1], [classes, classes])
        )

    def result(self) -> Any:
        """Computes mean IoU, 0..1; 0 before the first pixel."""
        # TP / (TP + FP + FN), averaged over the classes with true pixels.
        confusion = keras.ops.convert_to_tensor(self.confusion)
        hits = keras.ops.diagonal(confusion)
        true = keras.ops.sum(confusion, axis=1)
        union = true + keras.ops.sum(confusion, axis=0) - hits
        occurs = keras.ops.cast(true > 0, "float32")
        total = keras.ops.sum(occurs * hits / keras.ops.maximum(union, 1.0))
        return total / keras.ops.maximum(keras.ops.sum(occurs), 1.0)


class MaskTargets:
    """Masks of one split, loaded and augmented batch by batch.

    A view is one fixed augmented version of a picture; 0 is unchanged.

    Args:
        pictures: Pictures of the split, their masks prepared.
        image_size: Side of the square in pixels.
        resize: How pictures become square, a value of `--resize`.
        level: Augmentation of the views beyond the first.
        num_views: Number of views of each picture.
        seed: Start of the random draws.
    """

    moves_as = "mask"

    def __init__(
        self,
        pictures: Sequence[examples.Picture],
        *,
        image_size: int,
        resize: picture_options.Resize,
        level: training_options.Augmentation,
        num_views: int,
        seed: int,
    ) -> None:
        """Draws the seeds of the augmentation of every view."""
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
        """Loads masks, uint8 [batch, image_size, image_size]; 255 is ignored.

        `places` [batch] are indices of pictures in the split, `views` numbers
        of their augmented versions, 0 for the unaugmented one.
        """
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
    """Placeholder masks, for trying a training step without data.

    Args:
        count: Number of pictures.
        num_classes: Number of classes.
        image_size: Side of the square in pixels.
    """

    moves_as = "mask"

    def __init__(self, count: int, num_classes: int, image_size: int) -> None:
        """Creates a mask with stripes of every class."""
        self._count = count
        columns = np.arange(image_size) % num_classes
        self._mask = np.broadcast_to(columns, [image_size] * 2).astype("uint8")

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return self._count

    def batch(self, places: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        """Returns the striped mask per place, uint8 [batch, size, size]."""
        del views
        count = tf.shape(places)[0]
        return tf.tile(tf.constant(self._mask)[tf.newaxis], [count, 1, 1])


def _draw_seeds(
    pictures: Sequence[examples.Picture],
    num_views: int,
    level: training_options.Augmentation,
    seed: int,
) -> np.ndarray:
    """Returns seeds of views 1 and up, int32 [views - 1 or 1, n, 2]."""
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
    """Output layers, loss and metrics of segmentation."""

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
        """Returns masks of a split: uint8 [image_size, image_size] each."""
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
        """Returns `count` placeholder masks with stripes of every class."""
        return BlankMasks(count, len(names), image_size)

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> losses.MaskLoss:
        """Builds the loss that `--loss` names.

        `described` is data.json with the pixel counts that class weights are
        computed from; None: equal weights.
        """
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
        """Builds a list of one Keras metric, mean IoU at the output size."""
        return [MeanIoU(len(names))]

    def serve(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Builds the outputs of an exported model at its output size.

        Returns:
            `probabilities` float32 [batch, size, size, classes], as given;
            `masks` int32 [batch, size, size], class indices from 0 on.
        """
        return {
            "masks": tf.argmax(predictions, -1, tf.int32),
            "probabilities": predictions,
        }

    def classify(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns an empty dict: a picture has no single class."""
        return {}


NETWORK = Network()
