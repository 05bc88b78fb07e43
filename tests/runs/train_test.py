"""A whole training run, and the modules that it takes."""

import json
import subprocess
import sys

import pytest

from tf_finetune.config import options, train_config
from tf_finetune.runs import train

# Prints the modules that are loaded, and those with a function that was called
# from outside of an import, when a run has ended.
_TRACED_RUN = """
import json, pathlib, sys, threading
import tf_finetune

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
    "tf_finetune.runs.rows",
    "tf_finetune.runs.semi_supervised_run",
    "tf_finetune.semi_supervised.",
    "tf_finetune.tasks.multilabel",
    "tf_finetune.tasks.regression",
    "tf_finetune.tasks.segmentation",
)
# The table of objectives, which the check of options reads.
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
    # 198 when this was written.
    assert 100 < len(traced["called"]) <= 200


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
    fitted = train.fit_stages.FitResult(probe="p", fine_tuned="t", table=[])
    monkeypatch.setattr(train.fit_stages, "run_stages", lambda context: fitted)
    monkeypatch.setattr(
        train.fit_stages,
        "select_candidate",
        lambda context, result: result.fine_tuned,
    )
    result = train._fit(make_context(), None, None)
    assert (result.fit_result, result.chosen) == (fitted, "t")
    assert (result.beside, result.facts) == ({}, None)
