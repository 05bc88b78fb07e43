"""What an exporter is given; needs no TensorFlow."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.exporting import job


def test_a_proof_needs_a_row_for_each_picture():
    with pytest.raises(errors.UsageError, match="2 pictures and 1 rows"):
        job.Proof(paths=("a", "b"), probabilities=np.ones([1, 2]))


def test_a_proof_needs_a_picture():
    with pytest.raises(errors.UsageError, match="0 pictures"):
        job.Proof(paths=(), probabilities=np.ones([0, 2]))


def _job(tmp_path, name):
    proof = job.Proof(paths=("a",), probabilities=np.ones([1, 2]))
    return job.ExportJob(
        model=None,
        class_names=("a", "b"),
        image_size=8,
        resize="squash",
        destination=tmp_path / name,
        proof=proof,
    )


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".keras"])
def test_a_file_may_be_named_by_its_own_suffix(tmp_path, suffix):
    named = _job(tmp_path, f"flowers{suffix}")
    assert named.file("model", suffix) == tmp_path / f"flowers{suffix}"


def test_a_file_of_another_format_is_refused(tmp_path):
    with pytest.raises(errors.UsageError, match=r"end in \.onnx"):
        _job(tmp_path, "flowers.tflite").file("model", ".onnx")


def test_anything_else_is_a_folder(tmp_path):
    named = _job(tmp_path, "out.v2")
    assert named.file("model", ".onnx") == tmp_path / "out.v2" / "model.onnx"
