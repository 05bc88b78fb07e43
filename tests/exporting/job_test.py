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
