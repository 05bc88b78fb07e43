"""The value of --teacher, read before TensorFlow starts."""

import io
import json
import zipfile

import h5py
import pytest

from tf_finetune import errors
from tf_finetune.semi_supervised import teacher_source


def _write_workdir(folder, *, status="finished", task="classification"):
    folder.mkdir(exist_ok=True)
    facts = {"status": status, "model": {"task": task}}
    (folder / "run.json").write_text(json.dumps(facts))
    splits = {"a1": "train", "b2": "validation", "c3": "train"}
    (folder / "data.json").write_text(
        json.dumps({"class_names": ["cat", "dog"], "split_of": splits})
    )
    (folder / "evaluation.json").write_text(json.dumps({"kept": "probe"}))
    return folder


def _read(path, task="classification"):
    return teacher_source.read_source(str(path), task)


def test_a_workdir_tells_its_classes_and_what_it_has_learned(tmp_path):
    source = _read(_write_workdir(tmp_path / "run"))
    assert source.kind == "workdir"
    assert source.class_names == ("cat", "dog")
    assert source.read_learned() == {"a1", "c3"}
    assert source.is_probe()


def test_a_saved_model_tells_its_classes(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    with pytest.raises(errors.UsageError, match="holds no labels.txt"):
        _read(tmp_path)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "labels.txt").write_text("cat\ndog\n")
    source = _read(tmp_path)
    assert (source.kind, source.class_names) == ("saved_model", ("cat", "dog"))
    assert not source.read_learned()
    assert not source.is_probe()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"status": "begun"}, "is not finished"),
        ({"task": "multilabel"}, "a run of --task=multilabel"),
    ],
)
def test_runs_that_cannot_teach_are_refused(tmp_path, changes, match):
    with pytest.raises(errors.UsageError, match=match):
        _read(_write_workdir(tmp_path / "run", **changes))


def test_what_is_no_model_is_refused_with_what_is_possible(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"TFL3 and more")
    for name, match in (("absent", "no such file"), ("model.tflite", "none of"),
                        ("", "none of")):  # fmt: skip
        with pytest.raises(errors.UsageError, match=match) as raised:
            _read(tmp_path / name)
        assert "Give the workdir" in str(raised.value)


def test_a_keras_file_of_code_is_refused_unread(tmp_path):
    path = tmp_path / "model.keras"
    layer = {"class_name": "Lambda", "module": "keras.layers", "config": {}}
    config = {
        "class_name": "Functional",
        "module": "keras.src.models.functional",
        "config": {"layers": [layer]},
    }
    content = io.BytesIO()
    h5py.File(content, "w").close()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", content.getvalue())
        archive.writestr("labels.txt", "cat\ndog\n")
    with pytest.raises(errors.RunError, match="Lambda"):
        _read(path)


def test_classes_are_matched_by_name_in_any_order(tmp_path):
    source = _read(_write_workdir(tmp_path / "run"))
    assert teacher_source.match_classes(source, ("dog", "cat")) == (1, 0)


def test_other_classes_are_an_error_that_lists_them(tmp_path):
    source = _read(_write_workdir(tmp_path / "run"))
    with pytest.raises(errors.UsageError) as raised:
        teacher_source.match_classes(source, ("cat", "horse", "pig"))
    said = str(raised.value)
    assert "only the teacher has dog" in said.replace("'", "")
    assert "only the pictures have horse" in said.replace("'", "")
    assert "pig" in said
    assert "cat" not in said.partition("only")[2]
