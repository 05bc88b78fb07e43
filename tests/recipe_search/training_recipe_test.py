"""Tests of tf_finetune/recipe_search/training_recipe.py: runs of a tiny set."""

import json
import pathlib

import h5py
import numpy as np
import pytest
from PIL import Image

import tf_finetune
from tf_finetune import errors, workflow
from tf_finetune.config import options, train_config
from tf_finetune.recipe_search import candidates, trials
from tf_finetune.training import fit
from tf_finetune.training.checkpoints import checkpoint_store
from tf_finetune.workdir import recorded_config, workdir_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keywords(tmp_path_factory):
    """Settings of runs on 30 pictures that brightness tells apart."""
    folder = tmp_path_factory.mktemp("recipe")
    generator = np.random.default_rng(0)
    for name, brightness in (("bright", 120), ("dark", 0)):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(15):
            pixels = generator.integers(0, 120, [32, 32, 3], dtype="uint8")
            Image.fromarray(pixels + np.uint8(brightness)).save(
                folder / "data" / name / f"{number}.png"
            )
    return {
        "data": str(folder / "data"),
        "backbone": "small_cnn",
        "weights": "digits",
        "image_size": 32,
        "epochs": 2,
        "batch_size": 8,
        # So that two trials are left: of the top and of all layers.
        "learning_rate": 1e-3,
        "augmentation": "none",
        "cache_dir": str(folder / "cache"),
    }


def _train(keywords, workdir, **changes):
    return tf_finetune.fine_tune(
        **{**keywords, **changes}, workdir=str(workdir), report=lambda t: None
    )


@pytest.fixture(scope="module")
def trained(keywords, tmp_path_factory):
    """A finished run with a recipe, whose second trial was interrupted."""
    folder = tmp_path_factory.mktemp("runs")
    measure, tried = trials.TrialNetwork.run, []

    def run(network, candidate):
        tried.append(candidate.trainable)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return measure(network, candidate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials.TrialNetwork, "run", run)
        with pytest.raises(KeyboardInterrupt):
            _train(keywords, folder / "auto")
        _train(keywords, folder / "auto")
    # The first trial is not measured again, the second one is.
    assert tried == [("top",), ("all",), ("all",)]
    return folder / "auto"


@pytest.fixture(scope="module")
def taken_over(keywords, tmp_path_factory):
    """A run whose trials learned from all its training pictures.

    Dropout draws from a generator whose state moves in every trial. A run of
    another seed was stopped in the same workdir before.
    """
    folder = tmp_path_factory.mktemp("taken_over") / "auto"
    free = {k: v for k, v in keywords.items() if k != "learning_rate"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "FEWEST_VALIDATION", 1)
        epochs = _count_epochs(patch)
        patch.setattr(trials.TrialNetwork, "run", _stop_after(1))
        with pytest.raises(KeyboardInterrupt):
            _train(free, folder, dropout=0.3, seed=1)
        patch.setattr(trials.TrialNetwork, "run", _RUN)
        _stop_after_an_epoch(patch, trainable="all")
        with pytest.raises(KeyboardInterrupt):
            _train(free, folder, dropout=0.3)
        _train(free, folder, dropout=0.3)
    # One of the other seed, four of the top, the rest of that of all layers,
    # and none of the run itself.
    assert epochs == [2] + 4 * [2] + [1]
    return folder


_RUN = trials.TrialNetwork.run


def _stop_after(count):
    tried = []

    def run(network, candidate):
        if len(tried) == count:
            raise KeyboardInterrupt
        tried.append(candidate)
        return _RUN(network, candidate)

    return run


def _stop_after_an_epoch(patch, trainable):
    """Stops the first trial of these layers behind its first checkpoint."""
    save, layers = checkpoint_store.CheckpointStore.save, []
    run = trials.TrialNetwork.run

    def note(network, candidate):
        layers.append(",".join(candidate.trainable))
        return run(network, candidate)

    def stop(store, progress, sums):
        save(store, progress, sums)
        if layers.count(trainable) == 1 and progress.epochs_done == 1:
            raise KeyboardInterrupt

    patch.setattr(trials.TrialNetwork, "run", note)
    patch.setattr(checkpoint_store.CheckpointStore, "save", stop)


def _count_epochs(patch):
    """Returns a list that each call of `model.fit` adds its epochs to."""
    train, epochs = fit._fit_epochs, []

    def count(model, stage, keeper, callbacks):
        before = keeper.progress.epochs_done
        train(model, stage, keeper, callbacks)
        epochs.append(keeper.progress.epochs_done - before)

    patch.setattr(fit, "_fit_epochs", count)
    return epochs


def test_the_run_goes_on_from_the_checkpoint_of_the_best_trial(taken_over):
    content = json.loads((taken_over / "recipe.json").read_text())
    assert len(content["trials"]) == 5
    # The one that was stopped within: a replay has its bits.
    chosen = {each["flag"]: each["value"] for each in content["decisions"]}
    assert chosen["trainable"] == ["all"]
    history = (taken_over / "history.csv").read_text().splitlines()
    assert len(history) == 3
    assert not (taken_over / "checkpoints").exists()


def test_the_reasons_are_in_the_files_of_the_run(trained):
    content = json.loads((trained / "recipe.json").read_text())
    found = {each["flag"]: each for each in content["decisions"]}
    assert {"trainable", "cache", "epochs", "learning_rate"} <= set(found)
    assert found["epochs"]["given"]
    assert found["learning_rate"]["value"] == 1e-3
    assert len(found["trainable"]["candidates"]) == 2
    assert content["facts"]["probe"]["knn"] > 0.9
    assert found["keep_epoch"]["value"] == "last"
    shares = {each["interpolate"] for each in content["trials"]}
    assert shares <= {1.0, 0.75, 0.5}
    plan = (trained / "plan.txt").read_text()
    assert f"validation log loss {_lowest(found):.3f} (accuracy" in plan
    assert not (trained / "checkpoints").exists()


def _lowest(found):
    return min(
        each["validation_log_loss"] for each in found["trainable"]["candidates"]
    )


def test_the_finished_run_records_the_chosen_settings(trained):
    place = workdir_files.Workdir(trained)
    recorded = recorded_config.load_recorded_config(place)
    assert recorded.recipe.recipe == "none"
    content = json.loads((trained / "recipe.json").read_text())
    for each in content["decisions"]:
        value = options.collect_values(recorded)[each["flag"]]
        shown = [*value] if isinstance(value, tuple) else value
        assert shown == each["value"]


@pytest.mark.parametrize("run", ["trained", "taken_over"])
def test_a_replay_of_the_flagfile_has_the_same_bits(run, request):
    trained = request.getfixturevalue(run)
    config = options.from_flagfile(
        train_config.TrainConfig, str(trained / "recipe.flags")
    )
    replayed = trained.parent / "replayed"
    workflow.train_run(
        options.replace(config, workdir=str(replayed)), report=lambda t: None
    )
    for name in ("predictions.csv", "history.csv", "evaluation.json"):
        assert (trained / name).read_text() == (replayed / name).read_text()
    assert _read_weights(trained) == _read_weights(replayed)


def _read_weights(folder: pathlib.Path) -> dict[str, bytes]:
    found = {}

    def visit(name, node):
        if isinstance(node, h5py.Dataset):
            found[name] = node[()].tobytes()

    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(visit)
    return found


def test_a_reference_run_on_other_splits_is_refused_before_a_trial(
    keywords, trained, tmp_path, monkeypatch
):
    epochs = _count_epochs(monkeypatch)
    with pytest.raises(errors.UsageError, match="fail_if_not_better_than"):
        _train(
            keywords,
            tmp_path / "run",
            seed=1,
            fail_if_not_better_than=str(trained),
        )
    assert epochs == []


def test_joined_adapters_are_tried(keywords, tmp_path, monkeypatch):
    adapted = []

    def stop(network, context):
        adapted.append(context.adapted.adapter)
        raise KeyboardInterrupt

    monkeypatch.setattr(trials.TrialNetwork, "_measure", stop)
    free = {k: v for k, v in keywords.items() if k != "learning_rate"}
    with pytest.raises(KeyboardInterrupt):
        _train(free, tmp_path / "run", adaptation="lora+norm")
    (adapter,) = adapted
    assert adapter is not None


def test_a_plan_names_the_trials_and_makes_none(keywords, tmp_path):
    shown = []
    tf_finetune.fine_tune(
        **keywords,
        workdir=str(tmp_path / "run"),
        recipe="auto",
        plan=True,
        report=shown.append,
    )
    text = "\n".join(shown)
    assert "  trainable top, learning rate 0.001" in text
    assert "  trainable all, learning rate 0.001" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"recipe": "none", "recipe_budget": "9s"},
            "--recipe_budget=9s is for --recipe=auto",
        ),
        (
            {"recipe": "none", "recipe_skip": "epochs"},
            "--recipe_skip=epochs is for --recipe",
        ),
        (
            {"strategy": "multi_worker", "recipe_budget": "9s"},
            "--strategy=multi_worker does not read it",
        ),
        ({"recipe": "auto", "recipe_skip": "epoch"}, "Did you mean 'epochs'"),
        ({"recipe": "auto", "epochs": 0}, "--epochs=0 leaves that out"),
        ({"recipe": "auto", "recipe_budget": "soon"}, "must be a duration"),
    ],
)
def test_an_option_without_effect_is_refused(
    keywords, tmp_path, changes, words
):
    with pytest.raises(errors.UsageError, match=words):
        _train(keywords, tmp_path / "run", **changes)
