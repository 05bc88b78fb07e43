"""Segmentation: each pixel belongs to exactly one class."""

from tf_finetune.tasks import task
from tf_finetune.tasks.segmentation import (
    answers,
    exports,
    figures,
    guesses,
    labels,
)

TASK = task.Task(
    name="segmentation",
    losses=(
        "cross_entropy",
        "focal",
        "dice",
        "tversky",
    ),
    unsmoothed=("dice", "tversky"),
    reads=(
        "class_weight",
        "color_map",
        "ignore_label",
        "label_smoothing",
        "top_k",
    ),
    adds_losses=True,
    labels=labels.LABELS,
    figures=figures.FIGURES,
    answers=answers.ANSWERS,
    exports=exports.EXPORTS,
    network_at="tf_finetune.tasks.segmentation.network:NETWORK",
    certainty_at="tf_finetune.tasks.segmentation.certainty:CERTAINTY",
    heads=("deeplab_v3_plus", "fcn_8s", "fcn_16s", "fcn_32s", "unet"),
    guesses=guesses.GUESSES,
    files_at="tf_finetune.tasks.segmentation.writing:MaskFiles",
    described=figures.describe,
)
