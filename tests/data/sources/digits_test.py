"""Scikit-learn's digits as picture files."""

import collections
import pathlib

import numpy as np
import pytest
from PIL import Image
from sklearn import datasets

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data.sources import digits
from tf_finetune.tasks.classification import labels as classes


def _list(data, cache_dir):
    options = data_options.DataOptions(data=data)
    return digits.SOURCE.list_examples(options, classes.LABELS, cache_dir)


def test_classes_and_counts_are_scikit_learns(tmp_path):
    listing = _list("digits:5-9", tmp_path)
    assert listing.class_names == ("5", "6", "7", "8", "9")
    found = collections.Counter(e.label for e in listing.examples)
    # From the data set's description.
    assert found == {"5": 182, "6": 181, "7": 179, "8": 174, "9": 180}
    assert {e.split for e in listing.examples} == {None}


def test_pictures_show_the_digits(tmp_path):
    listing = _list("digits:0-0", tmp_path)
    data = datasets.load_digits()
    pixels = data.images[data.target == 0][0]
    with Image.open(listing.examples[0].path) as image:
        assert image.mode == "L"
        assert image.size == (32, 32)
        # Each pixel became 4 by 4; their mean keeps the ink's pattern.
        small = np.asarray(image, float).reshape(8, 4, 8, 4).mean((1, 3))
    correlation = np.corrcoef(small.ravel(), pixels.ravel())[0, 1]
    assert correlation > 0.9
    # Full ink is 255 at the middle of a stroke; the mean of 16 is less.
    assert small.max() > 180


def test_second_listing_is_the_first_one(tmp_path):
    first = _list("digits:5-9", tmp_path)
    path = pathlib.Path(first.examples[0].path)
    written = path.stat().st_mtime_ns
    assert _list("digits:5-9", tmp_path) == first
    assert path.stat().st_mtime_ns == written


def test_removed_picture_is_written_again(tmp_path):
    first = _list("digits:5-9", tmp_path)
    path = pathlib.Path(first.examples[0].path)
    path.unlink()
    assert _list("digits:5-9", tmp_path) == first
    assert path.exists()


@pytest.mark.parametrize("data", ["digits:9-5", "digits:5", "digits:a-b"])
def test_other_forms_are_refused(data, tmp_path):
    with pytest.raises(errors.DataError, match="digits:FIRST-LAST"):
        _list(data, tmp_path)
