"""Recognizing the form of the data, and a contract for every source."""

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples
from tf_finetune.data.sources import catalog, csv_file, digits, tfds_dataset
from tf_finetune.data.sources import image_folder as folder_source
from tf_finetune.tasks.classification import labels as classes
from tf_finetune.tasks.multilabel import labels as several


class _Mine:
    def recognizes(self, data):
        return data.startswith("mine:")

    def list_examples(self, options, labels, cache_dir):
        return examples.Listing(examples=())


MINE = _Mine()


def _find(data, **settings):
    options = data_options.DataOptions(data=str(data), **settings)
    return catalog.find_source(options, classes.LABELS)


def test_form_is_recognized_from_what_is_there(tmp_path):
    (tmp_path / "labels.CSV").write_text("image,label\n")
    assert _find(tmp_path) is folder_source.SOURCE
    assert _find(tmp_path / "labels.CSV") is csv_file.SOURCE
    assert _find("tfds:mnist") is tfds_dataset.SOURCE
    assert _find("digits:5-9") is digits.SOURCE


def test_data_format_overrides(tmp_path):
    assert _find(tmp_path, data_format="csv") is csv_file.SOURCE
    own = f"{__name__}:MINE"
    assert _find("anything", data_format=own).recognizes("mine:x")
    with pytest.raises(errors.UsageError, match="Did you mean 'folder'"):
        _find(tmp_path, data_format="foldr")


def test_a_form_without_such_labels_is_named_whoever_chose_it(tmp_path):
    for settings in ({}, {"data_format": "folder"}):
        options = data_options.DataOptions(data=str(tmp_path), **settings)
        with pytest.raises(errors.UsageError, match="format folder.*: csv"):
            catalog.find_source(options, several.LABELS)


def test_added_source_is_recognized(monkeypatch):
    monkeypatch.setattr(
        catalog.SOURCES, "_places", dict(catalog.SOURCES._places)
    )
    catalog.SOURCES.add("mine", MINE)
    assert _find("mine:x") is MINE


def test_missing_path_names_where_it_looked_and_what_is_near(tmp_path):
    (tmp_path / "flowers").mkdir()
    with pytest.raises(errors.DataError) as caught:
        _find(tmp_path / "flower")
    message = str(caught.value)
    assert "no such file or folder" in message
    assert f"Did you mean '{tmp_path}/flowers'" in message
    assert "tfds:NAME" in message


def test_file_of_unknown_form_is_refused(tmp_path):
    (tmp_path / "cats.zip").write_text("PK")
    with pytest.raises(errors.DataError, match="not recognized.*--data_forma"):
        _find(tmp_path / "cats.zip")


def test_no_data_is_a_usage_error():
    with pytest.raises(errors.UsageError, match="--data is needed"):
        _find("")


@pytest.mark.parametrize("name", catalog.SOURCES.names())
def test_every_source_refuses_what_is_not_there(name, tmp_path):
    options = data_options.DataOptions(
        data=str(tmp_path / "nowhere"), tfds_data_dir=str(tmp_path)
    )
    source = catalog.SOURCES.get(name)
    assert source.recognizes(options.data) is False
    with pytest.raises(errors.DataError, match="nowhere"):
        source.list_examples(options, classes.LABELS, tmp_path)
