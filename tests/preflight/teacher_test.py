"""Options that contradict a teacher are refused before TensorFlow starts."""

import json

import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.preflight import train as preflight


@pytest.fixture
def teacher(tmp_path):
    """The workdir of a finished run of two classes."""
    folder = tmp_path / "teacher"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"status": "finished"}))
    (folder / "data.json").write_text(json.dumps({"class_names": ["a", "b"]}))
    return folder


@pytest.fixture
def check(teacher, tmp_path):
    """Checks the options of a run with that teacher."""
    data = tmp_path / "pictures"
    for name in ("a", "b"):
        (data / name).mkdir(parents=True)
        (data / name / "1.png").write_bytes(b"1")

    def call(**flags):
        given = {
            "data": str(data),
            "backbone": "small_cnn",
            "weights": "digits",
            "teacher": str(teacher),
            **flags,
        }
        preflight.check_config(
            options.from_keywords(train_config.TrainConfig, given)
        )

    return call


def test_a_teacher_goes_with_the_usual_options(check, tmp_path):
    check()
    check(distill="kd", distill_temperature=2.0, distill_weight=1.0)
    check(unlabeled_data=str(tmp_path), objective="distillation")
    # Without the cache, a teacher's views are fixed all the same.
    check(cache="off", augmentation_views=2)


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        ({"epochs": 0}, "is for fine-tuning"),
        ({"trainable": "head"}, "for fine-tuning"),
        ({"augmentation": "strong"}, "--augmentation=medium"),
        ({"unlabeled_data": ".", "objective": "fixmatch"}, "two ways"),
        ({"teacher": "", "distill": "kd"}, "is for --teacher"),
        ({"teacher": "", "distill_weight": 0.5}, "is for --teacher"),
        ({"teacher": "nowhere"}, "no such file"),
        ({"distill_weight": 0.0}, "distill_weight"),
        ({"distill_temperature": 0.0}, "distill_temperature"),
        (
            {"teacher": "", "unlabeled_data": ".", "objective": "distillation"},
            "needs --teacher",
        ),
        ({"objective": "distillation"}, "needs --unlabeled_data"),
    ],
)
def test_contradictions_are_refused(check, flags, match):
    with pytest.raises(errors.UsageError, match=match):
        check(**flags)


@pytest.mark.parametrize("task", ["regression", "segmentation"])
def test_tasks_without_class_probabilities_have_no_teacher(
    check, tmp_path, task
):
    more = {}
    if task == "regression":
        table = tmp_path / "table.csv"
        table.write_text("image,price\n1.png,1\n2.png,2\n")
        more = {"data": str(table), "label_column": ("price",)}
    with pytest.raises(errors.UsageError, match="Leave --teacher out"):
        check(task=task, **more)


def test_labels_that_do_not_exclude_each_other_are_compared_by_kd(
    check, tmp_path
):
    table = tmp_path / "table.csv"
    table.write_text("image,labels\n1.png,a|b\n2.png,b\n")
    flags = {"task": "multilabel", "data": str(table)}
    with pytest.raises(errors.UsageError, match="--distill=kd"):
        check(distill="dist", label_column=("labels",), **flags)


def test_a_teacher_is_not_cleared_by_its_student(check, teacher):
    with pytest.raises(errors.UsageError, match="--overwrite would clear"):
        check(workdir=str(teacher), overwrite=True)
