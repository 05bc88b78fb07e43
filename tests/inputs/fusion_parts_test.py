"""Tests of tf_finetune/inputs/{fusion_parts,head_solvers}.py."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.inputs import fusion_parts, head_solvers, input_protocol

_GENERATOR = np.random.default_rng(0)
_RIDGE = head_solvers.find_solver("ridge")
_COLUMNS = {
    "image_column": ("front", "back"),
    "numeric_columns": ("area",),
}


def _values(count: int) -> dict[str, np.ndarray]:
    return {
        "images": _GENERATOR.normal(size=[count, 10]),
        "numbers": _GENERATOR.normal(size=[count, 1]),
    }


def _mix(values: dict[str, np.ndarray]) -> np.ndarray:
    images = values["images"]
    mixed = images[:, :1] + images[:, 6:7] + values["numbers"]
    return mixed + _GENERATOR.normal(0, 0.3, mixed.shape)


def _solve(values, targets, solver=_RIDGE, **columns):
    options = data_options.DataOptions(**(columns or _COLUMNS))
    return fusion_parts.solve_parts(
        input_protocol.list_inputs(options),
        values,
        targets,
        solver=solver,
        groups=[str(i) for i in range(len(targets))],
        seed=0,
    )


def _r2(truth: np.ndarray, said: np.ndarray) -> float:
    return 1 - np.sum((truth - said) ** 2) / np.sum((truth - truth.mean()) ** 2)


def test_the_stack_of_all_is_better_than_its_parts():
    values, later = _values(300), _values(300)
    targets, truth = _mix(values), _mix(later)
    solved = _solve(values, targets)
    found = fusion_parts.build_candidates(solved, targets, _RIDGE)
    assert list(found) == ["pictures", "columns", "stack"]
    said = solved.compute_logits(later)
    scores = {name: _r2(truth, stack(said)) for name, stack in found.items()}
    assert scores["stack"] > max(scores["pictures"], scores["columns"]) + 0.2
    assert list(said) == ["front", "back", "all_pictures", "columns"]


def _find_accuracies(name: str, targets: np.ndarray, decide) -> dict:
    """Returns the share of right answers of each candidate on new rows."""
    solver, half = head_solvers.find_solver(name), len(targets) // 2
    values = _values(len(targets))
    values["images"][:, :1] += 2 * targets[:, :1]
    values["numbers"] += 2 * targets[:, -1:]
    first = {k: v[:half] for k, v in values.items()}
    solved = _solve(first, targets[:half], solver)
    found = fusion_parts.build_candidates(solved, targets[:half], solver)
    said = solved.compute_logits({k: v[half:] for k, v in values.items()})
    truth = decide(targets[half:] - 0.5)
    return {n: np.mean(decide(s(said)) == truth) for n, s in found.items()}


def test_classes_are_told_by_pictures_and_columns_together():
    targets = np.eye(3)[_GENERATOR.integers(0, 3, 600)]
    found = _find_accuracies("logistic", targets, lambda z: z.argmax(axis=1))
    assert found["stack"] > max(found["pictures"], found["columns"]) + 0.05


def test_labels_are_told_by_pictures_and_columns_together():
    targets = _GENERATOR.integers(0, 2, [600, 2]).astype("float64")
    found = _find_accuracies("logistic_per_label", targets, lambda z: z > 0)
    assert found["stack"] > max(found["pictures"], found["columns"]) + 0.05


def test_without_columns_there_are_only_pictures():
    values = _values(40)
    targets = values["images"][:, :1]
    solved = _solve(values, targets, image_column=("front", "back"))
    assert list(solved.blocks) == ["pictures"]
    found = fusion_parts.build_candidates(solved, targets, _RIDGE)
    assert list(found) == ["pictures"]


def test_a_single_group_of_rows_has_each_block_alone():
    values = _values(20)
    targets = _mix(values)
    solved = fusion_parts.solve_parts(
        input_protocol.list_inputs(data_options.DataOptions(**_COLUMNS)),
        values,
        targets,
        solver=_RIDGE,
        groups=["one"] * 20,
        seed=0,
    )
    found = fusion_parts.build_candidates(solved, targets, _RIDGE)
    assert list(found) == ["pictures", "columns"]
    assert found["pictures"].weights[:, 0].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("block", ["pictures", "columns"])
def test_a_blocks_share_folds_into_one_map(block):
    values = _values(60)
    targets = _mix(values)
    solved = _solve(values, targets)
    stack = fusion_parts.build_candidates(solved, targets, _RIDGE)["stack"]
    kernel, bias = solved.blocks[block].fold(stack)
    mine = solved.blocks[block].compute_logits(values)
    expected = sum(
        said * stack.weights[stack.parts.index(name)]
        for name, said in mine.items()
    )
    features = values["images"]
    if block == "columns":
        encoding = solved.blocks[block].encodings["numbers"]
        features = encoding.encode(values["numbers"])
    np.testing.assert_allclose(features @ kernel + bias, expected)


def test_logarithms_products_and_words_are_found():
    numbers = np.stack(
        [np.exp(_GENERATOR.normal(5, 1, 200)), _GENERATOR.normal(size=200)],
        axis=1,
    )
    words = _GENERATOR.choice(list("abc"), [200, 1]).astype(object)
    targets = np.log(numbers[:, :1]) * numbers[:, 1:] + 2 * (words == "b")
    targets = (targets - targets.mean()) / targets.std()
    values = {**_values(200), "numbers": numbers, "words": words}
    solved = _solve(
        values,
        targets,
        numeric_columns=("size", "shift"),
        categorical_columns=("kind",),
    )
    block = solved.blocks["columns"]
    assert block.encodings["numbers"].logged.tolist() == [True, False]
    assert block.encodings["numbers"].products
    assert _r2(targets, block.compute_logits(values)["columns"]) > 0.99


def test_a_head_that_is_only_trained_takes_no_rows():
    with pytest.raises(errors.UsageError, match="trained by steps"):
        head_solvers.find_solver("steps")
