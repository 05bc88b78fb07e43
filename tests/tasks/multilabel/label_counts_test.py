"""Tests of the counts and the matrix of labels."""

import numpy as np

from tf_finetune.tasks.multilabel import label_counts


def test_a_row_a_picture_in_the_order_of_the_names(data):
    got = label_counts.build_matrix(data.split("train"), data.class_names)
    assert got.dtype == "float32"
    np.testing.assert_array_equal(got, [[0, 1], [1, 1], [0, 0], [1, 0], [0, 1]])
