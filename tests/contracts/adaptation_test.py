"""Every adaptation method's promises, and that one file adds a method."""

import dataclasses
import math
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import pytest
import quiet
import tensorflow as tf
from PIL import Image

from tf_finetune import files
from tf_finetune import run as run_module
from tf_finetune.adaptation import (
    adapter_file,
    catalog,
    composition,
    method,
)
from tf_finetune.config import model_options, options, train_config
from tf_finetune.model import assembly, freeze_boundary, inference
from tf_finetune.semi_supervised import group_model
from tf_finetune.tasks import classification
from tf_finetune.training import fine_tuning, fit
from tf_finetune.training import fit_stage as stages
from tf_finetune.training.devices import device_settings

_SIZE, _CLASSES, _EPOCHS, _STEPS = 16, ("a", "b", "c"), 2, 3
_OWN = "channel_scale"


class ChannelScale(keras.layers.Layer):
    """A factor for each output channel of the last stage's convolutions.

    It computes a network with other weights than its own, W ↦ W · diag(s), so
    the layers of the network stay Keras' own; s = 1 before training.
    """

    def __init__(
        self, network: keras.Model, scales: dict[str, keras.Variable]
    ) -> None:
        super().__init__(name="channel_scale")
        self.network, self.scales = network, scales

    def call(self, inputs, training=None):
        """Computes the network with its kernels scaled."""
        scaled = [
            (layer.kernel, layer.kernel * self.scales[layer.name])
            for layer in self.network.layers
            if layer.name in self.scales
        ]
        with keras.StatelessScope(state_mapping=scaled) as scope:
            outputs = self.network(inputs, training=training)
        # States of random generators move, but no update leaves the scope.
        kernels = {id(kernel) for kernel, _ in scaled}
        for variable in self.network.non_trainable_variables:
            new = scope.get_current_value(variable)
            if new is not None and id(variable) not in kernels:
                variable.assign(new)
        return outputs

    @classmethod
    def adapt(
        cls, built: assembly.Assembly, options: model_options.ModelOptions
    ) -> method.Adapted:
        """Adds the factors to a network."""
        del options
        last = {*built.backbone.stages[-1].layer_names}
        convolutions = [
            layer
            for layer in built.backbone.model.layers
            if layer.name in last and isinstance(layer, keras.layers.Conv2D)
        ]
        scales = {
            layer.name: keras.Variable(
                np.ones(layer.filters, "float32"), name=f"{layer.name}_scale"
            )
            for layer in convolutions
        }

        def build_trainer(network: keras.Model) -> keras.Model:
            method.set_trainable(built, ())
            inputs = [keras.Input(each.shape[1:]) for each in network.inputs]
            inputs = inputs if len(inputs) > 1 else inputs[0]
            return keras.Model(inputs, cls(network, scales)(inputs))

        def merge() -> None:
            for layer in convolutions:
                scale = scales[layer.name]
                layer.kernel.assign(layer.kernel * scale)
                scale.assign(np.ones(layer.filters))

        return method.Adapted(
            trained={name: [scale] for name, scale in scales.items()},
            description=f"channels of {len(scales)} convolutions are scaled",
            build_trainer=build_trainer,
            merge=merge,
        )


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        places = {**catalog.METHODS._places, _OWN: ChannelScale.adapt}
        patch.setattr(catalog.METHODS, "_places", places)
        yield


# What they change is part of what `lora+norm` and `scale_shift` change.
_IN_OTHERS = ("bias", "lora", "norm")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(each, marks=[pytest.mark.campaign] * (each in _IN_OTHERS))
        for each in (*catalog.METHODS.names(), "lora+norm", _OWN)
    ],
)
def name(request) -> str:
    return request.param


@dataclasses.dataclass(frozen=True)
class _Case:
    """An adapted network and its compiled trainer."""

    built: assembly.Assembly
    adapted: method.Adapted
    trainer: keras.Model

    @property
    def trained(self) -> list[keras.Variable]:
        """Everything that may move: of the method, and the head's."""
        own = [v for each in self.adapted.trained.values() for v in each]
        return [*own, *self.built.head.trainable_variables]


def _build(name: str, choose: Callable | None = None, **settings) -> _Case:
    """Builds a network and its trainer, on pictures unless `choose` is given.

    Args:
        name: The method.
        choose: Case without a trainer → the network to train.
        **settings: Of the run.
    """
    config = options.from_keywords(
        train_config.TrainConfig,
        {
            "backbone": "small_cnn",
            "weights": "none",
            "image_size": _SIZE,
            "adaptation": name,
            "optimizer": "adam",
            "learning_rate": 0.05,
            "schedule": "constant",
            "epochs": _EPOCHS,
            "dropout": 0.2,
            "head": "mlp",
            "head_units": 4,
            **settings,
        },
    )
    task = classification.TASK
    built = assembly.build_model(config.model, task, _CLASSES, seed=0)
    adapted = method.get_method(name)(built, config.model)
    case = _Case(built, adapted, built.trainer)
    network = choose(case) if choose else built.trainer
    trainer = fine_tuning.compile_trainer(
        adapted.build_trainer(network),
        config,
        adapted=adapted,
        loss=task.network.loss(config.training, _CLASSES, None),
        metrics=(),
        num_examples=4 * _STEPS,
        settings=device_settings.choose_settings(
            device_settings.Device(kind="cpu", name="CPU"), "float32", onednn=""
        ),
    )
    return dataclasses.replace(case, trainer=trainer)


def _images() -> np.ndarray:
    shape = (4 * _STEPS, _SIZE, _SIZE, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def _labels() -> np.ndarray:
    return np.eye(3, dtype="float32")[np.arange(4 * _STEPS) % 3]


def _stage(inputs=None, **changes) -> stages.FitStage:
    pairs = (_images() if inputs is None else inputs, _labels())

    def batches(first_epoch: int, first_step: int) -> tf.data.Dataset:
        left = tf.data.Dataset.from_tensor_slices(pairs).batch(4)
        return left.repeat(_EPOCHS - first_epoch).skip(first_step)

    return stages.FitStage(
        name="test",
        epochs=_EPOCHS,
        steps_per_epoch=_STEPS,
        batches=batches,
        **changes,
    )


def _values(variables) -> list[np.ndarray]:
    return [np.array(each) for each in variables]


def _logits(model: keras.Model) -> np.ndarray:
    return np.asarray(model(_images(), training=False))


@dataclasses.dataclass(frozen=True)
class _Fitted:
    """A case that was trained, and its numbers from before it is merged."""

    case: _Case
    untrained: np.ndarray
    moved: set[int]
    trained: np.ndarray


@pytest.fixture(scope="module")
def fitted(name) -> _Fitted:
    case = _build(name)
    # Before training the output is that of the network.
    np.testing.assert_array_equal(
        _logits(case.trainer), _logits(case.built.trainer)
    )
    variables = [*case.trained, *case.built.trainer.variables]
    before, untrained = _values(variables), _logits(case.trainer)
    fit.fit(case.trainer, _stage())
    moved = {
        id(variable)
        for variable, old in zip(variables, before, strict=True)
        if not np.array_equal(np.array(variable), old)
    }
    return _Fitted(case, untrained, moved, _logits(case.trainer))


def test_its_variables_and_the_heads_move_and_no_others(fitted):
    expected = {*map(id, fitted.case.trained)}
    assert {*map(id, fitted.case.trainer.trainable_variables)} == expected
    # The head drops other features in every step.
    seeds = {
        id(v) for v in fitted.case.built.head.variables if "seed" in v.name
    }
    assert seeds
    assert fitted.moved == expected | seeds


def test_merged_layers_compute_what_was_trained(fitted):
    built, trained = fitted.case.built, fitted.trained
    plain = [type(each) for each in built.model.layers]
    assert np.abs(trained - fitted.untrained).max() > 0.01
    fitted.case.adapted.merge()
    for model in (built.trainer, fitted.case.trainer):
        np.testing.assert_allclose(_logits(model), trained, atol=1e-5)
    # Nothing is left to be merged again.
    fitted.case.adapted.merge()
    np.testing.assert_allclose(_logits(built.trainer), trained, atol=1e-5)
    assert [type(each) for each in built.model.layers] == plain
    assert {each.__module__.partition(".")[0] for each in plain} == {"keras"}


def test_the_plan_counts_what_moves_and_adam_holds_two_numbers_for_each(name):
    case = _build(name)
    rows = method.make_plan_rows(case.built, case.adapted)
    count = sum(math.prod(each.shape) for each in case.trained)
    assert sum(row.trainable for row in rows) == count
    assert case.adapted.description
    case.trainer.optimizer.build(case.trainer.trainable_variables)
    state = case.trainer.optimizer.variables
    # Adam's moments, the count of steps and the learning rate.
    assert sum(math.prod(each.shape) for each in state) == 2 * count + 2


class _Stopped(Exception):
    pass


class _Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations >= _STEPS + 2:
            raise _Stopped


def test_an_interrupted_stage_ends_bit_equal_and_merged(name, tmp_path):
    whole = _build(name)
    expected = fit.fit(whole.trainer, _stage())
    stage = _stage(folder=tmp_path, checkpoint_every_steps=1)
    with pytest.raises(_Stopped):
        fit.fit(_build(name).trainer, stage, callbacks=[_Stop()])
    resumed = _build(name)
    assert fit.fit(resumed.trainer, stage) == expected
    for case in (whole, resumed):
        case.adapted.merge()
    for ours, theirs in zip(
        resumed.built.model.get_weights(),
        whole.built.model.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def _find_boundary(case: _Case) -> freeze_boundary.Boundary:
    return freeze_boundary.find_boundary(
        case.built.trainer, {*case.adapted.trained, *case.built.head_layers}
    )


def test_the_part_above_the_boundary_is_trained_as_the_whole_is(name):
    whole = _build(name, dropout=0.0)
    fit.fit(whole.trainer, _stage())
    cached = _build(name, lambda each: _find_boundary(each).suffix, dropout=0.0)
    below = _find_boundary(cached)
    assert {*cached.adapted.trained} <= {e.name for e in below.suffix.layers}
    rows = inference.compile_step(below.build_prefix())(_images())
    inputs = keras.tree.flatten(rows)
    # Within a residual block two tensors cross the boundary.
    fit.fit(cached.trainer, _stage(tuple(inputs) if inputs[1:] else inputs[0]))
    for case in (whole, cached):
        case.adapted.merge()
    np.testing.assert_allclose(
        _logits(cached.built.trainer), _logits(whole.built.trainer), atol=1e-4
    )


def test_micro_batches_averages_and_half_precision_train_it(name):
    case = _build(name, gradient_accumulation_steps=2, ema_momentum=0.5)
    before = _values(case.trained)
    with device_settings.apply_policy(
        case.built.backbone.model, "mixed_bfloat16"
    ):
        fit.fit(case.trainer, _stage())
    for variable, old in zip(case.trained, before, strict=True):
        assert variable.dtype == "float32"
        assert not np.array_equal(np.array(variable), old)


def test_groups_of_pictures_train_it(name):
    def choose(case: _Case) -> keras.Model:
        built = case.built
        return keras.Model(
            built.trainer.inputs,
            [*built.trainer.outputs, *built.extractor.outputs],
        )

    case = _build(name, choose)
    grouped = group_model.build_trainer(
        case.adapted.build_trainer(choose(case))
    )
    assert {*map(id, grouped.trainable_variables)} == {*map(id, case.trained)}
    width = math.prod(case.built.extractor.output_shape[1:])
    outputs = grouped(_images()[:, None])
    assert outputs.shape == (4 * _STEPS, 1, len(_CLASSES) + width)


@pytest.fixture(scope="module")
def run(name, tmp_path_factory) -> run_module.Run:
    """A finished run that has read the cache, and whose fine-tuning is kept."""
    folder = tmp_path_factory.mktemp(name)
    return quiet.fine_tune(
        _write_pictures(folder / "pictures"),
        backbone="small_cnn",
        weights="digits",
        image_size=32,
        adaptation=name,
        learning_rate=2e-4,
        # Two epochs do not make up for a stronger penalty of the head.
        head_start_strength="probe",
        seed=3,
        epochs=2,
        batch_size=8,
        cache="on",
        cache_dir=str(folder / "cache"),
        workdir=str(folder / "run"),
        recipe="none",
    )


def _write_pictures(folder: pathlib.Path) -> pathlib.Path:
    """Writes noise whose hue, barely visible, is the class."""
    generator = np.random.default_rng(0)
    for channel, label in enumerate(_CLASSES):
        (folder / label).mkdir(parents=True)
        for number in range(12):
            pixels = generator.integers(0, 120, [40, 48, 3], dtype="uint8")
            pixels[..., channel] += 8
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def test_a_run_keeps_exports_and_repeats_it(run, name):
    place = run.workdir
    assert files.read_json(place / "evaluation.json")["kept"] == "fine_tune"
    assert files.read_json(place / "run.json")["cache"] == "on"
    assert f"--adaptation={name}\n" in (place / "run.flags").read_text()
    assert f"adaptation: {name} (" in (place / "plan.txt").read_text()
    written = quiet.export(str(place), ("keras", "saved_model"))
    proven = files.read_json(place / "export" / "parity.json")
    assert {*proven} == {path.name for path in written}
    config = run.model.get_config()
    assert {each["module"] for each in config["layers"]} == {"keras.layers"}
    # An adapter is also a file of its own, which gives the same model.
    assert (place / "adapter.h5").exists() == bool(catalog.list_adapters(name))
    if catalog.list_adapters(name):
        saved = adapter_file.read(place / "adapter.h5")
        merged = composition.build_adapted(saved, "digits")
        composition.load_numbers(saved, merged).merge()
        for ours, theirs in zip(
            merged.model.get_weights(), run.model.get_weights(), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
