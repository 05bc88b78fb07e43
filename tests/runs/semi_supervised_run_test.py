"""Tests of what a run with pictures without labels keeps to go on from."""

import os

import numpy as np
import pytest
import sample_pictures

from tf_finetune import errors
from tf_finetune.data import unlabeled_files
from tf_finetune.runs import candidates, semi_supervised_run, split_evaluation
from tf_finetune.runs.objectives import objective_protocol
from tf_finetune.workdir import workdir_files


def _pool(*contents):
    return unlabeled_files.Pool(
        found=len(contents),
        pictures=tuple(
            sample_pictures.make_picture(f"{number}.png", None, each, side=9)
            for number, each in enumerate(contents)
        ),
        dropped=(),
        known={},
        repeated=0,
    )


def test_a_run_does_not_go_on_with_other_pictures_without_labels(tmp_path):
    place = workdir_files.Workdir(tmp_path)
    place.pool.parent.mkdir(parents=True)
    semi_supervised_run.record_pool(place, _pool("aa", "bb"), "photos")
    semi_supervised_run.record_pool(place, _pool("bb", "aa"), "photos")
    with pytest.raises(
        errors.DataError, match="--unlabeled_data=photos have changed since"
    ):
        semi_supervised_run.record_pool(
            place, _pool("aa", "bb", "cc"), "photos"
        )


def test_events_stay_when_checkpoints_go(tmp_path):
    place = workdir_files.Workdir(tmp_path)
    apart = place.semi_supervised_workdir("fixmatch")
    assert apart.tensorboard == tmp_path / "tensorboard" / "fixmatch"
    assert place.checkpoints in apart.checkpoints.parents
    assert place.checkpoints not in apart.tensorboard.parents
    assert place.pool.parent == apart.path


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"{}", b'{"fingerprint": 5}', b"[" * 100_000]
)
def test_a_damaged_note_of_the_pool_is_one_sentence(tmp_path, content):
    place = workdir_files.Workdir(tmp_path)
    place.pool.parent.mkdir(parents=True)
    place.pool.write_bytes(content)
    with pytest.raises(errors.RunError, match=r"pool\.json.*--overwrite"):
        semi_supervised_run.record_pool(place, _pool("aa"), "photos")


def test_a_pipe_or_a_link_in_place_of_the_pool_is_refused(tmp_path):
    place = workdir_files.Workdir(tmp_path / "run")
    place.pool.parent.mkdir(parents=True)
    os.mkfifo(place.pool)
    with pytest.raises(errors.RunError, match="not a regular file"):
        semi_supervised_run.record_pool(place, _pool("aa"), "photos")
    place.pool.unlink()
    (tmp_path / "else.json").write_text('{"fingerprint": "x"}')
    place.pool.symlink_to(tmp_path / "else.json")
    with pytest.raises(errors.RunError, match="link to a file outside"):
        semi_supervised_run.record_pool(place, _pool("aa"), "photos")


_CLASSES = np.array([0, 1] * 10)


def _candidate(context, name, right, finite=True):
    said = np.where(np.arange(20) < right, _CLASSES, 1 - _CLASSES)
    predictions = np.full([20, 2], 0.1)
    predictions[np.arange(20), said] = 0.9 if finite else np.nan
    found = split_evaluation.compare_with_labels(
        context, "validation", [predictions]
    )
    return candidates.Candidate(
        name=name,
        weights=[name],
        evaluations={"validation": found, "train": found},
    )


@pytest.fixture
def choose(make_context, monkeypatch):
    """Chooses between the supervised model and one of FixMatch."""

    def run(supervised, other, **more):
        context = make_context({"train": "ab", "validation": "ab" * 10})
        probe = _candidate(context, "probe", supervised)
        result = candidates.RunResult(
            fit_result=candidates.FitResult(
                probe=probe, fine_tuned=None, table=[{"epoch": 1}]
            ),
            chosen=probe,
            facts={"objective": "fixmatch", "pool": {"used": 3}},
        )
        outcome = objective_protocol.ObjectiveResult(
            candidate=_candidate(context, "fine_tune", other, **more),
            table=[{"epoch": 1, "stage": "fine_tune"}],
            facts={"groups": 4},
            text="learned",
        )
        said = []
        monkeypatch.setattr(
            semi_supervised_run,
            "_evaluate_candidate",
            lambda context, candidate: candidate,
        )
        found = semi_supervised_run._select_better(
            context, result, outcome, said.append
        )
        return found, "".join(said)

    return run


def test_the_semi_supervised_model_is_kept_where_it_is_better(choose):
    found, said = choose(8, 20)
    assert found.chosen.name == "fixmatch_fine_tune"
    assert found.facts == {
        "objective": "fixmatch",
        "pool": {"used": 3},
        "groups": 4,
        "kept": True,
    }
    assert "kept: fixmatch (" in said
    # Figures of a training split with pseudo-labels mean nothing.
    assert [*found.chosen.evaluations] == ["validation"]


def test_the_supervised_model_is_kept_where_the_other_is_no_better(choose):
    found, said = choose(15, 15)
    assert found.chosen.name == "probe"
    assert found.facts["kept"] is False
    assert "kept: supervised (" in said
    assert [*found.beside] == ["supervised", "fixmatch"]


def test_the_history_names_the_epochs_after_the_objective(choose):
    found, _ = choose(15, 15)
    assert found.fit_result.table == [
        {"epoch": 1},
        {"epoch": 1, "stage": "fixmatch"},
    ]


def test_a_semi_supervised_model_that_diverged_is_left_out(choose, caplog):
    found, said = choose(8, 20, finite=False)
    assert found.chosen.name == "probe"
    assert found.beside == {}
    assert said == ""
    assert "are NaN or infinite; kept: supervised" in caplog.text
