import keras
import numpy as np
import tensorflow as tf

from tf_finetune.data.augment import sampling


def first_draws(seed, count=3):
    generator = sampling.StatelessSeeds(tf.constant(seed))
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
        sampling.apply_layer(
            layer, images, sampling.StatelessSeeds(tf.constant([4, 4]))
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(once, again)
    assert len(np.unique(once)) == 6
