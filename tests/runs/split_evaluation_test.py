"""Evaluation of splits, compared with accuracies counted by hand."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.runs import split_evaluation

_RIGHT, _WRONG = [0.9, 0.1], [0.2, 0.8]


def test_accuracy_counts_over_all_batches(make_context):
    context = make_context({"train": "ab", "validation": "aaab"})
    batches = [np.array([_RIGHT, _WRONG, _RIGHT]), np.array([_RIGHT])]
    found = split_evaluation.compare_with_labels(context, "validation", batches)
    # a, a, a, b answered a, b, a, a.
    assert found.figures["accuracy"] == 0.5
    assert found.figures["examples"] == 4


def test_rows_are_kept_of_held_out_pictures_alone(make_context):
    context = make_context({"train": "ab", "validation": "ab"})
    said = [np.array([_RIGHT, _WRONG])]
    train = split_evaluation.compare_with_labels(context, "train", said)
    held_out = split_evaluation.compare_with_labels(context, "validation", said)
    assert train.rows == ()
    assert [row.path for row in held_out.rows] == [
        picture.path for picture in context.data.split("validation")
    ]


@pytest.mark.parametrize(
    ("splits", "last"),
    [
        ({"train": "ab", "validation": "ab"}, "validation"),
        ({"train": "ab", "validation": "ab", "test": "ab"}, "test"),
    ],
)
def test_predictions_for_parity_are_those_of_the_last_split(
    make_context, splits, last
):
    context, said = make_context(splits), np.array([_RIGHT, _WRONG])
    for split in splits:
        found = split_evaluation.compare_with_labels(context, split, [said])
        expected = said if split == last else np.zeros([0])
        np.testing.assert_array_equal(found.kept, expected)


def test_predictions_that_are_not_finite_have_no_figures(make_context):
    context = make_context({"train": "ab", "validation": "ab"})
    batches = [np.array([[np.nan, 0.5], _RIGHT])]
    found = split_evaluation.compare_with_labels(context, "validation", batches)
    assert found.figures is None


def _with_trainer(context, logits):
    """A context whose whole model gives `logits` whatever it is shown."""
    return types.SimpleNamespace(
        **{
            **vars(context),
            "assembly": types.SimpleNamespace(
                trainer=types.SimpleNamespace(inputs=[], outputs=[])
            ),
            "logits": logits,
        }
    )


def test_validation_comes_first_and_its_decision_holds_for_others(
    make_context, monkeypatch
):
    checked, asked = [], []
    monkeypatch.setattr(
        split_evaluation,
        "check_logits",
        lambda trainer, pictures, config, logits: checked.append(logits),
    )
    context = _with_trainer(
        make_context({"train": "abab", "validation": "ab"}), None
    )
    context.task = dataclasses.replace(
        context.task,
        decide=lambda data, split, predictions: {"made_on": split},
    )
    context.task = _Remembering(context.task)
    logits = {
        "train": np.array([[3.0, 0], [0, 3], [3, 0], [3, 0]]),
        "validation": np.array([[3.0, 0], [0, 3]]),
    }

    def stream(split):
        asked.append(split)
        yield from np.split(logits[split], 2)

    found = split_evaluation.evaluate_logits(context, logits, stream)

    assert asked == ["validation", "train"]
    assert list(found) == ["validation", "train"]
    assert found["validation"].figures["accuracy"] == 1.0
    assert found["train"].figures["accuracy"] == 0.75
    assert found["train"].decision == {"made_on": "validation"}
    # The first batch alone, which is evaluated nevertheless.
    (first,) = checked
    np.testing.assert_array_equal(first, [[3, 0]])
    assert found["validation"].figures["examples"] == 2


class _Remembering:
    """A task whose figures do not depend on its decision."""

    def __init__(self, task):
        self._task = task

    def with_decision(self, decision):
        return self

    def __getattr__(self, name):
        return getattr(self._task, name)


def test_logits_that_are_not_the_models_stop_the_run(fresh_run):
    context = fresh_run
    count = len(context.data.split("validation"))
    with pytest.raises(errors.RunError, match="--clear=all"):
        split_evaluation.evaluate_logits(
            context,
            ["validation"],
            lambda split: iter([np.full([count, 2], 1e3)]),
        )


def test_the_model_is_evaluated_with_its_present_weights(fresh_run):
    context = fresh_run
    kernel, bias = context.assembly.head.weights
    labels = context.data.class_indices(context.data.split("validation"))
    for index in (0, 1):
        kernel.assign(np.zeros(kernel.shape))
        # Every picture is answered with one class.
        bias.assign(np.eye(2)[index] * 9)
        found = split_evaluation.evaluate_model(context, "validation")
        expected = np.mean(np.array(labels) == index)
        assert found.figures["accuracy"] == pytest.approx(expected)


def test_images_come_in_order_and_the_last_batch_is_kept(fresh_run):
    context = fresh_run
    pictures = context.data.pictures[:11]
    sizes = [
        batch.shape
        for batch in split_evaluation.load_images(
            pictures, context.config, image_size=32
        )
    ]
    assert sizes == [(8, 32, 32, 3), (3, 32, 32, 3)]


class _OtherWhenCompiled(keras.layers.Layer):
    """Computes otherwise when it is compiled, by a factor."""

    def call(self, x):
        return x if tf.executing_eagerly() else x * 1.01


def _trainer(*layers):
    images = keras.Input([4, 4, 3])
    x = keras.layers.Flatten()(images)
    for layer in layers:
        x = layer(x)
    return keras.Model(images, x)


def _explained(trainer):
    images = tf.ones([2, 4, 4, 3])
    whole = np.asarray(trainer(images, training=False))
    return split_evaluation.explain_difference(
        trainer, images, whole, 7e-3, cache_dir="the/cache"
    )


def test_a_network_that_disagrees_with_itself_is_not_blamed_on_the_cache():
    words = _explained(_trainer(_OtherWhenCompiled()))
    assert "does not agree with itself" in words
    assert "9.9e-03" in words  # 0.01 / 1.01.
    assert "check --weights" in words
    assert "--clear" not in words


def test_a_network_that_agrees_with_itself_leaves_the_cache():
    words = _explained(_trainer(keras.layers.Dense(3)))
    assert "cached features are not those of this model" in words
    assert "7.0e-03" in words
    assert "--cache_dir=the/cache --clear=all" in words


def test_difference_is_relative_to_the_largest():
    found = split_evaluation.measure_difference(
        np.float32([[1, 8]]), np.float32([[2, 10]])
    )
    np.testing.assert_allclose(found, 0.2)
