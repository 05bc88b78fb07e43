"""The .weights.h5 file."""

import zipfile

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.exports.keras_files import weights_h5
from tf_finetune.exports.parity import fresh_process


@pytest.fixture(scope="module")
def written(build_job, tmp_path_factory):
    """A file that was asked for as a whole-model `.h5`, and its job."""
    folder = tmp_path_factory.mktemp("written")
    job = build_job(destination=folder / "flowers.h5")
    return weights_h5.write(job), job


def test_a_whole_model_h5_asked_by_name_becomes_weights(written):
    path, job = written

    assert path == job.destination.with_name("flowers.weights.h5")
    assert path.exists()


def test_weights_load_into_the_same_graph(written, keras):
    path, job = written
    again = keras.models.clone_model(job.model)
    again.load_weights(path)
    for mine, theirs in zip(
        job.model.get_weights(), again.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_process_with_keras_alone_has_computed_the_same(written):
    path, _ = written
    figures = files.read_json(path.parent / "parity.json")[path.name]

    assert figures["fresh process"]["max_abs_difference"] <= 1e-5


def test_the_network_of_a_keras_file_takes_the_weights(
    written, keras, tmp_path
):
    """As docs/exports.md tells users of weights alone."""
    path, job = written
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
        weights_h5.write(make_job(destination=tmp_path / "flowers.keras"))


def test_a_failed_proof_leaves_no_file(make_job, tmp_path, monkeypatch):
    job = make_job()
    wrong = {"probabilities": job.proof.predictions + 1e-3}
    monkeypatch.setattr(fresh_process, "run_script", lambda *_: wrong)

    with pytest.raises(errors.RunError):
        weights_h5.write(job)

    assert list((tmp_path / "export").iterdir()) == []
