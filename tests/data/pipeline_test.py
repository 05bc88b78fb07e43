import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune.config import picture_options
from tf_finetune.data import epoch_order, pipeline, split_targets

SIZE = 8


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Eleven pictures; each pixel of picture i is 20 * i."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(11):
        image = Image.new("RGB", (12, 10), (20 * i,) * 3)
        # Bytes that are no UTF-8 must reach the file system as they are.
        name = folder / os.fsdecode(b"latin-\xe9-%02d.png" % i)
        image.save(name, "PNG")
    return sorted(str(path) for path in folder.iterdir())


def build(paths, labels=None, *, augmentation="none", **changes):
    """Builds batches of four pictures of two epochs, but for changes."""
    labels = np.eye(len(paths)) if labels is None else labels
    order = epoch_order.BatchOrder(
        **{"batch_size": 4, "seed": 7, "epochs": 2, **changes}
    )
    return pipeline.build_training_batches(
        paths,
        split_targets.ArrayTargets(labels),
        order,
        picture_options.Square(SIZE),
        augmentation=augmentation,
    )


def batches(paths, **changes):
    return [(i.numpy(), y.numpy()) for i, y in build(paths, **changes)]


def numbers(found):
    """The pictures of each batch, read off their pixels."""
    return [np.rint(images[:, 0, 0, 0] / 20).astype(int) for images, _ in found]


def test_evaluation_keeps_the_order_and_drops_nothing(paths):
    order = [*paths[::-1], paths[3]]
    images = pipeline.build_evaluation_images(
        order, picture_options.Square(SIZE), batch_size=5
    )
    found = [batch.numpy() for batch in images]
    assert [len(batch) for batch in found] == [5, 5, 2]
    assert found[0].dtype == np.float32
    values = np.concatenate(found)[:, 4, 4, 1] / 20
    np.testing.assert_allclose(values, [*range(10, -1, -1), 3])


def test_evaluation_gives_the_same_at_each_pass(paths):
    images = pipeline.build_evaluation_images(
        paths, picture_options.Square(SIZE, "crop"), batch_size=3
    )
    first, second = (list(images.as_numpy_iterator()) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_shapes_of_batches_are_known(paths):
    images = pipeline.build_evaluation_images(
        paths, picture_options.Square(SIZE, "pad"), batch_size=3
    )
    assert images.element_spec.shape == (None, SIZE, SIZE, 3)
    for level in ("none", "strong"):
        dataset = build(paths, augmentation=level, epochs=5)
        image_spec, label_spec = dataset.element_spec
        assert image_spec.shape == (None, SIZE, SIZE, 3)
        assert label_spec.shape == (None, 11)
        assert int(dataset.cardinality()) == 15


def test_each_epoch_shows_every_picture_once_with_its_label(paths):
    found = batches(paths, epochs=3)
    assert [len(images) for images, _ in found] == [4, 4, 3] * 3
    for epoch in range(3):
        mine = found[3 * epoch : 3 * epoch + 3]
        order = np.concatenate(numbers(mine))
        assert sorted(order) == list(range(11))
        labels = np.concatenate([labels for _, labels in mine])
        np.testing.assert_array_equal(labels.argmax(axis=1), order)


def test_epochs_and_seeds_have_orders_of_their_own(paths):
    orders = [
        tuple(np.concatenate(numbers(batches(paths, seed=seed, epochs=2))))
        for seed in (1, 2)
    ]
    halves = {order[:11] for order in orders} | {o[11:] for o in orders}
    assert len(halves) == 4
    assert tuple(range(11)) not in halves


@pytest.fixture(scope="module", params=["none", "light", "strong"])
def augmentation(request):
    return request.param


@pytest.fixture(scope="module")
def whole(paths, augmentation):
    """What a run sees that is not interrupted."""
    return batches(paths, epochs=3, augmentation=augmentation)


def test_a_run_resumed_at_an_epoch_sees_what_it_would_have_seen(
    paths, augmentation, whole
):
    rest = batches(paths, first_epoch=1, epochs=3, augmentation=augmentation)
    assert len(rest) == 6
    for (image, label), (other, other_label) in zip(
        whole[3:], rest, strict=True
    ):
        np.testing.assert_array_equal(image, other)
        np.testing.assert_array_equal(label, other_label)


@pytest.mark.parametrize("step", [1, 2])
def test_a_run_resumed_within_an_epoch_sees_what_it_would_have_seen(
    paths, augmentation, whole, step
):
    rest = batches(
        paths,
        first_epoch=1,
        first_step=step,
        epochs=3,
        augmentation=augmentation,
    )
    for (image, label), (other, other_label) in zip(
        whole[3 + step :], rest, strict=True
    ):
        np.testing.assert_array_equal(image, other)
        np.testing.assert_array_equal(label, other_label)


def test_what_is_left_out_is_not_read(paths, tmp_path):
    first = numbers(batches(paths))[0]
    gone = [*paths]
    for number in first:
        gone[number] = str(tmp_path / "not_there.png")
    found = batches(gone, first_step=1, epochs=1)
    assert [len(images) for images, _ in found] == [4, 3]


def test_augmentation_differs_between_epochs_and_steps(tmp_path):
    random = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3))
    path = tmp_path / "picture.png"
    Image.fromarray(random.astype(np.uint8)).save(path)
    found = batches(
        [str(path)] * 2, batch_size=1, epochs=2, augmentation="light"
    )
    distinct = {images.tobytes() for images, _ in found}
    assert len(distinct) == 4


def test_nothing_is_left_after_the_last_epoch(paths):
    assert batches(paths, first_epoch=2, epochs=2) == []


def test_a_batch_may_be_larger_than_the_data(paths):
    found = batches(paths, batch_size=100, epochs=1)
    assert [len(images) for images, _ in found] == [11]


def test_soft_labels_stay_as_they_are(paths):
    soft = np.full((11, 2), 0.5, np.float32)
    ((_, labels),) = build(paths, soft, batch_size=11, epochs=1)
    np.testing.assert_array_equal(labels, soft)


def test_building_a_pipeline_leaves_global_random_state_alone(paths):
    tf.random.set_seed(3)
    expected = tf.random.uniform((2,)).numpy()
    tf.random.set_seed(3)
    batches(paths, epochs=1, augmentation="strong")
    np.testing.assert_array_equal(tf.random.uniform((2,)).numpy(), expected)
