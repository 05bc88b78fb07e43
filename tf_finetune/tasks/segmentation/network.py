"""Network of a segmentation: softmax per pixel, loss, metrics, serving."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_finetune.config import train_config, training_options
from tf_finetune.data import examples
from tf_finetune.metrics import mean_iou_metric
from tf_finetune.tasks import probability_network
from tf_finetune.tasks.segmentation import (
    class_weights,
    losses,
    mask_parity,
    mask_signatures,
    mask_targets,
)


class Network(probability_network.ProbabilityNetwork):
    """One softmax over all classes for each pixel."""

    # A decoder has no closed form: it is trained by gradient steps.
    solver = "steps"
    # Few: the probabilities of one picture are size × size × classes numbers.
    max_parity_pictures = 4
    signature_functions: ClassVar = mask_signatures.SIGNATURE_FUNCTIONS
    check_signatures = staticmethod(mask_parity.check_masks)

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train_config.TrainConfig,
        image_size: int,
    ) -> mask_targets.MaskTargets:
        """Returns uint8 masks [n, image_size, image_size]."""
        return mask_targets.MaskTargets(
            data.split(split),
            image_size=image_size,
            resize=config.model.resize,
            level=config.training.augmentation,
            num_views=config.training.num_views,
            seed=config.seed,
        )

    def build_blank_targets(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> mask_targets.BlankMasks:
        """Returns placeholder masks with stripes of every class."""
        return mask_targets.BlankMasks(count, len(names), image_size)

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
            weights = class_weights.compute_class_weights(
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
