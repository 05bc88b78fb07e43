"""Contradictions of `--stages` are refused before TensorFlow starts."""

import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.preflight import train


def _check(**given) -> None:
    train.check_config(
        options.from_keywords(
            train_config.TrainConfig, {"data": "digits:5-9", **given}
        )
    )


def test_possible_stages_pass():
    _check(stages="head,top:3,all:7@1e-4", learning_rate=0.001)
    _check(stages="head:1,all:7", head_init="random")
    _check(stages="head,adapter:8,all:4", adapter_rank=8, layer_decay=0.8)
    _check(stages="norm/top:8,adapter:4", adaptation="lora+norm")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"stages": "top:3@0.1,all:1@0.2", "learning_rate": 0.3},
            "--learning_rate=0.3 is not read",
        ),
        (
            {"stages": "head,top:3", "head_init": "random"},
            "head, the first of --stages, is the solved one",
        ),
        ({"stages": "head:3,top:3"}, "is solved without epochs"),
        (
            {"stages": "top:3", "unlabeled_data": "there"},
            "--stages is not possible with --objective=pseudo_label",
        ),
        ({"stages": "top:none"}, "must be a whole number"),
        ({"stages": "feature_extract:3"}, "Unknown --trainable"),
        (
            {"stages": "top:3,all:4", "adaptation": "lora"},
            "--adaptation=lora is not read: no stage of .* is called adapter",
        ),
        ({"stages": "lora+lora:3"}, "names an adapter twice"),
        ({"stages": "norm+bias:3"}, "change the same weights"),
        ({"stages": "lora/head:3"}, "--trainable=head names none"),
        (
            {"stages": "norm:3,all:4", "adapter_rank": 8},
            "--adapter_rank=8 is for --adaptation=lora; --stages=norm:3,all:4",
        ),
        (
            {"stages": "adapter:3", "l2_sp": 0.1},
            "--l2_sp=0.1 is for --adaptation=freeze; --stages=adapter:3",
        ),
    ],
)
def test_contradictions_are_refused_with_the_flag_to_change(given, words):
    with pytest.raises(errors.UsageError, match=words):
        _check(**given)
