"""The compiled trainer of the fine-tuning stage."""

import dataclasses
import shutil

import keras
import numpy as np

from tf_finetune.config import options
from tf_finetune.model import assembly
from tf_finetune.runs import fine_tune_stage as trainers


def _trainable(model):
    return {id(variable) for variable in model.trainable_variables}


def test_the_selected_layers_and_the_head_are_trained(fresh_run):
    trainer = trainers.prepare_trainer(fresh_run)
    backbone = fresh_run.assembly.backbone.model
    expected = {
        id(variable)
        for name in fresh_run.adapted.trained
        for variable in backbone.get_layer(name).trainable_variables
    }
    expected |= _trainable(fresh_run.assembly.head)
    assert _trainable(trainer) == expected
    assert trainer is fresh_run.assembly.trainer


def test_above_the_freeze_boundary_the_same_variables_are_trained(fresh_run):
    whole = trainers.prepare_trainer(fresh_run)
    upper = trainers.prepare_trainer(fresh_run, fresh_run.networks.boundary)
    assert upper is fresh_run.networks.boundary.suffix
    assert _trainable(upper) == _trainable(whole)


def test_the_loss_is_computed_on_logits(fresh_run):
    trainer = trainers.prepare_trainer(fresh_run)
    logits = np.array([[2.0, 0.0], [0.0, 1.0]], "float32")
    loss = trainer.loss(np.float32([[1, 0], [1, 0]]), logits)
    # log(1 + e^-2) of the first, log(1 + e) of the second.
    expected = (np.log1p(np.exp(-2)) + np.log1p(np.exp(1))) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_training_precision_ends_with_the_block(fresh_run):
    layers = [
        layer
        for layer in fresh_run.assembly.backbone.model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    with trainers.enter_training(fresh_run):
        assert {layer.variable_dtype for layer in layers} == {"float32"}
    assert {layer.compute_dtype for layer in layers} == {"float32"}


def _fine_tune(run, start, **changes):
    """Returns the weights after fine-tuning from the same start."""
    weights = run.assembly.model.weights
    assembly.assign_values(weights, start)
    shutil.rmtree(run.place.checkpoints, ignore_errors=True)
    run.place.checkpoints.mkdir(parents=True)
    changed = options.replace(run.config, keep_epoch="last", **changes)
    trainers.fine_tune(
        dataclasses.replace(run, config=changed), None, activations=None
    )
    return assembly.copy_values(weights)


def test_the_result_lies_between_start_and_end(fresh_run):
    start = assembly.copy_values(fresh_run.assembly.model.weights)
    end = _fine_tune(fresh_run, start)
    between = _fine_tune(fresh_run, start, interpolate=0.25)
    assert any(
        np.abs(e - s).max() > 1e-4 for s, e in zip(start, end, strict=True)
    )
    for first, last, found in zip(start, end, between, strict=True):
        np.testing.assert_allclose(
            found, 0.75 * first + 0.25 * last, rtol=1e-5, atol=1e-6
        )
