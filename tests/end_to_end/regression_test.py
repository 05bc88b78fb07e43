"""Numbers from pictures: from a table to exports and their server."""

import pathlib

import graph_optimizer
import numpy as np
import pytest
import quiet
import tensorflow as tf

import tf_finetune
from tf_finetune import errors, files

_ROWS = 40


def _quiet(text: str) -> None:
    del text


@pytest.fixture(scope="module")
def settings(settings) -> dict:
    return {
        **settings,
        "task": "regression",
        "label_column": ("price",),
        "report": _quiet,
    }


@pytest.fixture(scope="module")
def plain(table, train, tmp_path_factory):
    """A run on one picture a row and two targets."""
    with graph_optimizer.switched_on():
        return train(
            table,
            tmp_path_factory.mktemp("runs") / "plain",
            image_column="front",
            cache="on",
            label_column=("redness", "price"),
            epochs=1,
        )[0]


def _paths(table: pathlib.Path) -> list[str]:
    return [str(table.parent / f"{n}_front.png") for n in range(_ROWS)]


@pytest.mark.quick
def test_a_number_is_learned_in_the_users_units(plain):
    figures = plain.evaluation["test"]
    assert figures["per_target"]["redness"]["r2"] > 0.8
    assert set(figures["baselines"]) == {
        "training_mean",
        "training_median",
        "probe",
    }
    assert (plain.workdir / "scatter_test.png").exists()
    description = files.read_json(plain.workdir / "data.json")["targets"]
    assert description["train"]["redness"]["max"] > 100


@pytest.mark.optimizer
def test_what_a_run_says_is_what_its_files_and_exports_say(
    plain, table, settings, tmp_path
):
    paths = _paths(table)
    said = quiet.predict(plain.workdir, table.parent)
    values = {row.path: list(row.values.values()) for row in said if row.values}
    expected = np.array([values[path] for path in paths])
    (exported,) = quiet.export(plain.workdir, output=str(tmp_path / "out"))
    served = tf.saved_model.load(str(exported)).signatures["serving_default"]
    contents = tf.constant([pathlib.Path(path).read_bytes() for path in paths])
    got = served(contents)["values"].numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    again = quiet.evaluate(plain.workdir, cache_dir=settings["cache_dir"])
    for split in ("train", "validation", "test"):
        assert again[split]["r2"] == pytest.approx(
            plain.evaluation[split]["r2"], rel=1e-5
        )


@pytest.mark.slow
def test_the_server_answers_predict_and_regress(
    table, train, talk, damage, tmp_path
):
    run, _ = train(table, tmp_path / "one", image_column="front", epochs=0)
    (exported,) = quiet.export(run.workdir)
    paths = _paths(table)[:5]
    said = quiet.predict(run.workdir, table.parent)
    prices = {each.path: each.values["price"] for each in said if each.values}
    expected = [*(prices[path] for path in paths), 0.0]
    server = talk(exported)
    rows = server.alike([*paths, damage(paths[0])])
    values = [row["values"] for row in rows]
    unit = np.ptp(expected)
    np.testing.assert_allclose(np.ravel(values), expected, atol=1e-5 * unit)
    assert [bool(row["error"]) for row in rows] == [False] * 5 + [True]
    numbers = server.alike([*paths, damage(paths[0])], "--method=regress")
    assert numbers == np.ravel(values).tolist()
    server.check_what_lies_beside(["price"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "focal"}, "--loss of --task=regression"),
        ({"target_range": (5, 1)}, "--target_range"),
        ({"task": "segmentation", "numeric_columns": "area"}, "--numeric_c"),
        ({"task": "segmentation", "image_column": "a,b"}, "--image_column"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_read(changes, words):
    with pytest.raises(errors.UsageError, match=words):
        tf_finetune.fine_tune(
            "no.csv",
            **{
                "task": "regression",
                "backbone": "small_cnn",
                "weights": "none",
                **changes,
            },
        )


def test_exports_for_probabilities_are_refused(plain):
    for keywords, words in (
        ({"calibrate": True}, "--calibrate is not for --task=regression"),
        ({"out_of_distribution": True}, "compare the features"),
    ):
        with pytest.raises(errors.UsageError, match=words):
            tf_finetune.export(plain.workdir, **keywords)
