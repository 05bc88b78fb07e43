"""Exports of a segmentation: metadata, and checks of quantized ones."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.data import examples
from tf_finetune.metrics import confusion_counts, segmentation_metrics
from tf_finetune.tasks import quantization_checks
from tf_finetune.tasks.segmentation import mask_evaluation

# Between the effect of int8 on a network that tolerates it and that of a
# mistake. Measured on MobileNet 0.25 with FCN-8s, eleven classes of street
# scenes, 4 pictures of 160 pixels: int8 moves a pixel's probabilities by 0.065
# in the mean, keeps 98.2 % of the decided pixels and costs 0.013 of mean IoU;
# swapped color channels move them by 0.093, keep 95.9 % and cost 0.030. DeepLab
# v3+ on cells: int8 0.059, 97.4 % and 0.001.
MEAN_TOLERANCE = 0.08
AGREEMENT = 0.965
MEAN_IOU_LOSS = 0.03


class Exports:
    """Metadata of a segmentation's exports, and checks of quantized ones."""

    losses = ("mean_iou",)
    output = "probabilities"
    meaning = (
        "The probability of each class, in the order of the labels, for each "
        "pixel of the square input, [height, width, classes]; those of a pixel "
        "add up to 1, and the largest one names its class."
    )

    def load_truth(
        self,
        data: examples.ImageData,
        pictures: Sequence[examples.Picture],
        shape: Sequence[int],
    ) -> np.ndarray:
        """Loads true masks at the model's input size.

        Args:
            data: The data set.
            pictures: n pictures of it, with prepared masks.
            shape: [n, size, …], the shape of the predictions.

        Returns:
            uint8 [n, size, size] class indices; ignored pixels are 255.
        """
        from tf_finetune.data.masks import mask_resize  # Loads TensorFlow.

        found = []
        for picture in pictures:
            # From the mask's own class indices to those of the model.
            table = mask_evaluation.build_lookup(
                picture.label, data.class_names
            )
            mask = mask_resize.load_mask(
                picture.label.indices, image_size=shape[1], resize=data.resize
            )
            found.append(table[np.asarray(mask)])
        return np.stack(found)

    def check_quantized(
        self, compared: quantization_checks.Comparison
    ) -> quantization_checks.CheckResult:
        """Compares probabilities, likeliest classes and mean IoU of pixels.

        Args:
            compared: [n, size, size, classes] probabilities, and [n, size,
                size] class indices, 255 ignored, without which mean IoU is not
                checked.

        Returns:
            Checks with `figures` `mean_distance` (half the sum of a pixel's
            differences, 0..1 however many classes there are, in the mean),
            `top_1_agreement` (share of pixels with the same likeliest
            class), `decided` (number of pixels whose likeliest class leads
            by more than 0.2), `decided_agreement` (that share among them)
            and, with `truth`, `mean_iou` (export) and `evaluation_mean_iou`,
            both at the model's size.
        """
        expected, got, truth = compared.expected, compared.got, compared.truth
        # Total variation distance of a pixel's probabilities, 0..1.
        mean = float(np.abs(expected - got).sum(axis=-1).mean() / 2)
        found = {
            "mean_distance": mean,
            **quantization_checks.measure_agreement(expected, got),
        }
        now = before = None
        if truth is not None:
            now, before = (
                _compute_mean_iou(each, truth) for each in (got, expected)
            )
            found |= {"mean_iou": now, "evaluation_mean_iou": before}
        checks = [
            quantization_checks.Check(
                name="mean_distance",
                found=mean,
                limit=MEAN_TOLERANCE,
                sentence=f"a pixel's probabilities differ by {mean:.2g} in the "
                "mean",
            ),
            quantization_checks.check_agreement(found, AGREEMENT, "pixels"),
            quantization_checks.check_drop(
                "mean_iou", before, now, MEAN_IOU_LOSS
            ),
        ]
        return quantization_checks.CheckResult(
            figures=found, checks=tuple(checks)
        )


EXPORTS = Exports()


def _compute_mean_iou(
    probabilities: np.ndarray, masks: np.ndarray
) -> float | None:
    """Computes mean IoU over the pixels that count; None: there are none."""
    classes = probabilities.shape[-1]
    counted = masks < classes
    if not counted.any():
        return None
    confusion = confusion_counts.count_pixels(
        masks[counted].astype("int64"),
        probabilities.argmax(axis=-1)[counted],
        classes,
    )
    return segmentation_metrics.summarize_confusion(confusion)["mean_iou"]
