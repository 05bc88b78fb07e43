"""Tests of tf_finetune/solvers/class_impressions.py."""

import numpy as np
from scipy import special

from tf_finetune.solvers import added_classes, class_impressions, linear_probe

# Each of four classes has a feature of its own.
_CENTERS = 6 * np.eye(4, 6)


def _draw(classes, count=40, seed=0):
    labels = np.repeat(classes, count)
    noise = np.random.default_rng(seed).normal(size=[len(labels), 6])
    return _CENTERS[labels] + noise, labels


def _solve_earlier():
    rows, labels = _draw([0, 1])
    return linear_probe.solve(rows, labels, seed=0)


def test_the_head_is_sure_of_imagined_means():
    head = _solve_earlier()
    rows, _ = _draw([2, 3])
    means = class_impressions.imagine_means(rows, head.kernel, head.bias)
    sure = special.softmax(means @ head.kernel + head.bias, axis=1)
    # The steps are 12 % apart.
    assert (np.diag(sure) >= 0.95).all() and (np.diag(sure) < 0.99).all()


def test_imagined_rows_weigh_as_much_as_classes_with_pictures():
    head = _solve_earlier()
    rows, labels = _draw([2, 3], count=4)
    kernel = np.concatenate([head.kernel, np.zeros([6, 2])], axis=1)
    made = class_impressions.imagine_rows(
        rows,
        labels,
        kernel,
        np.append(head.bias, [0, 0]),
        kept=[0, 1],
        absent=[0, 1],
        seed=0,
    )
    assert sorted(np.bincount(made.labels)) == [4, 4] and made.weight == 1
    assert made.rows.shape == (8, 6)
    assert class_impressions.count_rows(8, 0) == 0
    assert class_impressions.count_rows(8, 100) == 500


def test_new_classes_leave_room_for_those_without_pictures():
    head, (rows, labels) = _solve_earlier(), _draw([2, 3])
    kernel = np.concatenate([head.kernel, np.zeros([6, 2])], axis=1)
    bias = np.append(head.bias, [0, 0])
    made = class_impressions.imagine_rows(
        rows, labels, kernel, bias, kept=[0, 1], absent=[0, 1], seed=0
    )
    both = np.concatenate([rows, made.rows])
    right = {}
    for name, x, y in (
        ("with", both, np.concatenate([labels, made.labels])),
        ("without", rows, labels),
    ):
        found = added_classes.solve_columns(
            x, y, x @ kernel + bias, [2, 3], seed=0
        )
        kernel[:, 2:], bias[2:] = found.kernel, found.bias
        test, truth = _draw([0, 1, 2, 3], seed=1)
        predicted = (test @ kernel + bias).argmax(axis=1)
        right[name] = [np.mean(predicted[truth == c] == c) for c in range(4)]
    assert max(right["without"][:2]) < 0.1
    assert min(right["with"]) > 0.8
