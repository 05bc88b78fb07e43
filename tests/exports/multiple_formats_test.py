"""Several formats one after the other; needs no TensorFlow model."""

import gc
import time
import weakref

import pytest

from tf_finetune import errors, files
from tf_finetune.exports import multiple_formats
from tf_finetune.exports.parity import export_refusal, parity_check


@pytest.fixture
def written(tmp_path):
    """A function: formats and what becomes of each → what was reported."""

    def write(**becomes):
        reported = []

        def export(name):
            found = becomes[name]
            if isinstance(found, Exception):
                raise found
            path = tmp_path / f"{name}.file"
            path.write_text(name)
            figures = {
                "pictures": 3,
                "way": {"max_abs_difference": found},
                "embed": {"max_abs_difference": 7.0, "largest": 9.0},
            }
            parity_check.write_figures(path, figures)
            return path

        try:
            paths = multiple_formats.write_formats(
                tuple(becomes),
                export,
                folder=tmp_path,
                describe_pictures=lambda path: "3 held-out pictures",
                report=reported.append,
            )
        except (errors.RunError, errors.UsageError, OSError) as error:
            return reported, error
        return reported, paths

    return write


def _refused(fault="It differs.", *instead, **more):
    return export_refusal.ExportRefusedError(fault, instead=instead, **more)


class _Cycle:
    pass


def test_nothing_of_a_format_is_left_when_the_next_one_begins(tmp_path):
    left = []

    def export(name):
        assert not any(each() for each in left)
        cycle = _Cycle()
        cycle.itself = cycle
        left.append(weakref.ref(cycle))
        return tmp_path / name

    gc.disable()
    try:
        multiple_formats.write_formats(
            ("litert", "onnx"),
            export,
            folder=tmp_path,
            describe_pictures=lambda path: "",
            report=lambda text: None,
        )
    finally:
        gc.enable()
    assert len(left) == 2


def test_a_refused_format_does_not_stop_the_others(written, tmp_path):
    reported, error = written(
        litert=1e-6,
        litert_float16=_refused("It differs by 0.04.", "litert", largest=0.04),
        onnx=errors.UsageError("It needs more."),
        keras=2e-6,
    )

    assert sorted(path.name for path in tmp_path.glob("*.file")) == [
        "keras.file",
        "litert.file",
    ]
    table = [line.split() for line in reported[-1].splitlines()]
    assert [row[:3] for row in table[1:]] == [
        ["litert", "passed", "1e-06"],
        ["litert_float16", "refused", "0.04"],
        ["onnx", "refused"],
        ["keras", "passed", "2e-06"],
    ]
    assert table[1][3].endswith("litert.file")
    assert isinstance(error, errors.RunError)
    assert str(error).startswith("2 of 4 formats were refused; the others")
    assert "litert_float16: It differs by 0.04." in str(error)
    assert "onnx: It needs more." in str(error)


def test_the_advice_names_nothing_that_was_refused_in_the_same_call(written):
    _, error = written(
        litert_int8=_refused("A.", "litert_dynamic", "litert_float16"),
        litert_dynamic=1e-3,
        litert_float16=_refused("B.", "litert"),
    )
    assert "--format=litert_dynamic" in str(error)
    assert "--format=litert_float16" not in str(error)
    assert "--format=litert " in str(error)


def test_the_advice_names_nothing_that_was_refused_a_minute_before(written):
    _, error = written(litert_float16=_refused("B.", "litert"))
    assert "--format=litert " in str(error)
    _, error = written(
        litert_int8=_refused("A.", "litert_float16", "litert", more="C.")
    )
    assert "litert_float16" not in str(error)
    assert "C. Use another format instead: --format=litert " in str(error)


def test_where_all_were_refused_no_advice_is_left(written):
    _, error = written(
        litert=_refused("C.", "onnx"), onnx=_refused("D.", "litert")
    )
    assert str(error).startswith("None of the 2 formats passed.")
    assert "--format=" not in str(error)


def test_a_refusal_is_kept_until_the_format_holds(written, tmp_path):
    written(onnx=_refused("It differs."))
    record = files.read_json(tmp_path / "parity.json")
    assert record == {"refused": {"onnx": "It differs."}}

    written(onnx=1e-6, keras=1e-6)
    record = files.read_json(tmp_path / "parity.json")
    assert set(record) == {"onnx.file", "keras.file"}


def test_a_damaged_record_of_refusals_is_no_hindrance(written, tmp_path):
    for content in ("{", "[1]", '{"refused": 3}'):
        (tmp_path / "parity.json").write_text(content)
        _, error = written(onnx=_refused("It differs.", "litert"))
        assert "--format=litert" in str(error)


def test_a_single_format_fails_as_itself(written):
    for error in (errors.UsageError("no"), errors.RunError("no"), OSError(5)):
        reported, got = written(onnx=error)
        assert got is error and not reported


@pytest.fixture
def logged(monkeypatch):
    """The lines that are logged."""
    lines = []
    monkeypatch.setattr(
        multiple_formats.logging,
        "info",
        lambda text, *words: lines.append(text % words),
    )
    return lines


def test_every_format_is_named_when_its_turn_comes(written, logged):
    written(keras=1e-6, onnx=1e-6)
    assert logged == [
        "Writing and checking keras (1 of 2).",
        "Writing and checking onnx (2 of 2).",
    ]


def test_long_work_says_every_while_that_it_goes_on(logged):
    with multiple_formats.log_progress("onnx", seconds=0.01):
        deadline = time.monotonic() + 30
        while not logged and time.monotonic() < deadline:
            time.sleep(0.01)
    assert logged[0] == "onnx, 0 s so far"
    count = len(logged)
    time.sleep(0.05)
    assert len(logged) == count
