"""Tests of tf_finetune/preflight/kept_classes.py."""

import pytest

from tf_finetune import errors, files
from tf_finetune.config import options, train_config
from tf_finetune.data import scan
from tf_finetune.preflight import kept_classes
from tf_finetune.preflight import train as preflight
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks.classification import labels


@pytest.fixture
def workdir(tmp_path):
    """The files of a finished run that preflight reads."""
    files.write_json(tmp_path / "run.json", {"status": "finished"})
    files.write_json(tmp_path / "data.json", {"class_names": ["ant", "bee"]})
    files.write_text(tmp_path / "run.flags", "--backbone=small_cnn\n")
    files.write_text(tmp_path / "model.weights.h5", "")
    return tmp_path


def _make_config(weights, **changes):
    given = {"data": "x", "backbone": "small_cnn", "weights": str(weights)}
    return options.from_keywords(
        train_config.TrainConfig, {**given, "classes": "keep", **changes}
    )


def _inspect(*names):
    return scan.InspectedPictures(
        class_names=names, pictures=(), dropped=(), labels=labels.LABELS
    )


def test_a_run_with_a_class_in_common_passes(workdir):
    config = _make_config(workdir, classes="keep_present")
    preflight.check_config(config)
    kept_classes.check_names(config, _inspect("bee", "moth"))
    with pytest.raises(errors.UsageError, match="none of the classes"):
        kept_classes.check_names(config, _inspect("fly", "moth"))


def test_labels_keep_the_classes_of_the_earlier_run(workdir):
    config = _make_config(workdir, class_map="apid:bee")
    found = tasks.TASKS.get(config.model.task).choose_labels(config)
    assert found.kept == found.known == ("ant", "apid")
    for other in ("keep_present", "new"):
        config = _make_config(workdir, classes=other)
        assert (
            tasks.TASKS.get(config.model.task).choose_labels(config)
            is labels.LABELS
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights": "none"}, "needs the workdir of an earlier run"),
        ({"head": "mlp"}, "needs a linear head"),
        ({"head_layers": "64,relu"}, "needs a linear head"),
        ({"unlabeled_data": "more"}, "exclude each other"),
        ({"head_init": "random"}, "--head_init=random exclude each other"),
        ({"class_map": "a"}, "must be NEW:OLD"),
        ({"task": "multilabel"}, "--classes=keep"),
        ({"classes": "new", "class_map": "a:b"}, "--class_map=a:b"),
    ],
)
def test_runs_that_cannot_keep_classes_are_refused(workdir, changes, words):
    with pytest.raises(errors.UsageError, match=words):
        preflight.check_config(_make_config(**{"weights": workdir, **changes}))
