"""TFDS data sets prepared on this machine."""

import collections
import hashlib
import pathlib
import shutil

import numpy as np
import pytest
from etils import epath
from PIL import Image

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data.images import inspection
from tf_finetune.data.sources import tfds_dataset, tfds_prepared
from tf_finetune.tasks.classification import labels as classes
from tf_finetune.tasks.segmentation import labels

tfds = pytest.importorskip("tensorflow_datasets")


def _pixels(number):
    return np.full((6, 5, 3), number, np.uint8)


class _Base(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")
    # Else TFDS looks for the description in the first package called `tests`,
    # which may be that of any installed distribution.
    pkg_dir_path = epath.Path(__file__).parent

    def _features(self):
        return {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["cat", "dog", "owl"]),
            "number": np.int64,
        }

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(self._features())
        )

    def _generate_examples(self, numbers):
        for k in numbers:
            yield k, {"image": _pixels(k), "label": k % 2, "number": k}


class OneSplit(_Base, skip_registration=True):
    """A set that is not divided."""

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(10))}


class ManySplits(_Base, skip_registration=True):
    """A set with splits of several names and unlabeled examples."""

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(range(6)),
            "test": self._generate_examples(range(6, 8)),
            "unlabelled": self._generate_examples(range(8, 9)),
        }

    def _generate_examples(self, numbers):
        for k in numbers:
            label = -1 if k == 7 else k % 2
            yield k, {"image": _pixels(k), "label": label, "number": k}


class TwoLabels(OneSplit, skip_registration=True):
    """A set of which it is not clear what is learned."""

    def _features(self):
        other = tfds.features.ClassLabel(num_classes=10)
        return super()._features() | {"number": other}


class Chosen(TwoLabels, skip_registration=True):
    """The same, but its makers say what is learned."""

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(self._features()),
            supervised_keys=("image", "label"),
        )


def _prepare(builder_class, folder):
    builder_class(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with every set of this file."""
    folder = tmp_path_factory.mktemp("tfds")
    for each in (OneSplit, ManySplits, TwoLabels, Chosen):
        _prepare(each, folder)
    return folder


def _list(data, prepared, cache_dir):
    options = data_options.DataOptions(data=data, tfds_data_dir=str(prepared))
    return tfds_dataset.SOURCE.list_examples(options, classes.LABELS, cache_dir)


def test_single_split_is_left_to_be_divided(prepared, tmp_path):
    listing = _list("tfds:one_split", prepared, tmp_path)
    assert listing.class_names == ("cat", "dog", "owl")
    counts = collections.Counter(e.label for e in listing.examples)
    assert counts == {"cat": 5, "dog": 5}
    assert {e.split for e in listing.examples} == {None}
    assert [d.path for d in listing.dropped] == ["owl"]


def test_pictures_are_the_encoded_bytes_under_their_hash(prepared, tmp_path):
    listing = _list("tfds:one_split:1.0.0", prepared, tmp_path)
    pictures, dropped = inspection.inspect_files(
        listing.examples, max_pixels=10**6
    )
    assert dropped == ()
    assert {(p.width, p.height) for p in pictures} == {(5, 6)}
    for picture in pictures:
        path = pathlib.Path(picture.path)
        assert path.name == f"{picture.sha256}.png"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest == picture.sha256


def test_splits_are_kept_and_what_is_not_used_is_reported(prepared, tmp_path):
    listing = _list("tfds:many_splits", prepared, tmp_path)
    counts = collections.Counter(e.split for e in listing.examples)
    assert counts == {"train": 6, "test": 1}
    reasons = sorted(d.reason for d in listing.dropped)
    assert reasons == [
        "a class without pictures",
        "a split that is none of train, validation, test",
        "without a label",
    ]


def test_second_listing_reads_the_index_only(prepared, tmp_path, monkeypatch):
    first = _list("tfds:many_splits", prepared, tmp_path)

    def unexpected(*arguments):
        raise AssertionError("read again")

    monkeypatch.setattr(tfds_dataset, "_read_pictures", unexpected)
    assert _list("tfds:many_splits", prepared, tmp_path) == first


def test_set_prepared_anew_is_read_anew(tmp_path):
    folder = _prepare(OneSplit, tmp_path / "tfds")
    first = _list("tfds:one_split", folder, tmp_path)

    class Changed(OneSplit, skip_registration=True):
        name = "one_split"

        def _generate_examples(self, numbers):
            for k in numbers:
                yield k, {"image": _pixels(9 - k), "label": 2, "number": 0}

    for path in (folder / "one_split" / "1.0.0").iterdir():
        path.unlink()
    (folder / "one_split" / "1.0.0").rmdir()
    _prepare(Changed, folder)
    second = _list("tfds:one_split", folder, tmp_path)
    assert {e.label for e in first.examples} == {"cat", "dog"}
    assert {e.label for e in second.examples} == {"owl"}


def test_two_class_features_are_refused_unless_one_is_declared(
    prepared, tmp_path
):
    with pytest.raises(errors.DataError, match="it has 2.*number .ClassLabel"):
        _list("tfds:two_labels", prepared, tmp_path)
    listing = _list("tfds:chosen", prepared, tmp_path)
    assert {e.label for e in listing.examples} == {"cat", "dog"}


def test_several_configs_are_named_and_newest_version_is_taken(
    prepared, tmp_path
):
    base = tmp_path / "tfds" / "some_set"
    for name in ("small/1.0.0", "small/1.0.2", "small/1.0.10", "big/1.0.0"):
        (base / name).mkdir(parents=True)
        (base / name / "dataset_info.json").write_text("{}")
    with pytest.raises(errors.DataError, match="tfds:some_set/big, tfds:some"):
        _list("tfds:some_set", tmp_path / "tfds", tmp_path)
    found = tfds_prepared._find_prepared(
        tmp_path / "tfds", name="some_set", config="small", version=None
    )
    assert found == base / "small" / "1.0.10"


def test_known_but_unprepared_set_says_how_to_prepare_it(tmp_path):
    with pytest.raises(errors.DataError) as caught:
        _list("tfds:mnist", tmp_path, tmp_path)
    message = str(caught.value)
    assert "tfds.builder('mnist', data_dir=" in message
    assert "download_and_prepare()" in message


def test_unknown_name_is_answered_with_near_ones_only(tmp_path):
    with pytest.raises(errors.DataError) as caught:
        _list("tfds:tf_flower", tmp_path, tmp_path)
    message = str(caught.value)
    assert "Did you mean tf_flowers" in message
    assert "mnist" not in message


def test_malformed_name_is_refused(tmp_path):
    with pytest.raises(errors.DataError, match="must be tfds:NAME"):
        _list("tfds:a/b/c/d", tmp_path, tmp_path)


def test_mocked_data_is_read(prepared, tmp_path):
    # The mock puts its own folder of metadata in place of the real one.
    folder = prepared / "one_split" / "1.0.0"
    with tfds.testing.mock_data(num_examples=4, data_dir=str(folder)):
        listing = _list("tfds:one_split", prepared, tmp_path)
    pictures, dropped = inspection.inspect_files(
        listing.examples, max_pixels=10**9
    )
    assert len(listing.examples) == len(pictures) == 4
    assert dropped == ()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: next(path.glob("*tfrecord*")).unlink(), "1 of the 1 sha"),
        (
            lambda path: (path / "dataset_info.json").write_text("{"),
            "is not a data set that this TFDS can read",
        ),
        (
            lambda path: (path / "features.json").unlink(),
            "is not a data set that this TFDS can read",
        ),
    ],
    ids=["shard", "info", "features"],
)
def test_a_damaged_set_is_one_sentence(prepared, tmp_path, harm, words):
    copy = tmp_path / "copy"
    shutil.copytree(prepared / "one_split", copy / "one_split")
    harm(copy / "one_split" / "1.0.0")
    with pytest.raises(errors.DataError, match=f"{words}.*Copy the whole"):
        _list("tfds:one_split", copy, tmp_path)


def test_a_truncated_shard_is_one_sentence(prepared, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(prepared / "one_split", copy / "one_split")
    shard = next((copy / "one_split" / "1.0.0").glob("*tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(errors.DataError, match="cannot be read.*Copy the who"):
        _list("tfds:one_split", copy, tmp_path)


def test_a_version_that_is_not_there_is_one_sentence(prepared, tmp_path):
    with pytest.raises(errors.DataError, match="No prepared .*one_split:9"):
        _list("tfds:one_split:9.9.9", prepared, tmp_path)


class Scenes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Pictures with masks, a class beside them, and two splits."""

    VERSION = tfds.core.Version("1.0.0")
    # As in `_Base`.
    pkg_dir_path = epath.Path(__file__).parent

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "segmentation_mask": tfds.features.Image(
                        shape=(None, None, 1)
                    ),
                    "label": tfds.features.ClassLabel(names=["a", "b"]),
                }
            )
        )

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(range(3)),
            "test": self._generate_examples(range(3, 5)),
            "more": self._generate_examples(range(5, 6)),
        }

    def _generate_examples(self, numbers):
        for k in numbers:
            yield (
                k,
                {
                    "image": np.full((6, 5, 3), k, np.uint8),
                    "segmentation_mask": np.full((6, 5, 1), k % 2, np.uint8),
                    "label": k % 2,
                },
            )


class NoMask(Scenes, skip_registration=True):
    """Pictures alone."""

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=(None, None, 3))}
            )
        )

    def _generate_examples(self, numbers):
        for k in numbers:
            yield k, {"image": np.full((6, 5, 3), k, np.uint8)}


@pytest.fixture(scope="module")
def prepared_masks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for each in (Scenes, NoMask):
        each(data_dir=folder).download_and_prepare()
    return folder


def _list_masks(name, prepared_masks, cache_dir):
    options = data_options.DataOptions(
        data=f"tfds:{name}", tfds_data_dir=str(prepared_masks)
    )
    return tfds_dataset.MASKS.list_examples(options, labels.LABELS, cache_dir)


def test_pictures_and_masks_become_files_once(prepared_masks, tmp_path):
    listing = _list_masks("scenes", prepared_masks, tmp_path)
    assert [e.split for e in listing.examples] == ["train"] * 3 + ["test"] * 2
    for example in listing.examples:
        picture = np.array(Image.open(example.path))
        mask = np.array(Image.open(example.label.path))
        assert mask.shape == (6, 5)
        assert (mask == picture[0, 0, 0] % 2).all()
    written = {
        path: path.stat().st_mtime_ns
        for path in pathlib.Path(tmp_path).rglob("*.png")
    }
    assert _list_masks("scenes", prepared_masks, tmp_path) == listing
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert "a split that is none of" in listing.dropped[0].reason


def test_a_set_without_masks_is_refused_with_its_features(
    prepared_masks, tmp_path
):
    with pytest.raises(errors.DataError, match=r"features: image \(Image\)"):
        _list_masks("no_mask", prepared_masks, tmp_path)
