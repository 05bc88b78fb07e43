"""Tests of tf_finetune/preflight/export.py."""

import dataclasses

import pytest

from tf_finetune import errors, files
from tf_finetune.config import command_configs, options
from tf_finetune.preflight import export, finished_run_files


class TestExport:
    def _config(self, folder, **keywords):
        return options.from_keywords(
            command_configs.ExportConfig, {"workdir": str(folder), **keywords}
        )

    def test_calibration_without_validation_pictures_is_refused(self, finished):
        export.check_export(self._config(finished))
        with pytest.raises(errors.UsageError, match="--validation_fraction"):
            export.check_export(self._config(finished, calibrate=True))

    def test_calibration_with_validation_pictures_is_let_through(
        self, finished
    ):
        images = {"train": 9, "validation": 3}
        files.write_json(finished / "data.json", {"images": images})
        export.check_export(self._config(finished, calibrate=True))

    @pytest.mark.parametrize("asked", ["calibrate", "out_of_distribution"])
    @pytest.mark.parametrize("reasons", [{}, {"calibrate": "no, since."}])
    def test_a_task_that_is_never_sure_says_so(
        self, finished, asked, reasons, monkeypatch
    ):
        own = dataclasses.replace(
            finished_run_files.load_task(str(finished)),
            certainty_at="",
            refused_options=reasons,
        )
        monkeypatch.setattr(finished_run_files, "load_task", lambda *_: own)
        words = reasons.get(asked, "how sure its predictions are")
        with pytest.raises(errors.UsageError, match=f"--{asked} is.*{words}"):
            export.check_export(self._config(finished, **{asked: True}))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (
                {"format": "keras,h5", "out_of_distribution": True},
                "is for --format=saved_model; --format=keras,h5 does not read",
            ),
            (
                {"cache_dir": "here"},
                "--cache_dir=here is for --calibrate, which is not given. Give "
                "--calibrate, or leave --cache_dir out",
            ),
        ],
    )
    def test_an_option_that_nothing_reads_is_refused(
        self, finished, given, message
    ):
        with pytest.raises(errors.UsageError, match=message):
            export.check_export(self._config(finished, **given))

    @pytest.mark.parametrize("name", ["keras", "h5"])
    def test_the_runs_own_files_are_kept(self, finished, name):
        config = self._config(finished, format=name, output=str(finished))
        with pytest.raises(errors.UsageError, match="the run's own model"):
            export.check_export(config)

    @pytest.mark.parametrize(
        "task", ["multilabel", "regression", "segmentation"]
    )
    def test_every_task_has_files_in_few_bits(self, finished, task):
        pytest.importorskip("ai_edge_litert")
        files.write_text(finished / "run.flags", f"--data=x\n--task={task}\n")
        export.check_export(
            self._config(finished, format="litert_dynamic,litert_int8")
        )

    @pytest.mark.parametrize("name", ["h5", "litert", "whole_h5"])
    def test_formats_of_one_picture_are_refused_to_rows(self, finished, name):
        (finished / "fusion.keras").touch()
        for possible in ("saved_model", "keras"):
            export.check_export(self._config(finished, format=possible))
        with pytest.raises(errors.UsageError, match="takes one picture"):
            export.check_export(self._config(finished, format=name))

    def test_calibration_reads_pictures_where_they_are_now(self, finished):
        new = finished / "new"
        new.mkdir()

        def source(data, **keywords):
            files.write_text(finished / "run.flags", f"--data={data}\n")
            config = self._config(finished, calibrate=True, **keywords)
            return export.resolve_export_config(config).data.data

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
            export.check_export(config)

    def test_a_name_that_no_folder_can_have_is_refused(self, finished):
        config = self._config(
            finished, format="h5", output=str(finished / (300 * "x"))
        )
        with pytest.raises(errors.UsageError, match="300 bytes is too long"):
            export.check_export(config)

    def test_a_folder_of_moved_pictures_must_be_one(self, finished):
        (finished / "file").write_text("")
        given = {"workdir": str(finished), "image_root": "file"}
        with pytest.raises(errors.UsageError, match="--image_root=file is no"):
            export.check_export(
                options.from_keywords(command_configs.ExportConfig, given)
            )
