"""Tests of tf_finetune/metrics/evaluators.py."""

import numpy as np

from tf_finetune.metrics import evaluators


def test_what_is_collected_gives_figures_and_evidence_of_all_batches():
    judge = evaluators.CollectedPredictions(np.sum, np.max)
    for batch in ([1.0, 2.0], [3.0]):
        judge.add(np.array(batch))
    assert judge.figures() == 6.0
    assert judge.evidence() == 3.0
