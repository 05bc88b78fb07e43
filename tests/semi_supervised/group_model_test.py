"""A network on groups of pictures."""

import keras
import numpy as np

from tf_finetune.semi_supervised import group_losses, group_model
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
        loss=group_losses.FixMatch(
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
