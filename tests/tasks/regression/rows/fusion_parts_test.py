"""Tests of tf_finetune/tasks/regression/rows/fusion_parts.py."""

import numpy as np

from tf_finetune.tasks.regression.rows import (
    column_features,
    fusion_parts,
    stacking,
)

_GENERATOR = np.random.default_rng(0)


def _rows(count: int, *, with_columns: bool = True) -> fusion_parts.RowInputs:
    return fusion_parts.RowInputs(
        features=_GENERATOR.normal(size=[count, 2, 5]),
        numbers=_GENERATOR.normal(size=[count, int(with_columns)]),
        words=[()] * count,
    )


def _solved(
    rows: fusion_parts.RowInputs, targets: np.ndarray
) -> fusion_parts.FusionParts:
    return fusion_parts.solve_parts(
        rows,
        targets,
        places=("front", "back"),
        groups=[str(i) for i in range(len(targets))],
        seed=0,
    )


def _targets(rows: fusion_parts.RowInputs) -> np.ndarray:
    mixed = (
        rows.features[:, 0, :1] + rows.features[:, 1, 1:2] + rows.numbers[:, :1]
    )
    return mixed + _GENERATOR.normal(0, 0.3, mixed.shape)


def test_the_stack_of_all_is_better_than_its_parts():
    rows, later = _rows(300), _rows(300)
    targets, truth = _targets(rows), _targets(later)
    solved = _solved(rows, targets)
    found = fusion_parts.build_candidates(solved, targets)
    assert set(found) == {"pictures", "columns", "stack"}
    said = solved(later)
    scores = {
        name: column_features.compute_r2(truth, stack(said))
        for name, stack in found.items()
    }
    assert scores["stack"] > max(scores["pictures"], scores["columns"]) + 0.2
    assert set(said) == {
        "front",
        "back",
        fusion_parts.JOINED,
        fusion_parts.COLUMNS,
    }


def test_without_columns_there_are_only_pictures():
    rows = _rows(40, with_columns=False)
    targets = rows.features[:, 0, :1]
    solved = _solved(rows, targets)
    assert solved.columns is None
    assert set(fusion_parts.build_candidates(solved, targets)) == {"pictures"}


def test_the_pictures_share_folds_into_one_map():
    rows = _rows(60)
    targets = _targets(rows)
    solved = _solved(rows, targets)
    stack = stacking.fit_stack(solved.out_of_fold, targets)
    kernel, bias = solved.kernel(stack)
    said = solved(rows)
    beside = said[fusion_parts.COLUMNS] * stack.weights[-1]
    np.testing.assert_allclose(
        rows.joined_features @ kernel + bias + beside + stack.bias, stack(said)
    )
