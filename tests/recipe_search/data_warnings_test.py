"""Tests of tf_finetune/recipe_search/data_warnings.py."""

import pytest

from tf_finetune.recipe_search import data_warnings
from tf_finetune.recipe_search import facts as fact_types


def _probe(accuracy, knn):
    return fact_types.ProbeFacts(
        log_loss=0.5, accuracy=accuracy, knn=knn, majority=0.5
    )


@pytest.mark.parametrize(
    ("accuracy", "knn", "words"),
    [
        (0.9, 0.9, []),
        (0.51, 0.5, ["hardly better than the most frequent class"]),
        (0.8, 0.95, ["near-duplicates"]),
        (None, 0.95, []),
    ],
)
def test_a_suspicious_probe_is_warned_of(make_facts, accuracy, knn, words):
    found = data_warnings.list_warnings(make_facts(probe=_probe(accuracy, knn)))
    assert len(found) == len(words)
    assert all(a in b for a, b in zip(words, found, strict=True))
