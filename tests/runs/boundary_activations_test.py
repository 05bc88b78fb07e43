"""Activations at the freeze boundary and the precision of their views."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.config import options
from tf_finetune.runs import boundary_activations


@pytest.fixture
def identity_context(make_context):
    """A context whose rows are the logits of a classifier."""
    return make_context(
        {"train": "ab", "validation": "abab"},
        networks=types.SimpleNamespace(
            boundary=types.SimpleNamespace(tensors=lambda rows: rows),
            suffix=tf.identity,
        ),
    )


class _Rows:
    """Rows in memory."""

    def __init__(self, rows):
        self._rows, self.width = np.float32(rows), len(rows[0])
        self.dtype = self._rows.dtype

    def __len__(self):
        return len(self._rows)

    def take(self, indices):
        return self._rows[indices]

    def select(self, indices):
        return _Rows(self._rows[indices])


_PRECISE = [[4, 0], [0, 4], [4, 0], [0, 4]]
# 3000.1 and 3000.0 are one number of float16.
_TOO_CLOSE = [[3000.1, 3000.0], [3000.0, 3000.1]] * 2
_TOO_LARGE = [[70_000, 0], [0, 4], [4, 0], [0, 4]]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(_PRECISE, "float16"), (_TOO_CLOSE, "float32"), (_TOO_LARGE, "float32")],
)
def test_views_are_float16_where_that_gives_the_same_figures(
    identity_context, rows, expected
):
    found = boundary_activations._choose_view_dtype(
        identity_context, _Rows(rows)
    )
    assert found == expected
    recorded = boundary_activations.load_choices(identity_context.shared)
    assert recorded == {"views": expected}


def test_both_results_are_logged(identity_context, caplog):
    caplog.set_level("INFO")
    boundary_activations._choose_view_dtype(identity_context, _Rows(_PRECISE))
    assert "augmented views are stored as float16" in caplog.text
    assert "on 4 validation pictures" in caplog.text
    assert caplog.text.count("accuracy 1.000") == 2


def test_all_views_of_training_pictures_are_computed(fresh_run):
    context = dataclasses.replace(
        fresh_run,
        config=options.replace(
            fresh_run.config, augmentation="light", augmentation_views=2
        ),
        cache=fresh_run.cache,
    )
    fresh_run.cache.fill_features(context.data.pictures, with_rows=True)
    found = boundary_activations.compute_activations(context)
    train = len(context.data.split("train"))
    assert {split: len(rows) for split, rows in found.rows.items()} == {
        split: len(context.data.split(split)) for split in context.data.splits
    }
    assert found.rows["train"].dtype == np.float32
    # The cache was opened for one view: views beyond it are not in it.
    assert len(found.views) >= train
