"""What was run in the folder of the documents is known, and what is stale."""

import shlex
import subprocess

import pytest
from documents import command_runner as houses
from documents import documented_commands, sample_data


@pytest.fixture
def empty_house(tmp_path, monkeypatch):
    """A house without furniture, and what was started in it, as texts."""
    monkeypatch.setattr(sample_data, "furnish", lambda folder: None)
    started = []

    class Started:
        def __init__(self, arguments, folder, environment):
            started.append(" ".join(arguments[1:]))
            (folder / "runs" / "a").mkdir(parents=True, exist_ok=True)
            (folder / "runs" / "a" / "run.json").touch()

        def wait(self, _):
            return subprocess.CompletedProcess([], 0)

    return houses.House(tmp_path, Started), started


def _command(text):
    text = f"python -m tf_finetune.{text}"
    return documented_commands.Command("a.md", tuple(shlex.split(text)), text)


def test_what_was_made_of_a_run_is_made_anew_once_it_is_replaced(empty_house):
    house, started = empty_house
    export = _command("export --workdir=runs/a")
    house.run(_command("train --data=flowers --workdir=runs/a"))
    house.run(export)
    house.run(export)
    assert len(started) == 2
    house.run(_command("train --data=flowers --seed=1 --workdir=runs/a"))
    assert "--overwrite=true" in started[-1]
    house.run(export)
    assert [each.split()[0] for each in started] == [
        "tf_finetune.train", "tf_finetune.export",
    ] * 2  # fmt: skip


def test_who_trains_a_run_does_not_depend_on_where_tests_start(
    empty_house, tmp_path, monkeypatch
):
    house, _ = empty_house
    (tmp_path / "configs").symlink_to(documented_commands.ROOT / "configs")
    before = house._trainer("runs/flowers-resnet50")
    earlier = tmp_path / "elsewhere" / "runs" / "flowers-resnet50"
    earlier.mkdir(parents=True)
    (earlier / "run.json").write_text('{"status": "finished"}')
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert house._trainer("runs/flowers-resnet50") == before
