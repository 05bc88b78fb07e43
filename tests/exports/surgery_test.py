"""Networks that were operated on are saved and exported like others."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest

from tf_finetune import files
from tf_finetune.config import model_options, options, picture_options
from tf_finetune.data.images import decoding
from tf_finetune.exports import catalog
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import parity_check
from tf_finetune.model import assembly, inference
from tf_finetune.tasks import catalog as tasks

_CLASSES = ("a", "b", "c")
_OPERATIONS = {
    "cut": {"cut_at": "stage2"},
    "group": {"norm": "group"},
    "instance": {"norm": "instance"},
    "gray": {"input_channels": 1},
    "se": {"backbone": "resnet18+se", "cut_at": "stage3"},
    "head": {"head_layers": "8,batch_norm,swish,dropout:0.2,layer_norm"},
    "all": {
        "backbone": "resnet18+se",
        "cut_at": "stage3",
        "norm": "group",
        "input_channels": 1,
        "head_layers": "8,relu",
    },
}


def _built(operation):
    given = {"backbone": "small_cnn", "image_size": 32, **operation}
    asked = options.from_keywords(model_options.ModelOptions, given)
    task = tasks.TASKS.get("classification")
    return assembly.build_model(asked, task, _CLASSES, seed=0)


@pytest.fixture(scope="module", params=_OPERATIONS)
def job(request, pictures):
    """A model whose weights all matter, and what it says of pictures."""
    built = _built(_OPERATIONS[request.param])
    generator = np.random.default_rng(0)
    for variable in built.model.trainable_variables:
        # Blocks that begin as identities would say nothing.
        value = np.asarray(variable)
        noise = generator.normal(0, 0.05, value.shape)
        variable.assign(value + noise)
    images = np.stack(
        [
            np.asarray(decoding.load_file(p, picture_options.Square(32)))
            for p in pictures
        ]
    )
    _settle(built.model, images)
    predictions = inference.predict(built.model, [images])
    assert np.ptp(predictions, axis=0).max() > 1e-3
    return parity_check.measure_rounding(
        jobs.ExportJob(
            task="classification",
            model=built.model,
            class_names=_CLASSES,
            image_size=32,
            resize="squash",
            destination=pathlib.Path(request.param),
            proof=jobs.ParityReference(paths=pictures, predictions=predictions),
            measuring_seconds=0.0,
        )
    )


def _settle(model, images):
    """Gives batch norms the statistics of the pictures, as training does.

    With those of a fresh network features grow, and their rounding with them.
    """
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)
    for layer in norms:
        layer.momentum = 0.99


def test_what_is_saved_is_read_back_bit_equal(job, tmp_path):
    job.model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    for ours, theirs in zip(
        job.model.get_weights(), again.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    images = np.random.default_rng(0).uniform(0, 255, [2, 32, 32, 3])
    images = images.astype("float32")
    np.testing.assert_array_equal(again(images), job.model(images))


def _prove(job, form, folder):
    written = catalog.EXPORTS.get(form)(
        dataclasses.replace(job, destination=folder)
    )
    figures = files.read_json(folder / "parity.json")[written.name]
    assert figures["pictures"] == len(job.proof.paths)


def test_a_litert_file_is_proven(job, tmp_path):
    _prove(job, "litert", tmp_path)


def _proofs():
    """Lists other formats: of all changes, and in a campaign of each alone.

    What ONNX makes of a group and an instance norm is asked of each alone, too:
    it has no such operations.
    """
    for form in ("onnx", "keras", "saved_model"):
        for name in _OPERATIONS:
            is_norm = form == "onnx" and name in ("group", "instance")
            is_campaign = name != "all" and not is_norm
            marks = [pytest.mark.slow] + [pytest.mark.campaign] * is_campaign
            yield pytest.param(name, form, marks=marks)


@pytest.mark.parametrize(
    ("job", "form"), _proofs(), indirect=["job"], scope="module"
)
def test_other_formats_are_proven(job, form, tmp_path):
    _prove(job, form, tmp_path)
