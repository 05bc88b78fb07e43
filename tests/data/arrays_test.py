"""Arrays become files that every later step reads like other files."""

import csv
import pathlib

import numpy as np
import pytest
from PIL import Image

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import arrays, scan
from tf_finetune.tasks.classification import labels as classes


def _data(n=12, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (n, 6, 5, 3), np.uint8)
    return images, [f"class {k % 2}" for k in range(n)]


def _read(table):
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (np.asarray(Image.open(table.parent / row["image"])), row["label"])
        for row in rows
    ]


def _key(pair):
    return pair[0].tobytes(), pair[1]


def test_files_hold_the_arrays_exactly(tmp_path):
    images, labels = _data()
    table = arrays.materialize((images, labels), cache_dir=tmp_path)
    assert table.name == "pictures.csv"
    assert table.parent.parent == tmp_path / "arrays"
    found = sorted(_read(table), key=_key)
    wanted = sorted(zip(images, labels, strict=True), key=_key)
    for (image, label), (pixels, name) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(image, pixels)
        assert label == name


def test_survey_reads_the_table(tmp_path):
    images, labels = _data(40)
    table = arrays.materialize((images, labels), cache_dir=tmp_path)
    options = data_options.DataOptions(data=str(table))
    inspected = scan.list_and_inspect(
        options, classes.LABELS, cache_dir=tmp_path
    )
    assert inspected.class_names == ("class 0", "class 1")
    assert len(inspected.pictures) == 40
    assert inspected.dropped == ()


def test_equal_pictures_stay_apart(tmp_path):
    images = np.full((4, 6, 5, 3), 9, np.uint8)
    table = arrays.materialize((images, list("aabb")), cache_dir=tmp_path)
    assert sorted(label for _, label in _read(table)) == list("aabb")
    assert len(list(table.parent.glob("*.png"))) == 4


def test_same_values_in_any_order_give_the_same_files(tmp_path):
    images, labels = _data()
    first = arrays.materialize((images, labels), cache_dir=tmp_path)
    written = first.stat().st_mtime_ns
    again = arrays.materialize((images[::-1], labels[::-1]), cache_dir=tmp_path)
    assert again == first
    assert again.stat().st_mtime_ns == written
    other = arrays.materialize((images, labels[::-1]), cache_dir=tmp_path)
    assert other != first


def test_failure_leaves_nothing(tmp_path):
    images, labels = _data()
    images = images.astype(float)
    images[-1] = -1
    with pytest.raises(errors.DataError, match="Image 11"):
        arrays.materialize((images, labels), cache_dir=tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_unwritable_cache_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(errors.RunError, match="--cache_dir names another"):
        arrays.materialize(_data(), cache_dir=tmp_path / "file")


def test_dataset_of_tensorflow_gives_the_same_files(tmp_path):
    tf = pytest.importorskip("tensorflow")
    images, labels = _data()
    wanted = arrays.materialize((images, labels), cache_dir=tmp_path)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    for each in (dataset, dataset.batch(5), dataset.shuffle(12, seed=1)):
        table = arrays.materialize(each, cache_dir=tmp_path)
        assert isinstance(table, pathlib.Path)
        assert table == wanted
    assert [p.name for p in (tmp_path / "arrays").iterdir()] == [
        wanted.parent.name
    ]
    with pytest.raises(errors.DataError, match="repeat"):
        arrays.materialize(dataset.repeat(), cache_dir=tmp_path)
