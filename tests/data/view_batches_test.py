"""Training batches of pictures in fixed views."""

import dataclasses
import hashlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune.config import picture_options
from tf_finetune.data import epoch_order, pipeline, view_batches
from tf_finetune.feature_cache import batches, fill
from tf_finetune.feature_cache import store as stores

_COUNT, _VIEWS, _SIZE = 5, 3, 8
_ORDER = epoch_order.BatchOrder(batch_size=2, seed=3, epochs=4)


class _Numbers:
    """Targets [picture, view], which tell what is asked for."""

    moves_as = "nothing"

    def __len__(self):
        return _COUNT

    def batch(self, places, views):
        return tf.cast(tf.stack([places, views], axis=1), tf.float32)


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    """Five pictures with the seeds of two augmented views."""
    folder = tmp_path_factory.mktemp("viewed")
    generator = np.random.default_rng(0)
    paths, hashes = [], []
    for number in range(_COUNT):
        pixels = generator.integers(0, 255, [9, 11, 3], dtype="uint8")
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        paths.append(str(path))
        hashes.append(hashlib.sha256(path.read_bytes()).hexdigest())
    views = [
        fill.make_views(paths, hashes, number=number, level="light", seed=3)
        for number in range(_VIEWS)
    ]
    return view_batches.ViewedPictures(
        paths=paths,
        targets=_Numbers(),
        seeds=np.stack([fill.derive_seeds(each) for each in views[1:]]),
        augmentation="light",
        square=picture_options.Square(_SIZE),
    )


def _read(viewed, **changes):
    order = dataclasses.replace(_ORDER, **changes)
    found = view_batches.build_batches(viewed, order)
    return [[*map(np.asarray, batch)] for batch in found]


def test_pictures_and_views_are_those_of_cached_training(viewed, tmp_path):
    """The cached rows are the pixels of each view, by the cache's own way."""
    images = [
        pipeline.build_evaluation_images(
            viewed.paths, viewed.square, batch_size=2
        )
    ]
    images += [
        pipeline.build_augmented_images(
            viewed.paths, seeds, viewed.square, batch_size=2, level="light"
        )
        for seeds in viewed.seeds
    ]
    rows = np.concatenate([np.asarray(b) for each in images for b in each])
    store = stores.Store(tmp_path, width=_SIZE * _SIZE * 3, dtype="float32")
    names = [f"{number:064x}" for number in range(len(rows))]
    store.put(names, rows.reshape(len(rows), -1))
    cached = batches.make_training_batches(
        store.rows(names),
        viewed.targets,
        _ORDER,
        unpack=lambda each: tf.reshape(each, [-1, _SIZE, _SIZE, 3]),
    )
    found = _read(viewed)
    assert [len(images) for images, _ in found] == [2, 2, 1] * 4
    for batch, other in zip(found, cached, strict=True):
        np.testing.assert_array_equal(batch[1], other[1])
        np.testing.assert_allclose(batch[0], other[0], atol=1e-3)


def test_a_resumed_run_goes_on_inside_an_epoch(viewed):
    found = _read(viewed, first_epoch=1, first_step=2)
    assert len(found) == 3 * 2 + 1
    for batch, other in zip(found, _read(viewed)[5:], strict=True):
        for part, same in zip(batch, other, strict=True):
            np.testing.assert_array_equal(part, same)


def test_shares_of_replicas_make_up_the_batch(viewed):
    parts = [
        _read(viewed, part=epoch_order.Shard(first=first, total=2))
        for first in range(2)
    ]
    for whole, first, second in zip(_read(viewed), *parts, strict=True):
        assert int(first[2]) == int(second[2]) == len(whole[0])
        if len(whole[0]) == 1:  # Given whole to both.
            np.testing.assert_array_equal(first[1], second[1])
            continue
        joined = np.concatenate([first[1], second[1]])
        np.testing.assert_array_equal(joined, whole[1])
