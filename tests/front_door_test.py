"""Tests of tf_finetune/front_door.py and of the commands as programs."""

import subprocess
import sys

import pytest

from tf_finetune.config import options, train

_COMMANDS = ("train", "evaluate", "predict", "export", "serve")


def _run(tmp_path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )


@pytest.mark.parametrize("command", _COMMANDS)
def test_help_lists_every_flag_and_succeeds(tmp_path, command):
    done = _run(tmp_path, f"tf_finetune.{command}", "--help")
    assert done.returncode == 0, done.stderr
    assert "--workdir" in done.stdout
    assert not done.stderr


def test_help_of_train_shows_each_flag_with_default_and_help(tmp_path):
    page = _run(tmp_path, "tf_finetune.train", "--help").stdout
    joined = " ".join(page.split())
    for name, field, value, _ in options.declared(train.TrainConfig):
        shown = options.to_text(value) or "''"
        assert f"--{name} (default: {shown})" in joined
        assert " ".join(field.metadata["help"].split()) in joined


def test_the_commands_are_listed(tmp_path):
    done = _run(tmp_path, "tf_finetune")
    assert done.returncode == 0
    for command in _COMMANDS:
        assert f"  {command} " in done.stdout


def test_an_unknown_command_is_answered_with_the_nearest(tmp_path):
    done = _run(tmp_path, "tf_finetune", "trian")
    assert done.returncode == 2
    assert "Did you mean 'train'?" in done.stderr


def test_the_console_program_runs_a_command(tmp_path):
    done = _run(tmp_path, "tf_finetune", "train", "--help")
    assert done.returncode == 0
    assert "--backbone" in done.stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--bakbone=vgg16"], "Did you mean --backbone"),
        (["--epochs=many"], "--epochs must be a whole number, got 'many'"),
        (["--seed=-1"], "--seed must be at least 0"),
        (["flowers/"], "must be flags (--name=value), got 'flowers/'"),
        (["--flagfile=none.flags"], "none.flags"),
        ([], "--data is needed"),
        (["--data=nowhere"], "nowhere"),
        (["--data=.", "--weights=none"], "holds no folder per class"),
        (["--data=.", "--backbone=resnt50"], "Did you mean 'resnet50'"),
        (["--data=.", "--optimizer=adamm"], "Did you mean 'adam'"),
        (["--data=.", "--head=liner"], "Did you mean 'linear'"),
        (["--data=.", "--task=classify"], "task"),
        (["--data=.", "--weights=gone.h5"], "gone.h5"),
        (["--data=.", "--weights=none", "--fail_below=acc:1"], "accuracy"),
        (
            ["--data=.", "--weights=none", "--fail_if_not_better_than=gone"],
            "neither 'probe' nor",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(tmp_path, flags, words):
    done = _run(tmp_path, "tf_finetune.train", *flags)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "something was written"


@pytest.mark.parametrize("command", ["evaluate", "predict", "export", "serve"])
def test_a_workdir_without_a_run_is_a_usage_error(tmp_path, command):
    done = _run(
        tmp_path, f"tf_finetune.{command}", "--workdir=.",
        *(["--data=x"] if command == "predict" else []),
    )  # fmt: skip
    assert done.returncode == 2
    assert "No run in --workdir=." in done.stderr


def test_a_missing_tensorflow_is_answered_with_what_to_install(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['tensorflow'] = None\n"
        "from tf_finetune import environment, front_door\n"
        "from tf_finetune.config import train\n"
        "def main(config):\n"
        "    environment.start_tensorflow()\n"
        "sys.argv = ['train']\n"
        "front_door.run(main, train.TrainConfig, purpose='x')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "tf_finetune[tensorflow]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("OSError(errno.ENOSPC, 'x', '/d/f')", "No space left on the disk"),
        ("PermissionError(errno.EACCES, 'Denied', '/d')", "Denied: /d"),
    ],
)
def test_an_operating_system_error_is_one_sentence(error, words):
    code = (
        "import errno, sys\n"
        "from tf_finetune import front_door\n"
        "from tf_finetune.config import train\n"
        "def main(config):\n"
        f"    raise {error}\n"
        "sys.argv = ['train']\n"
        "front_door.run(main, train.TrainConfig, purpose='x')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("ending", "status"), [("None", 0), ("exit(7)", 7)])
def test_all_that_waits_for_the_end_of_the_process_still_happens(
    ending, status
):
    code = (
        "import atexit, logging, sys, threading, time\n"
        "from tf_finetune import front_door\n"
        "from tf_finetune.config import train\n"
        "def late():\n"
        "    time.sleep(0.2)\n"
        "    print('a thread')\n"
        "def main(config):\n"
        "    atexit.register(print, 'what was registered')\n"
        "    threading.Thread(target=late).start()\n"
        f"    {ending}\n"
        "sys.argv = ['train']\n"
        "front_door.run(main, train.TrainConfig, purpose='x')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == status
    assert done.stdout.split("\n") == ["a thread", "what was registered", ""]


def test_a_fault_of_ours_shows_its_traceback():
    code = (
        "import sys\n"
        "from tf_finetune import front_door\n"
        "from tf_finetune.config import train\n"
        "sys.argv = ['train']\n"
        "front_door.run(lambda _: 1 / 0, train.TrainConfig, purpose='x')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_a_line_of_a_flagfile_may_be_idle_and_a_flag_may_not(tmp_path):
    (tmp_path / "a.flags").write_text("--patience=9\n--optimizer=sgd\n")
    given = ("--flagfile=a.flags", "--epochs=0", "--data=nowhere")
    done = _run(tmp_path, "tf_finetune.train", *given, "--loss=focal")
    assert done.returncode == 2
    idle, error = done.stderr.splitlines()
    assert (
        idle == "Of the flagfile nothing reads --optimizer=sgd, --patience=9."
    )
    assert error.startswith("Error: --loss=focal is for fine-tuning")
