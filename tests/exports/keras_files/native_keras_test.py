"""The .keras file."""

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.exports.keras_files import native_keras


@pytest.fixture(scope="module")
def written(build_job, tmp_path_factory):
    """A file beside an export of before, and the job it was made of."""
    folder = tmp_path_factory.mktemp("written") / "export"
    files.write_json(folder / "parity.json", {"1": {"pictures": 9}})
    job = build_job(destination=folder)
    return native_keras.write(job), job


def test_the_file_loads_with_plain_keras_and_computes_the_same(written, keras):
    path, job = written
    assert path == job.destination / "model.keras"
    loaded = keras.saving.load_model(path, safe_mode=True)
    images = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3))
    np.testing.assert_allclose(
        loaded.predict_on_batch(images),
        job.model.predict_on_batch(images),
        atol=1e-6,
    )


def test_parity_is_recorded_beside_other_exports(written):
    _, job = written
    record = files.read_json(job.destination / "parity.json")
    assert record["1"] == {"pictures": 9}
    assert record["model.keras"]["fresh process"]["top_1_agreement"] == 1.0


def test_a_failed_proof_keeps_the_file_that_was_there(make_job, tmp_path):
    path = native_keras.write(make_job())
    before = path.read_bytes()

    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        native_keras.write(make_job(spoil=1e-3))

    assert path.read_bytes() == before
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == ["model.keras", "parity.json"]


def test_a_mixed_precision_model_is_saved_in_float32(
    keras, make_job, mixed_model
):
    path = native_keras.write(make_job(model=mixed_model))

    loaded = keras.saving.load_model(path)
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}
