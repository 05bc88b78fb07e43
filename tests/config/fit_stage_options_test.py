"""Tests of tf_finetune/config/fit_stage_options.py."""

import pytest

from tf_finetune import errors
from tf_finetune.config import fit_stage_options, options, train_config


def _parse(text: str) -> list[tuple]:
    found = fit_stage_options.parse_stages(text.split(","))
    return [(e.name, e.trainable, e.epochs, e.learning_rate) for e in found]


def test_a_stage_is_layers_epochs_and_perhaps_a_rate():
    assert _parse("head,top:3,stage3+conv4*:7@1e-4") == [
        ("top", ("top",), 3, None),
        ("stage3+conv4*", ("stage3", "conv4*"), 7, 1e-4),
    ]


def test_the_solved_head_need_not_be_named():
    assert _parse("top:3,all:7") == _parse("head,top:3,all:7")


def test_a_random_head_may_train_alone_first():
    assert _parse("head:1,all:5") == [
        ("head", ("head",), 1, None),
        ("all", ("all",), 5, None),
    ]


def test_a_stage_that_comes_again_is_numbered():
    names = [name for name, *_ in _parse("stage3:1,stage2:1,stage3:1")]
    assert names == ["stage3", "stage2", "stage3 (3)"]


def test_adapters_stand_in_place_of_layers_or_before_them():
    found = fit_stage_options.parse_stages(
        ["head", "adapter:8", "lora+norm:2", "bias/top+conv4*:1@0.003", "all:4"]
    )
    assert [(e.name, e.adaptation, e.trainable) for e in found] == [
        ("adapter", "adapter", ("all",)),
        ("lora+norm", "lora+norm", ("all",)),
        ("bias/top+conv4*", "bias", ("top", "conv4*")),
        ("all", "freeze", ("all",)),
    ]
    assert found[2].learning_rate == 0.003


def test_layers_may_begin_with_the_name_of_an_adapter():
    (found,) = fit_stage_options.parse_stages(["norm*+bias_:3"])
    assert found.adaptation == "freeze"
    assert found.trainable == ("norm*", "bias_")


@pytest.mark.parametrize(
    ("given", "meant"), [("freeze", "lora"), ("norm+lora", "norm+lora")]
)
def test_the_word_adapter_is_the_method_of_the_run(given, meant):
    config = _config(stages="adapter:1,bias:1,all:1", adaptation=given)
    assert config.adaptations == (meant, "bias", "freeze")
    stage, *_ = fit_stage_options.parse_stages(config.training.stages)
    single = fit_stage_options.make_stage_config(config, stage)
    assert single.model.adaptation == meant
    assert single.model.trainable == ("all",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("head", "only solves the head, which is --epochs=0"),
        ("top:3,head", "can only come first"),
        ("top", "'top' does not say which layers train for how many epochs"),
        (":3", "':3' does not say which layers"),
        ("top+:3", "does not say which layers"),
        ("top:0", "at least 1, got '0'"),
        ("top:many", "at least 1, got 'many'"),
        ("top:-1", "at least 1, got '-1'"),
        ("top:1000000000", "up to nine digits, at least 1, got '10"),
        (f"top:{'9' * 5000}", "up to nine digits, at least 1, got '99"),
        ("top:2@fast", "a number above 0, got 'fast'"),
        ("top:2@0", "a number above 0, got '0'"),
        ("top:2@nan", "a number above 0, got 'nan'"),
        ("top:2@inf", "a number above 0, got 'inf'"),
        ("top:3,head:4", "'head:4' trains nothing that the stage before it"),
        ("all:3,top:4", "'top:4' trains nothing that the stage before it"),
        ("top:3,top:4@1e-4", "trains nothing that the stage before it"),
        ("lora:3,lora/top:4", "trains nothing that the stage before it"),
        ("lora+top:3", "'lora+top:3' mixes adapters and layers"),
        ("top/lora:3", "mixes adapters and layers"),
        ("lora/top/all:3", "mixes adapters and layers"),
        ("lora+adapter:3", "joins adapter, the method of --adaptation"),
        ("lora/:3", "does not say which layers"),
    ],
)
def test_an_impossible_stage_is_refused_with_the_notation(text, words):
    with pytest.raises(errors.UsageError) as refused:
        _parse(text)
    assert words in str(refused.value)
    assert str(refused.value).startswith("--stages")


def _config(**given) -> train_config.TrainConfig:
    return options.from_keywords(train_config.TrainConfig, given)


def test_a_stage_has_the_config_of_a_run_of_it_alone():
    config = _config(stages="top:3,all:7@1e-4", learning_rate=0.01, patience=2)
    first, second = fit_stage_options.parse_stages(config.training.stages)
    assert fit_stage_options.make_stage_config(config, first) == _config(
        trainable="top", epochs=3, learning_rate=0.01, patience=2
    )
    assert fit_stage_options.make_stage_config(config, second) == _config(
        trainable="all", epochs=7, learning_rate=1e-4, patience=2
    )


def test_stages_are_joined_for_the_memory_of_a_step():
    joined = fit_stage_options.join_stages(_config(stages="top:3,stage2+top:1"))
    assert joined == _config(trainable="top,stage2")


def test_an_adapter_is_joined_with_layers_as_if_they_trained():
    joined = fit_stage_options.join_stages(_config(stages="top:3,lora:8"))
    assert joined == _config(trainable="top,all")
    joined = fit_stage_options.join_stages(
        _config(stages="lora/top:3,adapter:8")
    )
    assert joined == _config(adaptation="lora", trainable="top,all")


def test_the_decay_to_the_start_is_none_of_an_adapter():
    config = _config(stages="lora:1,all:1", l2_sp=0.5)
    stages = fit_stage_options.parse_stages(config.training.stages)
    assert [
        fit_stage_options.make_stage_config(config, each).training.l2_sp
        for each in stages
    ] == [0, 0.5]


def test_stages_without_a_rate_get_that_of_their_method():
    config = _config(stages="head,adapter:8,top:2@0.5,all:4")
    changed = fit_stage_options.set_rates(config, {"lora": 2, "freeze": 1}.get)
    assert changed.training.stages == (
        "head", "adapter:8@2", "top:2@0.5", "all:4@1",
    )  # fmt: skip


def test_stages_survive_a_flagfile():
    config = _config(stages=["head", "top:3", "stage2+stage3:7@0.001"])
    line = "--stages=head,top:3,stage2+stage3:7@0.001\n"
    assert line in options.to_flagfile(config)


def test_the_first_stage_tells_how_often_views_are_read():
    assert _config(stages="head,top:3,all:7").training.first_epochs == 3
    assert _config(epochs=4).training.first_epochs == 4
