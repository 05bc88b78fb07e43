"""Tests of tf_finetune/use_checking.py."""

import dataclasses

import pytest

from tf_finetune import errors, files, use_checking
from tf_finetune.config import options, use


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
                use.EvaluateConfig,
                {
                    "workdir": str(here),
                    "data": "u.csv",
                    "label_column": label_column,
                },
            )
            return use_checking.evaluation_source(config).label_column

        return call

    def test_targets_in_another_order_are_read_in_the_runs(self, source):
        assert source("wide,high") == ("high", "wide")
        assert source("") == ("high", "wide")

    @pytest.mark.parametrize("asked", ["wide", "high,deep", "high,wide,deep"])
    def test_other_targets_than_the_runs_are_refused(self, source, asked):
        with pytest.raises(errors.UsageError, match="learnt high,wide"):
            source(asked)

    def test_labels_that_are_no_columns_may_lie_elsewhere(self, source):
        assert source("tags", task="multilabel") == ("tags",)


class TestExport:
    @pytest.fixture
    def finished(self, here):
        """A folder that says what a finished run without validation says."""
        files.write_json(here / "run.json", {"status": "finished"})
        files.write_json(here / "data.json", {"images": {"train": 9}})
        files.write_text(here / "run.flags", "--data=pictures\n")
        return here

    def _config(self, folder, **keywords):
        return options.from_keywords(
            use.ExportConfig, {"workdir": str(folder), **keywords}
        )

    def test_calibration_without_validation_pictures_is_refused(self, finished):
        use_checking.check_export(self._config(finished))
        with pytest.raises(errors.UsageError, match="--validation_fraction"):
            use_checking.check_export(self._config(finished, calibrate=True))

    def test_calibration_with_validation_pictures_is_let_through(
        self, finished
    ):
        images = {"train": 9, "validation": 3}
        files.write_json(finished / "data.json", {"images": images})
        use_checking.check_export(self._config(finished, calibrate=True))

    @pytest.mark.parametrize("asked", ["calibrate", "out_of_distribution"])
    @pytest.mark.parametrize("reasons", [{}, {"calibrate": "no, since."}])
    def test_a_task_that_is_never_sure_says_so(
        self, finished, asked, reasons, monkeypatch
    ):
        own = dataclasses.replace(
            use_checking.task_of(str(finished)),
            certainty_at="",
            refused=reasons,
        )
        monkeypatch.setattr(use_checking, "task_of", lambda *_: own)
        words = reasons.get(asked, "how sure its predictions are")
        with pytest.raises(errors.UsageError, match=f"--{asked} is.*{words}"):
            use_checking.check_export(self._config(finished, **{asked: True}))

    @pytest.mark.parametrize("name", ["keras", "h5"])
    def test_the_runs_own_files_are_kept(self, finished, name):
        config = self._config(finished, format=name, output=str(finished))
        with pytest.raises(errors.UsageError, match="the run's own model"):
            use_checking.check_export(config)

    @pytest.mark.parametrize(
        "task", ["multilabel", "regression", "segmentation"]
    )
    def test_every_task_has_files_in_few_bits(self, finished, task):
        pytest.importorskip("ai_edge_litert")
        files.write_text(finished / "run.flags", f"--data=x\n--task={task}\n")
        use_checking.check_export(
            self._config(finished, format="litert_dynamic,litert_int8")
        )

    @pytest.mark.parametrize("name", ["h5", "litert", "whole_h5"])
    def test_formats_of_one_picture_are_refused_to_rows(self, finished, name):
        (finished / "fused.keras").touch()
        for possible in ("saved_model", "keras"):
            use_checking.check_export(self._config(finished, format=possible))
        with pytest.raises(errors.UsageError, match="takes one picture"):
            use_checking.check_export(self._config(finished, format=name))

    def test_calibration_reads_pictures_where_they_are_now(self, finished):
        new = finished / "new"
        new.mkdir()

        def source(data, **keywords):
            files.write_text(finished / "run.flags", f"--data={data}\n")
            config = self._config(finished, calibrate=True, **keywords)
            return use_checking.export_source(config).data.data

        assert source("/old/flowers") == "/old/flowers"
        assert source("/old/flowers", image_root=str(new)) == str(new)
        # What is still there is read there.
        assert source(str(finished), image_root=str(new)) == str(finished)
        (new / "t.csv").touch()
        table = source("/old/t.csv", image_root=str(new))
        assert table == str(new / "t.csv")

    def test_a_file_for_several_formats_is_refused(self, finished):
        config = self._config(
            finished, format="h5,keras", output=str(finished / "x.keras")
        )
        with pytest.raises(errors.UsageError, match="makes 2 exports"):
            use_checking.check_export(config)


class TestPrediction:
    @pytest.mark.parametrize(
        ("task", "output", "message"),
        [
            (
                "classification",
                "masks",
                "--window_overlap=0.5 is for tasks that predict masks",
            ),
            ("segmentation", None, "give --output"),
        ],
    )
    def test_windows_that_nothing_would_use_are_refused(
        self, here, task, output, message
    ):
        files.write_json(here / "run.json", {"status": "finished"})
        files.write_text(here / "run.flags", f"--data=x\n--task={task}\n")
        config = use.PredictConfig(
            workdir=str(here), data="x", output=output, window_overlap=0.5
        )
        with pytest.raises(errors.UsageError, match=message):
            use_checking.check_prediction(config)


class TestWriting:
    """What is written at the end is tried at the start."""

    @pytest.fixture
    def finished(self, here):
        files.write_json(here / "run.json", {"status": "finished"})
        files.write_json(here / "data.json", {"images": {"train": 9}})
        files.write_text(here / "run.flags", "--data=pictures\n")
        (here / "file").write_text("")
        return here

    _COMMANDS = (
        (use.ExportConfig, use_checking.check_export, {}),
        (use.EvaluateConfig, use_checking.check_evaluation, {}),
        (use.PredictConfig, use_checking.check_prediction, {"data": "1.png"}),
    )

    @pytest.mark.parametrize("command", _COMMANDS)
    @pytest.mark.parametrize(
        "output", ["file/below", "file/a/b", "/proc/1.json", "/proc/a/b"]
    )
    def test_what_cannot_be_written_is_refused(self, finished, command, output):
        config, check, more = command
        given = {"workdir": str(finished), "output": output, **more}
        with pytest.raises(errors.UsageError, match="--output="):
            check(options.from_keywords(config, given))

    @pytest.mark.parametrize("command", _COMMANDS[:2])
    def test_a_workdir_that_cannot_be_written_needs_an_output(
        self, finished, command, monkeypatch
    ):
        def refuse(prefix, dir):
            # As for a folder on a disk that is read-only.
            if str(dir) == str(finished):
                raise OSError(30, "Read-only file system")
            return really(prefix=prefix, dir=dir)

        really = files.tempfile.mkstemp
        monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
        config, check, more = command
        given = {"workdir": str(finished), **more}
        with pytest.raises(
            errors.UsageError, match="Read-only .* Say with --output"
        ):
            check(options.from_keywords(config, given))
        (finished / "other").mkdir()
        output = str(finished / "other" / "new" / "deep")
        check(options.from_keywords(config, {**given, "output": output}))
        assert not list((finished / "other").iterdir())

    def test_a_folder_of_moved_pictures_must_be_one(self, finished):
        given = {"workdir": str(finished), "image_root": "file"}
        with pytest.raises(errors.UsageError, match="--image_root=file is no"):
            use_checking.check_export(
                options.from_keywords(use.ExportConfig, given)
            )
