"""Tests of tf_finetune/feature_cache/fill.py."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune import files
from tf_finetune.config import picture_options
from tf_finetune.data import pipeline
from tf_finetune.feature_cache import fill
from tf_finetune.feature_cache import store as stores


@pytest.fixture
def paths(tmp_path) -> list[str]:
    found = []
    for number in range(7):
        pixels = np.random.default_rng(number % 6).integers(0, 256, (16, 16, 3))
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels.astype("uint8")).save(path)
        found.append(str(path))
    return found


@pytest.fixture
def asked(monkeypatch) -> list[list[str]]:
    """The paths of each pass over pictures as they are."""
    calls = []
    real = pipeline.build_evaluation_images

    def spy(paths, square, **keywords):
        calls.append(list(paths))
        return real(paths, square, **keywords)

    monkeypatch.setattr(pipeline, "build_evaluation_images", spy)
    return calls


def _views(paths, number=0, level="light", seed=0) -> list[fill.View]:
    return fill.make_views(
        paths,
        [files.sha256(path) for path in paths],
        number=number,
        level=level,
        seed=seed,
    )


def _store(folder, width=3) -> stores.Store:
    return stores.Store(folder, width=width, dtype="float32")


def _means(images: tf.Tensor) -> list[tf.Tensor]:
    return [tf.reduce_mean(images, axis=[1, 2])]


def _fill(into, network, wanted, level="none", batch_size=2) -> None:
    fill.fill_stores(
        into,
        network,
        wanted,
        batch_size=batch_size,
        level=level,
        title="Rows",
        square=picture_options.Square(16),
    )


def _rows(store, wanted) -> np.ndarray:
    return store.rows([view.name for view in wanted]).all()


def test_rows_are_the_networks_in_the_order_of_the_pictures(paths, tmp_path):
    store = _store(tmp_path / "s")
    _fill([store], _means, _views(paths))
    expected = [
        np.asarray(Image.open(path)).mean(axis=(0, 1)) for path in paths
    ]
    np.testing.assert_allclose(_rows(store, _views(paths)), expected, rtol=1e-5)


def test_only_unknown_contents_are_computed_each_once(paths, tmp_path, asked):
    store = _store(tmp_path / "s")
    _fill([store], _means, _views(paths[:3]))
    _fill([store], _means, _views([*paths, paths[1]]))
    assert asked == [paths[:3], paths[3:6]]  # 6 is 0 again.
    _fill([_store(tmp_path / "s")], _means, _views(paths))
    assert len(asked) == 2


def test_one_pass_fills_what_each_of_two_stores_lacks(paths, tmp_path, asked):
    wide, narrow = _store(tmp_path / "w", 4), _store(tmp_path / "n")
    _fill([narrow], _means, _views(paths[:2]))

    def both(images):
        (means,) = _means(images)
        return [tf.pad(means, [[0, 0], [0, 1]]), means]

    _fill([wide, narrow], both, _views(paths))
    assert asked[1] == paths[:6]
    np.testing.assert_array_equal(
        _rows(wide, _views(paths))[:, :3], _rows(narrow, _views(paths))
    )
    assert len([*(tmp_path / "n").glob("*.rows")]) == 2


def test_a_killed_pass_goes_on_where_it_stopped(
    paths, tmp_path, asked, monkeypatch
):
    monkeypatch.setattr(fill, "_SECONDS_PER_SHARD", 0.0)
    done = []

    def dies(images):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(images)
        return _means(images)

    store = _store(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        _fill([store], dies, _views(paths[:6]))
    again = _store(tmp_path / "s")
    _fill([again], _means, _views(paths[:6]))
    assert asked[1] == paths[4:6]
    whole = _store(tmp_path / "t")
    _fill([whole], _means, _views(paths[:6]))
    np.testing.assert_array_equal(
        _rows(again, _views(paths[:6])), _rows(whole, _views(paths[:6]))
    )


@pytest.mark.parametrize("killed_at", range(4))
def test_a_killed_pass_goes_on_in_the_same_batches(
    paths, tmp_path, asked, monkeypatch, killed_at
):
    # One store fills a shard with each batch, the other one never does.
    monkeypatch.setattr(fill, "_BYTES_PER_SHARD", 4 * 100)
    stores = [_store(tmp_path / "n"), _store(tmp_path / "w", 100)]
    done = []

    def dies(images):
        if len(done) == killed_at:
            raise KeyboardInterrupt
        done.append(images)
        (means,) = _means(images)
        return [means, tf.pad(means, [[0, 0], [0, 97]])]

    wanted = _views(paths[:6])
    if killed_at < 3:
        with pytest.raises(KeyboardInterrupt):
            _fill(stores, dies, wanted)
    else:
        _fill(stores, dies, wanted)
    for store in stores:
        missing = store.missing(view.name for view in wanted)
        assert missing == [view.name for view in wanted[2 * killed_at :]]


def _pixels(images: tf.Tensor) -> list[tf.Tensor]:
    return [tf.reshape(images, [-1, 16 * 16 * 3])]


def _changed(folder, paths, batch_size=2, **keywords) -> np.ndarray:
    store = _store(folder, 16 * 16 * 3)
    wanted = _views(paths, **keywords)
    _fill(
        [store],
        _pixels,
        wanted,
        level=keywords.get("level", "light"),
        batch_size=batch_size,
    )
    return _rows(store, wanted)


def test_a_view_depends_on_content_number_level_and_seed_alone(paths, tmp_path):
    first = _changed(tmp_path / "a", paths, number=1)
    alone = _changed(tmp_path / "b", paths[3:4], number=1, batch_size=1)
    np.testing.assert_allclose(alone[0], first[3], atol=1e-3)
    np.testing.assert_array_equal(first[0], first[6])  # The same content.
    for number, other in enumerate(({"number": 2}, {"number": 1, "seed": 1})):
        found = _changed(tmp_path / f"c{number}", paths, **other)
        assert np.abs(found - first).max(axis=1).min() > 1


def test_views_of_one_picture_differ_from_it(paths, tmp_path):
    plain = _changed(tmp_path / "a", paths, number=0)
    assert np.abs(_changed(tmp_path / "b", paths, number=1) - plain).max() > 1
    assert _views(paths, number=0)[0].name == files.sha256(paths[0])
    names = {
        _views(paths, number=1, level=level)[0].name
        for level in ("light", "medium")
    }
    assert len(names) == 2
