"""The documents, flagfiles and scripts, held to what is there."""

import ast
import configparser
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from absl import flags as absl_flags

from tf_finetune import checking
from tf_finetune.config import options, serve, train, use

_ROOT = pathlib.Path(__file__).parents[1]
_DOCUMENTS = sorted([*_ROOT.glob("*.md"), *_ROOT.glob("docs/*.md")])
_FLAGFILES = sorted(_ROOT.glob("configs/**/*.flags"))
_CONFIGS = {
    "train": train.TrainConfig,
    "evaluate": use.EvaluateConfig,
    "predict": use.PredictConfig,
    "export": use.ExportConfig,
    "cache": use.CacheConfig,
    "serve": serve.ServeConfig,
}


def _code_blocks(language: str) -> list[str]:
    found = []
    for document in _DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        found += re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return found


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda p: p.name)
def test_every_link_leads_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_every_test_that_the_readme_names_exists():
    text = (_ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"\[`(test_\w+)`\]\((tests/[^)]+)\)", text)
    assert len(named) == text.count("`test_") >= 10
    for name, path in named:
        tree = ast.parse((_ROOT / path).read_text(encoding="utf-8"))
        functions = {n.name for n in tree.body if hasattr(n, "name")}
        assert name in functions, f"{path}::{name}"


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda p: p.name)
def test_every_test_file_that_a_document_names_exists(document):
    text = document.read_text(encoding="utf-8")
    for name in re.findall(r"tests/[\w/]*_test\.py", text):
        assert (_ROOT / name).is_file(), name


def test_every_python_block_is_python():
    blocks = _code_blocks("python")
    assert blocks
    for block in blocks:
        ast.parse(block)


def _shell_lines() -> list[str]:
    """Every command of a block for the shell, a line each, no comments."""
    blocks = _code_blocks("bash") + _code_blocks("sh")
    text = "\n".join(blocks).replace("\\\n", " ")
    lines = [line.split("  #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _commands() -> list[tuple[str, list[str]]]:
    found = []
    for line in _shell_lines():
        words = line.replace("'", "").split()
        if words[:2] == ["python", "-m"] and "." in words[2]:
            found.append((words[2].split(".")[1], words[3:]))
    return found


def _scripts() -> list[tuple[str, list[str]]]:
    """Commands that start a script, those within a sentence too."""
    spans = [
        span
        for document in _DOCUMENTS
        for span in re.findall(
            r"`((?:bash|python) scripts/[^`]+)`",
            document.read_text(encoding="utf-8"),
        )
    ]
    found = []
    for line in [*_shell_lines(), *spans]:
        words = shlex.split(line)
        if words[0] in ("bash", "python") and words[1].startswith("scripts/"):
            found.append((words[1], words[2:]))
    return found


def test_the_readme_shows_every_command():
    assert {command for command, _ in _commands()} == set(_CONFIGS)


@pytest.mark.parametrize(("command", "flags"), _commands())
def test_every_command_in_a_document_has_flags_that_exist(command, flags):
    values = absl_flags.FlagValues()
    options.define_flags(_CONFIGS[command], values)
    assert values([command, *flags]) == [command]
    options.from_flags(_CONFIGS[command], values)


@pytest.mark.parametrize("script", sorted({name for name, _ in _scripts()}))
def test_every_script_in_a_document_exists_and_has_its_flags(script):
    flags = {
        word.split("=")[0]
        for name, words in _scripts()
        for word in words
        if name == script and word.startswith("--")
    }
    if script.endswith(".sh"):
        # It passes on what it is given, to programs that check it.
        assert subprocess.run(["bash", "-n", _ROOT / script]).returncode == 0
    elif flags:
        page = subprocess.run(
            [sys.executable, _ROOT / script, "--help"],
            capture_output=True,
            text=True,
        ).stdout
        known = set(re.findall(r"--[a-z_]+", page))
        assert flags <= known
    else:
        assert (_ROOT / script).is_file()


def test_every_kind_of_command_in_a_block_is_held_to_something():
    starts = {" ".join(line.split()[:2]) for line in _shell_lines()}
    checked = {"python -m", "pip install", "curl -d"}
    checked |= {f"bash {name}" for name, _ in _scripts()}
    checked |= {f"python {name}" for name, _ in _scripts()}
    assert starts <= checked


def test_every_extra_that_a_document_installs_exists():
    setup = configparser.ConfigParser()
    setup.read(_ROOT / "setup.cfg")
    known = set(setup["options.extras_require"])
    named = set()
    for document in [*_DOCUMENTS, *_ROOT.glob("notebooks/*.ipynb")]:
        text = document.read_text(encoding="utf-8")
        for extras in re.findall(
            r"'(?:\.|tf_finetune)\[([a-z0-9_,]+)\]'", text
        ):
            named |= set(extras.split(","))
    assert {"tensorflow", "litert", "onnx"} <= named <= known


def test_commands_ask_a_served_model_by_the_name_of_its_run():
    served = {
        pathlib.PurePath(flag.split("=")[1]).name
        for command, flags in _commands()
        for flag in flags
        if command == "serve" and flag.startswith("--workdir=")
    }
    text = "\n".join(_shell_lines())
    asked = set(re.findall(r"/v1/models/([^:\s]+):", text))
    asked |= set(re.findall(r"--model=(\S+)", text))
    assert asked == served
    for line in _shell_lines():
        if "client.py" in line or "load_test.py" in line:
            assert "--model=" in line


def test_calls_in_python_blocks_have_keywords_that_exist():
    configs = {"fine_tune": "train", "start_server": "serve"}
    calls = [
        node
        for block in _code_blocks("python")
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Call)
        and getattr(getattr(node.func, "value", None), "id", "") == "tff"
    ]
    assert calls
    for call in calls:
        config = _CONFIGS[configs.get(call.func.attr, call.func.attr)]
        given = {
            each.arg: ast.literal_eval(each.value) for each in call.keywords
        }
        if call.args:
            first = "data" if call.func.attr == "fine_tune" else "workdir"
            given[first] = ast.literal_eval(call.args[0])
        options.from_keywords(config, given)


@pytest.mark.parametrize("script", ["quickstart.sh", "check.sh"])
def test_the_readmes_two_scripts_exist_and_parse(script):
    assert f"bash scripts/{script}" in (_ROOT / "README.md").read_text("utf-8")
    done = subprocess.run(["bash", "-n", _ROOT / "scripts" / script])
    assert done.returncode == 0


@pytest.mark.parametrize("path", _FLAGFILES, ids=lambda p: p.name)
def test_every_flagfile_is_accepted_and_tells_what_it_is(path, tmp_path):
    config = options.from_flagfile(train.TrainConfig, str(path))
    if not config.data.data:
        # A table has columns, which some of them name.
        (tmp_path / "table.csv").touch()
        config = options.replace(config, data=str(tmp_path / "table.csv"))
    checking.check(config)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# What: ")
    assert any(line.startswith("# Command: ") for line in lines)


@pytest.mark.parametrize(
    "path",
    [path for path in _FLAGFILES if path.parent.name != "classic"],
    ids=lambda p: p.name,
)
def test_every_flagfile_says_what_to_expect_in_figures(path):
    text = path.read_text(encoding="utf-8")
    (expected,) = re.findall(r"^# Expected: (.*)$", text, re.MULTILINE)
    assert re.search(r"\d", expected)


def test_the_scripts_that_are_python_compile():
    for path in _ROOT.glob("scripts/**/*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


def test_a_docstring_example_runs():
    done = subprocess.run(
        [sys.executable, "-m", "doctest", _registry_file()],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def _registry_file() -> str:
    from tf_finetune import registry

    return registry.__file__
