"""The documents' commands of the package do what they are said to do."""

import csv
import json
import re
import socket

import pytest
from documents import command_rules, documented_commands, small_settings

from tf_finetune import commands as table
from tf_finetune.workdir import workdir_files

_PACKAGE = [
    pytest.param(
        command,
        id=str(command),
        marks=command_rules.mark_campaign(command.document),
    )
    for command, _ in command_rules.of_kind("package")
]
_RUNTIMES = {"litert": "ai_edge_litert", "onnx": "tf2onnx"}


@pytest.mark.parametrize("command", _PACKAGE)
def test_a_command_runs_and_leaves_what_it_promises(command, house):
    for format_, module in _RUNTIMES.items():
        if format_ in command.flag("format"):
            pytest.importorskip(module)
    done = house.run(command)
    assert done.returncode == 0, done.stdout + done.stderr
    name = command.module.partition(".")[2]
    if name in _PROMISES:
        _PROMISES[name](command, house, done)


def _trained(command, house, done):
    place, said = workdir_files.Workdir(house.workdir(command)), done.stdout
    if "--plan" in command.words:
        assert "nothing was written" in said
        assert not place.path.exists()
        return
    assert place.is_finished
    for path in (place.model, place.evaluation, place.run_flags, place.plan):
        assert path.is_file(), path
    assert f"Results saved to {place.path.relative_to(house.folder)}" in said
    page = (documented_commands.ROOT / "docs/run_folder.md").read_text("utf-8")
    for path in place.path.iterdir():
        name = re.sub(
            r"_(train|validation|test)\.png$", "_SPLIT.png", path.name
        )
        assert f"`{name}" in page, name
    asked = "--numeric_columns=" in command.text
    assert place.fusion_model.exists() == (
        asked or "regression.flags" in command.text
    )


def _evaluated(command, house, done):
    name = f"evaluation.{command.flag('data').strip('/')}.json"
    figures = json.loads(
        (house.folder / command.flag("workdir") / name).read_text()
    )
    (figures,) = [each for each in figures.values() if isinstance(each, dict)]
    assert "accuracy" in figures and "accuracy" in done.stdout


def _predicted(command, house, done):
    path = house.folder / command.flag("output")
    if path.is_dir():
        names = {each.stem for each in (house.folder / "photos").iterdir()}
        for each in ("masks", "overlays"):
            assert {p.stem for p in (path / each).iterdir()} == names
        path = path / "predictions.csv"
    asked = command.flag("data")
    with open(path, newline="") as file:
        rows = len([*csv.DictReader(file)])
    if asked.endswith(".csv"):
        assert rows == len((house.folder / asked).read_text().split()) - 1
    else:
        folder = asked.partition("/")[0]
        assert rows == len([*(house.folder / folder).iterdir()])


def _exported(command, house, done):
    page = (documented_commands.ROOT / "docs" / "exports.md").read_text("utf-8")
    files = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)`", page, re.MULTILINE))
    usual = f"{command.flag('workdir')}/export"
    place = house.folder / (command.flag("output") or usual)
    names = (command.flag("format") or "saved_model").split(",")
    for name in names:
        assert (place / files[name]).exists(), name
    assert len(names) == done.stdout.count("checked on")
    assert (place / "parity.json").is_file()


def _cleared(command, house, done):
    listed = house.wait(["-m", "tf_finetune.cache"])
    assert listed.returncode == 0
    assert "features" not in listed.stdout, listed.stdout


def _adapted(command, house, done):
    action, output = command.words[3], house.folder / command.flag("output")
    if action == "list":
        assert "fingerprint" in done.stdout
    elif action == "merge":
        assert output.is_file()
    else:
        count = len(command.flag("adapters").split(","))
        assert len([*output.glob("*.keras")]) == count


def _recommended(command, house, done):
    place = house.folder / f"runs/recommend-{command.flag('data').strip('/')}"
    content = json.loads((place / "recommend.json").read_text("utf-8"))
    assert len(content["ranking"]) == command.text.count(".h5")
    assert content["command"] in done.stdout
    page = (documented_commands.ROOT / "docs/choosing.md").read_text("utf-8")
    for key in (*content, *content["ranking"][0]):
        assert f"`{key}`" in page, key


def _chosen(command, house, done):
    (place,) = (house.folder / "runs").glob("recipe-*")
    content = json.loads((place / "recipe.json").read_text("utf-8"))
    page = (documented_commands.ROOT / "docs/recipe.md").read_text("utf-8")
    for key in content:
        assert f"`{key}`" in page, key
    assert "--recipe=none" in (place / "recipe.flags").read_text("utf-8")


def _tuned(command, house, done):
    # Beside the folders of documents that write "/shared/…".
    place = house.folder / command.flag("study").lstrip("/")
    content = json.loads((place / "study.json").read_text("utf-8"))
    assert len(content["trials"]) == 2
    assert str(place.name) in done.stdout
    page = (documented_commands.ROOT / "docs/tuning.md").read_text("utf-8")
    for key in (*content, *content["trials"][0]):
        assert f"`{key}`" in page, key
    for each in place.iterdir():
        name = each.name.replace("0000", "0007").replace("0001", "0007")
        assert name in page, name


_PROMISES = {
    "recipe": _chosen,
    "tune": _tuned,
    "recommend": _recommended,
    "train": _trained,
    "evaluate": _evaluated,
    "predict": _predicted,
    "export": _exported,
    "cache": _cleared,
    "adapters": _adapted,
}


@pytest.mark.parametrize(
    "command", [each for each, _ in command_rules.of_kind("named")], ids=str
)
def test_a_command_that_is_named_explains_itself(command, house):
    words = command.words[1:]
    told = house.wait([*words, "--help"] if "." in command.module else words)
    assert told.returncode == 0, told.stderr
    if "." in command.module:
        assert "--help lists every flag" not in told.stderr
        assert "--workdir" in told.stdout or "--cache_dir" in told.stdout
    elif len(words) > 2:
        assert "resnet50" in told.stdout
    else:
        for name in table.COMMANDS:
            assert f"  {name} " in told.stdout


def test_the_package_is_shown_whole():
    commands = [*documented_commands.commands()]
    shown = {c.module.partition(".")[2] for c in commands if "." in c.module}
    assert shown == set(small_settings.CONFIGS)


@pytest.mark.campaign
@pytest.mark.parametrize(
    "command", [each for each, _ in command_rules.of_kind("workers")], ids=str
)
def test_workers_that_are_started_by_hand_make_one_run(command, house):
    given = json.loads(dict(command.environment)["TF_CONFIG"])
    count = len(given["cluster"]["worker"])
    assert given["task"]["index"] == count - 1, "the document's own worker"
    words = small_settings.filled_in(command)[1:]
    config = small_settings.config("train", words[2:])
    words += small_settings.as_flags(small_settings.smaller(config))
    with_ports = [f"localhost:{port}" for port in _free_ports(count)]
    workers = []
    for index in range(count):
        given["cluster"]["worker"] = with_ports
        given["task"]["index"] = index
        workers.append(house.start(words, TF_CONFIG=json.dumps(given)))
    for worker in workers:
        done = worker.wait(300)
        assert done.returncode == 0, done.stderr
    path = (
        house.folder / small_settings.config("train", words[2:]).output.workdir
    )
    assert workdir_files.Workdir(path).is_finished


def _free_ports(count):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def test_schedulers_start_the_command_that_is_run_by_hand():
    (by_hand,) = [each.words for each, _ in command_rules.of_kind("workers")]
    (slurm,) = [
        c.words for c in documented_commands.commands() if c.words[0] == "srun"
    ]
    assert slurm[1:] == by_hand
    page = (documented_commands.ROOT / "docs" / "distributed.md").read_text(
        "utf-8"
    )
    (listed,) = re.findall(r"command: \[(.*?)\]", page, re.DOTALL)
    assert tuple(re.split(r",\s+", listed)) == by_hand
