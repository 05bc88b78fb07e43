"""Child processes: stopped, and how their end is described."""

import os
import signal
import subprocess
import sys

import fake_trials
import pytest

from tf_finetune.tuning import child_command, child_processes


class _Asked(Exception):
    pass


def test_a_child_is_waited_for_and_looked_at():
    assert child_processes.wait(fake_trials.FakeChild(3), lambda: False) == 3
    child = fake_trials.FakeChild(None)
    assert child_processes.wait(child, lambda: True) is None
    assert child.status == 143


def test_an_exception_stops_the_child_first():
    child = fake_trials.FakeChild(None)

    def look():
        raise _Asked

    with pytest.raises(_Asked):
        child_processes.wait(child, look)
    assert child.status == 143


def test_a_child_that_does_not_stop_is_killed(monkeypatch):
    monkeypatch.setattr(child_processes, "_STOP_SECONDS", 0.2)
    child = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"],
        stdout=subprocess.PIPE,
    )
    child.stdout.readline()
    child_processes.stop(child)
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()


def test_statuses_of_stopped_processes_are_known():
    stopped = [s for s in range(-30, 256) if child_processes.is_stop(s)]
    assert stopped == [-15, -2, -1, 129, 130, 143]
    assert child_processes.describe_status(7) == "it exited with status 7"
    assert "memory" in child_processes.describe_status(-9)
    assert child_processes.describe_status(-11) == "it was ended by SIGSEGV"


def test_the_last_error_is_the_reason(tmp_path):
    log = tmp_path / "log"
    assert child_processes.read_reason(log) == ""
    log.write_text("Error: first\nError: second\x1b[2J\nlater\n\n")
    assert child_processes.read_reason(log) == "second\\x1b[2J"
    log.write_text("Traceback\nMemoryError: all of it\n")
    assert child_processes.read_reason(log) == "MemoryError: all of it"


def test_a_command_ends_when_its_parent_does():
    code = (
        "import sys, time\n"
        "from tf_finetune import commands\n"
        "from tf_finetune.tuning import child_command\n"
        "commands.start = lambda name: print(name, flush=True) "
        "or time.sleep(60)\n"
        "child_command.main()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, "train"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"train\n"
    child.stdin.close()
    assert child.wait(timeout=60) == -signal.SIGTERM
    child.stdout.close()


def test_a_command_is_started_with_its_lock_and_log(tmp_path):
    with open(tmp_path / "lock", "w") as lock:
        child = child_processes.start_command(
            ["cache", "--zzz"], tmp_path / "log", [lock.fileno()]
        )
        assert child.wait(timeout=120) == 2
    child.stdin.close()
    assert "Unknown flag --zzz" in (tmp_path / "log").read_text()
    assert os.path.basename(child_command.__file__) == "child_command.py"
