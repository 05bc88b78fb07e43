"""Checks of a run that keeps its file's classifier (`--keep_classifier`)."""

import pathlib

from tf_finetune import errors
from tf_finetune.backbones import backbone
from tf_finetune.backbones import catalog as backbones
from tf_finetune.config import conditions, train_config
from tf_finetune.preflight import unused_options
from tf_finetune.weights import classifier_names
from tf_finetune.weights import weights_source as weights


def check_config(config: train_config.TrainConfig) -> None:
    """Checks the options of a run with `--keep_classifier`.

    Whether the weights file has a classifier is seen when it is read.

    Raises:
        UsageError: The backbone, its weights or the image size do not allow it,
            an option of training is given, or the file of `--class_names`
            cannot be read.
        DataError: A class name is empty, occurs twice or cannot be written.
    """
    spec, _ = backbones.find_spec(config.model.backbone)
    weights.check_weights(spec, config.model.weights)
    _check_source(config, spec)
    # A dense layer on features that are not normalized gives other logits.
    if spec.normalizes_pooled:
        raise errors.UsageError(
            f"--keep_classifier is not possible with {spec.name}, which "
            "normalizes the pooled features before its classifier. Train a "
            "new head instead, without --keep_classifier."
        )
    unused_options.check_options(
        config, {conditions.STAGE: lambda: unused_options.choose_stage(config)}
    )
    if config.model.image_size is not None:
        spec.check_image_size(config.model.image_size, config.model.backbone)
    if config.model.class_names:
        classifier_names.read_names(
            pathlib.Path(config.model.class_names).expanduser()
        )


def _check_source(
    config: train_config.TrainConfig, spec: backbone.BackboneSpec
) -> None:
    """Raises `UsageError` for weights that come without a classifier."""
    given = config.model.weights
    published = given == "imagenet" and spec.weights_package is None
    if given == "none" or published or given in dict(spec.bundled_weights):
        having = ", ".join(
            name
            for name in backbones.BACKBONES.names()
            if backbones.BACKBONES.get(name).weights_package
        )
        raise errors.UsageError(
            f"--keep_classifier: --weights={given} of {spec.name} come without "
            "a classifier. Give a file of the whole network with "
            f"--weights=PATH, or take --weights=imagenet of {having}."
        )
