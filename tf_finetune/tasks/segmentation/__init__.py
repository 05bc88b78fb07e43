"""Segmentation: each pixel belongs to exactly one class."""

from tf_finetune.tasks import task
from tf_finetune.tasks.segmentation import (
    answers,
    exports,
    figures,
    labels,
    pseudo_labels,
)

TASK = task.Task(
    name="segmentation",
    losses=(
        "cross_entropy",
        "focal",
        "dice",
        "tversky",
    ),
    adds_losses=True,
    labels=labels.LABELS,
    figures=figures.FIGURES,
    answers=answers.ANSWERS,
    exports=exports.EXPORTS,
    network_at="tf_finetune.tasks.segmentation.network:NETWORK",
    certainty_at="tf_finetune.tasks.segmentation.certainty:CERTAINTY",
    heads=("deeplab_v3_plus", "fcn_8s", "fcn_16s", "fcn_32s", "unet"),
    pseudo_labels=pseudo_labels.PSEUDO_LABELS,
    files_at="tf_finetune.tasks.segmentation.mask_writer:MaskFiles",
    build_data_schema=figures.build_data_schema,
)
