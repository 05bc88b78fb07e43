"""Training in mixed precision leaves nothing but float32 behind."""

import keras
import numpy as np
import pytest
import quiet

from tf_finetune.exports import float32_model
from tf_finetune.training import history

# Numbers of optimized graphs are what these tests are about.
pytestmark = pytest.mark.optimizer

_MIXED = ("mixed_float16", "mixed_bfloat16")


def _train(train, pictures, place, **changes):
    return train(pictures, place, **{"trainable": "all", **changes})


@pytest.fixture(scope="module")
def runs(pictures, train, mixed_runs, tmp_path_factory):
    """A run in each precision, and what it said."""
    place = tmp_path_factory.mktemp("float32") / "run"
    exact = _train(train, pictures, place, precision="float32")
    return {name: mixed_runs(name) for name in _MIXED} | {"float32": exact}


@pytest.mark.parametrize("name", _MIXED)
def test_everything_saved_is_float32(runs, name):
    run, text = runs[name]
    assert f"{name} (as requested" in text.splitlines()[0]
    assert float32_model.is_float32(run.model)
    for path in (run.workdir / "model.keras", *_exported(run)):
        loaded = keras.saving.load_model(path)
        assert float32_model.is_float32(loaded)
        images = _images(run)
        np.testing.assert_allclose(loaded(images), run.model(images), atol=1e-6)


def _exported(run):
    return quiet.export(run.workdir, "keras")


def _images(run) -> np.ndarray:
    size = run.model.input_shape[1]
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, [4, size, size, 3]).astype("float32")


@pytest.mark.parametrize("name", _MIXED)
def test_training_did_compute_in_it(runs, name):
    losses = [row["loss"] for row in runs[name][0].history]
    exact = [row["loss"] for row in runs["float32"][0].history]
    assert losses != exact
    np.testing.assert_allclose(losses, exact, rtol=0.05, atol=0.01)


def test_the_evaluation_is_that_of_the_saved_model(runs):
    run, _ = runs["mixed_float16"]
    again = quiet.evaluate(run.workdir)
    assert again["validation"]["log_loss"] == pytest.approx(
        run.evaluation["validation"]["log_loss"], rel=1e-5
    )


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    runs, pictures, train, tmp_path, monkeypatch
):
    name = "mixed_float16"  # Its loss scale is part of the state.

    class Killed(Exception):
        pass

    def killed(*arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(history, "write", killed)
        with pytest.raises(Killed):
            _train(train, pictures, tmp_path / "run", precision=name)
    assert any((tmp_path / "run" / "checkpoints").glob("*.checkpoint"))
    run, _ = _train(train, pictures, tmp_path / "run", precision=name)
    for mine, theirs in zip(
        run.model.get_weights(), runs[name][0].model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert run.history == runs[name][0].history


def test_what_lies_above_the_cache_trains_in_it_too(
    pictures, settings, tmp_path
):
    losses = {}
    for name in ("float32", "mixed_bfloat16"):
        run, _ = _train(
            pictures,
            settings,
            tmp_path / name,
            precision=name,
            trainable="top",
            augmentation="none",
            cache="on",
        )
        assert float32_model.is_float32(run.model)
        losses[name] = [row["loss"] for row in run.history]
    assert losses["mixed_bfloat16"] != losses["float32"]
    np.testing.assert_allclose(*losses.values(), rtol=0.05, atol=0.01)
