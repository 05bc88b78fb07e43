"""Tests of tf_finetune/synonyms/value_synonyms.py."""

import re

import pytest

from tf_finetune import errors
from tf_finetune.backbones import catalog as backbones
from tf_finetune.config import options, train_config
from tf_finetune.exports import catalog as exports
from tf_finetune.heads import catalog as heads
from tf_finetune.synonyms import value_synonyms
from tf_finetune.tasks import catalog as tasks
from tf_finetune.training import optimizers
from tf_finetune.weights import weights_source

_TASKS = [tasks.TASKS.get(name) for name in tasks.TASKS.names()]
_LOSSES = {loss for task in _TASKS for loss in task.losses}


def _accepted(flag: str, value: str) -> bool:
    """Tells whether a value of a flag is taken by whoever reads it."""
    try:
        if flag == "backbone":
            backbones.find_spec(value)
        elif flag == "loss":
            return value in _LOSSES
        elif flag == "optimizer":
            optimizers.check_name(value)
        elif flag == "weights":
            spec, _ = backbones.find_spec("resnet50")
            return value in weights_source.list_names(spec)
        elif flag in ("export format", "format"):
            return value in exports.EXPORTS.names()
        elif flag == "head":
            return value in ("auto", *heads.HEADS.names())
        elif flag == "task":
            return value in tasks.TASKS.names()
        else:
            options.from_keywords(train_config.TrainConfig, {flag: value})
    except errors.UsageError:
        return False
    return True


_ALL = [
    (flag, name, advice)
    for flag, table in value_synonyms.ADVICE.items()
    for names, advice in table.items()
    for name in names.split()
]


def test_no_synonym_is_a_value_that_is_accepted():
    known = [(f, n) for f, n, _ in _ALL if _accepted(f, n)]
    assert known == []


def test_what_is_advised_is_accepted():
    for _, name, advice in _ALL:
        for found, value in re.findall(r"--(\w+)=([\w+]+)", advice):
            assert _accepted(found, value) or found == "epochs", (name, advice)


def _refusal(**keywords) -> str:
    from tf_finetune.preflight import train

    with pytest.raises(errors.UsageError) as caught:
        train.check_config(
            options.from_keywords(
                train_config.TrainConfig,
                {"data": "x", "weights": "none", **keywords},
            )
        )
    return str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        (
            {"loss": "sparse_categorical_crossentropy"},
            "--loss=cross_entropy is meant",
        ),
        ({"loss": "CrossEntropyLoss"}, "--loss=cross_entropy is meant"),
        ({"task": "regression", "loss": "MSE"}, "mean_squared_error"),
        ({"optimizer": "FusedAdam"}, "--optimizer=adamw is meant"),
        ({"optimizer": "adam-w"}, "Did you mean 'adamw'?"),
        ({"weights": "DEFAULT"}, "--weights=imagenet is meant"),
        ({"weights": "None"}, "Did you mean 'none'?"),
        ({"precision": "fp16"}, "--precision=mixed_float16 is meant"),
        ({"augmentation": True}, "--augmentation=light is the default"),
        ({"schedule": "CosineAnnealingLR"}, "--schedule=cosine is meant"),
        ({"strategy": "ddp"}, "--strategy=mirrored is meant"),
        ({"trainable": "none"}, "--trainable=head"),
        ({"task": "segment"}, "--task=segmentation is meant"),
        ({"task": "detect"}, "are not supported"),
        ({"resize": "letterbox"}, "--resize=pad is meant"),
        ({"backbone": "resnet50d"}, "--backbone=resnet50 is the nearest"),
        ({"backbone": "google/efficientnet-b0"}, "efficientnet_b0"),
    ],
)
def test_a_value_of_another_package_is_answered_with_ours(keywords, words):
    assert words in _refusal(**keywords)


def test_what_a_task_does_not_have_is_not_advised():
    message = _refusal(loss="mae")
    assert "mean_absolute_error" not in message
    assert "cross_entropy" in message


def test_the_names_of_keras_are_accepted_as_they_are():
    assert backbones.find_spec("ResNet50")[0].name == "resnet50"
    assert backbones.find_spec("EfficientNetB0")[0].name == "efficientnet_b0"
    optimizers.check_name("Adam")


def test_an_export_format_of_another_name_is_answered_with_ours():
    with pytest.raises(errors.UsageError, match="--format=litert is meant"):
        exports.EXPORTS.check("tflite")
