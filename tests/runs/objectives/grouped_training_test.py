"""Tests of how groups are fed to an optimizer."""

import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune.config import options, picture_options, train_config
from tf_finetune.data import mixed_groups
from tf_finetune.data import split_targets as target_rows
from tf_finetune.data.augment import weak_strong_views
from tf_finetune.runs.objectives import grouped_training
from tf_finetune.training import fine_tuning


@pytest.fixture
def paths(tmp_path):
    found = [str(tmp_path / f"{number}.png") for number in range(7)]
    for path in found:
        Image.fromarray(np.zeros([8, 8, 3], "uint8")).save(path)
    return found


@pytest.mark.parametrize(
    ("optimizer", "sizes"), [("gd", [7]), ("adamw", [2, 2, 2, 1])]
)
def test_an_epoch_of_groups_has_the_steps_of_its_schedule(
    paths, optimizer, sizes
):
    config = options.from_keywords(
        train_config.TrainConfig,
        {"optimizer": optimizer, "batch_size": 2, "epochs": 1},
    )
    targets = target_rows.ArrayTargets(np.eye(2, dtype="float32"))
    dealt = mixed_groups.MixedGroups(
        labeled=paths[:2],
        targets=targets,
        unlabeled=paths,
        beside=1,
        views=weak_strong_views.keep_images,
        augmentation="none",
        square=picture_options.Square(8),
        seed=0,
    )
    context = types.SimpleNamespace(
        config=config,
        data=types.SimpleNamespace(
            split=lambda name: [types.SimpleNamespace(path=paths[0])] * 2
        ),
        image_size=8,
        strategy=tf.distribute.get_strategy(),
        targets=lambda split: targets,
    )
    feed = grouped_training.make_feed(context, dealt)
    assert [len(images) for images, _ in feed.batches(0, 0)] == sizes
    steps = fine_tuning.count_steps_per_epoch(
        config.training, feed.num_examples
    )
    assert steps == len(sizes)
    assert len(feed.names(0, 0)) == 2 * sizes[0]


def test_a_step_holds_as_many_pictures_as_the_batch_size_allows(fresh_run):
    # Batches of 8 pictures, groups of 3: two groups a step.
    found = grouped_training._count_groups_as_batch(fresh_run, 3)
    assert found.config.training.batch_size == 2
    # A group is never divided.
    found = grouped_training._count_groups_as_batch(fresh_run, 9)
    assert found.config.training.batch_size == 1


def test_targets_and_logits_have_the_shapes_of_the_task(fresh_run):
    form = grouped_training.make_form(fresh_run, fresh_run.targets("train"))
    assert (form.target, form.logits) == ((2,), (2,))
    assert form.dtype == "float32"


def test_groups_are_dealt_of_labeled_and_unlabeled_pictures(fresh_run):
    pool = types.SimpleNamespace(pictures=fresh_run.data.split("test"))
    given = types.SimpleNamespace(context=fresh_run, pool=pool)
    dealt = grouped_training.make_groups(given, lambda images: images)
    assert len(dealt) == len(fresh_run.data.split("train"))
    assert dealt.beside == fresh_run.config.unlabeled.unlabeled_ratio
