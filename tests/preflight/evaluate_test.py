"""Tests of tf_finetune/preflight/evaluate.py."""

import pytest

from tf_finetune import errors, files
from tf_finetune.config import command_configs, options
from tf_finetune.preflight import evaluate


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
