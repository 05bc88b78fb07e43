"""Tests of tf_finetune/adaptation/freeze.py: what moves, and what stays."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.adaptation import freeze, method
from tf_finetune.config import model_options
from tf_finetune.model import assembly
from tf_finetune.tasks import classification

_STATISTICS = ("moving_mean", "moving_variance")


def _options(**changed) -> model_options.ModelOptions:
    return model_options.ModelOptions(
        **{
            "backbone": "small_cnn",
            "weights": "none",
            "image_size": 16,
            **changed,
        }
    )


@pytest.fixture
def built() -> assembly.Assembly:
    return assembly.build_model(_options(), classification.TASK, "abc", seed=0)


def _moved(built, trainable, *, freeze_batch_norm=True) -> set[str]:
    """Trains two steps and returns the paths of the variables that changed."""
    options = _options(
        trainable=tuple(trainable), freeze_batch_norm=freeze_batch_norm
    )
    trainer = freeze.adapt(built, options).build_trainer(built.trainer)
    assert trainer is built.trainer
    built.trainer.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    before = [np.array(v) for v in built.trainer.variables]
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 255, [8, 16, 16, 3]).astype("float32")
    labels = np.eye(3, dtype="float32")[generator.integers(0, 3, 8)]
    built.trainer.fit(images, labels, batch_size=4, epochs=1, verbose=0)
    return {
        variable.path
        for variable, old in zip(built.trainer.variables, before, strict=True)
        if not np.array_equal(np.array(variable), old)
    }


def _paths(built, wanted) -> set[str]:
    return {v.path for v in built.trainer.variables if wanted(v.path)}


def _is_head(path: str) -> bool:
    return path.startswith("logits")


def _is_norm(path: str) -> bool:
    return "_bn/" in path


def test_head_moves_the_head_alone(built):
    assert _moved(built, ["head"]) == _paths(built, _is_head)


def test_all_moves_everything_but_batch_norm_not_by_a_bit(built):
    expected = _paths(built, lambda path: not _is_norm(path))
    assert _moved(built, ["all"]) == expected


def test_batch_norm_moves_when_it_is_let_go(built):
    moved = _moved(built, ["all"], freeze_batch_norm=False)
    assert moved == _paths(built, lambda path: True)
    assert any(path.endswith(_STATISTICS) for path in moved)


@pytest.mark.parametrize("name", ["top", "stage3", "block3", "block3_*"])
def test_the_last_stage_can_be_named_in_several_ways(built, name):
    expected = _paths(
        built,
        lambda path: (
            _is_head(path) or (path.startswith("block3") and not _is_norm(path))
        ),
    )
    assert _moved(built, [name]) == expected


def test_a_change_of_selection_takes_effect_in_both_directions(built):
    wide = _paths(built, lambda path: not _is_norm(path))
    assert _moved(built, ["all"]) == wide
    assert _moved(built, ["head"]) == _paths(built, _is_head)
    assert _moved(built, ["all"]) == wide


def test_a_pattern_that_matches_nothing_is_an_error_with_what_there_is(built):
    with pytest.raises(errors.UsageError) as caught:
        freeze.adapt(built, _options(trainable=("blok3",)))
    for word in ("--trainable=blok3", "head, top, all", "stage1", "block3_1"):
        assert word in str(caught.value)


def test_frozen_batch_norms_are_reported(built):
    frozen = freeze.adapt(built, _options(trainable=("top",)))
    assert "batch norm: 3 layers kept as pretrained" in frozen.description
    assert not frozen.batch_norms
    options = _options(trainable=("top",), freeze_batch_norm=False)
    moving = freeze.adapt(built, options)
    assert "batch norm: 0 layers kept" in moving.description
    assert sorted(moving.batch_norms) == [
        "block3_0_bn",
        "block3_1_bn",
        "block3_2_bn",
    ]


def test_the_plan_counts_what_is_there_and_what_moves(built):
    adapted = freeze.adapt(built, _options(trainable=("top",)))
    table = method.make_plan_rows(built, adapted)
    by_group = {row.group: row for row in table}
    # Two 3x3 and one 1x1 convolution from 48 (96) to 96 channels, no bias.
    convolutions = 9 * 48 * 96 + 9 * 96 * 96 + 48 * 96
    assert by_group["stage3"].trainable == convolutions
    assert by_group["stage3"].parameters == convolutions + 3 * 4 * 96
    assert by_group["head"].parameters == by_group["head"].trainable
    assert by_group["head"].trainable == 96 * 3 + 3
    assert by_group["stage1"].trainable == 0
    total = sum(row.parameters for row in table)
    assert total == built.trainer.count_params()
    assert f"{total:,}" in method.format_plan_table(table)
    assert max(map(len, method.format_plan_table(table).splitlines())) <= 80


def test_where_all_layers_move_the_plan_shows_the_factors_of_the_rate(built):
    options = _options(trainable=("all",), layer_decay=0.9)
    adapted = freeze.adapt(built, options)
    rows = method.make_plan_rows(built, adapted)
    by_group = {row.group: row for row in rows}
    assert by_group["head"].learning_rate_factor == 1
    lowest = [row.lowest_rate_factor for row in rows]
    assert lowest == sorted(lowest)
    # 0.9 a layer of a network of 27 layers: 0.058 for the first one.
    assert lowest[0] == pytest.approx(0.9**27)
    assert "×0.058" in method.format_plan_table(rows)
    assert max(map(len, method.format_plan_table(rows).splitlines())) <= 80


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"trainable": ("top",)}, 1.0),
        ({"trainable": ("all",), "weights": "digits"}, 0.9),
        ({"trainable": ("top",), "layer_decay": 0.8}, 0.8),
        ({"trainable": ("all",), "weights": "none"}, 1.0),
        ({"trainable": ("all",), "layer_decay": 1.0}, 1.0),
    ],
)
def test_layers_have_one_rate_unless_all_move(built, changes, expected):
    options = _options(**changes)
    assert options.effective_layer_decay == expected
    factors = freeze.adapt(built, options).learning_rate_factors
    assert bool(factors) == (expected != 1)
