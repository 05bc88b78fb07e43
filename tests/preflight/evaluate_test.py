"""Tests of tf_finetune/preflight/evaluate.py."""

import types

import pytest

from tf_finetune import errors, files
from tf_finetune.config import command_configs, options
from tf_finetune.preflight import evaluate


class TestEvaluationSource:
    @pytest.fixture
    def source(self, here):
        """Returns what an evaluation of a run on two targets reads."""

        def call(label_column, task="regression"):
            files.write_json(here / "run.json", {"status": "finished"})
            files.write_text(
                here / "run.flags",
                f"--data=t.csv\n--task={task}\n--label_column=high,wide\n",
            )
            config = options.from_keywords(
                command_configs.EvaluateConfig,
                {
                    "workdir": str(here),
                    "data": "u.csv",
                    "label_column": label_column,
                },
            )
            return evaluate.resolve_evaluation_data(config).label_column

        return call

    def test_targets_in_another_order_are_read_in_the_runs(self, source):
        assert source("wide,high") == ("high", "wide")
        assert source("") == ("high", "wide")

    @pytest.mark.parametrize("asked", ["wide", "high,deep", "high,wide,deep"])
    def test_other_targets_than_the_runs_are_refused(self, source, asked):
        with pytest.raises(errors.UsageError, match="was trained on high,wide"):
            source(asked)

    def test_labels_that_are_no_columns_may_lie_elsewhere(self, source):
        assert source("tags", task="multilabel") == ("tags",)


def _place(*names):
    return types.SimpleNamespace(path="the/run", class_names=lambda: names)


def test_known_classes_pass():
    assert evaluate.check_classes(_place("ant", "bee"), ["bee"]) is None


def test_a_similar_name_is_proposed():
    with pytest.raises(errors.DataError) as raised:
        evaluate.check_classes(_place("ants", "bees"), ["ants", "Bees"])
    assert str(raised.value) == (
        "The run in the/run does not know the class 'Bees'; it knows ants, "
        "bees. Did you mean 'bees' by 'Bees'? Spell it the same way."
    )


def test_several_unknown_classes_are_counted():
    with pytest.raises(errors.DataError, match="'x' and 2 more; it knows ant"):
        evaluate.check_classes(_place("ant"), ["z", "y", "x"])


def test_ten_known_classes_are_listed():
    names = [f"class{number:02d}" for number in range(12)]
    with pytest.raises(errors.DataError) as raised:
        evaluate.check_classes(_place(*names), ["?"])
    assert "class09 and 2 more." in str(raised.value)
    assert "class10" not in str(raised.value)
    assert str(raised.value).endswith(
        "Rename or leave out the classes that it does not know."
    )
