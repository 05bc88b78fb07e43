"""Tests of tf_finetune/data/augment/random_changes.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.data.augment import random_changes

_HEIGHT, _WIDTH = 20, 31


def _moved(images, seed=(3, 4), **strength) -> np.ndarray:
    @tf.function
    def change(batch, seed):
        draws = random_changes.StatelessSeeds(seed)
        boxes = random_changes.draw_boxes(batch, draws, **strength)
        return random_changes.sample_images(batch, boxes)

    return change(
        tf.constant(images, tf.float32), tf.constant(seed, tf.int32)
    ).numpy()


def _coordinates(count: int) -> np.ndarray:
    """Pictures that say of each pixel where it came from."""
    y, x = np.mgrid[:_HEIGHT, :_WIDTH].astype(float)
    return np.repeat(np.stack([y, x, x * 0], axis=-1)[None], count, axis=0)


def test_without_zoom_and_shift_pictures_are_mirrored_or_as_they_were():
    images = np.random.default_rng(0).uniform(0, 255, (40, 20, 31, 3))
    after = _moved(images, zoom=0.0, shift=0.0)
    same = abs(after - images).max(axis=(1, 2, 3)) < 0.01
    mirrored = abs(after - images[:, :, ::-1]).max(axis=(1, 2, 3)) < 0.01
    assert (same ^ mirrored).all()
    assert 8 < mirrored.sum() < 32


def test_zoom_keeps_the_middle_in_its_place_and_cuts_all_sides_alike():
    after = _moved(_coordinates(200), zoom=0.4, shift=0.0)
    y, x = after[..., 0], after[..., 1]
    np.testing.assert_allclose(
        y.mean(axis=(1, 2)), (_HEIGHT - 1) / 2, atol=1e-3
    )
    np.testing.assert_allclose(x.mean(axis=(1, 2)), (_WIDTH - 1) / 2, atol=1e-3)
    shares = (y[:, -1, 0] - y[:, 0, 0]) / (_HEIGHT - 1)
    assert shares.min() == pytest.approx(0.6, abs=0.02)
    assert shares.max() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(
        abs(x[:, 0, -1] - x[:, 0, 0]) / (_WIDTH - 1), shares, atol=1e-4
    )
    # Steps are even: a straight line stays one.
    np.testing.assert_allclose(np.diff(y[:, :, 0], n=2), 0, atol=1e-3)


def test_shift_moves_by_up_to_its_share_both_ways():
    after = _moved(_coordinates(300), zoom=0.0, shift=0.1)
    y = after[:, _HEIGHT // 2, _WIDTH // 2, 0] - _HEIGHT // 2
    assert y.min() == pytest.approx(-0.1 * _HEIGHT, abs=0.1)
    assert y.max() == pytest.approx(0.1 * _HEIGHT, abs=0.1)
    x = after[:, _HEIGHT // 2, _WIDTH // 2, 1] - _WIDTH // 2
    assert abs(np.corrcoef(y, x)[0, 1]) < 0.2


def test_beyond_the_edge_the_picture_goes_on_mirrored():
    after = _moved(_coordinates(300), zoom=0.0, shift=0.5)
    y = after[:, :, 0, 0]
    (highest,) = y[[np.argmax(y[:, _HEIGHT // 2])]]
    shift = highest[0]
    expected = np.arange(_HEIGHT) + shift
    # Pixels 18, 19 | 19, 18, …: between the two nines nothing changes.
    beyond = np.clip(expected - (_HEIGHT - 1), 0, None)
    expected = np.minimum(expected, _HEIGHT - 1) - np.maximum(beyond - 1, 0)
    np.testing.assert_allclose(highest, expected, atol=1e-2)


def test_nothing_comes_from_outside_at_the_strongest():
    white = np.full((500, 8, 8, 3), 255.0)
    after = _moved(white, zoom=0.4, shift=0.1)
    np.testing.assert_allclose(after, 255.0, atol=1e-2)


def first_draws(seed, count=3):
    generator = random_changes.StatelessSeeds(tf.constant(seed))
    return [
        keras.random.uniform((4,), seed=generator).numpy() for _ in range(count)
    ]


def test_draws_are_a_function_of_the_seed():
    np.testing.assert_array_equal(first_draws([1, 2]), first_draws([1, 2]))


def test_draws_differ_from_one_to_the_next_and_between_seeds():
    values = np.concatenate(
        [first_draws([1, 2]), first_draws([1, 3]), first_draws([2, 2])]
    )
    assert len(np.unique(values)) == values.size


def test_a_layer_changes_pictures_by_the_given_draws():
    layer = keras.layers.RandomBrightness(0.5, seed=0)
    images = tf.fill((6, 2, 2, 3), 100.0)
    once, again = (
        random_changes.apply_layer(
            layer,
            {"images": images},
            random_changes.StatelessSeeds(tf.constant([4, 4])),
        )["images"]
        for _ in range(2)
    )
    np.testing.assert_array_equal(once, again)
    assert len(np.unique(once)) == 6


def changed(images, *, num_changes, magnitude, seed=(3, 1)):
    change = tf.function(
        random_changes.build_rand_augment(num_changes, magnitude)
    )
    generator = random_changes.StatelessSeeds(tf.constant(seed))
    batch = {"images": tf.constant(images, tf.float32)}
    return change(batch, generator)["images"].numpy()


def pictures(count):
    random = np.random.default_rng(1)
    return random.integers(0, 256, (count, 16, 16, 3)).astype(np.float32)


def test_no_changes_leave_pictures_as_they_are():
    images = pictures(4)
    after = changed(images, num_changes=0, magnitude=1.0)
    np.testing.assert_array_equal(after, images)


def test_each_picture_gets_a_change_of_its_own_or_none():
    images = np.repeat(pictures(1), 60, axis=0)
    after = changed(images, num_changes=1, magnitude=1.0)
    unchanged = (after == images).all(axis=(1, 2, 3)).mean()
    assert 0 < unchanged < 0.4  # One in twelve is left as it is.
    assert len({picture.tobytes() for picture in after}) > 30


def test_pictures_keep_their_places():
    # No change but a turn or a shift can make a dark picture a light one.
    values = np.tile([10.0, 240.0], 30)
    images = np.ones((60, 16, 16, 3)) * values[:, None, None, None]
    after = changed(images, num_changes=1, magnitude=0.2)
    np.testing.assert_array_equal(
        after.mean(axis=(1, 2, 3)) > 125, values > 125
    )


def test_more_magnitude_changes_more():
    images = pictures(60)
    weak, strong = (
        abs(changed(images, num_changes=1, magnitude=m) - images).mean()
        for m in (0.1, 1.0)
    )
    assert weak < strong


def test_an_empty_batch_is_no_error():
    after = changed(np.zeros((0, 8, 8, 3)), num_changes=2, magnitude=0.5)
    assert after.shape == (0, 8, 8, 3)
