"""How results of a classifier are ranked."""

import numpy as np
import pytest

from tf_finetune import terminal_escapes
from tf_finetune.metrics import classification_metrics
from tf_finetune.tasks.classification import figures

_FIGURES = figures.FIGURES


def test_higher_accuracy_wins_and_lower_loss_breaks_ties():
    better = {"val_accuracy": 0.9, "val_loss": 2.0}
    tied = {"val_accuracy": 0.9, "val_loss": 1.0}
    worse = {"val_accuracy": 0.8, "val_loss": 0.1}
    assert (
        _FIGURES.rank_epoch(tied)
        > _FIGURES.rank_epoch(better)
        > _FIGURES.rank_epoch(worse)
    )
    found = classification_metrics.compute_metrics(
        np.array([0, 1]),
        np.array([[0.8, 0.2], [0.4, 0.6]]),
        class_names=("x", "y"),
        seed=0,
    )
    assert _FIGURES.merit(found) == pytest.approx(
        (1.0, (np.log(0.8) + np.log(0.6)) / 2)
    )
    assert "1.000" in _FIGURES.format_brief(found)


def _figures(class_names, num_examples=400):
    generator = np.random.default_rng(0)
    count = len(class_names)
    labels = np.arange(num_examples) % count
    logits = generator.normal(size=(num_examples, count))
    logits[np.arange(num_examples), labels] += 2
    odds = np.exp(logits)
    found = classification_metrics.compute_metrics(
        labels,
        odds / odds.sum(axis=1, keepdims=True),
        class_names=class_names,
        seed=0,
    )
    probe = {
        key: found[key] for key in ("accuracy", "accuracy_interval", "log_loss")
    }
    majority = classification_metrics.evaluate_majority_class(
        labels, labels, class_names=class_names
    )
    found["baselines"] = {"majority_class": majority, "probe": probe}
    return found


@pytest.mark.parametrize("count", [2, 7, 21, 100])
def test_the_table_fits_80_columns(count):
    class_names = [f"{'a very long name 蚂蚁 ' * 4}{i}" for i in range(count)]
    found = _figures(class_names, num_examples=123_456)

    text = figures.FIGURES.text(
        {"kept": "probe", "train": found, "test": found}
    )

    assert (
        max(terminal_escapes.measure_width(line) for line in text.splitlines())
        <= 80
    )


def test_baselines_stand_beside_the_result():
    found = _figures(["ants", "bees"])

    lines = figures.FIGURES.text({"validation": found}).splitlines()

    assert f"{found['accuracy']:.3f}" in lines[1]
    assert "majority class (ants)" in lines[2] and "0.500" in lines[2]
    assert "head-only probe" in lines[3]


def test_the_name_of_the_majority_class_is_not_cut():
    text = figures.FIGURES.text(
        {"test": _figures(["01_daffodil", "02_snowdrop"])}
    )

    assert "majority class: 01_daffodil\n" in text
    assert "…" not in text


def test_a_result_without_baselines_is_shown():
    found = _figures(["ants", "bees"])
    del found["baselines"]

    assert "majority" not in figures.FIGURES.text({"data": found})


def test_the_classes_of_the_last_held_out_split_are_shown():
    found = _figures(["ants", "bees"])
    splits = {"train": found, "validation": found, "test": found}

    assert "test, by class" in figures.FIGURES.text(splits)
    assert "train, by class" in figures.FIGURES.text({"train": found})


def test_up_to_20_classes_are_all_shown_in_their_order():
    class_names = [f"c{i:02}" for i in range(20)]

    table = figures.format_classes("test", _figures(class_names)).splitlines()

    assert [line.split()[0] for line in table[1:21]] == class_names


def test_of_more_classes_the_worst_and_best_are_shown():
    class_names = [f"c{i:02}" for i in range(40)]
    found = _figures(class_names)

    table = figures.format_classes("test", found).splitlines()

    by_f1 = sorted(class_names, key=lambda name: found["per_class"][name]["f1"])
    assert [line.split()[0] for line in table[1:11]] == by_f1[:10]
    assert "25 more classes are in evaluation.json" in table[11]
    assert [line.split()[0] for line in table[12:17]] == by_f1[-5:]


def test_a_class_without_support_shows_dashes():
    found = classification_metrics.compute_metrics(
        np.array([0, 0]), np.eye(2)[[0, 0]], class_names=("a", "b"), seed=0
    )

    row = figures.format_classes("test", found).splitlines()[2]
    assert row.split() == ["b", "-", "-", "-", "0"]
