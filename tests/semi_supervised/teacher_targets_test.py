"""Targets that hold the logits of a teacher for each view."""

import numpy as np

from tf_finetune.data import split_targets
from tf_finetune.semi_supervised import teacher_targets


def test_a_row_is_label_then_logits_of_its_view_then_shares():
    labels = np.eye(2, dtype="float32")[[0, 1, 1]]
    logits = np.arange(4 * 3 * 2).reshape(4, 3, 2)
    targets = teacher_targets.TeacherTargets(
        split_targets.ArrayTargets(labels),
        logits,
        share=np.array([0.5, 1.0, 0.25]),
        unlabeled=np.array([False, True, False]),
    )
    assert len(targets) == 3
    found = targets.batch(np.array([1, 0]), np.array([3, 1]))
    np.testing.assert_array_equal(
        found, [[0, 1, *logits[3, 1], 1, 1], [1, 0, *logits[1, 0], 0.5, 0]]
    )
