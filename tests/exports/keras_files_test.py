"""The .keras file."""

import dataclasses
import zipfile

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.exports import keras_files
from tf_finetune.exports.parity import fresh_process


@pytest.fixture(scope="module")
def written(build_job, tmp_path_factory):
    """A file beside an export of before, and the job it was made of."""
    folder = tmp_path_factory.mktemp("written") / "export"
    files.write_json(folder / "parity.json", {"1": {"pictures": 9}})
    job = build_job(destination=folder)
    return keras_files.write_keras(job), job


def _assert_same(loaded, model):
    images = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3))
    np.testing.assert_allclose(
        loaded.predict_on_batch(images),
        model.predict_on_batch(images),
        atol=1e-6,
    )


def test_the_file_loads_with_plain_keras_and_computes_the_same(written, keras):
    path, job = written
    assert path == job.destination / "model.keras"
    loaded = keras.saving.load_model(path, safe_mode=True)
    _assert_same(loaded, job.model)


def test_parity_is_recorded_beside_other_exports(written):
    _, job = written
    record = files.read_json(job.destination / "parity.json")
    assert record["1"] == {"pictures": 9}
    assert record["model.keras"]["fresh process"]["top_1_agreement"] == 1.0


def test_a_failed_proof_keeps_the_file_that_was_there(make_job, tmp_path):
    path = keras_files.write_keras(make_job())
    before = path.read_bytes()

    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        keras_files.write_keras(make_job(spoil=1e-3))

    assert path.read_bytes() == before
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == ["model.keras", "parity.json"]


def test_a_mixed_precision_model_is_saved_in_float32(
    keras, make_job, mixed_model
):
    path = keras_files.write_keras(make_job(model=mixed_model))

    loaded = keras.saving.load_model(path)
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}


@pytest.fixture(scope="module")
def written_weights(build_job, tmp_path_factory):
    """A file that was asked for as a whole-model `.h5`, and its job."""
    folder = tmp_path_factory.mktemp("written_weights")
    job = build_job(destination=folder / "flowers.h5")
    return keras_files.write_weights(job), job


def test_a_whole_model_h5_asked_by_name_becomes_weights(written_weights):
    path, job = written_weights

    assert path == job.destination.with_name("flowers.weights.h5")
    assert path.exists()


def test_weights_load_into_the_same_graph(written_weights, keras):
    path, job = written_weights
    again = keras.models.clone_model(job.model)
    again.load_weights(path)
    for mine, theirs in zip(
        job.model.get_weights(), again.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_process_with_keras_alone_has_computed_the_same(written_weights):
    path, _ = written_weights
    figures = files.read_json(path.parent / "parity.json")[path.name]

    assert figures["fresh process"]["max_abs_difference"] <= 1e-5


def test_the_network_of_a_keras_file_takes_the_weights(
    written_weights, keras, tmp_path
):
    """As docs/exports.md tells users of weights alone."""
    path, job = written_weights
    job.model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        network = archive.read("config.json")

    model = keras.models.model_from_json(network)
    model.load_weights(path)

    images = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3))
    np.testing.assert_array_equal(
        model.predict_on_batch(images), job.model.predict_on_batch(images)
    )


def test_a_keras_file_asked_by_name_is_refused(make_job, tmp_path):
    with pytest.raises(errors.UsageError, match=r"end in \.weights\.h5"):
        keras_files.write_weights(
            make_job(destination=tmp_path / "flowers.keras")
        )


def test_a_failed_proof_leaves_no_file(make_job, tmp_path, monkeypatch):
    job = make_job()
    wrong = {"probabilities": job.proof.predictions + 1e-3}
    monkeypatch.setattr(fresh_process, "run_script", lambda *_: wrong)

    with pytest.raises(errors.RunError):
        keras_files.write_weights(job)

    assert list((tmp_path / "export").iterdir()) == []


def test_a_plain_network_loads_back_equal(make_job, keras):
    job = make_job()
    path = keras_files.write_whole_h5(job)

    assert path == job.destination / "model.h5"
    loaded = keras.saving.load_model(path, compile=False)
    _assert_same(loaded, job.model)
    record = files.read_json(path.parent / "parity.json")["model.h5"]
    assert record["fresh process"]["max_abs_difference"] <= 1e-5


def test_a_network_that_loads_back_wrong_is_refused_with_the_reason(
    keras, make_job, tmp_path
):
    # Keras does not take up the statistics of a Normalization that lies in a
    # network within a network.
    images = keras.Input([24, 24, 3])
    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (64, 24, 24, 3)))
    inner = keras.Model(images, layer(images))
    outer = keras.Input([24, 24, 3])
    x = keras.layers.GlobalAveragePooling2D()(inner(outer))
    model = keras.Model(outer, keras.layers.Dense(3, "softmax")(x))

    with pytest.raises(errors.RunError, match="--format=keras"):
        keras_files.write_whole_h5(make_job(model=model))

    assert list((tmp_path / "export").iterdir()) == []


def test_the_name_of_a_file_of_weights_is_refused(make_job, tmp_path):
    job = make_job(destination=tmp_path / "flowers.weights.h5")

    with pytest.raises(errors.UsageError, match=r"\.weights\.h5"):
        keras_files.write_whole_h5(dataclasses.replace(job))
