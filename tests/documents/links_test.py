"""Links and names in the documents lead somewhere."""

import ast
import configparser
import re

import pytest
from documents import reading, smoke

from tf_finetune.config import options


def _text(path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", reading.DOCUMENTS, ids=lambda p: p.name)
def test_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", _text(path)):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_every_test_that_the_readme_names_exists():
    text = _text(reading.ROOT / "README.md")
    named = re.findall(r"\[`(test_\w+)`\]\((tests/[^)]+)\)", text)
    assert len(named) == text.count("`test_") >= 10
    for name, path in named:
        tree = ast.parse(_text(reading.ROOT / path))
        functions = {n.name for n in tree.body if hasattr(n, "name")}
        assert name in functions, f"{path}::{name}"


@pytest.mark.parametrize("path", reading.DOCUMENTS, ids=lambda p: p.name)
def test_every_test_file_that_a_document_names_exists(path):
    for name in re.findall(r"tests/[\w/]*_test\.py", _text(path)):
        assert (reading.ROOT / name).is_file(), name


@pytest.mark.parametrize("path", reading.DOCUMENTS, ids=lambda p: p.name)
def test_every_flag_that_a_document_names_exists(path):
    known = {
        name
        for config in smoke.CONFIGS.values()
        for name, *_ in options.declared(config)
    }
    for script in reading.ROOT.glob("scripts/**/*.py"):
        known |= set(re.findall(r'"(?:--)?([a-z_]+)"', _text(script)))
    # Of absl, pytest, Slurm, pip and Docker.
    known |= {"help", "flagfile", "nodes", "no-deps"}
    known |= {"ntasks-per-node", "gpus-per-node"}
    named = set(re.findall(r"(?<![\w-])--([a-z][a-z_-]+)", _text(path)))
    assert named <= known


def test_every_extra_that_a_document_installs_exists():
    setup = configparser.ConfigParser()
    setup.read(reading.ROOT / "setup.cfg")
    known = set(setup["options.extras_require"])
    named = set()
    notebooks = reading.ROOT.glob("notebooks/*.ipynb")
    for path in [*reading.DOCUMENTS, *notebooks]:
        for extras in re.findall(
            r"'(?:\.|tf_finetune)\[([a-z0-9_,]+)\]'", _text(path)
        ):
            named |= set(extras.split(","))
    assert {"tensorflow", "litert", "onnx"} <= named <= known
