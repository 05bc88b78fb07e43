"""The documents, flagfiles and scripts, held to what is there."""

import ast
import pathlib
import re
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


def test_every_python_block_is_python():
    blocks = _code_blocks("python")
    assert blocks
    for block in blocks:
        ast.parse(block)


def _commands() -> list[tuple[str, list[str]]]:
    found = []
    for block in _code_blocks("bash"):
        for line in block.splitlines():
            words = line.split("#")[0].replace("'", "").split()
            if words[:2] == ["python", "-m"] and "." in words[2]:
                found.append((words[2].split(".")[1], words[3:]))
    return found


def test_the_readme_shows_every_command():
    assert {command for command, _ in _commands()} == set(_CONFIGS)


@pytest.mark.parametrize(("command", "flags"), _commands())
def test_every_command_in_a_document_has_flags_that_exist(command, flags):
    values = absl_flags.FlagValues()
    options.define_flags(_CONFIGS[command], values)
    assert values([command, *flags]) == [command]
    options.from_flags(_CONFIGS[command], values)


@pytest.mark.parametrize("script", ["quickstart.sh", "check.sh"])
def test_the_readmes_two_scripts_exist_and_parse(script):
    assert f"bash scripts/{script}" in (_ROOT / "README.md").read_text("utf-8")
    done = subprocess.run(["bash", "-n", _ROOT / "scripts" / script])
    assert done.returncode == 0


@pytest.mark.parametrize("path", _FLAGFILES, ids=lambda p: p.name)
def test_every_flagfile_is_accepted_and_tells_what_it_is(path):
    config = options.from_flagfile(train.TrainConfig, str(path))
    if not config.data.data:
        config = options.replace(config, data=str(_ROOT))
    checking.check(config)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# What: ")
    assert any(line.startswith("# Command: ") for line in lines)


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
