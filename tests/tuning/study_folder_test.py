"""Locks of a study."""

import os

import pytest

from tf_finetune import errors
from tf_finetune.tuning import study_folder


def test_a_trial_is_locked_as_long_as_any_process_holds_it(tmp_path):
    folder = study_folder.StudyFolder(tmp_path / "study")
    folder.make()
    lock = folder.try_lock_trial(3)
    assert folder.try_lock_trial(3) is None
    other = folder.try_lock_trial(4)
    # A child has a descriptor of its own.
    inherited = os.dup(lock.fileno())
    lock.close()
    assert folder.try_lock_trial(3) is None
    os.close(inherited)
    with folder.try_lock_trial(3), other:
        pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    folder = study_folder.StudyFolder(tmp_path / "file" / "study")
    with pytest.raises(errors.UsageError, match="--study=.* cannot be written"):
        folder.make()


def test_the_workdir_of_a_run_is_refused(tmp_path):
    (tmp_path / "run.flags").write_text("--data=x\n")
    with pytest.raises(errors.UsageError, match="is the workdir of a run"):
        study_folder.StudyFolder(tmp_path).make()
    assert [each.name for each in tmp_path.iterdir()] == ["run.flags"]
