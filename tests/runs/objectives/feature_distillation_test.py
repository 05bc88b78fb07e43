"""The scale of features that distillation is measured by."""

import types

import numpy as np
import tensorflow as tf

from tf_finetune.feature_cache import store as stores
from tf_finetune.runs.objectives import feature_distillation, grouped_training


def _rows(tmp_path, values):
    values = np.float32(values)
    store = stores.Store(
        tmp_path / "entry", width=values.shape[1], dtype="float32"
    )
    names = [f"{number:064d}" for number in range(len(values))]
    store.put(names, values)
    return store.rows(names)


def test_variance_is_the_mean_over_features(tmp_path):
    values = np.random.default_rng(0).normal(3, 2, [50, 4])
    found = feature_distillation._compute_variance(_rows(tmp_path, values))
    np.testing.assert_allclose(
        found, np.float32(values).var(axis=0).mean(), rtol=1e-5
    )


def test_rows_are_taken_by_their_places(tmp_path):
    rows = _rows(tmp_path, np.arange(8.0).reshape(4, 2))
    found = feature_distillation._take_rows(rows, tf.constant([2, 0]))
    np.testing.assert_array_equal(found, [[4, 5], [0, 1]])
    assert found.shape == (2, 2)


def test_a_step_holds_as_many_pictures_as_the_batch_size_allows(fresh_run):
    # Batches of 8 pictures, groups of 3: two groups a step.
    found = grouped_training._count_groups_as_batch(fresh_run, 3)
    assert found.config.training.batch_size == 2
    # A group is never divided.
    found = grouped_training._count_groups_as_batch(fresh_run, 9)
    assert found.config.training.batch_size == 1


def test_targets_and_logits_have_the_shapes_of_the_task(fresh_run):
    form = grouped_training.make_form(fresh_run, fresh_run.targets("train"))
    assert (form.target, form.logits) == ((2,), (2,))
    assert form.dtype == "float32"


def test_groups_are_dealt_of_labeled_and_unlabeled_pictures(fresh_run):
    pool = types.SimpleNamespace(pictures=fresh_run.data.split("test"))
    given = types.SimpleNamespace(context=fresh_run, pool=pool)
    dealt = grouped_training.make_groups(given, lambda images: images)
    assert len(dealt) == len(fresh_run.data.split("train"))
    assert dealt.beside == fresh_run.config.unlabeled.unlabeled_ratio
