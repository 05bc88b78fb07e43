"""Tests of tf_finetune/weights/class_plan.py."""

import pytest

from tf_finetune import errors
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


def test_classes_that_the_new_run_lacks_are_dropped():
    plan = _plan(("wasp", "ant"))
    assert [row.action for row in plan.outputs] == ["kept", "kept"]
    dropped = [row.sources for row in plan.rows if row.action == "dropped"]
    assert dropped == [("bee",), ("hornet",)]


def test_a_renamed_class_leaves_its_old_name_to_new_pictures():
    plan = _plan(("bee", "honeybee"), ("honeybee:bee",))
    assert [row.action for row in plan.outputs] == ["new", "renamed"]


def test_all_classes_of_the_earlier_run_are_kept_under_their_new_names():
    mapping = class_plan.parse_class_map(("vespid:wasp+hornet", ":ant"))
    assert class_plan.list_kept(_EARLIER, mapping) == ("bee", "vespid")
    assert class_plan.list_kept(_EARLIER, {}) == _EARLIER


def test_the_plan_tells_which_classes_have_no_pictures():
    names = ("ant", "moth", "bee", "vespid")
    mapping = class_plan.parse_class_map(("vespid:wasp+hornet",))
    plan = class_plan.plan_classes(names, _EARLIER, mapping, ("bee", "vespid"))
    assert plan.format_table().splitlines()[1:] == [
        "ant     ant            kept",
        "moth    -              new, solved",
        "bee     bee            kept without pictures",
        "vespid  wasp + hornet  merged without pictures",
    ]
    assert plan.summarize() == (
        "1 kept, 1 new, 1 kept without pictures, 1 merged without pictures"
    )
    assert (plan.new_places, plan.absent_places) == ([1], [2, 3])


def test_a_dropped_class_with_pictures_is_solved_anew():
    plan = _plan(("ant", "bee"), (":ant", ":wasp"))
    assert [row.action for row in plan.outputs] == ["new", "kept"]


def test_a_name_that_another_class_has_is_not_given_away():
    mapping = class_plan.parse_class_map(("ant:bee",))
    with pytest.raises(errors.UsageError, match=r"ant:ant\+bee.*\(:ant\)"):
        class_plan.list_kept(_EARLIER, mapping)
    with pytest.raises(errors.UsageError, match="'?flea'?, no class of the"):
        class_plan.list_kept(_EARLIER, {"": ("flea",)})


def test_long_tables_are_counted():
    names = tuple(f"class{number:03d}" for number in range(99))
    plan = class_plan.plan_classes(names, names, {})
    lines = plan.format_table().splitlines()
    assert len(lines) == 42 and lines[-1] == "… and 59 more"


@pytest.mark.parametrize(
    ("names", "specs", "words"),
    [
        (("fly",), (), r"none of the classes.*fly.*--class_map=NEW:OLD"),
        (("a", "ant"), ("a",), "must be NEW:OLD"),
        (("a", "ant"), ("a:bee+",), "must be NEW:OLD"),
        (("a", "ant"), ("a:bee", "a:wasp"), "twice on one side"),
        (("a", "b"), ("a:bee", "b:bee"), "twice on one side"),
        (("a", "ant"), ("a:flea",), "'?flea'?, no class of the earlier run"),
        (("a", "ant"), ("b:bee",), "'?b'?, no class of the new run"),
    ],
)
def test_plans_that_fit_nothing_are_refused(names, specs, words):
    with pytest.raises(errors.UsageError, match=words):
        _plan(names, specs)
