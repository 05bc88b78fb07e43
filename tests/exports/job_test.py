"""What an exporter is given; needs no TensorFlow."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.exports import job


def test_a_proof_needs_a_row_for_each_picture():
    with pytest.raises(errors.UsageError, match="2 pictures and 1 rows"):
        job.ParityReference(paths=("a", "b"), predictions=np.ones([1, 2]))


def test_a_proof_needs_a_picture():
    with pytest.raises(errors.UsageError, match="0 pictures"):
        job.ParityReference(paths=(), predictions=np.ones([0, 2]))


def _job(tmp_path, name):
    proof = job.ParityReference(paths=("a",), predictions=np.ones([1, 2]))
    return job.ExportJob(
        task="classification",
        model=None,
        class_names=("a", "b"),
        image_size=8,
        resize="squash",
        destination=tmp_path / name,
        proof=proof,
    )


def test_the_file_lies_where_the_job_says(tmp_path):
    named = _job(tmp_path, "out.v2")
    assert named.file("model", ".onnx") == tmp_path / "out.v2" / "model.onnx"
