"""The plan of the house (docs/plan.md), held to the code."""

import ast
import pathlib
import subprocess
import sys

import pytest

import tf_finetune

_PACKAGE = pathlib.Path(tf_finetune.__file__).parent

# A room may import itself and rooms before it.
_ROOMS = [
    ["synonyms"],
    ["errors", "version", "escaping"],
    ["registry", "files", "environment", "batch_norm", "stopping", "printing"],
    ["inference", "untrusted", "schema"],
    ["config"],
    ["front_door", "workdir"],
    ["lifecycle"],
    ["data"],
    ["backbones"],
    ["heads", "weights", "cache"],
    ["evaluation"],
    ["tasks"],
    ["assembly"],
    ["adaptation"],
    ["training"],
    ["exporting"],
    ["serving", "client"],
    ["unread"],
    ["runs", "checking", "use_checking"],
    ["use"],
    ["run"],
    ["workflow"],
    ["train", "evaluate", "predict", "export", "serve", "__main__", "__init__"],
]
_RANK = {room: rank for rank, rooms in enumerate(_ROOMS) for room in rooms}
_FRONT_DOORS = _ROOMS[-1][:5]


def _modules() -> list[pathlib.Path]:
    return sorted(_PACKAGE.rglob("*.py"))


def _room(path: pathlib.Path) -> str:
    first = path.relative_to(_PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imports(path: pathlib.Path) -> set[str]:
    """Returns the dotted names that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.name)
def test_a_room_imports_only_itself_and_rooms_before_it(path):
    room = _room(path)
    for name in _imports(path):
        package, _, rest = name.partition(".")
        if package != "tf_finetune" or not rest:
            continue
        other = rest.split(".")[0]
        if other in _RANK and other != room:
            assert _RANK[other] < _RANK[room], f"{room} imports {other}"


def test_every_room_has_its_place():
    assert {_room(path) for path in _modules()} == set(_RANK)


def test_nobody_imports_a_front_door():
    doors = {f"tf_finetune.{name}" for name in _FRONT_DOORS}
    for path in _modules():
        assert not _imports(path) & doors, path


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.name)
def test_no_module_is_longer_than_300_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_no_module_asserts():
    for path in _modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not any(isinstance(n, ast.Assert) for n in ast.walk(tree)), path


@pytest.mark.parametrize(
    "path",
    sorted((_PACKAGE / "exporting" / "proof" / "runtimes").glob("*.py")),
    ids=lambda p: p.name,
)
def test_a_runtime_script_imports_numpy_and_its_format_alone(path):
    runtimes = {
        "__init__.py": set(),
        "h5.py": {"keras"},
        "keras_file.py": {"keras"},
        "litert.py": {"ai_edge_litert"},
        "onnx.py": {"onnxruntime"},
        "saved_model.py": {"tensorflow"},
    }
    found = {name.partition(".")[0] for name in _imports(path)}
    assert found <= {"sys", "numpy"} | runtimes[path.name]


def test_what_starts_before_the_flags_are_good_loads_no_tensorflow():
    names = [f"tf_finetune.{name}" for name in _FRONT_DOORS]
    code = (
        "import importlib, sys\n"
        f"for name in {[*names, 'tf_finetune', 'tf_finetune.workflow']!r}:\n"
        "    importlib.import_module(name)\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_package_offers_what_it_lists():
    assert tf_finetune.fine_tune.__module__ == "tf_finetune.workflow"
    with pytest.raises(AttributeError, match="no attribute 'finetune'"):
        _ = tf_finetune.finetune
