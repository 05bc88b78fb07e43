"""An earlier run as the gate: what is compared, and what is refused."""

import copy
import json
import os

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.evaluation import gates, reference_run
from tf_finetune.metrics import (
    classification_metrics,
    multilabel_metrics,
    segmentation_metrics,
)
from tf_finetune.preflight import config_completion, train
from tf_finetune.tasks import catalog
from tf_finetune.tasks.regression import figures as regression_figures

TASKS = ("classification", "multilabel", "regression", "segmentation")
NAMES = tuple("abcdef")


def _figures(task, wrong=0):
    """Figures of twelve pictures; `wrong` of them are answered wrongly."""
    labels = np.arange(12) % 6
    said = np.where(np.arange(12) < wrong, (labels + 1) % 6, labels)
    if task == "classification":
        probabilities = np.full([12, 6], 0.02)
        probabilities[np.arange(12), said] = 0.9
        return classification_metrics.compute_metrics(
            labels, probabilities, class_names=NAMES, seed=0
        )
    if task == "multilabel":
        return multilabel_metrics.compute_metrics(
            np.eye(6, dtype=bool)[labels],
            0.1 + 0.8 * np.eye(6)[said],
            thresholds=np.full(6, 0.5),
            names=NAMES,
            seed=0,
        )
    if task == "regression":
        return regression_figures.Figures().compute_figures(
            labels[:, np.newaxis] + 1.0,
            said[:, np.newaxis] + 1.0,
            ["price"],
            seed=0,
        )
    counter = segmentation_metrics.PixelCounter(6)
    counter.add(labels.reshape(3, 4), said.reshape(3, 4))
    return segmentation_metrics.compute_metrics(
        counter, class_names=NAMES, seed=0
    )


def _write(folder, task, figures, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"status": "finished", "model": {"task": task}, **changes}
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "evaluation.json").write_text(json.dumps(figures))
    return str(folder)


def _run(task, wrong=0):
    figures = _figures(task, wrong)
    return {"data_fingerprint": "f", "validation": figures, "test": figures}


def _measures(task):
    return catalog.TASKS.get(task).figures


def _read(rival, task="classification"):
    return reference_run.read_figures(rival, task, _measures(task))


@pytest.mark.parametrize("task", TASKS)
def test_a_finished_run_of_every_task_is_a_gate(task, tmp_path):
    rival = _write(tmp_path / "a", task, _run(task, wrong=3))
    theirs = _read(rival, task)

    equal = gates.explain_not_better(
        _figures(task, 3), theirs["test"], f"the run in {rival}",
        _measures(task),
    )  # fmt: skip
    better = gates.explain_not_better(
        _figures(task, 1), theirs["test"], "it", _measures(task)
    )

    assert f"is not better than the run in {rival}" in equal
    assert better is None


@pytest.mark.parametrize("task", TASKS)
def test_every_figure_of_a_gate_can_be_reached_and_missed(task):
    measures = _measures(task)
    right, wrong = _figures(task), _figures(task, 7)
    for name in measures.higher_is_better:
        spec = (f"{name}:0.999",)
        assert gates.find_failures(right, spec, measures) == (), name
        assert len(gates.find_failures(wrong, spec, measures)) == 1, name
    for name in measures.lower_is_better:
        spec = (f"{name}:{(right[name] + wrong[name]) / 2}",)
        assert gates.find_failures(right, spec, measures) == (), name
        if right[name] != wrong[name]:
            assert len(gates.find_failures(wrong, spec, measures)) == 1, name


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _write(tmp_path / "a", "classification", _run("classification"))
    config = options.from_keywords(
        train_config.TrainConfig,
        {
            "data": "digits:5-9",
            "weights": "none",
            "fail_if_not_better_than": "~/a",
        },
    )

    train.check_config(config)

    absolute = config_completion.make_paths_absolute(
        config
    ).output.fail_if_not_better_than
    assert absolute == str(tmp_path / "a")


def test_the_workdir_that_is_replaced_is_no_rival(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "a", "classification", _run("classification"))
    config = options.from_keywords(
        train_config.TrainConfig,
        {
            "data": "digits:5-9",
            "weights": "none",
            "workdir": str(tmp_path / "a"),
            "overwrite": True,
            "fail_if_not_better_than": "./a",
        },
    )

    with pytest.raises(errors.UsageError, match="is the workdir of this run"):
        train.check_config(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "begun"}, "neither 'probe' nor the workdir of a finished"),
        ({"model": {"task": "regression"}}, "holds a run of --task=regression"),
        ({"model": {}}, "does not name the task"),
        ({"model": ["classification"]}, "run.json: model is a list of 1"),
        ({"status": 5}, "run.json: status is 5, and must be"),
    ],
)
def test_another_run_is_refused(changes, message, tmp_path):
    rival = _write(
        tmp_path / "a", "classification", _run("classification"), **changes
    )
    with pytest.raises(errors.UsageError, match=message):
        _read(rival)


def test_a_folder_or_file_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("", "gone", "file"):
        with pytest.raises(errors.UsageError, match="neither 'probe' nor"):
            reference_run.read_figures(
                str(tmp_path / name),
                "classification",
                _measures("classification"),
            )


def _spoilt():
    whole = _run("classification")
    for key in ("accuracy", "log_loss", "accuracy_interval"):
        for junk in (None, "0.9", [], {}, float("nan")):
            spoilt = copy.deepcopy(whole)
            spoilt["test"][key] = junk
            yield spoilt
    yield from ([], "text", 3, None, {}, {**whole, "data_fingerprint": 1})
    yield {"data_fingerprint": "f"}
    yield {**whole, "test": [1, 2]}


def test_figures_of_another_kind_are_one_sentence(tmp_path):
    for spoilt in _spoilt():
        rival = _write(tmp_path / "a", "classification", spoilt)
        with pytest.raises(
            errors.UsageError, match="lacks figures|evaluation.json: .* must be"
        ):
            _read(rival)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}"],
)
def test_what_is_no_json_is_one_sentence(content, tmp_path):
    rival = _write(tmp_path / "a", "classification", {})
    for name in ("evaluation.json", "run.json"):
        (tmp_path / "a" / name).write_bytes(content)
        with pytest.raises(errors.UsageError, match="is not JSON that"):
            _read(rival)


def test_a_pipe_is_not_waited_for(tmp_path):
    rival = _write(tmp_path / "a", "classification", {})
    (tmp_path / "a" / "evaluation.json").unlink()
    os.mkfifo(tmp_path / "a" / "evaluation.json")
    with pytest.raises(
        errors.UsageError, match="regular file but a named pipe"
    ):
        _read(rival)


@pytest.mark.parametrize("name", ["run.json", "evaluation.json"])
def test_a_link_out_of_the_workdir_is_not_followed(name, tmp_path):
    other = _write(tmp_path / "b", "classification", _run("classification"))
    rival = _write(tmp_path / "a", "classification", _run("classification"))
    (tmp_path / "a" / name).unlink()
    (tmp_path / "a" / name).symlink_to(tmp_path / "b" / name)
    _read(other)
    with pytest.raises(errors.UsageError, match="is a link to a file outside"):
        _read(rival)


def test_a_task_with_escapes_is_shown_with_them_escaped(tmp_path):
    rival = _write(
        tmp_path / "a", "classification", {}, model={"task": "a\x1b[31m\nb"}
    )
    with pytest.raises(errors.UsageError) as caught:
        _read(rival)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("fingerprint", "split"), [("other", "test"), ("f", "train")]
)
def test_a_run_on_other_pictures_is_refused(fingerprint, split, tmp_path):
    theirs = _run("classification")
    reference_run.check_data(theirs, "a", "f", "test")
    with pytest.raises(errors.UsageError, match="other pictures"):
        reference_run.check_data(theirs, "a", fingerprint, split)
