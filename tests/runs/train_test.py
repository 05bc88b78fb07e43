"""A whole training run, and the modules that it takes."""

import dataclasses
import json
import subprocess
import sys
import types

import numpy as np
import pytest

from tf_finetune.config import options, train_config
from tf_finetune.runs import (
    boundary_activations,
    cache_choice,
    split_evaluation,
    train,
)

# Prints the modules that are loaded, and those with a function that was called
# from outside of an import, when a run has ended.
_TRACED_RUN = """
import json, pathlib, sys, threading
import tf_finetune
from tf_finetune import environment

# What others wrote is imported before every call is noted.
environment.start_tensorflow()
import keras, matplotlib.pyplot, sklearn.model_selection, tensorflow

_FOLDER = str(pathlib.Path(tf_finetune.__file__).parent)
called = set()

def is_importing(frame):
    while frame:
        if frame.f_code.co_name == "<module>":
            return frame.f_code.co_filename.startswith(_FOLDER)
        frame = frame.f_back
    return False

def note(frame, event, argument):
    code = frame.f_code
    name = code.co_filename
    # A function's locals are optimized; a module's or a class body's are not.
    if event != "call" or not code.co_flags & 1 or name in called:
        return
    if name.startswith(_FOLDER) and not is_importing(frame):
        called.add(name)

threading.setprofile(note)
sys.setprofile(note)
tf_finetune.fine_tune(report=lambda text: None, **json.loads(sys.argv[1]))
sys.setprofile(None)
loaded = sorted(name for name in sys.modules if name.startswith("tf_finetune"))
print(json.dumps({"loaded": loaded, "called": sorted(called)}))
"""

_OTHERS = (
    "tf_finetune.runs.objectives",
    "tf_finetune.runs.input_fusion",
    "tf_finetune.runs.row_record",
    "tf_finetune.runs.semi_supervised_run",
    "tf_finetune.semi_supervised.",
    "tf_finetune.tasks.multilabel",
    "tf_finetune.tasks.regression",
    "tf_finetune.tasks.segmentation",
)
# The table of objectives, which preflight reads.
_TABLE = "tf_finetune.semi_supervised.catalog"


@pytest.fixture(scope="module")
def traced(picture_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("traced")
    keywords = {
        "data": str(picture_folder),
        "backbone": "small_cnn",
        "weights": "digits",
        "image_size": 32,
        "epochs": 1,
        "recipe": "none",
        "workdir": str(folder / "run"),
        "cache_dir": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", _TRACED_RUN, json.dumps(keywords)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_classification_of_a_folder_loads_no_other_task(traced):
    assert not [
        name
        for name in traced["loaded"]
        if name.startswith(_OTHERS) and name != _TABLE
    ]
    assert "tf_finetune.tasks.classification.network" in traced["loaded"]


def test_a_run_on_a_folder_takes_a_bounded_number_of_modules(traced):
    # 124 when this was written.
    assert 100 < len(traced["called"]) <= 125


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, False),
        ({"image_column": ["front"]}, False),
        ({"image_column": ["front", "back"]}, True),
        ({"numeric_columns": ["age"]}, True),
        ({"categorical_columns": ["city"]}, True),
    ],
)
def test_rows_are_fused_where_an_example_has_columns(given, expected):
    config = options.from_keywords(
        train_config.TrainConfig, {"data": "table.csv", **given}
    )
    assert config.data.takes_rows == expected


def test_without_unlabeled_pictures_the_better_stage_is_the_result(
    make_context, monkeypatch
):
    fitted = train.candidates.FitResult(probe="p", fine_tuned="t", table=[])
    monkeypatch.setattr(train, "run_stages", lambda context: fitted)
    monkeypatch.setattr(
        train.candidates,
        "select_candidate",
        lambda context, result: result.fine_tuned,
    )
    result = train._fit(make_context(), None, None)
    assert (result.fit_result, result.chosen) == (fitted, "t")
    assert (result.beside, result.facts) == ({}, None)


def _change(context, **changes):
    return dataclasses.replace(
        context, config=options.replace(context.config, **changes)
    )


def _extract(context, split):
    images = split_evaluation.load_images(
        context.data.split(split), context.config, image_size=32
    )
    extractor = context.assembly.extractor
    return np.concatenate(
        [np.asarray(extractor(batch, training=False)) for batch in images]
    )


def test_rows_are_the_features_of_the_pictures_in_their_order(fresh_run):
    context = _change(fresh_run, cache="off")
    features = train.extract_features(context, with_activations=False)
    assert [*features] == ["train", "validation", "test"]
    for split, rows in features.items():
        np.testing.assert_allclose(
            rows.all(), _extract(context, split), rtol=1e-4, atol=1e-5
        )


def test_without_the_cache_there_are_no_activations(fresh_run):
    context = _change(fresh_run, cache="off")
    assert not cache_choice.choose_input(context).reads_cache


def test_activations_lead_to_the_logits_of_the_model(fresh_run):
    context = _change(fresh_run, cache="on")
    train.extract_features(context, with_activations=True)
    found = boundary_activations.compute_activations(context)
    logits = np.concatenate([*found.stream_logits(context, "validation")])
    images = split_evaluation.load_images(
        context.data.split("validation"), context.config, image_size=32
    )
    expected = np.concatenate(
        [
            np.asarray(context.assembly.trainer(each, training=False))
            for each in images
        ]
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    # Pictures are not augmented: one view of each.
    assert len(found.views) == len(context.data.split("train"))


class _Cache:
    def __init__(self):
        self.calls = []
        self.features = types.SimpleNamespace(rows=lambda names: names)

    def refresh(self):
        self.calls.append("refresh")

    def fill_features(self, pictures, *, with_rows):
        self.calls.append(("fill", len(pictures), with_rows))


def test_other_workers_open_the_cache_again(make_context):
    context = make_context(is_chief=False, cache=_Cache())
    train.extract_features(context, with_activations=False)
    assert context.cache.calls == ["refresh", ("fill", 6, False)]


def test_the_chief_computes_activations_in_the_same_pass(make_context):
    context = make_context(is_chief=True, cache=_Cache())
    features = train.extract_features(context, with_activations=True)
    assert context.cache.calls == [("fill", 6, True)]
    assert features["validation"] == [
        picture.sha256 for picture in context.data.split("validation")
    ]


def test_without_epochs_only_the_head_is_fitted(fresh_run):
    result = train.run_stages(_change(fresh_run, epochs=0))
    assert result.fine_tuned is None
    assert result.table == []
    assert result.cache is None
    assert [*result.probe.evaluations] == ["validation", "train", "test"]
    # Brightness tells the classes apart.
    assert result.probe.evaluations["validation"].figures["accuracy"] == 1.0


def test_fine_tuning_follows_from_the_cache(fresh_run):
    result = train.run_stages(_change(fresh_run, cache="on"))
    assert result.cache == "on"
    assert [row["stage"] for row in result.table] == ["fine_tune"] * 2
    assert [row["epoch"] for row in result.table] == [1, 2]
    evaluated = {"validation", "train", "test"}
    assert {*result.fine_tuned.evaluations} == evaluated
    moved = [
        not np.array_equal(a, b)
        for a, b in zip(
            result.probe.weights, result.fine_tuned.weights, strict=True
        )
    ]
    assert any(moved)
    model = fresh_run.assembly.model
    for value, kept in zip(
        model.get_weights(), result.fine_tuned.weights, strict=True
    ):
        np.testing.assert_array_equal(value, kept)
