"""Tests of tf_finetune/feature_cache/batches.py."""

import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.config import picture_options
from tf_finetune.data import epoch_order, pipeline, split_targets
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores

_COUNT = 7
_ORDER = epoch_order.BatchOrder(batch_size=3, seed=5, epochs=3)


@pytest.fixture
def rows(tmp_path) -> stores.Rows:
    """Three views of seven pictures; a row says which view of which one."""
    store = stores.Store(tmp_path, width=2, dtype="float32")
    names = [f"{number:064x}" for number in range(3 * _COUNT)]
    content = [(n // _COUNT, n % _COUNT) for n in range(3 * _COUNT)]
    store.put(names, np.array(content))
    return store.rows(names)


def _training(rows, epoch=0, step=0):
    dataset = batches.make_training_batches(
        rows,
        split_targets.ArrayTargets(np.eye(_COUNT)),
        _ORDER.start_at(epoch, step),
        unpack=lambda each: each,
    )
    return [(np.asarray(x), np.asarray(y)) for x, y in dataset]


def test_each_epoch_sees_every_picture_once_with_its_label(rows):
    found = _training(rows)
    assert [len(x) for x, _ in found] == [3, 3, 1] * 3
    for epoch in range(3):
        inputs, labels = (
            np.concatenate(each)
            for each in zip(*found[3 * epoch : 3 * epoch + 3], strict=True)
        )
        assert sorted(inputs[:, 1]) == [*range(_COUNT)]
        np.testing.assert_array_equal(labels.argmax(axis=1), inputs[:, 1])


def test_views_take_turns_and_are_mixed_in_an_epoch(rows):
    seen = {}
    for number, (inputs, _) in enumerate(_training(rows)):
        for view, picture in inputs:
            seen.setdefault(picture, []).append(view)
        if number == 2:
            assert {views[0] for views in seen.values()} == {0, 1, 2}
    assert all(sorted(views) == [0, 1, 2] for views in seen.values())


def test_a_later_start_sees_what_it_would_have_seen(rows):
    whole = _training(rows)
    for step in range(3):
        late = _training(rows, epoch=1, step=step)
        for (a, _), (b, _) in zip(whole[3 + step :], late, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_order_is_that_of_training_on_pictures(rows, tmp_path):
    paths = []
    for number in range(_COUNT):
        path = tmp_path / f"{number}.png"
        pixels = tf.fill([8, 8, 3], tf.constant(number, tf.uint8))
        tf.io.write_file(str(path), tf.io.encode_png(pixels))
        paths.append(str(path))
    pictures = pipeline.build_training_batches(
        paths,
        split_targets.ArrayTargets(np.eye(_COUNT)),
        _ORDER,
        picture_options.Square(8),
        augmentation="none",
    )
    found = _training(rows)
    for (images, _), (inputs, _) in zip(pictures, found, strict=True):
        np.testing.assert_allclose(images[:, 0, 0, 0], inputs[:, 1], atol=0.01)


def test_in_order_is_in_order(rows):
    dataset = batches.make_ordered_batches(
        rows, unpack=lambda x: 2 * x, batch_size=4
    )
    found = np.concatenate([np.asarray(each) for each in dataset])
    np.testing.assert_array_equal(found, 2 * rows.all())


def test_rows_are_taken_by_their_places(rows):
    found = batches.take_rows(rows, tf.constant([8, 0]))
    np.testing.assert_array_equal(found, [[1, 1], [0, 0]])
    assert found.shape == (2, 2)
