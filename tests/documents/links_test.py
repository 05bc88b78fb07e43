"""Links and names in the documents lead somewhere."""

import ast
import configparser
import functools
import re

import pytest
from documents import documented_commands, small_settings

from tf_finetune.config import options

pytestmark = pytest.mark.quick

PACKAGE = documented_commands.ROOT / "tf_finetune"


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


@pytest.mark.parametrize(
    ("document", "count"), [("README.md", 8), ("docs/reliability.md", 19)]
)
def test_every_test_that_a_document_names_exists(document, count):
    path = documented_commands.ROOT / document
    named = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", _text(path))
    assert len(named) == _text(path).count("`test_") == count
    for name, file in named:
        tree = ast.parse(_text(path.parent / file))
        functions = {n.name for n in tree.body if hasattr(n, "name")}
        assert name in functions, f"{file}::{name}"


@functools.cache
def _project_files() -> str:
    """Returns the paths of the project's files, one a line."""
    rooms = ("tf_finetune", "tests", "scripts", "notebooks", "docs")
    found = [
        f"/{path.relative_to(documented_commands.ROOT).as_posix()}\n"
        for room in rooms
        for path in (documented_commands.ROOT / room).rglob("*.*")
    ]
    return "".join(found)


def _missing_files(text) -> list[str]:
    """Returns the names of programs in a text that no file has.

    A path may begin in any folder of the project; NAME and my_ are examples,
    and runs and studies write flagfiles of their own.
    """
    named = re.findall(r"[\w/-]+\.(?:py|sh|ipynb|flags)\b", text)
    own = r"(run|best|recipe)\.flags"
    examples = re.compile(rf".*NAME|my_|{own}|trial-0")
    return [
        name
        for name in named
        if not examples.match(name)
        and f"/{name.removeprefix('/')}\n" not in _project_files()
        and not (documented_commands.ROOT / name.strip("/")).is_file()
    ]


def _is_defined(name) -> bool:
    """Whether a dotted name is a module of the package, or something in it."""
    parts = name.removeprefix("tf_finetune.").split(".")
    for count in range(len(parts), 0, -1):
        place = PACKAGE.joinpath(*parts[:count])
        if place.with_suffix(".py").is_file():
            (attribute,) = parts[count : count + 1] or ("",)
            code = _text(place.with_suffix(".py"))
            pattern = rf"^(?:def|class) {attribute}\b|^{attribute}\b.* = "
            return not attribute or bool(re.search(pattern, code, re.MULTILINE))
        if place.is_dir():
            return count == len(parts)
    return False


@pytest.mark.parametrize(
    "path", documented_commands.GUIDES, ids=lambda p: p.name
)
def test_every_program_that_a_document_names_exists(path):
    assert _missing_files(_text(path)) == []


@pytest.mark.parametrize(
    "path", documented_commands.GUIDES, ids=lambda p: p.name
)
def test_every_name_of_the_package_in_a_document_is_defined(path):
    rooms = {each.stem for each in PACKAGE.iterdir() if each.is_dir()}
    rooms -= {"model"}  # `model.fit` is Keras'.
    dotted = rf"`((?:tf_finetune|{'|'.join(rooms)})(?:\.[A-Za-z_]\w*)+)[`(]"
    files = re.compile(r".*\.(?:py|json|csv|h5|keras|flags)")
    named = {n for n in re.findall(dotted, _text(path)) if not files.match(n)}
    # Calls of the Python API, which servers_test.py makes.
    named -= {"tf_finetune.serve", "tf_finetune.start_server"}
    assert not [name for name in sorted(named) if not _is_defined(name)]


def test_names_that_are_not_there_are_noticed():
    text = (
        "`data/splits.py` `data/split_it.py` `NAME.py` `my_a.py` cli.py gone.sh"
    )
    assert _missing_files(text) == ["data/split_it.py", "gone.sh"]
    for good in ("tf_finetune.cli", "data", "heads.head.Head"):
        assert _is_defined(good), good
    for bad in ("tf_finetune.clis", "heads.head.Heads", "data.pipelines"):
        assert not _is_defined(bad), bad


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
