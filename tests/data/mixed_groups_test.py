"""Groups of one labeled and some unlabeled pictures."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune.config import picture_options
from tf_finetune.data import epoch_order, mixed_groups
from tf_finetune.data import split_targets as target_rows
from tf_finetune.data.augment import weak_strong_views


@pytest.fixture(scope="module")
def dealt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    paths = []
    for value in range(10):
        paths.append(str(folder / f"{value}.png"))
        pixels = np.full([8, 8, 3], 10 * value, "uint8")
        Image.fromarray(pixels).save(paths[-1])
    return mixed_groups.MixedGroups(
        labeled=paths[:3],
        targets=target_rows.ArrayTargets(np.eye(3)),
        unlabeled=paths[3:],
        beside=2,
        views=weak_strong_views.keep_images,
        augmentation="none",
        square=picture_options.Square(8),
        seed=0,
    )


def _all(dealt, **keywords):
    settings = {"batch_size": 3, "seed": 0, "epochs": 2, **keywords}
    order = epoch_order.BatchOrder(**settings)
    found = mixed_groups.build_batches(dealt, order)
    return [tuple(np.asarray(part) for part in batch) for batch in found]


def test_an_epoch_is_one_pass_over_the_unlabeled_pictures(dealt):
    found = _all(dealt, epochs=1)
    assert [len(targets) for _, targets in found] == [3, 1]
    values = np.concatenate([images[:, 1:, 0, 0, 0] for images, _ in found])
    assert {*values.ravel() / 10} == {*range(3, 10)}


def test_targets_are_those_of_the_labeled_pictures(dealt):
    for images, targets in _all(dealt):
        np.testing.assert_array_equal(
            images[:, 0, 0, 0, 0] / 10, targets.argmax(axis=1)
        )


def test_a_run_that_goes_on_sees_what_it_would_have_seen(dealt):
    whole = _all(dealt)
    later = _all(dealt, first_epoch=1, first_step=1)
    np.testing.assert_array_equal(later[0][0], whole[3][0])
    assert len(later) == 1


def test_parts_together_are_the_whole_batch(dealt):
    changed = dataclasses.replace(
        dealt,
        views=weak_strong_views.build_weak_and_strong(),
        augmentation="light",
    )
    whole = _all(changed, epochs=1)
    divided = [
        _all(changed, epochs=1, part=epoch_order.Shard(first=i, total=2))
        for i in range(2)
    ]
    assert all(len(pieces[1][1]) == 1 for pieces in divided)
    # A batch of one group is everybody's: see `parts`.
    for batch, *pieces in zip(
        whole[:1], *(each[:1] for each in divided), strict=True
    ):
        joined = np.concatenate([piece[0] for piece in pieces])
        np.testing.assert_allclose(joined, batch[0], atol=1e-3)
        assert all(piece[2] == len(batch[1]) for piece in pieces)


def test_what_is_known_of_the_others_lies_behind_the_targets(dealt):
    known = dataclasses.replace(
        dealt, known=lambda places: tf.cast(places, tf.float32)[:, None]
    )
    for images, rows in _all(known):
        assert rows.shape[1] == 3 + 2
        np.testing.assert_array_equal(
            images[:, 1:, 0, 0, 0] / 10 - 3, rows[:, 3:]
        )


def test_names_are_those_of_the_batch(dealt):
    images, _ = _all(dealt)[0]
    names = dealt.names(0, 0, 3)
    values = [int(name.rsplit("/", 1)[1][:-4]) for name in names]
    expected = np.concatenate(
        [images[:, 0, 0, 0, 0], images[:, 1:, 0, 0, 0].ravel()]
    )
    assert values == (expected / 10).tolist()


def test_weak_and_strong_views_share_their_geometry():
    pixels = np.zeros([2, 32, 32, 3], "float32")
    pixels[:, :, 20:] = 200.0
    made = weak_strong_views.build_weak_and_strong()(
        pixels, tf.constant([1, 2])
    )
    weak, strong = made[:2].numpy(), made[2:].numpy()
    assert made.shape == (4, 32, 32, 3)
    shown = strong[..., 0] != 127.5
    assert 0.7 < shown.mean() <= 1.0
    # What was bright stays brighter than what was dark.
    for one, other, kept in zip(weak, strong, shown, strict=True):
        bright = kept & (one[..., 0] > 190)
        dark = kept & (one[..., 0] < 10)
        assert other[bright].min() > other[dark].max()
