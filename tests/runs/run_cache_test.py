"""The entries of the cache that belong to a run."""

import dataclasses

import numpy as np
import pytest

from tf_finetune.config import options
from tf_finetune.feature_cache import store as stores
from tf_finetune.runs import run_cache


def test_rows_are_divided_by_split_in_the_order_of_the_pictures(
    make_data, tmp_path
):
    data = make_data(train="ab", validation="a")
    store = stores.Store(tmp_path / "entry", width=1, dtype="float32")
    names = [picture.sha256 for picture in data.pictures]
    # Written in another order than they are read.
    store.put(names[::-1], np.float32([[30], [20], [10]]))
    rows = run_cache.split_rows(store, data)
    assert {split: each.all().tolist() for split, each in rows.items()} == {
        "train": [[10], [20]],
        "validation": [[30]],
    }


def test_view_0_is_the_picture_itself(sample_run):
    pictures = sample_run.data.split("train")
    names = [v.name for v in sample_run.cache.list_views(0, pictures)]
    assert names == [picture.sha256 for picture in pictures]


def test_views_of_a_picture_have_names_of_their_own(sample_run, fresh_cache):
    pictures = sample_run.data.split("train")[:2]
    views = [
        view.name
        for number in range(3)
        for view in fresh_cache.list_views(number, pictures)
    ]
    assert len({*views}) == 6


@pytest.fixture
def fresh_cache(sample_run, tmp_path):
    """An empty cache of the same network, for two augmented views."""
    import contextlib

    config = options.replace(
        sample_run.config,
        cache_dir=str(tmp_path / "cache"),
        augmentation="light",
        augmentation_views=3,
    )
    with contextlib.ExitStack() as held:
        yield run_cache.RunCache(
            config, sample_run.assembly, sample_run.networks, held
        )


def test_activations_of_all_pictures_give_the_features(sample_run, fresh_cache):
    pictures = sample_run.data.pictures[:5]
    names = [picture.sha256 for picture in pictures]
    fresh_cache.fill_features(pictures, with_rows=True)
    both = fresh_cache.features.rows(names).all()
    rows = fresh_cache.open_activations("float32")
    assert not rows.missing(names)
    # Where only the features are lost, no picture is decoded again.
    gone = [dataclasses.replace(p, path="gone.png") for p in pictures]
    fresh_cache.features = stores.Store(
        rows._folder.parent / "empty", width=both.shape[1], dtype="float32"
    )
    fresh_cache.fill_features(gone, with_rows=True)
    again = fresh_cache.features.rows(names).all()
    np.testing.assert_allclose(again, both, rtol=1e-4, atol=1e-5)


def test_augmented_views_follow_one_after_the_other(sample_run, fresh_cache):
    pictures = sample_run.data.split("train")[:3]
    store = fresh_cache.open_activations("float16")
    rows = fresh_cache.fill_augmented(pictures, store)
    assert rows.dtype == np.float16
    assert len(rows) == 2 * 3
    first = [view.name for view in fresh_cache.list_views(1, pictures)]
    np.testing.assert_array_equal(rows.all()[:3], store.rows(first).all())


def test_an_entry_is_opened_once_until_it_is_refreshed(fresh_cache):
    store = fresh_cache.open_activations("float32")
    assert fresh_cache.open_activations("float32") is store
    assert fresh_cache.open_activations("float16") is not store
    fresh_cache.refresh()
    assert fresh_cache.open_activations("float32") is not store


def test_room_is_bounded_by_the_option(fresh_cache):
    assert fresh_cache.make_room(10**6)
    assert not fresh_cache.make_room(10**15)
