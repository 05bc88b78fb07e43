"""Heads that read feature maps, trained on cached ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.config import options, train_config
from tf_finetune.data import split_targets
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores
from tf_finetune.solvers import head_problem as problems
from tf_finetune.tasks.segmentation import losses
from tf_finetune.training import decoder_head, head_fit

SIDE = 8


class Masks(split_targets.ArrayTargets):
    """Masks in memory."""

    def batch(self, places, views):
        return tf.cast(super().batch(places, views), tf.uint8)


@pytest.fixture
def problem(tmp_path):
    """Sixteen pictures whose maps tell the class of each of their places."""
    generator = np.random.default_rng(0)
    masks = generator.integers(0, 2, [16, SIDE, SIDE])
    fine = masks[..., None] * 2.0 + generator.normal(size=[16, SIDE, SIDE, 3])
    coarse = generator.normal(size=[16, 2, 2, 4])
    shapes = batches.RowLayout(shapes=((2, 2, 4), (SIDE, SIDE, 3)))
    rows = np.concatenate([coarse.reshape(16, -1), fine.reshape(16, -1)], 1)
    names = [f"{number:064x}" for number in range(16)]
    store = stores.Store(tmp_path, width=shapes.width, dtype="float32")
    store.put(names, rows.astype("float32"))
    keras.utils.set_random_seed(0)
    inputs = [keras.Input(shape) for shape in shapes.shapes]
    up = keras.layers.UpSampling2D(SIDE // 2)(inputs[0])
    joined = keras.layers.Concatenate()([up, inputs[1]])
    normal = keras.layers.BatchNormalization(momentum=0.5)(joined)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(normal))
    loss = losses.MaskLoss("cross_entropy")
    return problems.Problem(
        model=model,
        solver="steps",
        features=store.rows(names),
        layout=shapes,
        targets=Masks(masks),
        loss=loss,
        judged_by=loss,
        groups=names,
        config=options.from_keywords(
            train_config.TrainConfig,
            {"batch_size": 4, "head_epochs": 60, "head": "unet"},
        ),
    )


def test_maps_are_told_from_vectors(problem):
    assert head_fit.takes_feature_maps(problem.layout)


def test_a_decoder_is_trained_and_the_model_left_as_it_was(problem):
    before = problem.model.get_weights()
    solution = head_fit.solve_or_train(problem)
    for now, then in zip(problem.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert "240 steps of 4 pictures" in solution.how
    head_fit.set_solution(problem.model, solution)
    rows = problem.features.all()
    logits = problem.model.predict(
        list(problem.layout.tensors(tf.constant(rows))), verbose=0
    )
    masks = problem.targets.values
    assert (logits.argmax(axis=-1) == masks).mean() > 0.75


def test_the_same_problem_has_the_same_solution(problem):
    first, second = (
        head_fit.solve_or_train(problem),
        head_fit.solve_or_train(problem),
    )
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("head_epochs", "count", "steps"),
    [
        (2, 367, 24),  # CamVid: 12 steps an epoch.
        (5, 24, 15),
        (1, 5, 1),
        (300, 24, 900),
        (None, 367, 240),
        (None, 24, 100),  # 20 epochs would be 60 steps.
    ],
)
def test_head_epochs_are_obeyed_and_few_steps_are_the_default_alone(
    head_epochs, count, steps
):
    size = 32 if count == 367 else 8
    found = options.from_keywords(
        train_config.TrainConfig,
        {"batch_size": size, "head_epochs": head_epochs, "head": "unet"},
    )
    assert decoder_head.count_steps(found.training, count) == steps
