"""Classes of pictures without labels."""

import numpy as np

from tf_finetune.tasks.classification import pseudo_labels

_NAMES = ("ant", "bee")


def test_labels_are_the_surest_of_each_class():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]])
    found = pseudo_labels.PSEUDO_LABELS.labels(
        scores, np.eye(2), _NAMES, share=0.5
    )
    assert found == ["ant", None, "bee", None]


def test_a_guess_is_right_or_not():
    rows = pseudo_labels.PSEUDO_LABELS.rows(["bee", "ant"], _NAMES)
    np.testing.assert_array_equal(rows, [[0, 1], [1, 0]])
    compare = pseudo_labels.PSEUDO_LABELS.count_correct
    assert compare("bee", rows[0], _NAMES) == (1, 1)
    assert compare("ant", rows[0], _NAMES) == (0, 1)
