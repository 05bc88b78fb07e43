"""What is kept for proving exports; needs no TensorFlow."""

import dataclasses

import numpy as np
import pytest
import sample_pictures

from tf_finetune import errors, files
from tf_finetune.runs import moved_pictures, parity_record
from tf_finetune.tasks import catalog as tasks
from tf_finetune.workdir import workdir_files

_TASK = tasks.TASKS.get("classification")


@pytest.fixture
def data(tmp_path):
    """Three training and two validation pictures (any bytes)."""
    pictures = []
    for index in range(5):
        path = tmp_path / f"{index}.png"
        path.write_bytes(bytes([index]))
        pictures.append(
            sample_pictures.make_picture(
                path,
                "ab"[index % 2],
                files.sha256(path),
                "train" if index < 3 else "validation",
            )
        )
    return sample_pictures.make_data(("a", "b"), pictures)


_SAID = np.array([[0.25, 0.75], [0.5, 0.5]])


def test_held_out_pictures_come_back_with_their_classes(data, tmp_path):
    parity_record.write_record(
        workdir_files.Workdir(tmp_path), _TASK, data, _SAID
    )

    kept = parity_record.read_record(workdir_files.Workdir(tmp_path))

    assert kept.paths == (str(tmp_path / "3.png"), str(tmp_path / "4.png"))
    assert kept.truth.tolist() == [1, 0]
    np.testing.assert_array_equal(kept.predictions, _SAID)
    assert (
        parity_record.read_record(workdir_files.Workdir(tmp_path), 1).paths
        == kept.paths[:1]
    )


def test_training_pictures_are_kept_for_calibration(data, tmp_path):
    parity_record.write_record(
        workdir_files.Workdir(tmp_path), _TASK, data, _SAID
    )
    (tmp_path / "1.png").write_bytes(b"changed")

    kept = parity_record.find_calibration_paths(workdir_files.Workdir(tmp_path))

    assert kept == (str(tmp_path / "0.png"), str(tmp_path / "2.png"))


def test_each_task_keeps_what_is_true_of_its_pictures(data, tmp_path):
    labels = iter([("a",), (), ("b", "a"), ("b",), ()])
    pictures = tuple(
        dataclasses.replace(each, label=next(labels)) for each in data.pictures
    )
    data = dataclasses.replace(data, pictures=pictures)
    task = tasks.TASKS.get("multilabel")
    parity_record.write_record(
        workdir_files.Workdir(tmp_path), task, data, _SAID
    )
    (tmp_path / "3.png").write_bytes(b"changed")

    kept = parity_record.read_record(workdir_files.Workdir(tmp_path))

    assert kept.paths == (str(tmp_path / "4.png"),)
    assert kept.truth.tolist() == [[0, 0]]


def test_pictures_without_labels_have_no_truth(data, tmp_path):
    place = workdir_files.Workdir(tmp_path)
    parity_record.write_unlabeled_record(
        place, data.split("train"), lambda paths: np.eye(len(paths), 2)
    )
    kept = parity_record.read_record(place)
    assert kept.paths == tuple(str(tmp_path / f"{i}.png") for i in range(3))
    assert kept.truth is None
    np.testing.assert_array_equal(kept.predictions, np.eye(3, 2))
    assert parity_record.find_calibration_paths(place) == kept.paths


def test_a_truth_of_another_shape_is_refused(data, tmp_path):
    place = workdir_files.Workdir(tmp_path)
    parity_record.write_record(place, _TASK, data, _SAID)
    np.savez(tmp_path / "proof.npz", predictions=_SAID, truth=np.zeros(5))
    with pytest.raises(errors.RunError, match="truth of every prediction"):
        parity_record.read_record(place)


def test_a_record_of_another_form_is_refused(tmp_path):
    row = {"path": "3.png", "sha256": "0", "probabilities": [0.25, 0.75]}
    files.write_json(tmp_path / "proof.json", [row])
    with pytest.raises(errors.RunError, match="must be an object with"):
        parity_record.read_record(workdir_files.Workdir(tmp_path))


def test_without_any_unchanged_picture_nothing_can_be_proven(data, tmp_path):
    parity_record.write_record(
        workdir_files.Workdir(tmp_path), _TASK, data, _SAID
    )
    for name in ("3.png", "4.png"):
        (tmp_path / name).unlink()

    with pytest.raises(errors.RunError, match="cannot be checked"):
        parity_record.read_record(workdir_files.Workdir(tmp_path), 16)


def test_pictures_that_were_moved_prove_exports_from_where_they_are(
    data, tmp_path
):
    place = workdir_files.Workdir(tmp_path)
    parity_record.write_record(place, _TASK, data, _SAID)
    now = tmp_path / "elsewhere" / "validation"
    now.mkdir(parents=True)
    for index in range(5):
        (tmp_path / f"{index}.png").rename(now / f"{index}.png")
    with pytest.raises(errors.RunError, match="--image_root"):
        parity_record.read_record(place)

    finder = moved_pictures.PictureFinder(str(tmp_path / "elsewhere"))

    kept = parity_record.read_record(place, finder=finder)
    assert kept.paths == (str(now / "3.png"), str(now / "4.png"))
    assert kept.truth.tolist() == [1, 0]
    assert parity_record.find_calibration_paths(place, finder) == tuple(
        str(now / f"{index}.png") for index in range(3)
    )
