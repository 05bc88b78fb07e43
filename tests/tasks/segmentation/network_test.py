"""What training and serving see of masks."""

import numpy as np
import pytest
import sample_pictures
import tensorflow as tf
from PIL import Image
from scipy import special
from sklearn import metrics as sklearn_metrics

from tf_finetune.config import picture_options, train_config, training_options
from tf_finetune.data import epoch_order, examples, pipeline
from tf_finetune.data import split_targets as target_rows
from tf_finetune.feature_cache import fill
from tf_finetune.tasks.segmentation import network

NAMES = ("sky", "road")
SIZE = 16


@pytest.fixture
def data(tmp_path):
    """Three training pictures of several sizes with their masks."""
    generator = np.random.default_rng(0)
    pictures = []
    for number, size in enumerate(((20, 30), (16, 16), (40, 18))):
        coarse = Image.fromarray(generator.integers(0, 2, (3, 3), "uint8"))
        mask = np.array(coarse.resize(size[::-1], Image.Resampling.NEAREST))
        Image.fromarray(mask).save(tmp_path / f"m{number}.png")
        # The picture is its mask, so that both can be compared.
        image = np.repeat(mask[..., None] * 255, 3, axis=-1)
        Image.fromarray(image).save(tmp_path / f"p{number}.png")
        pictures.append(
            examples.Picture(
                path=str(tmp_path / f"p{number}.png"),
                label=examples.Mask(
                    path="",
                    indices=str(tmp_path / f"m{number}.png"),
                    pixels=(1, 1, 0),
                    names=NAMES,
                ),
                sha256=f"{number:064x}",
                width=size[1],
                height=size[0],
                split="train",
            )
        )
    return sample_pictures.make_data(NAMES, pictures)


def config(augmentation="none", views=3):
    options = training_options.TrainingOptions(
        augmentation=augmentation, augmentation_views=views
    )
    return train_config.TrainConfig(training=options, seed=5)


def targets(data, **options):
    return network.NETWORK.targets(
        data, "train", config=config(**options), image_size=SIZE
    )


def test_masks_are_read_in_the_order_that_is_asked_for(data):
    found = targets(data)
    assert len(found) == 3
    assert found.moves_as == "mask"
    every = np.concatenate(list(target_rows.batch_in_order(found, 2)))
    assert every.shape == (3, SIZE, SIZE)
    assert every.dtype == np.uint8
    two = found.batch(tf.constant([2, 0]), tf.constant([0, 0]))
    np.testing.assert_array_equal(two, every[[2, 0]])
    # Of the same size already.
    np.testing.assert_array_equal(
        every[1], Image.open(data.pictures[1].label.indices)
    )


def test_views_of_masks_are_those_of_their_pictures(data):
    found = targets(data, augmentation="light")
    pictures = data.split("train")
    for number in (1, 2):
        views = fill.make_views(
            [p.path for p in pictures],
            [p.sha256 for p in pictures],
            number=number,
            level="light",
            seed=5,
        )
        (images,) = pipeline.build_augmented_images(
            [p.path for p in pictures],
            fill.derive_seeds(views),
            picture_options.Square(SIZE),
            batch_size=3,
            level="light",
        )
        places = tf.range(3, dtype=tf.int64)
        masks = found.batch(places, tf.fill([3], tf.constant(number, tf.int64)))
        image = images.numpy()[1, ..., 0]
        sure = abs(image - 127) > 100
        assert sure.mean() > 0.2
        agree = (image[sure] > 127) == (masks.numpy()[1][sure] == 1)
        assert agree.mean() > 0.97


def test_a_level_that_mixes_has_one_view(data):
    found = targets(data, augmentation="strong")
    assert found.batch(tf.constant([0]), tf.constant([0])).shape[0] == 1


def test_blank_masks_hold_every_class():
    blank = network.NETWORK.build_blank_targets(NAMES, 4, image_size=8)
    batch = blank.batch(tf.range(3), tf.zeros([3], tf.int64)).numpy()
    assert len(blank) == 4
    assert batch.shape == (3, 8, 8)
    assert set(np.unique(batch)) == {0, 1}


def test_class_weights_come_from_the_training_pixels():
    counts = {"sky": 900, "road": 100}
    described = {
        "masks": {
            "train": {
                "pixels": counts,
                "pixels_there": {"sky": 1000, "road": 1000},
            }
        }
    }
    logits = np.zeros([1, 2, 1, 2], "float32")
    truth = np.array([[[0], [1]]])
    plain, weighted = (
        network.NETWORK.loss(
            training_options.TrainingOptions(class_weight=weight),
            NAMES,
            described,
        )
        for weight in ("none", "balanced")
    )
    # Medians of 0.9 and 0.1 over each, scaled to a mean of 1 over pixels:
    # weights of 5/9 and 5.
    mean_weight = (5 / 9 + 5) / 2
    np.testing.assert_allclose(
        weighted(truth, logits), plain(truth, logits) * mean_weight, rtol=1e-5
    )


def test_finishing_logits_is_a_softmax_of_each_pixel():
    logits = np.random.default_rng(0).normal(size=[2, 3, 3, 2])
    np.testing.assert_allclose(
        network.NETWORK.finish(logits),
        special.softmax(logits, axis=-1),
        rtol=1e-6,
    )


def test_masks_move_with_pictures_in_training_batches(data):
    batches = pipeline.build_training_batches(
        [p.path for p in data.pictures],
        targets(data),
        epoch_order.BatchOrder(batch_size=2, seed=1, epochs=2),
        picture_options.Square(SIZE),
        augmentation="light",
    )
    for images, masks in batches:
        image, mask = images.numpy()[..., 0], masks.numpy()
        assert mask.dtype == np.uint8
        sure = abs(image - 127) > 110
        agree = (image[sure] > 127) == (mask[sure] == 1)
        assert agree.mean() > 0.97


@pytest.fixture
def batches():
    generator = np.random.default_rng(0)
    masks = generator.choice([0, 1, 255], size=[5, 4, 6]).astype("uint8")
    logits = generator.normal(size=[5, 4, 6, 3]).astype("float32")
    return [(masks[:3], logits[:3]), (masks[3:], logits[3:])]


def _expected(batches):
    masks = np.concatenate([mask for mask, _ in batches])
    predicted = np.concatenate([x for _, x in batches]).argmax(axis=-1)
    counted = masks != 255
    # The class 2 never occurs: it is no part of the mean.
    return sklearn_metrics.jaccard_score(
        masks[counted], predicted[counted], labels=[0, 1], average="macro"
    )


def test_it_is_that_of_all_pixels_so_far(batches):
    metric = network.MeanIoU(3)
    assert float(metric.result()) == 0
    for masks, logits in batches:
        metric.update_state(masks, logits)
    assert float(metric.result()) == pytest.approx(_expected(batches))
    metric.reset_state()
    metric.update_state(*batches[1])
    assert float(metric.result()) == pytest.approx(_expected(batches[1:]))


_ON_TWO = """
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
from tf_finetune.tasks.segmentation import network
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    metric = network.MeanIoU(2)
masks = np.array([[[0, 0, 1, 255]], [[1, 1, 1, 0]]], "uint8")
logits = np.zeros([2, 1, 4, 2], "float32")
@tf.function
def step():
    def add():
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        ours = [tf.gather(each, [index]) for each in (masks, logits)]
        metric.update_state(*ours)
    strategy.run(add)
step()
print(np.asarray(metric.confusion).tolist())
print(round(float(metric.result()), 4))
"""


@pytest.mark.slow
def test_the_matrices_of_replicas_are_added(start, tmp_path):
    done = start(["-c", _ON_TWO], tmp_path).wait(timeout=300)
    # 3 / 7 of class 0, nothing of class 1.
    expected = "[[3.0, 0.0], [4.0, 0.0]]\n0.2143\n"
    assert done.stdout == expected, done.stderr[-2000:]
