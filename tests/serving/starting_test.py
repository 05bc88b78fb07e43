"""Tests of tf_finetune/serving/starting.py: what is said before TensorFlow."""

import pytest

import tf_finetune
from tf_finetune import errors, files
from tf_finetune.config import serve
from tf_finetune.serving import starting


@pytest.fixture
def workdir(tmp_path):
    """A finished run with versions 1 and 2."""
    files.write_json(tmp_path / "run.json", {"status": "finished"})
    for name in ("1", "2"):
        (tmp_path / "export" / name).mkdir(parents=True)
        (tmp_path / "export" / name / "saved_model.pb").touch()
    return tmp_path


def test_the_newest_export_of_the_run_is_chosen(workdir):
    config = serve.ServeConfig(workdir=str(workdir))
    assert starting.served_version(config) == workdir / "export" / "2"


def test_a_folder_of_exports_needs_no_run(workdir):
    config = serve.ServeConfig(exports=str(workdir / "export"), version=1)
    assert starting.served_version(config) == workdir / "export" / "1"


def test_a_run_without_export_names_the_command(tmp_path):
    files.write_json(tmp_path / "run.json", {"status": "finished"})
    with pytest.raises(errors.UsageError, match=f"export --workdir={tmp_path}"):
        tf_finetune.serve(tmp_path)


def test_an_unknown_option_is_answered_with_the_nearest(workdir):
    with pytest.raises(errors.UsageError, match="Did you mean 'port'"):
        tf_finetune.serve(workdir, prot=1)
