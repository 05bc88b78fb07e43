"""Tests of tf_finetune/weights/class_plan.py."""

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.weights import class_plan

_EARLIER = ("ant", "bee", "hornet", "wasp")


def _plan(names, specs=()):
    mapping = class_plan.parse_class_map(specs)
    return class_plan.plan_classes(names, _EARLIER, mapping)


def test_every_class_gets_its_origin_by_name():
    plan = _plan(
        ("ant", "honeybee", "moth", "vespid"),
        ("honeybee:bee", "vespid:wasp+hornet"),
    )
    assert plan.format_table().splitlines() == [
        "class     from           action",
        "ant       ant            kept",
        "honeybee  bee            renamed",
        "moth      -              new, solved",
        "vespid    wasp + hornet  merged",
    ]
    assert plan.summarize() == "1 kept, 1 renamed, 1 new, 1 merged"
    assert plan.new_places == [2]


def test_classes_without_pictures_are_dropped():
    plan = _plan(("wasp", "ant"))
    assert [row.action for row in plan.outputs] == ["kept", "kept"]
    dropped = [row.sources for row in plan.rows if row.action == "dropped"]
    assert dropped == [("bee",), ("hornet",)]


def test_a_renamed_class_leaves_its_old_name_to_new_pictures():
    plan = _plan(("bee", "honeybee"), ("honeybee:bee",))
    assert [row.action for row in plan.outputs] == ["new", "renamed"]


def test_long_tables_are_counted():
    names = tuple(f"class{number:03d}" for number in range(99))
    plan = class_plan.plan_classes(names, names, {})
    lines = plan.format_table().splitlines()
    assert len(lines) == 42 and lines[-1] == "… and 59 more"


def test_columns_are_taken_over_by_name():
    kernel = np.arange(8, dtype="float32").reshape(2, 4)
    bias = np.array([1, 2, 3, 5], "float32")
    plan = _plan(("moth", "vespid", "wasp2"), ("vespid:ant+bee", "wasp2:wasp"))
    new_kernel, new_bias = class_plan.take_columns(plan, kernel, bias)
    np.testing.assert_array_equal(new_kernel, [[0, 0.5, 3], [0, 4.5, 7]])
    np.testing.assert_allclose(new_bias, [0, 1.5 + np.log(2), 5])
    assert new_kernel.dtype == new_bias.dtype == np.float32


def test_equal_logits_merge_to_the_sum_of_their_probabilities():
    kernel = np.array([[1, 1, 0, 2]], "float64")
    bias = np.array([0.5, 0.5, 1, 0])
    plan = _plan(("both", "hornet", "wasp"), ("both:ant+bee",))
    merged = np.exp(
        3 * np.array(class_plan.take_columns(plan, kernel, bias)[0])
    )
    merged *= np.exp(class_plan.take_columns(plan, kernel, bias)[1])
    before = np.exp(3 * kernel + bias)
    np.testing.assert_allclose(merged[0, 0], before[0, :2].sum())


@pytest.mark.parametrize(
    ("names", "specs", "words"),
    [
        (("fly",), (), r"none of the classes.*fly.*--class_map=NEW:OLD"),
        (("a", "ant"), ("a",), "must be NEW:OLD"),
        (("a", "ant"), ("a:bee+",), "must be NEW:OLD"),
        (("a", "ant"), ("a:bee", "a:wasp"), "twice on one side"),
        (("a", "b"), ("a:bee", "b:bee"), "twice on one side"),
        (("a", "ant"), ("a:flea",), "'?flea'?, no class of the earlier run"),
        (("a", "ant"), ("b:bee",), "'?b'?, no class of the pictures"),
    ],
)
def test_plans_that_fit_nothing_are_refused(names, specs, words):
    with pytest.raises(errors.UsageError, match=words):
        _plan(names, specs)


def test_only_a_finished_classifier_with_a_linear_head_has_columns(tmp_path):
    with pytest.raises(errors.UsageError, match="is none: only a run has"):
        class_plan.check_earlier_run(tmp_path, "classification")
    files.write_json(tmp_path / "run.json", {"status": "finished"})
    files.write_text(tmp_path / "run.flags", "--head=linear\n--head_layers=\n")
    assert (
        class_plan.check_earlier_run(tmp_path, "classification").path
        == tmp_path
    )
    for line in ("--head=mlp", "--task=multilabel", "--head_layers=64,relu"):
        files.write_text(tmp_path / "run.flags", f"{line}\n")
        with pytest.raises(errors.UsageError, match=f"has .*{line}.*alone"):
            class_plan.check_earlier_run(tmp_path, "classification")
