"""The documents' scripts run, at their smallest counts."""

import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from documents import command_rules, documented_commands, small_settings
from documents import command_runner as houses

from tf_finetune.workdir import workdir_files

# What prepares an environment finds these up to date in the copy.
_EXTRAS = {"check.sh": "cpu,dev,lite,litert,onnx,serve,tune"}
_PYTHON = """#!/bin/sh
case "$2" in tf_finetune.train) set -- "$@" {smaller} ;; esac
exec "{python}" "$@"
"""
_SAYS_WHAT_IT_IS_ASKED = '#!/bin/sh\necho "${0##*/} $*"\n'


def _given(kind):
    return [
        pytest.param(
            command,
            rule,
            id=str(command),
            marks=[pytest.mark.campaign] * rule.is_campaign,
        )
        for command, rule in command_rules.of_kind(kind)
    ]


@pytest.mark.parametrize(("command", "rule"), _given("script"))
def test_a_script_does_what_it_is_shown_for(command, rule, house):
    if command.words[0] == "bash":
        done = _bash(command, house)
    else:
        words = [*small_settings.filled_in(command)[1:], *rule.smaller]
        done = house.wait(words)
    assert done.returncode == 0, done.stdout + done.stderr
    _PROMISES[pathlib.PurePath(command.script).stem](done, house.folder)


def _bash(command, house):
    house.export(command.words[2].removesuffix("/export"))
    return subprocess.run(
        command.words,
        cwd=house.folder,
        env={**os.environ, "DOCKER": "echo"},
        capture_output=True,
        text=True,
    )


def _pretrained(done, folder):
    assert (folder / "made.weights.h5").stat().st_size > 100_000


def _fuzzed(done, folder):
    found = re.fullmatch(
        r"60 inputs: (\d+) refused, (\d+) accepted, 0 crashed, 0 hung, "
        r"0 raised, 0 disagreed\n",
        done.stdout,
    )
    assert found and all(int(number) for number in found.groups())
    assert not (folder / "fuzz_findings").exists()


def _launched(done, folder):
    assert workdir_files.Workdir(folder / "run").is_finished
    assert {line[:4] for line in done.stdout.splitlines()} == {"[0] ", "[1] "}


def _killed_runs(done, folder):
    figures = json.loads((folder / "kill_runs.json").read_text())
    assert figures["kills"] >= 2
    assert figures["runs"] >= 1
    assert figures["mismatches"] == figures["lost_files"] == []
    assert done.stdout.splitlines()[-1].startswith(f"{figures['kills']} kills")


def _killed_exports(done, folder):
    figures = json.loads((folder / "kill_exports.json").read_text())
    assert sum(figures["kills"].values()) >= 2
    assert figures["exports"] >= 1
    assert figures["half"] == figures["mismatches"] == []


def _viewed(done, folder):
    rows = re.findall(r"^\| (on the fly|1 views) \| [01]\.", done.stdout, re.M)
    assert rows == ["on the fly", "1 views"]


def _contained(done, folder):
    assert done.stdout.startswith("run --rm --publish 127.0.0.1:8501:8501")
    assert "flowers-resnet50/export," in done.stdout
    assert "/models/flowers-resnet50/model.config" in done.stdout


_PROMISES = {
    "pretrain_small_cnn": _pretrained,
    "fuzz_decoding": _fuzzed,
    "launch_local": _launched,
    "kill_runs": _killed_runs,
    "kill_exports": _killed_exports,
    "views": _viewed,
    "serve_tensorflow_serving": _contained,
}


@pytest.fixture
def copied(tmp_path):
    """A copy of the project in which nothing is left to be installed."""
    for name in ("scripts", "configs", "tf_finetune"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(
            documented_commands.ROOT / name, tmp_path / name, ignore=ignored
        )
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(documented_commands.ROOT / name, tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("ruff", "pytest"):
        _program(tmp_path / ".venv/bin" / name, _SAYS_WHAT_IT_IS_ASKED)
    (tmp_path / ".venv-peers").mkdir()
    return tmp_path


def _program(path, text):
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize(("command", "rule"), _given("in a copy"))
def test_a_script_of_the_project_runs_but_for_installing(command, rule, copied):
    name = pathlib.PurePath(command.script).name
    smaller, words = " ".join(rule.smaller), command.words
    if "[" in command.text:  # What may be left out.
        given = itertools.takewhile(lambda word: "[" not in word, words)
        words, smaller = (*given, *rule.smaller), ""
    text = _PYTHON.format(python=sys.executable, smaller=smaller)
    _program(copied / ".venv/bin/python", text)
    extras = _EXTRAS.get(name, "cpu")
    mark = (
        "source scripts/environment.sh; "
        f"installation_fingerprint {extras} > .venv/.installed; "
        "cksum scripts/benchmark/constraints.txt > .venv-peers/.installed"
    )
    for each in (["bash", "-c", mark], words):
        done = subprocess.run(
            each,
            cwd=copied,
            env={**os.environ, "HOME": str(copied)},
            capture_output=True,
            text=True,
            timeout=houses.PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    _COPIES_PROMISES[name](command, done.stdout, copied)


def _quickly_started(command, said, folder):
    assert "Installing" not in said
    assert (folder / "runs/quickstart/confusion_test.png").is_file()
    assert re.search(r"pretrained on 0-4, fine-tuned +accuracy 0\.\d", said)
    assert re.search(r"without the pretrained weights +accuracy 0\.\d", said)


def _checked(command, said, folder):
    given = command.words[2:]
    chosen = "not slow and not campaign"
    if given[:1] == ("--full",):
        chosen, given = "not campaign", given[1:]
    options = "-n 2 --dist worksteal --durations=40 -m"
    arguments = " ".join((options, chosen, *given))
    assert said.splitlines() == [
        "ruff check .",
        "ruff format --check .",
        f"pytest {arguments}",
    ]


def _measured(command, said, folder):
    kinds = [word for word in command.words[2:] if word.isalpha()]
    assert f"usage: {kinds[0] if kinds else 'suite'}.py" in said
    if kinds:
        return
    page = (documented_commands.ROOT / "docs" / "benchmarks.md").read_text(
        "utf-8"
    )
    for name in re.findall(r"<!-- begin (\w+) -->", page):
        assert name in said


_COPIES_PROMISES = {
    "quickstart.sh": _quickly_started,
    "check.sh": _checked,
    "run.sh": _measured,
}


def test_the_scripts_that_are_python_compile():
    for path in documented_commands.ROOT.glob("scripts/**/*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


@pytest.mark.quick
@pytest.mark.parametrize(
    "script",
    sorted(documented_commands.ROOT.glob("scripts/campaigns/*.sh")),
    ids=lambda path: path.stem,
)
def test_a_campaign_has_tests_that_bear_its_marker(script):
    text = script.read_text("utf-8")
    _, kind, given = text.partition("--campaign")
    if not kind:  # It runs the others in another way.
        assert 'check.sh" --full' in text
        return
    places = re.findall(r"(?<= )tests/\S+", given)
    assert places
    for place in places:
        path = documented_commands.ROOT / place
        found = [path] if path.is_file() else path.rglob("*.py")
        assert any("campaign" in each.read_text("utf-8") for each in found)
