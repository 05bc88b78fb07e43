"""A network on groups of pictures."""

import keras
import numpy as np
import pytest
from scipy import special

from tf_finetune.semi_supervised import group_model
from tf_finetune.tasks.classification import network


def _network() -> keras.Model:
    image = keras.Input([4, 4, 3])
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    frozen = keras.layers.Dense(5, name="frozen")
    return keras.Model(image, keras.layers.Dense(2)(frozen(pooled)))


def test_each_picture_of_a_group_is_answered_by_itself():
    network = _network()
    images = np.random.default_rng(0).normal(size=[3, 5, 4, 4, 3])
    found = group_model.build_trainer(network)(images.astype("float32"))
    each = network(images.reshape(15, 4, 4, 3).astype("float32"))
    np.testing.assert_allclose(
        found, np.reshape(each, [3, 5, 2]), rtol=1e-5, atol=1e-6
    )


def test_layers_that_are_frozen_stay_frozen():
    network = _network()
    network.get_layer("frozen").trainable = False
    trainer = group_model.build_trainer(network)
    for layer in trainer.layers:
        layer.trainable = False
    assert len(trainer.trainable_variables) == 2


def test_a_network_that_was_compiled_before_reports_nothing():
    compiled = _network()
    compiled.compile(loss="mse", metrics=["mae"])
    form = group_model.GroupLayout(target=(2,), logits=(2,))
    trainer = group_model.build_trainer(compiled)
    trainer.compile(
        loss=group_model.FixMatch(
            network.ClassificationLoss("cross_entropy"),
            form,
            weight=1.0,
            confidence=0.9,
            exclusive=True,
        ),
        metrics=[
            group_model.LabeledMetric(
                keras.metrics.CategoricalAccuracy(name="accuracy"), form
            )
        ],
    )
    images = np.ones([4, 3, 4, 4, 3], "float32")
    targets = np.eye(2, dtype="float32")[[0, 0, 1, 1]]
    compiled.fit(images[:, 0], targets, verbose=0)
    found = trainer.evaluate(images, targets, verbose=0, return_dict=True)
    assert set(found) == {"loss", "accuracy"}
    assert found["accuracy"] == 0.5
    assert found["loss"] > 0


def test_a_metric_sees_the_labeled_pictures_alone():
    form = group_model.GroupLayout(target=(2,), logits=(2,))
    metric = group_model.LabeledMetric(
        keras.metrics.CategoricalAccuracy(name="accuracy"), form
    )
    targets = np.eye(2, dtype="float32")[[0, 1, 1]]
    outputs = np.zeros([3, 4, 2], "float32")
    outputs[:, 0] = np.eye(2)[[0, 1, 0]]
    metric.update_state(targets, outputs)
    assert metric.name == "accuracy"
    np.testing.assert_allclose(float(metric.result()), 2 / 3, rtol=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0


_FORM = group_model.GroupLayout(target=(3,), logits=(3,))


def _fixmatch(weight: float, *, exclusive: bool = True) -> keras.losses.Loss:
    return group_model.FixMatch(
        network.ClassificationLoss("cross_entropy"),
        _FORM,
        weight=weight,
        confidence=0.6,
        exclusive=exclusive,
    )


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    # One labeled, two weak and two strong views.
    logits = generator.normal(0, 2, [4, 5, 3]).astype("float32")
    return np.eye(3, dtype="float32")[[0, 1, 2, 1]], logits


def _cross_entropy(targets, logits):
    return -(targets * special.log_softmax(logits, axis=-1)).sum(axis=-1)


def test_fixmatch_learns_sure_guesses_of_weak_views(batch):
    targets, logits = batch
    weak, strong = logits[:, 1:3], logits[:, 3:]
    sure = special.softmax(weak, axis=-1).max(axis=-1) >= 0.6
    assert 0 < sure.sum() < sure.size
    guesses = np.eye(3)[weak.argmax(axis=-1)]
    expected = _cross_entropy(targets, logits[:, 0]) + 0.5 * (
        sure * _cross_entropy(guesses, strong)
    ).mean(axis=1)
    np.testing.assert_allclose(
        _fixmatch(0.5).call(targets, logits), expected, rtol=1e-5
    )


def test_fixmatch_asks_independent_outputs_one_by_one(batch):
    targets, logits = batch
    weak, strong = special.expit(logits[:, 1:3]), logits[:, 3:]
    sure = np.maximum(weak, 1 - weak) >= 0.6
    said = special.expit(strong)
    found = -np.where(weak >= 0.5, np.log(said), np.log(1 - said))
    expected = _cross_entropy(targets, logits[:, 0]) + (sure * found).mean(
        axis=(1, 2)
    )
    np.testing.assert_allclose(
        _fixmatch(1.0, exclusive=False).call(targets, logits),
        expected,
        rtol=1e-4,
    )


def test_no_gradient_flows_through_weak_views(batch):
    import tensorflow as tf

    targets, logits = batch
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(_fixmatch(1.0).call(targets, logits))
    moved = np.abs(tape.gradient(loss, logits).numpy()).sum(axis=(0, 2))
    assert (moved[1:3] == 0).all()
    assert (moved[[0, 3, 4]] > 0).all()


def test_validation_without_unlabeled_pictures_is_the_supervised_loss(batch):
    targets, logits = batch
    np.testing.assert_allclose(
        _fixmatch(1.0).call(targets, logits[:, :1]),
        _cross_entropy(targets, logits[:, 0]),
        rtol=1e-5,
    )


def test_pixels_of_masks_are_guesses_too():
    form = group_model.GroupLayout(target=(2, 2), logits=(2, 2, 3))
    logits = np.zeros([1, 3, 12], "float32")
    logits[0, 1, :3] = [9, 0, 0]  # One of four pixels is sure.
    loss = group_model.FixMatch(
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction=None
        ),
        form,
        weight=1.0,
        confidence=0.95,
        exclusive=True,
    )
    found = loss.call(np.zeros([1, 4], "float32"), logits)
    np.testing.assert_allclose(found, [np.log(3) * 1.25], rtol=1e-5)


def test_distillation_measures_in_units_of_the_teachers_variance():
    generator = np.random.default_rng(1)
    outputs = generator.normal(size=[2, 3, 3 + 4]).astype("float32")
    teacher = generator.normal(size=[2, 2, 4]).astype("float32")
    targets = np.eye(3, dtype="float32")[[0, 2]]
    rows = np.concatenate([targets, teacher.reshape(2, 8)], axis=1)
    loss = group_model.FeatureDistillation(
        network.ClassificationLoss("cross_entropy"),
        _FORM,
        weight=0.5,
        variance=2.0,
    )
    distance = ((outputs[:, 1:, 3:] - teacher) ** 2).mean(axis=(1, 2))
    expected = _cross_entropy(targets, outputs[:, 0, :3]) + distance / 4
    np.testing.assert_allclose(loss.call(rows, outputs), expected, rtol=1e-5)
    np.testing.assert_allclose(
        loss.call(targets, outputs[:, :1]),
        _cross_entropy(targets, outputs[:, 0, :3]),
        rtol=1e-5,
    )
