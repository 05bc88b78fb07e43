"""The printed result."""

import numpy as np
import pytest

from tf_finetune.drawing import display_names
from tf_finetune.metrics import baselines, classification_metrics
from tf_finetune.tasks.classification import class_table


def _figures(class_names, num_examples=400):
    generator = np.random.default_rng(0)
    count = len(class_names)
    labels = np.arange(num_examples) % count
    logits = generator.normal(size=(num_examples, count))
    logits[np.arange(num_examples), labels] += 2
    odds = np.exp(logits)
    figures = classification_metrics.compute_metrics(
        labels,
        odds / odds.sum(axis=1, keepdims=True),
        class_names=class_names,
        seed=0,
    )
    probe = {
        key: figures[key]
        for key in ("accuracy", "accuracy_interval", "log_loss")
    }
    majority = baselines.evaluate_majority_class(
        labels, labels, class_names=class_names
    )
    figures["yardsticks"] = {"majority_class": majority, "probe": probe}
    return figures


@pytest.mark.parametrize("count", [2, 7, 21, 100])
def test_the_table_fits_80_columns(count):
    class_names = [f"{'a very long name 蚂蚁 ' * 4}{i}" for i in range(count)]
    figures = _figures(class_names, num_examples=123_456)

    text = class_table.format_result(
        {"kept": "probe", "train": figures, "test": figures}
    )

    assert (
        max(display_names.measure_width(line) for line in text.splitlines())
        <= 80
    )


def test_yardsticks_stand_beside_the_result():
    figures = _figures(["ants", "bees"])

    lines = class_table.format_result({"validation": figures}).splitlines()

    assert f"{figures['accuracy']:.3f}" in lines[1]
    assert "majority class (ants)" in lines[2] and "0.500" in lines[2]
    assert "head-only probe" in lines[3]


def test_the_name_of_the_majority_class_is_not_cut():
    text = class_table.format_result(
        {"test": _figures(["01_daffodil", "02_snowdrop"])}
    )

    assert "majority class: 01_daffodil\n" in text
    assert "…" not in text


def test_a_result_without_yardsticks_is_shown():
    figures = _figures(["ants", "bees"])
    del figures["yardsticks"]

    assert "majority" not in class_table.format_result({"data": figures})


def test_the_classes_of_the_last_held_out_split_are_shown():
    figures = _figures(["ants", "bees"])
    splits = {"train": figures, "validation": figures, "test": figures}

    assert "test, by class" in class_table.format_result(splits)
    assert "train, by class" in class_table.format_result({"train": figures})


def test_up_to_20_classes_are_all_shown_in_their_order():
    class_names = [f"c{i:02}" for i in range(20)]

    table = class_table.format_classes(
        "test", _figures(class_names)
    ).splitlines()

    assert [line.split()[0] for line in table[1:21]] == class_names


def test_of_more_classes_the_worst_and_best_are_shown():
    class_names = [f"c{i:02}" for i in range(40)]
    figures = _figures(class_names)

    table = class_table.format_classes("test", figures).splitlines()

    by_f1 = sorted(
        class_names, key=lambda name: figures["per_class"][name]["f1"]
    )
    assert [line.split()[0] for line in table[1:11]] == by_f1[:10]
    assert "25 more classes are in evaluation.json" in table[11]
    assert [line.split()[0] for line in table[12:17]] == by_f1[-5:]


def test_a_class_without_support_shows_dashes():
    figures = classification_metrics.compute_metrics(
        np.array([0, 0]), np.eye(2)[[0, 0]], class_names=("a", "b"), seed=0
    )

    row = class_table.format_classes("test", figures).splitlines()[2]
    assert row.split() == ["b", "-", "-", "-", "0"]
