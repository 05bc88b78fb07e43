"""Tests of the pure parts of scripts/benchmark/."""

import importlib.util
import pathlib
import re
import sys

import numpy as np
import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_FOLDER = _ROOT / "scripts" / "benchmark"


@pytest.fixture
def suite(monkeypatch):
    """The module suite.py, with its neighbors importable."""
    return _load("suite", monkeypatch)


@pytest.fixture
def accuracy(monkeypatch):
    """The module accuracy.py, with its neighbors importable."""
    return _load("accuracy", monkeypatch)


def _load(title: str, monkeypatch):
    monkeypatch.syspath_prepend(str(_FOLDER))
    for name in ("measure", "pictures", title):
        monkeypatch.delitem(sys.modules, name, raising=False)
    path = _FOLDER / f"{title}.py"
    spec = importlib.util.spec_from_file_location(title, path)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    monkeypatch.setitem(sys.modules, title, module)
    spec.loader.exec_module(module)
    return module


def test_ratios_are_those_within_a_round(suite):
    comparison = suite.measure.Comparison(
        title="", contenders={"ours": None, "peer": None}
    )
    found = {
        "ours": [{"seconds": 2.0}, {"seconds": 4.0}, {"seconds": 1.0}],
        "peer": [{"seconds": 8.0}, {"seconds": 8.0}, {"seconds": 3.0}],
    }
    text = suite.measure.format_table(comparison, found)
    assert "| ours | 2 (1–4) |" in text
    assert "| peer | 8 (3–8) | 3 (2–4)× |" in text


def test_a_higher_rate_is_a_higher_ratio(suite):
    comparison = suite.measure.Comparison(
        title="",
        contenders={"ours": None, "peer": None},
        figure="rate",
        more_is_better=True,
    )
    found = {"ours": [{"rate": 30.0}], "peer": [{"rate": 20.0}]}
    assert suite.measure.format_ratio(comparison, found, "peer") == "1.5×"


def test_only_the_named_block_of_the_page_is_replaced(suite):
    page = (
        "a\n<!-- begin x -->old<!-- end x -->\n<!-- begin y -->\n<!-- end y -->"
    )
    text = suite.measure.replace_block(page, "x", r"new \1")
    assert text.startswith("a\n<!-- begin x -->\nnew \\1\n<!-- end x -->")
    assert text.endswith("<!-- begin y -->\n<!-- end y -->")
    with pytest.raises(ValueError, match="begin z"):
        suite.measure.replace_block(page, "z", "")


def test_every_comparison_has_its_place_on_the_page(suite):
    page = (_ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    places = re.findall(r"<!-- begin (\w+) -->", page)
    assert {*places} == {*suite.COMPARISONS, "accuracy"}


def test_every_script_that_is_run_is_there(suite):
    text = (_FOLDER / "suite.py").read_text("utf-8")
    named = re.findall(r'"((?:ours|peers)/\w+\.py)"', text)
    named += [f"peers/{n}" for n in re.findall(r'"(torch_\w+\.py)"', text)]
    assert len(named) > 8
    assert not [name for name in named if not (_FOLDER / name).is_file()]


def test_figures_are_read_from_a_command(suite, tmp_path):
    contender = suite.measure.Contender(
        command=lambda folder: [
            sys.executable,
            "-c",
            "print('talk'); print('{\"rate\": 7.5}')",
        ],
        figures=lambda folder: {"left": float(folder.is_dir())},
    )
    comparison = suite.measure.Comparison(
        title="", contenders={"ours": contender}
    )
    (row,) = suite.measure.run(comparison, rounds=1)["ours"]
    assert row["rate"] == 7.5 and row["left"] == 1.0
    assert row["seconds"] > 0 and 1 < row["peak_mb"] < 1000


def test_copies_differ_in_content(suite, tmp_path):
    from PIL import Image

    source = tmp_path / "s" / "train" / "a"
    source.mkdir(parents=True)
    Image.new("RGB", (80, 80)).save(source / "x.jpg")
    many = suite.pictures.copy_pictures(tmp_path / "s", tmp_path / "m", times=3)
    assert suite.pictures.count_pictures(many) == 3
    assert len({p.read_bytes() for p in many.glob("*/*/*")}) == 3
    small = suite.pictures.multiply_pictures(
        tmp_path / "s", tmp_path / "n", count=20
    )
    assert suite.pictures.count_pictures(small) == 20
    assert Image.open(next(small.glob("val/a/*"))).size == (64, 64)


def test_a_split_for_accuracies_is_by_class_and_the_same_each_time(
    accuracy, tmp_path
):
    for kind in ("ants", "bees"):
        (tmp_path / "all" / kind).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "all" / kind / f"{number}.jpg").write_bytes(b"x")
    (tmp_path / "all/ants/imageNotFound.gif").write_bytes(b"x")
    found = []
    for name in ("first", "second"):
        target = tmp_path / name
        accuracy.split_folder(tmp_path / "all", target, fraction=0.2)
        found.append({str(p.relative_to(target)) for p in target.glob("*/*/*")})
    assert found[0] == found[1]
    for kind in ("ants", "bees"):
        counts = [
            sum(path.startswith(f"{part}/{kind}") for path in found[0])
            for part in ("train", "val")
        ]
        assert counts == [8, 2]


def test_figures_of_all_programs_are_computed_alike(accuracy):
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6]], "float32")
    found = accuracy.compute_figures(probabilities, np.array([0, 0]))
    assert found["accuracy"] == 0.5
    # -(ln 0.8 + ln 0.4) / 2
    assert found["log_loss"] == pytest.approx(0.56972, abs=1e-5)
    # Two bins: |1 - 0.8| / 2 + |0 - 0.6| / 2
    assert found["expected_calibration_error"] == pytest.approx(0.4)


def test_a_row_shows_mean_and_range_over_the_seeds(accuracy):
    rows = [
        dict(zip(accuracy._FIGURES, values, strict=True))
        for values in ((0.8, 0.5, 0.1, 30.0), (0.9, 0.4, 0.1, 31.0))
    ]
    text = accuracy.format_table({"ours": rows})
    assert (
        "| ours | 0.850 (0.800–0.900) | 0.450 (0.400–0.500) | "
        "0.100 (0.100–0.100) | 30 (30–31) |"
    ) in text


def test_the_page_of_distillation_has_a_place_for_each_set(monkeypatch):
    monkeypatch.syspath_prepend(str(_FOLDER))
    distillation = _load("distillation", monkeypatch)
    page = distillation._PAGE.read_text("utf-8")
    places = re.findall(r"<!-- begin distillation_(\w+) -->", page)
    assert {*places} == {*distillation._TEACHER_SIZES}
    rows = [
        {"accuracy": 0.8, "log_loss": 0.5},
        {"accuracy": 0.9, "log_loss": 1},
    ]
    assert "| ours | 0.850 (0.800–0.900) | 0.750 (0.500–1.000) |" in (
        distillation.format_table({"ours": rows})
    )
