"""Tests of tf_finetune/weights/earlier_head.py."""

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.weights import class_plan, earlier_head

_EARLIER = ("ant", "bee", "hornet", "wasp")


def _plan(names, specs=()):
    mapping = class_plan.parse_class_map(specs)
    return class_plan.plan_classes(names, _EARLIER, mapping)


def test_columns_are_taken_over_by_name():
    kernel = np.arange(8, dtype="float32").reshape(2, 4)
    bias = np.array([1, 2, 3, 5], "float32")
    plan = _plan(("moth", "vespid", "wasp2"), ("vespid:ant+bee", "wasp2:wasp"))
    new_kernel, new_bias = earlier_head.take_columns(plan, kernel, bias)
    np.testing.assert_array_equal(new_kernel, [[0, 0.5, 3], [0, 4.5, 7]])
    np.testing.assert_allclose(new_bias, [0, 1.5 + np.log(2), 5])
    assert new_kernel.dtype == new_bias.dtype == np.float32


def test_equal_logits_merge_to_the_sum_of_their_probabilities():
    kernel = np.array([[1, 1, 0, 2]], "float64")
    bias = np.array([0.5, 0.5, 1, 0])
    plan = _plan(("both", "hornet", "wasp"), ("both:ant+bee",))
    merged = np.exp(
        3 * np.array(earlier_head.take_columns(plan, kernel, bias)[0])
    )
    merged *= np.exp(earlier_head.take_columns(plan, kernel, bias)[1])
    before = np.exp(3 * kernel + bias)
    np.testing.assert_allclose(merged[0, 0], before[0, :2].sum())


def test_only_a_finished_classifier_with_a_linear_head_has_columns(tmp_path):
    with pytest.raises(errors.UsageError, match="is none: only a run has"):
        earlier_head.check_earlier_run(tmp_path, "classification")
    files.write_json(tmp_path / "run.json", {"status": "finished"})
    files.write_text(tmp_path / "run.flags", "--head=linear\n--head_layers=\n")
    assert (
        earlier_head.check_earlier_run(tmp_path, "classification").path
        == tmp_path
    )
    for line in ("--head=mlp", "--task=multilabel", "--head_layers=64,relu"):
        files.write_text(tmp_path / "run.flags", f"{line}\n")
        with pytest.raises(errors.UsageError, match=f"has .*{line}.*alone"):
            earlier_head.check_earlier_run(tmp_path, "classification")
