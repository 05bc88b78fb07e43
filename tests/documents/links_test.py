"""Links and names in the documents lead somewhere."""

import ast
import configparser
import re

import pytest
from documents import documented_commands, small_settings

from tf_finetune.config import options

pytestmark = pytest.mark.quick


def _text(path) -> str:
    return path.read_text(encoding="utf-8")


def _leads_somewhere(path, target) -> bool:
    """Whether a link of a document is to a file, and to a heading of it."""
    name, _, anchor = target.partition("#")
    file = path.parent / name if name else path
    if not anchor:
        return file.exists()
    return file.is_file() and anchor in _anchors(_text(file))


def _anchors(text) -> set[str]:
    """Returns what GitHub calls the headings: in small letters, blanks as
    hyphens, no other signs; the second of a name gets -1, the third -2."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    found = []
    for line in re.findall(r"^#{1,6} +(.*?)[ #]*$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line).lower()
        found.append(re.sub(r"[^\w\- ]", "", shown).replace(" ", "-"))
    return {
        f"{name}-{count}" if count else name
        for index, name in enumerate(found)
        for count in [found[:index].count(name)]
    }


@pytest.mark.parametrize(
    "path", documented_commands.DOCUMENTS, ids=lambda p: p.name
)
def test_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", _text(path)):
        if not target.startswith("http"):
            assert _leads_somewhere(path, target), target


def test_a_link_to_a_heading_that_is_not_there_leads_nowhere(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `--flag`, and [its](x.md) room_1\n## Twice\n## Twice\n"
        "```\n# no heading\n```\n"
    )
    for good in ("page.md#twice", "#twice-1", "#a---flag-and-its-room_1"):
        assert _leads_somewhere(page, good), good
    for bad in ("#no-heading", "#twice-2", "page.md#Twice", "other.md#twice"):
        assert not _leads_somewhere(page, bad), bad


def test_every_test_that_the_readme_names_exists():
    text = _text(documented_commands.ROOT / "README.md")
    named = re.findall(r"\[`(test_\w+)`\]\((tests/[^)]+)\)", text)
    assert len(named) == text.count("`test_") >= 10
    for name, path in named:
        tree = ast.parse(_text(documented_commands.ROOT / path))
        functions = {n.name for n in tree.body if hasattr(n, "name")}
        assert name in functions, f"{path}::{name}"


@pytest.mark.parametrize(
    "path", documented_commands.DOCUMENTS, ids=lambda p: p.name
)
def test_every_test_file_that_a_document_names_exists(path):
    for name in re.findall(r"tests/[\w/]*_test\.py", _text(path)):
        assert (documented_commands.ROOT / name).is_file(), name


@pytest.mark.parametrize(
    "path", documented_commands.DOCUMENTS, ids=lambda p: p.name
)
def test_every_flag_that_a_document_names_exists(path):
    known = {
        name
        for config in small_settings.CONFIGS.values()
        for name, *_ in options.list_options(config)
    }
    programs = [
        *documented_commands.ROOT.glob("scripts/**/*.py"),
        *documented_commands.ROOT.glob("tf_finetune/client/*.py"),
    ]
    for script in programs:
        known |= set(re.findall(r'"--([a-z_]+)"', _text(script)))
    # Of scripts/check.sh, absl, pytest, Slurm, pip and Docker.
    known |= {"full", "help", "flagfile", "nodes", "no-deps"}
    known |= {"ntasks-per-node", "gpus-per-node"}
    named = set(re.findall(r"(?<![\w-])--([a-z][a-z_-]+)", _text(path)))
    assert named <= known


def test_every_extra_that_a_document_installs_exists():
    setup = configparser.ConfigParser()
    setup.read(documented_commands.ROOT / "setup.cfg")
    known = set(setup["options.extras_require"])
    named = set()
    notebooks = documented_commands.ROOT.glob("notebooks/*.ipynb")
    for path in [*documented_commands.DOCUMENTS, *notebooks]:
        for extras in re.findall(
            r"'(?:\.|tf_finetune)\[([a-z0-9_,]+)\]'", _text(path)
        ):
            named |= set(extras.split(","))
    assert {"tensorflow", "litert", "onnx"} <= named <= known
