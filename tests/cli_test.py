"""Tests of tf_finetune/cli.py and of the commands as programs."""

import signal
import subprocess
import sys

import pytest

from tf_finetune.config import options, train_config

_COMMANDS = ("train", "evaluate", "predict", "export", "serve")


def _run(tmp_path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )


def _run_main(main: str) -> subprocess.CompletedProcess:
    """Runs a command whose function `main` is this code, in a process."""
    code = (
        "import atexit, errno, sys, threading, time\n"
        "from tf_finetune import cli, environment\n"
        "from tf_finetune.config import train_config\n"
        f"{main}"
        "sys.argv = ['train']\n"
        "cli.run_command(main, train_config.TrainConfig, purpose='x')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
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
    for name, field, value, _ in options.list_options(train_config.TrainConfig):
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
    done = _run_main(
        "sys.modules['tensorflow'] = None\n"
        "def main(config):\n"
        "    environment.start_tensorflow()\n"
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
    done = _run_main(f"def main(config):\n    raise {error}\n")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("ending", "status"), [("None", 0), ("exit(7)", 7)])
def test_all_that_waits_for_the_end_of_the_process_still_happens(
    ending, status
):
    done = _run_main(
        "def late():\n"
        "    time.sleep(0.2)\n"
        "    print('a thread')\n"
        "def main(config):\n"
        "    atexit.register(print, 'what was registered')\n"
        "    threading.Thread(target=late).start()\n"
        f"    {ending}\n"
    )
    assert done.returncode == status
    assert done.stdout.split("\n") == ["a thread", "what was registered", ""]


def test_a_fault_of_ours_shows_its_traceback():
    done = _run_main("def main(config):\n    1 / 0\n")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_a_line_of_a_flagfile_may_be_idle_and_a_flag_may_not(tmp_path):
    (tmp_path / "a.flags").write_text("--patience=9\n--optimizer=sgd\n")
    given = ("--flagfile=a.flags", "--epochs=0", "--data=nowhere")
    done = _run(tmp_path, "tf_finetune.train", *given, "--loss=focal")
    assert done.returncode == 2
    idle, error = done.stderr.splitlines()
    assert (
        idle == "Ignored options of the flagfile, which nothing reads: "
        "--optimizer=sgd, --patience=9."
    )
    assert error.startswith("Error: --loss=focal is for fine-tuning")


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], []])
def test_a_reader_that_leaves_is_met_with_silence(tmp_path, command):
    process = subprocess.Popen(
        [sys.executable, "-m", "tf_finetune", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0


_STARTED = (
    "import sys, time\n"
    "from tf_finetune import cli\n"
    "from tf_finetune.config import train_config\n"
    "def main(config):\n"
    "    print('started', flush=True)\n"
    "    {body}\n"
    "sys.argv = ['train']\n"
    "cli.run_command(main, train_config.TrainConfig, purpose='x')\n"
)


def _stopped(body: str, number: int) -> tuple[int, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _STARTED.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    return process.returncode, said


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGINT, "Ctrl-C"),
        (signal.SIGTERM, "SIGTERM"),
        (signal.SIGHUP, "SIGHUP"),
        (signal.SIGQUIT, "SIGQUIT"),
        (signal.SIGUSR1, "SIGUSR1"),
    ],
)
def test_every_polite_signal_ends_a_command_in_a_sentence(number, name):
    status, said = _stopped("time.sleep(60)", number)
    assert status == 128 + number
    assert said == f"Error: Stopped by {name}; the same command starts over.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_calls_a_stop_an_error_of_its_own_is_still_stopped(number):
    body = (
        "exec('try: time.sleep(60)\\n"
        "except BaseException as e: raise ImportError(5) from e')"
    )
    status, said = _stopped(body, number)
    assert status == 128 + number
    assert "Traceback" not in said and "Stopped by" in said


def test_a_stop_that_python_drops_still_ends_the_process():
    body = (
        "exec('class A:\\n def __del__(self): time.sleep(60)') or "
        "exec('A()', globals() | locals())"
    )
    status, said = _stopped(body, signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert "Traceback" not in said and "Stopped by SIGTERM" in said


def test_nohup_keeps_its_promise():
    code = (
        "import signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        + _STARTED.format(body="time.sleep(1); print('done')")
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=60)[0] == "done\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("seconds", [0.1, 0.3])
def test_a_command_that_is_still_loading_ends_in_a_sentence(
    tmp_path, number, seconds
):
    # Where its process lies, Python itself is loaded, which nobody answers
    # for; so the package says when it is reached.
    code = (
        "import runpy, sys, time, threading, os\n"
        "sys.argv = ['-m']\n"
        "sys.orig_argv = [sys.executable, '-m', 'tf_finetune.train']\n"
        "import tf_finetune\n"
        "print('reached', flush=True)\n"
        "sys.argv = ['train', '--data=nowhere', '--plan']\n"
        f"time.sleep({seconds})\n"
        "runpy.run_module('tf_finetune.train', run_name='__main__')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    process.stdout.readline()
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert said.count("\n") == 1 and "nothing was started." in said


def test_importing_the_package_leaves_signals_alone():
    code = (
        "import signal\n"
        "before = [signal.getsignal(n) for n in (1, 2, 3, 15)]\n"
        "import tf_finetune.workflow\n"
        "assert before == [signal.getsignal(n) for n in (1, 2, 3, 15)]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_told(tmp_path):
    done = _run(tmp_path, "tf_finetune", "--version")
    assert done.stdout.startswith("tf_finetune ")


def test_a_full_disk_behind_stdout_is_one_sentence(tmp_path):
    code = (
        "from tf_finetune import cli, console_output\n"
        "from tf_finetune.config import command_configs\n"
        "def main(config):\n"
        "    console_output.show('results')\n"
        "cli.run_command(main, command_configs.CacheConfig, purpose='')\n"
    )
    (tmp_path / "program.py").write_text(code)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.stderr.startswith("Error: No space left on the disk")
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 1


def test_each_unknown_flag_is_answered_on_a_line_of_its_own(tmp_path):
    done = _run(tmp_path, "tf_finetune.train", "--lr=1", "--bs=4")
    first, second = done.stderr.splitlines()
    assert first.startswith("Error: Unknown flag --lr. Here it is --learning_")
    assert second.startswith("Unknown flag --bs. Here it is --batch_size")
    assert done.returncode == 2


def test_names_in_the_log_and_in_errors_obey_no_terminal(tmp_path):
    code = (
        "from absl import logging\n"
        "from tf_finetune import errors, terminal_escapes, cli\n"
        "from tf_finetune.config import command_configs\n"
        "def main(config):\n"
        "    name = 'a\\x1b[31m\\nError: faked\\u202e.png'\n"
        "    logging.error('%s: gone, %d left', name, 3)\n"
        "    logging.error('two lines:\\nb\\x07')\n"
        "    lines = terminal_escapes.join_lines(['listed:', name])\n"
        "    logging.error('%s', lines)\n"
        "    raise errors.RunError(f'{name} is not there')\n"
        "cli.run_command(main, command_configs.CacheConfig, purpose='')\n"
    )
    (tmp_path / "program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    name = r"a\x1b[31m\nError: faked\u202e.png"
    assert done.stderr.splitlines()[-6:] == [
        f"{name}: gone, 3 left",
        "two lines:",
        r"b\x07",
        "listed:",
        name,
        f"Error: {name} is not there",
    ]
    assert done.returncode == 1
