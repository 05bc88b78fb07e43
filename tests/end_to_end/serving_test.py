"""What is served is what was evaluated, whatever training did."""

import pathlib
import re
import shutil

import keras
import numpy as np
import pytest
import quiet
import tensorflow as tf
from PIL import Image
from scipy import special

import tf_finetune
from tf_finetune import files
from tf_finetune.config import picture_options
from tf_finetune.data.images import decoding
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import fresh_process
from tf_finetune.exports.saved_model import image_saved_model
from tf_finetune.metrics import temperature_scaling
from tf_finetune.model import inference
from tf_finetune.runs import parity_record
from tf_finetune.workdir import recorded_config, workdir_files

_SCRIPT = fresh_process.RUNTIMES / "saved_model.py"


@pytest.fixture(
    scope="module",
    params=[
        "mixed_bfloat16",
        # What is exported is float32 after either, as precision_test.py shows.
        pytest.param("mixed_float16", marks=pytest.mark.campaign),
    ],
)
def trained(request, mixed_runs):
    """A run with augmentation, all weights moving in mixed precision."""
    run, _ = mixed_runs(request.param)
    config = recorded_config.load_config(workdir_files.Workdir(run.workdir))
    assert config.training.augmentation == "light"
    return run


def _ask(version, paths):
    contents = [pathlib.Path(path).read_bytes() for path in paths]
    answer = fresh_process.run_script(
        _SCRIPT,
        version,
        {
            "serving_default/image_bytes": fresh_process.make_string_array(
                contents
            )
        },
    )
    return {key.partition("/")[2]: each for key, each in answer.items()}


def test_encoded_pictures_give_what_the_evaluation_gave(trained):
    (version,) = quiet.export(trained.workdir)

    kept = parity_record.read_record(workdir_files.Workdir(trained.workdir), 64)
    answer = _ask(version, kept.paths)

    np.testing.assert_allclose(
        answer["probabilities"], kept.predictions, rtol=0, atol=1e-5
    )
    assert answer["probabilities"].dtype == np.float32
    assert version.parent.joinpath("model.config").read_text().count('"run"')


def test_augmentation_inside_a_model_is_not_served(run, tmp_path):
    # What many guides teach: augmentation as the model's first layers. Keras'
    # own export keeps it in what is served.
    model = _with_augmentation(run.model)
    paths = _coarse_pictures(tmp_path)
    contents = [pathlib.Path(path).read_bytes() for path in paths]
    images = tf.stack(
        [
            decoding.load_bytes(each, picture_options.Square(32))
            for each in contents
        ]
    )
    evaluated = run.model.predict_on_batch(images)
    job = jobs.ExportJob(
        task="classification",
        model=model,
        class_names=run.class_names,
        image_size=32,
        resize="squash",
        destination=tmp_path / "ours",
        proof=jobs.ParityReference(paths=paths, predictions=evaluated),
        measuring_seconds=0.0,
    )
    model.export(tmp_path / "plain", verbose=False)

    ours = _ask(image_saved_model.write(job), paths)["probabilities"]
    loaded = tf.saved_model.load(str(tmp_path / "plain"))
    plain = loaded.serve(images).numpy()

    assert np.abs(ours - evaluated).max() <= 1e-5
    assert np.abs(plain - evaluated).max() > 1e-3


def _coarse_pictures(folder):
    """Writes pictures of no class, of which the network is not sure."""
    generator = np.random.default_rng(0)
    paths = []
    for index in range(8):
        coarse = generator.integers(0, 256, [4, 4, 3], dtype="uint8")
        path = folder / f"{index}.png"
        Image.fromarray(coarse).resize([32, 32]).save(path)
        paths.append(str(path))
    return tuple(paths)


def _with_augmentation(inner):
    images = keras.Input(inner.input_shape[1:])
    augmented = keras.layers.RandomFlip()(images)
    augmented = keras.layers.RandomRotation(0.3)(augmented)
    augmented = keras.layers.RandomZoom(0.5)(augmented)
    return keras.Model(images, inner(augmented))


def test_an_export_can_be_calibrated_and_tell_what_is_strange(
    run, tmp_path, monkeypatch
):
    # The run makes no mistake, of which a temperature could be learned.
    found = temperature_scaling.Calibration(
        temperature=2.0,
        examples=9,
        log_loss=(0.5, 0.25),
        expected_calibration_error=(0.2, 0.1),
    )
    monkeypatch.setattr(
        temperature_scaling, "fit_temperature", lambda *arguments: found
    )
    before = (run.workdir / "model.keras").read_bytes()
    said = []

    version, file = tf_finetune.export(
        run.workdir,
        "saved_model,keras",
        calibrate=True,
        cache_dir=str(tmp_path / "cache"),
        out_of_distribution=True,
        output=str(tmp_path / "export"),
        report=said.append,
    )

    kept = parity_record.read_record(workdir_files.Workdir(run.workdir), 64)
    answer = _ask(version, kept.paths)
    logits = np.log(kept.predictions)
    np.testing.assert_allclose(
        answer["probabilities"], special.softmax(logits / 2, axis=1), atol=1e-4
    )
    model = keras.Model(run.model.inputs, run.model.get_layer("logits").output)
    images = [tf.io.decode_png(tf.io.read_file(path), 3) for path in kept.paths]
    images = tf.image.resize(images, run.model.input_shape[1:3], antialias=True)
    energy = -special.logsumexp(inference.predict(model, [images]), axis=1)
    np.testing.assert_allclose(answer["ood_score"], energy, atol=1e-3)
    assert found.format_line() in said
    record = files.read_json(version.parent / "parity.json")["1"]
    assert record["temperature"]["log_loss"] == [0.5, 0.25]
    loaded = keras.saving.load_model(file)
    np.testing.assert_allclose(
        loaded.predict_on_batch(images), answer["probabilities"], atol=1e-3
    )
    assert (run.workdir / "model.keras").read_bytes() == before


@pytest.mark.real
def test_a_run_with_mistakes_is_calibrated_on_its_validation_pictures(
    ants_and_bees, tmp_path
):
    (version,) = quiet.export(
        ants_and_bees,
        calibrate=True,
        cache_dir=str(tmp_path / "cache"),
        output=str(tmp_path / "export"),
    )

    record = files.read_json(version.parent / "parity.json")["1"]
    found = record["temperature"]
    assert found["examples"] == 153
    validation = files.read_json(ants_and_bees / "evaluation.json")[
        "validation"
    ]
    assert found["log_loss"][0] == pytest.approx(
        validation["log_loss"], rel=1e-4
    )
    assert found["log_loss"][1] < found["log_loss"][0]


def test_calibrating_writes_where_the_caller_says_not_the_workdir(
    run, tmp_path
):
    folder = tmp_path / "copied"
    shutil.copytree(run.workdir, folder)
    flags = (folder / "run.flags").read_text()
    foreign = re.sub(
        r"--cache_dir=.*", f"--cache_dir={tmp_path / 'elsewhere'}", flags
    )
    assert foreign != flags
    (folder / "run.flags").write_text(foreign)
    quiet.export(
        folder,
        "keras",
        calibrate=True,
        cache_dir=str(tmp_path / "cache"),
        output=str(tmp_path / "export"),
    )
    assert (tmp_path / "cache").is_dir()
    assert not (tmp_path / "elsewhere").exists()
