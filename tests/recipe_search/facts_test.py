"""Tests of tf_finetune/recipe_search/facts.py."""

import json

import pytest

from tf_finetune.config import options, train_config
from tf_finetune.data import examples
from tf_finetune.recipe_search import facts


def _make_data(labels, sides=(40,)):
    pictures = tuple(
        examples.Picture(
            path=f"{number}.png",
            label=label,
            sha256=f"{number}",
            width=sides[number % len(sides)],
            height=100,
            split="validation" if number == 0 else "train",
            group="g" if number < 3 else None,
        )
        for number, label in enumerate(labels)
    )
    return examples.ImageData(
        class_names=("a", "b"), pictures=pictures, dropped=(), fingerprint="x"
    )


def _collect(data, **keywords):
    config = options.from_keywords(
        train_config.TrainConfig, {"data": "d", "recipe": "auto", **keywords}
    )
    return facts.collect_facts(config, data, "cpu")


def test_classes_sides_and_splits_are_counted():
    found = _collect(_make_data("aaaaaabb", sides=(40, 80, 120)))
    assert (found.training_pictures, found.validation_pictures) == (7, 1)
    assert (found.fewest_per_class, found.most_per_class) == (2, 5)
    assert found.median_per_class == 3.5
    assert found.imbalance == 2.5
    assert found.groups == 1
    # Sides 40 80 100 40 80 100 40 80: the longer one of 120 is 100.
    assert found.short_side == 80
    assert found.holds_out
    assert json.loads(json.dumps(found.to_json()))["imbalance"] == 2.5


@pytest.mark.parametrize("label", [(1.5,), ("a", "b")])
def test_labels_that_are_no_class_have_no_counts(label):
    found = _collect(_make_data([label] * 4), task="regression")
    assert found.fewest_per_class is None
    assert found.imbalance is None
    assert not found.can_compare


def test_options_that_differ_or_are_skipped_are_given():
    found = _collect(
        _make_data("aabb"),
        epochs=3,
        recipe_skip="trainable",
        recipe_budget="2m",
    )
    assert found.given == {"epochs", "trainable"}
    assert found.settings["epochs"] == 3
    assert found.budget_seconds == 120
