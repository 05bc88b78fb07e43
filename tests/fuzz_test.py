"""scripts/campaigns/fuzz_decoding.py: what it makes, and what it tells."""

import importlib.util
import itertools
import pathlib

import pytest

_CAMPAIGNS = pathlib.Path(__file__).parents[1] / "scripts" / "campaigns"
_SCRIPT = _CAMPAIGNS / "fuzz_decoding.py"


@pytest.fixture(scope="module")
def fuzz():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("fuzz_decoding", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_seed_decides_the_inputs(fuzz):
    first, same, other = (
        [*itertools.islice(fuzz.generate_inputs(seed), 50)]
        for seed in (3, 3, 4)
    )
    assert first == same
    assert first != other


def test_hardly_any_input_is_a_sound_picture(fuzz):
    sound = set(fuzz.make_originals())
    damaged = [*itertools.islice(fuzz.generate_inputs(0), 500)]
    assert sum(each in sound for each in damaged) < 50
    assert len(set(damaged)) > 450


def _worker(tmp_path, code):
    path = tmp_path / "worker.py"
    path.write_text(
        "import json, os, sys, time\n"
        "def say(word):\n"
        "    print(json.dumps(word), flush=True)\n"
        "say('ready')\n"
        "sys.stdin.buffer.read(5)\n" + code
    )
    return path


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("os.abort()", "crashed with status -6"),
        ("time.sleep(60)", "hung"),
        ("say('refused because')", "refused because"),
    ],
)
def test_the_fate_of_the_child_is_told(fuzz, tmp_path, monkeypatch, code, word):
    monkeypatch.setattr(fuzz, "_WORKER", _worker(tmp_path, code))
    child = fuzz.Child(memory_gb=1, seconds=0.5)
    assert child.ask(b"x") == word
    child.end()
