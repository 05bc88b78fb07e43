"""`--batch_size=auto`: found once, then fixed."""

import pytest

from tf_finetune.runs import candidates
from tf_finetune.training.devices import batch_size_search
from tf_finetune.workdir import recorded_config, workdir_files


class _Killed(Exception):
    pass


def _train(train, pictures, place, **changes):
    # With the cache, because what is trained is of no matter here.
    asked = {"epochs": 1, "cache": "on", "batch_size": "auto", **changes}
    _, text = train(pictures, place, **asked)
    return workdir_files.Workdir(place), text


def _unasked(*arguments, **keywords):
    raise AssertionError("the size was looked for again")


@pytest.fixture
def finding_16(monkeypatch):
    monkeypatch.setattr(
        batch_size_search, "find_largest_batch", lambda *a, **k: 16
    )


def test_what_was_found_is_said_and_replayed(
    train, pictures, tmp_path, finding_16
):
    place, text = _train(train, pictures, tmp_path / "run")
    assert "16 pictures a step (--batch_size=auto; 16 fit" in text
    assert "0.000707107 (the default of adamw, 0.001 for 32 pictures" in text
    config = recorded_config.load_config(place)
    assert config.training.batch_size == 16
    assert config.training.learning_rate == pytest.approx(1e-3 * 0.5**0.5)


def test_a_resumed_run_keeps_what_was_found(
    train, pictures, tmp_path, finding_16, monkeypatch
):
    def killed(*arguments):
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(candidates, "select_candidate", killed)
        with pytest.raises(_Killed):
            _train(train, pictures, tmp_path / "run")
    monkeypatch.setattr(batch_size_search, "find_largest_batch", _unasked)
    place, text = _train(train, pictures, tmp_path / "run")
    assert "--batch_size=auto; 16 fit" in text
    assert recorded_config.load_config(place).training.batch_size == 16


@pytest.mark.campaign
def test_it_is_found_in_child_processes(train, pictures, tmp_path):
    # 48 pictures; about 30 of them, or 32 at most, are trained on.
    place, text = _train(train, pictures, tmp_path / "run")
    assert recorded_config.load_config(place).training.batch_size in (16, 32)
    assert "--batch_size=auto; 32 fit into memory" in text
