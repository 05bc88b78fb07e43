"""Rules of the project's plan (docs/plan.md), held to the code."""

import ast
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

import tf_finetune
from tf_finetune import commands
from tf_finetune.config import options

_PACKAGE = pathlib.Path(tf_finetune.__file__).parent
_PROJECT = pathlib.Path(__file__).parents[1]

# A room may import itself and rooms before it.
_ROOMS = [
    ["synonyms"],
    ["errors", "version", "terminal_escapes"],
    ["registry", "files", "environment", "shutdown", "console_output"],
    ["untrusted"],
    ["config"],
    ["cli", "workdir"],
    ["commands"],
    ["data"],
    ["backbones"],
    ["heads", "weights", "feature_cache"],
    ["solvers", "metrics", "transferability"],
    ["drawing"],
    ["tasks"],
    ["model"],
    ["transplants"],
    ["adaptation"],
    ["semi_supervised"],
    ["training"],
    ["evaluation"],
    ["inputs"],
    ["exports"],
    ["serving", "client"],
    ["runs", "preflight"],
    ["recipe_search"],
    ["finished_workflow", "adapter_workflow"],
    ["run"],
    ["workflow"],
    ["recommendation"],
    ["tuning"],
    ["__main__", "__init__"],
]
# The doors of the commands, which nobody imports.
_DOORS = [
    name for name in commands.COMMANDS if (_PACKAGE / f"{name}.py").exists()
]
_ROOMS[-1] += _DOORS
_RANK = {room: rank for rank, rooms in enumerate(_ROOMS) for room in rooms}

_BRITISH = re.compile(
    r"\w*(?:colour|unlabell|labelled|labelling|behaviour|normalis|standardis"
    r"|optimis|initialis|serialis|generalis|recognis|centred|\bgrey\b)\w*",
    re.IGNORECASE,
)
# Other programs' names, keys of saved files, words in people's folder names.
_QUOTED = re.compile(
    r"\"[^\"\n]*(?:optimiser|colour|labelled|unlabelled|grey|normalis|initialis)"
    r"[^\"\n]*\"|A Benchmark for Colour",
    re.IGNORECASE,
)


# Names in other packages and programs that docstrings mention.
_ELSEWHERE = {
    "GraphDef", "H5IOStore", "RandAugment", "ResNet50", "_KERAS_DIR",
    "_save_container_state", "_save_state", "activation_17",
    "average_precision_score", "fbs", "from_graph_def", "metadata_schema",
    "nohup", "tofile",
}  # fmt: skip
# Rooms in which a task may be named: its own parts, labels, figures and
# decoders, and the flags whose help tells tasks apart.
_ROOMS_OF_TASKS = {"config", "data", "heads", "metrics", "synonyms", "tasks"}
_TASK_WORDS = re.compile(
    r"\bmasks?\b|segmentation|tasks\.(?:classification|multilabel|regression)\b"
    r"|--task=[a-z]|[\"'](?:classification|multilabel|regression)[\"']",
    re.IGNORECASE,
)
_TASKS_NAMED_ELSEWHERE = {
    "backbones/dilation.py": "the title of a paper",
    "backbones/surgery/graph_copy.py": "an argument of Keras' layers",
    "model/fast_batch_norm.py": "an argument of Keras' layers",
    "semi_supervised/batch_norm_adaptation.py": "an argument of Keras' layers",
    "preflight/train.py": "an error that names the task to use instead",
    "solvers/ridge.py": "the solution of one task's head",
}


def _modules() -> list[pathlib.Path]:
    return sorted(_PACKAGE.rglob("*.py"))


def _name(path: pathlib.Path) -> str:
    return str(path.relative_to(_PACKAGE))


def _room(path: pathlib.Path) -> str:
    first = path.relative_to(_PACKAGE).parts[0]
    return first.removesuffix(".py")


def _parse(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(path: pathlib.Path) -> set[str]:
    """Returns the dotted names that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _first_sentences(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """Yields line and first sentence of each docstring of a module."""
    documented = (
        ast.Module,
        ast.ClassDef,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
    )
    for node in ast.walk(_parse(path)):
        if isinstance(node, documented):
            text = ast.get_docstring(node) or ""
            first = re.split(r"\n\s*\n|\.\s", text, maxsplit=1)[0]
            yield getattr(node, "lineno", 1), first.replace("\n", " ")


def test_a_room_imports_only_itself_and_rooms_before_it():
    wrong = []
    for path in _modules():
        for name in _imports(path):
            package, _, rest = name.partition(".")
            room, other = _room(path), rest.split(".")[0]
            if package != "tf_finetune" or other not in _RANK or other == room:
                continue
            if _RANK[other] >= _RANK[room]:
                wrong.append(f"{_name(path)} imports {other}")
    assert not wrong


def test_every_room_has_its_place():
    assert {_room(path) for path in _modules()} == set(_RANK)


def test_the_plan_describes_every_room():
    plan = (_PROJECT / "docs" / "plan.md").read_text("utf-8")
    rooms = set(_RANK) - {*_DOORS, "__main__", "__init__", "version"}
    assert not [
        room
        for room in sorted(rooms)
        if not re.search(rf"`{room}(/|\.py)`", plan)
    ]


def test_a_task_is_named_in_its_own_rooms_alone():
    wrong = [
        f"{_name(path)}:{number} {line.strip()}"
        for path in _modules()
        if _room(path) not in _ROOMS_OF_TASKS
        and _name(path) not in _TASKS_NAMED_ELSEWHERE
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if _TASK_WORDS.search(line)
    ]
    assert not wrong


def test_the_plan_lists_the_rooms_in_their_order():
    plan = (_PROJECT / "docs" / "plan.md").read_text("utf-8")
    table = plan.partition("| package | purpose |")[2].partition("\n\n")[0]
    ranks = []
    for row in table.splitlines():
        cell = row.removeprefix("|").partition("|")[0]
        names = re.findall(r"`(\w+)(?:/|\.py)`", cell)
        ranks += sorted(_RANK[name] for name in names)
    assert len(ranks) > 30
    assert ranks == sorted(ranks)


def test_only_one_module_assigns_weights_to_a_model():
    rooms = ("runs", "semi_supervised", "training")
    assert not [
        _name(path)
        for path in _modules()
        if _room(path) in rooms
        and ".set_weights(" in path.read_text(encoding="utf-8")
    ]


def test_nobody_imports_a_door():
    doors = {f"tf_finetune.{name}" for name in _DOORS}
    assert not [_name(path) for path in _modules() if _imports(path) & doors]


def test_every_command_has_a_door():
    rooms = {_room(path) for path in _modules()}
    assert set(commands.COMMANDS) <= rooms


def test_no_module_is_longer_than_300_lines():
    lengths = {
        _name(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in _modules()
    }
    assert not {name: n for name, n in lengths.items() if n > 300}


def _option_tables(path: pathlib.Path, names: set[str]) -> Iterator[int]:
    """Yields the lines of literals that group options or map them to words."""
    nodes = [*ast.walk(_parse(path))]
    declared = {  # A part's own `reads` is a declaration, not a table.
        id(node.value)
        for node in nodes
        if isinstance(node, ast.keyword) and node.arg == "reads"
    }
    sequences = (ast.Tuple, ast.List, ast.Set)
    for node in nodes:
        items = []
        if isinstance(node, sequences):
            items = node.elts
        elif isinstance(node, ast.Dict):
            items = [
                key
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(value, sequences)
            ]
        words = {
            each.value
            for each in items
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        }
        if len(words) > 1 and words <= names and id(node) not in declared:
            yield node.lineno


def test_options_say_themselves_what_reads_them():
    names = {
        name
        for config_class in commands.config_classes().values()
        for name, field, _, _ in options.list_options(config_class)
        if field.metadata["used_by"]
    }
    assert not [
        f"{_name(path)}:{line}"
        for path in _modules()
        if _room(path) != "config" and path.stem != "unused_options"
        for line in _option_tables(path, names)
    ]


def test_no_module_asserts():
    assert not [
        _name(path)
        for path in _modules()
        if any(isinstance(node, ast.Assert) for node in ast.walk(_parse(path)))
    ]


def test_first_sentences_of_docstrings_name_their_subject():
    assert not [
        f"{_name(path)}:{line} {sentence}"
        for path in _modules()
        for line, sentence in _first_sentences(path)
        if re.search(r"\bwhat(ever)?\b", sentence, re.IGNORECASE)
    ]


def _defined_words(path: pathlib.Path) -> set[str]:
    """Returns the names in a module, and the words of its short texts."""
    found = {*path.relative_to(_PACKAGE.parent).with_suffix("").parts}
    for node in ast.walk(_parse(path)):
        for kind in ("id", "attr", "name", "arg"):
            value = getattr(node, kind, None)
            found |= {*value.split(".")} if isinstance(value, str) else set()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            found |= {*re.findall(r"\w+", text)} if "`" not in text else set()
    return found


def _mentioned_names(path: pathlib.Path) -> set[str]:
    """Returns the names in backticks in comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    return {*re.findall(r"(?<!`)`([A-Za-z_][\w.]*)(?:\(\))?`(?!`)", text)}


def test_names_that_docstrings_mention_exist():
    known = _ELSEWHERE.union(*map(_defined_words, _modules()))
    assert not [
        f"{_name(path)}: {name}"
        for path in _modules()
        for name in sorted(_mentioned_names(path))
        if not {*filter(None, name.split("."))} <= known
    ]


def test_spelling_is_american():
    wrong = []
    for path in _modules():
        text = _QUOTED.sub("", path.read_text(encoding="utf-8"))
        wrong += [f"{_name(path)}: {word}" for word in _BRITISH.findall(text)]
    assert not wrong


def test_the_glossary_defines_each_word_once_in_order():
    text = (_PROJECT / "docs" / "glossary.md").read_text("utf-8")
    words = re.findall(r"^\| ([^|]+?) \| .+ \| .+ \|$", text, re.MULTILINE)[1:]
    assert len(words) > 50
    assert len({word.casefold() for word in words}) == len(words)
    assert words == sorted(words, key=str.casefold)


def test_the_glossary_names_files_that_are_there():
    text = (_PROJECT / "docs" / "glossary.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+(?:\.py|/))`", text)
    assert len(named) > 50
    rooted = {name.removeprefix("tf_finetune/") for name in named}
    assert not [name for name in rooted if not (_PACKAGE / name).exists()]


def test_a_runtime_script_imports_numpy_and_its_format_alone():
    allowed = {
        "__init__.py": set(),
        "keras_file.py": {"keras"},
        "litert.py": {"ai_edge_litert"},
        "onnx.py": {"onnxruntime"},
        "saved_model.py": {"tensorflow"},
        "torchvision_file.py": {"json", "struct", "torch", "torchvision"},
    }
    scripts = (_PACKAGE / "exports" / "parity" / "runtimes").glob("*.py")
    found = {
        path.name: {name.partition(".")[0] for name in _imports(path)}
        for path in scripts
    }
    assert set(found) == set(allowed)
    assert not {
        name: names - allowed[name] - {"sys", "numpy"}
        for name, names in found.items()
        if names - allowed[name] - {"sys", "numpy"}
    }


def test_modules_that_start_before_the_checks_load_no_tensorflow():
    names = [f"tf_finetune.{name}" for name in _DOORS]
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


def test_the_package_offers_its_public_functions():
    assert tf_finetune.fine_tune.__module__ == "tf_finetune.workflow"
    with pytest.raises(AttributeError, match="no attribute 'finetune'"):
        _ = tf_finetune.finetune
