"""Tests of how groups are fed to an optimizer."""

import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune.config import options, train_config
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
        image_size=8,
        resize="squash",
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
