"""TFDS data sets in which each picture has a mask."""

import pathlib

import numpy as np
import pytest
from etils import epath
from PIL import Image

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data.sources import tfds_masks
from tf_finetune.tasks.segmentation import labels

tfds = pytest.importorskip("tensorflow_datasets")


class Scenes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Pictures with masks, a class beside them, and two splits."""

    VERSION = tfds.core.Version("1.0.0")
    # As in tfds_dataset_test.
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
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for each in (Scenes, NoMask):
        each(data_dir=folder).download_and_prepare()
    return folder


def _list(name, prepared, cache_dir):
    options = data_options.DataOptions(
        data=f"tfds:{name}", tfds_data_dir=str(prepared)
    )
    return tfds_masks.SOURCE.list_examples(options, labels.LABELS, cache_dir)


def test_pictures_and_masks_become_files_once(prepared, tmp_path):
    listing = _list("scenes", prepared, tmp_path)
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
    assert _list("scenes", prepared, tmp_path) == listing
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert "a split that is none of" in listing.dropped[0].reason


def test_a_set_without_masks_is_refused_with_its_features(prepared, tmp_path):
    with pytest.raises(errors.DataError, match=r"features: image \(Image\)"):
        _list("no_mask", prepared, tmp_path)
