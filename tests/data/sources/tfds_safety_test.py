"""Prepared data sets of strangers; none is given to TFDS here."""

import json
import os
import sys

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data.sources import tfds_prepared, tfds_safety

_OWN = "tensorflow_datasets.core.features"
_TRAP = "trap.Features"


@pytest.fixture
def prepared(tmp_path):
    """The folder of a data set with two features, without its shards."""
    folder = tmp_path / "evil" / "1.0.0"
    folder.mkdir(parents=True)
    _write(folder, "dataset_info.json", {"name": "evil", "version": "1.0.0"})
    _write(folder, "features.json", _features())
    (folder / "label.labels.txt").write_text("a\nb\n")
    (folder / "evil-train.tfrecord-00000-of-00001").write_text("x")
    return folder


def _write(folder, name, content):
    (folder / name).write_text(json.dumps(content))


def _features(image=f"{_OWN}.image_feature.Image", **more):
    return {
        "pythonClassName": f"{_OWN}.features_dict.FeaturesDict",
        "featuresDict": {
            "features": {
                "image": {"pythonClassName": image, "image": {}},
                "label": {
                    "pythonClassName": f"{_OWN}.class_label_feature.ClassLabel",
                    "classLabel": {"numClasses": "2"},
                },
                **more,
            }
        },
    }


def test_features_of_tfds_pass(prepared):
    tfds_safety.check_folder(prepared)
    # A feature may be called as the key of old files is.
    _write(prepared, "features.json", _features(type={"note": "a.b"}))
    tfds_safety.check_folder(prepared)


@pytest.mark.parametrize(
    "content",
    [
        {**_features(), "pythonClassName": _TRAP},
        {**_features(), "python_class_name": _TRAP},
        _features(image=_TRAP),
        _features(image="tensorflow_datasets.testing.mocking.mock_data"),
        _features(image=f"{_OWN}.features_test.AnInputConnector"),
        _features(image=f"{_OWN}.x.trap.Features"),
        _features(image=f"{_OWN}\n.trap.Features"),
        _features(image=7),
        _features(deep={"sequence": {"feature": {"pythonClassName": _TRAP}}}),
        _features(deep=[[{"pythonClassName": _TRAP}]]),
        {"type": _TRAP, "content": {}},
        {"type": f"{_OWN}.features_dict.FeaturesDict",
         "content": {"image": {"type": _TRAP, "content": {}}}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
def test_a_class_of_somebody_else_is_not_imported(
    prepared, tmp_path, monkeypatch, content, name
):
    (tmp_path / "trap.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    _write(prepared, name, content)
    options = data_options.DataOptions(
        data="tfds:evil", tfds_data_dir=str(tmp_path)
    )
    with pytest.raises(errors.DataError, match="not one of TFDS") as found:
        tfds_prepared.open_prepared(options)
    assert name in str(found.value) and str(found.value).isprintable()
    assert "trap" not in sys.modules


@pytest.mark.parametrize("count", ["99999999999", -1, "many", 1e300, [], {}])
def test_more_classes_than_fit_into_memory_are_refused(prepared, count):
    content = _features(x={"classLabel": {"numClasses": count}})
    _write(prepared, "features.json", content)
    with pytest.raises(errors.DataError, match="gives the number of classes"):
        tfds_safety.check_folder(prepared)


@pytest.mark.parametrize(
    "content", ["", "{", "[" * 100_000, "\ufeff{}", '{"a": 1' + "0" * 5000]
)
@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
def test_junk_is_one_sentence(prepared, content, name):
    (prepared / name).write_text(content)
    with pytest.raises(errors.DataError, match="this TFDS can read") as found:
        tfds_safety.check_folder(prepared)
    assert str(prepared) in str(found.value)


@pytest.mark.parametrize(
    "name",
    ["features.json", "dataset_info.json", "label.labels.txt",
     "evil-train.tfrecord-00000-of-00001"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_refused(prepared, name, kind):
    path = prepared / name
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(errors.DataError, match="not a regular file"):
        tfds_safety.check_folder(prepared)


def test_a_list_of_names_that_lies_elsewhere_is_refused(prepared, tmp_path):
    (tmp_path / "secret").write_text("nobody's business\n")
    (prepared / "label.labels.txt").unlink()
    (prepared / "label.labels.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(errors.DataError, match="outside of"):
        tfds_safety.check_folder(prepared)


def test_shards_lie_beside_the_description(prepared):
    tfds_safety.check_shards(prepared, [str(prepared / "a"), f"{prepared}/b"])
    for other in ("../other", "/etc/passwd", "in/it"):
        with pytest.raises(errors.DataError, match="does not lie in it"):
            tfds_safety.check_shards(prepared, [str(prepared / other)])
