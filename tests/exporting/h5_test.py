"""The .weights.h5 file."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.exporting import h5


def test_weights_load_into_the_same_graph(make_job, keras):
    job = make_job()
    path = h5.write(job)

    assert path == job.destination / "model.weights.h5"
    fresh = keras.models.clone_model(job.model)
    fresh.load_weights(path)
    for mine, theirs in zip(
        job.model.get_weights(), fresh.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_whole_model_h5_asked_by_name_becomes_weights(make_job, tmp_path):
    path = h5.write(make_job(destination=tmp_path / "flowers.h5"))

    assert path == tmp_path / "flowers.weights.h5"
    assert path.exists()


def test_a_keras_file_asked_by_name_is_refused(make_job, tmp_path):
    with pytest.raises(errors.UsageError, match=r"end in \.weights\.h5"):
        h5.write(make_job(destination=tmp_path / "flowers.keras"))


def test_a_failed_proof_leaves_no_file(make_job, tmp_path):
    with pytest.raises(errors.RunError):
        h5.write(make_job(spoil=1e-3))

    assert list((tmp_path / "export").iterdir()) == []
