import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.data.augment import augmentation

LEVELS = tuple(augmentation.LEVELS)


def pictures(count: int = 12, size: int = 24) -> np.ndarray:
    """Smooth pictures, dark at the top and light at the bottom."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    base = np.stack([y * 200 + 20, y * 150 + x * 50, y * 180], axis=-1)
    noise = random.uniform(0, 25, (count, size, size, 3))
    return (base + noise).astype(np.float32)


@functools.cache
def compiled(level):
    """Traces a level once; tracing takes longer than augmenting."""
    return build(level)


def build(level):
    return tf.function(augmentation.build_augmentation(level))


def augmented(level, images, labels=None, seed=(1, 2), make=compiled):
    labels = np.eye(len(images)) if labels is None else labels
    images, labels = make(level)(
        tf.constant(images, tf.float32),
        tf.constant(labels, tf.float32),
        tf.constant(seed, tf.int32),
    )
    return images.numpy(), labels.numpy()


def test_none_adds_nothing_to_the_graph():
    assert augmentation.build_augmentation("none") is None


@pytest.mark.parametrize("level", LEVELS)
def test_pictures_change_and_stay_in_range(level):
    before = pictures()
    after, _ = augmented(level, before)
    assert after.shape == before.shape
    assert after.dtype == np.float32
    assert np.isfinite(after).all()
    assert after.min() >= 0
    assert after.max() <= 255
    changed = abs(after - before).mean(axis=(1, 2, 3))
    assert (changed > 1).mean() > 0.9


@pytest.mark.parametrize("level", LEVELS)
def test_extreme_pixels_stay_in_range(level):
    black_and_white = np.zeros((12, 16, 16, 3))
    black_and_white[:, :, 8:] = 255
    after, _ = augmented(level, black_and_white)
    assert np.isfinite(after).all()
    assert after.min() >= 0
    assert after.max() <= 255


@pytest.mark.parametrize("level", LEVELS)
def test_the_seed_decides_and_nothing_else(level):
    one, labels = augmented(level, pictures())
    keras.utils.set_random_seed(5)
    same, same_labels = augmented(level, pictures(), make=build)
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(labels, same_labels)
    other, _ = augmented(level, pictures(), seed=(1, 3))
    assert abs(other - one).max() > 1


@pytest.mark.parametrize("level", LEVELS)
def test_parallel_calls_give_what_calls_one_by_one_give(level):
    change = augmentation.build_augmentation(level)
    images, labels = tf.constant(pictures()), tf.eye(12)

    def found(parallel):
        seeds = tf.data.Dataset.range(6).map(
            lambda i: change(
                images, labels, tf.stack([tf.cast(i, tf.int32), 0])
            ),
            num_parallel_calls=parallel,
            deterministic=True,
        )
        return [each[0] for each in seeds.as_numpy_iterator()]

    for one, other in zip(found(None), found(4), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("level", LEVELS)
def test_equal_pictures_of_a_batch_change_in_different_ways(level):
    same = np.repeat(pictures(1), 12, axis=0)
    after, _ = augmented(level, same)
    assert len({picture.tobytes() for picture in after}) == 12


def test_light_mirrors_half_of_the_pictures_and_turns_none_over():
    size = 16
    left_is_light = np.zeros((200, size, size, 3))
    left_is_light[:, :, : size // 2] = 200
    after, _ = augmented("light", left_is_light, np.zeros((200, 1)))
    halves = after[:, :, : size // 2].mean(axis=(1, 2, 3)) > 100
    assert 0.4 < halves.mean() < 0.6
    top_is_light = left_is_light.swapaxes(1, 2)
    after, _ = augmented("light", top_is_light, np.zeros((200, 1)))
    assert (after[:, : size // 4] > 100).all()
    assert (after[:, -size // 4 :] < 100).all()


@pytest.mark.parametrize("level", ["light", "medium"])
def test_labels_stay_where_pictures_are_not_mixed(level):
    _, labels = augmented(level, pictures())
    np.testing.assert_array_equal(labels, np.eye(12))


def test_mixed_labels_tell_what_is_in_the_mixed_picture(monkeypatch):
    # Plain pictures, and only the mixing: a pixel's mean tells the shares.
    only_mixing = augmentation.Level(zoom=0.0, shift=0.0, mix=True)
    monkeypatch.setitem(augmentation.LEVELS, "strong", only_mixing)
    size, count = 64, 24
    values = np.arange(count) * 10.0
    plain = np.ones((count, size, size, 3)) * values[:, None, None, None]
    after, labels = augmented("strong", plain, make=build)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-5)
    assert ((labels > 0.01) & (labels < 0.99)).any(axis=1).sum() > count / 3
    # CutMix rounds the box to pixels, its label does not: two rows at most.
    expected = labels @ values
    tolerance = 2 / size * 230
    assert abs(after.mean(axis=(1, 2, 3)) - expected).max() < tolerance
    blended = after.std(axis=(1, 2, 3)) < 0.01
    np.testing.assert_allclose(
        after.mean(axis=(1, 2, 3))[blended], expected[blended], atol=0.01
    )
    assert 0 < (~blended).sum() < count


def test_mixing_a_batch_of_one_keeps_its_label():
    _, labels = augmented("strong", pictures(1), np.array([[0.0, 1.0]]))
    np.testing.assert_allclose(labels, [[0, 1]], atol=1e-6)


def test_pixels_are_computed_in_float32_under_any_policy():
    expected, _ = augmented("strong", pictures())
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        after, _ = augmented("strong", pictures(), make=build)
    finally:
        keras.config.set_dtype_policy(policy)
    np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("level", LEVELS)
def test_keras_draws_nothing_behind_the_seeds_back(level, monkeypatch):
    # A layer that took its own generator would advance that one's state.
    def refuse(self, ordered=True):
        raise AssertionError("a layer used a generator of its own")

    change = augmentation.build_augmentation(level)
    monkeypatch.setattr(keras.random.SeedGenerator, "next", refuse)
    change(tf.constant(pictures()), tf.eye(12), tf.constant([0, 1]))


COLORS = np.array(
    [[20, 20, 20], [20, 20, 230], [230, 230, 20], [235, 235, 235]], "float32"
)


def scenes(count: int = 24, size: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Pictures whose colors say what is in their masks: four rectangles."""
    masks = np.zeros((count, size, size), "uint8")
    for number, mask in enumerate(masks):
        half = size // 2 + number % 7 - 3
        mask[:half, half:], mask[half:, :half], mask[half:, half:] = 1, 2, 3
    return COLORS[masks], masks


def shown(images: np.ndarray) -> np.ndarray:
    """The class that each pixel's color is nearest to, seen by its hue.

    Brightness, contrast and saturation change; which of the colors of one
    picture is the blue, the yellow, the dark and the light one does not.
    """
    blue = images[..., 2] - images[..., :2].mean(axis=-1)
    spread = abs(blue).max(axis=(1, 2), keepdims=True)
    light = images.mean(axis=-1)
    low, high = (
        np.percentile(light, each, axis=(1, 2), keepdims=True)
        for each in (2, 98)
    )
    is_colored = abs(blue) > 0.45 * spread
    gray = np.where(light > (low + high) / 2, 3, 0)
    return np.where(is_colored, np.where(blue > 0, 1, 2), gray)


def away_from_edges(masks: np.ndarray, far: int = 2) -> np.ndarray:
    """Marks pixels all of whose neighbors are of their class."""
    padded = np.pad(masks, ((0, 0), (far, far), (far, far)), "edge")
    size = masks.shape[1]
    return np.all(
        [
            padded[:, y : y + size, x : x + size] == masks
            for y in range(2 * far + 1)
            for x in range(2 * far + 1)
        ],
        axis=0,
    )


@pytest.mark.parametrize("level", LEVELS)
def test_masks_move_with_their_pictures(level):
    images, masks = scenes()
    change = tf.function(augmentation.build_augmentation(level, "mask"))
    for seed in ((1, 2), (3, 4)):
        after, moved = change(
            tf.constant(images), tf.constant(masks), tf.constant(seed)
        )
        after, moved = after.numpy(), moved.numpy()
        assert moved.dtype == np.uint8
        assert set(np.unique(moved)) <= {0, 1, 2, 3}
        assert (moved != masks).mean() > 0.2
        sure = away_from_edges(moved)
        assert sure.mean() > 0.5
        agree = shown(after)[sure] == moved[sure]
        # Posterization and strong contrasts make some colors alike.
        assert agree.mean() > (0.999 if level == "light" else 0.96)


@pytest.mark.parametrize("level", ["light", "medium"])
def test_masks_alone_are_moved_as_together(level):
    images, masks = scenes(5)
    change = augmentation.build_augmentation(level, "mask")
    change_masks = augmentation.build_target_augmentation(level, "mask")
    seed = tf.constant([7, 8])
    with_masks, together = tf.function(change)(images, masks, seed)
    alone = tf.function(change_masks)(masks, seed)
    np.testing.assert_array_equal(alone, together)
    without_masks, _ = augmented(level, images, seed=(7, 8))
    np.testing.assert_allclose(with_masks, without_masks, atol=1e-3)


def test_ignored_pixels_stay_ignored():
    images, masks = scenes(6)
    masks[:] = 255
    change = augmentation.build_augmentation("strong", "mask")
    _, moved = change(images, masks, tf.constant([1, 1]))
    assert (moved.numpy() == 255).all()


def test_none_changes_no_mask():
    assert augmentation.build_augmentation("none", "mask") is None
