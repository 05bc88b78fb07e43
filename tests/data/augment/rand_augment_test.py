import numpy as np
import tensorflow as tf

from tf_finetune.data.augment import rand_augment, sampling


def changed(images, *, num_changes, magnitude, seed=(3, 1)):
    change = tf.function(
        rand_augment.build_rand_augment(num_changes, magnitude)
    )
    generator = sampling.StatelessSeeds(tf.constant(seed))
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
