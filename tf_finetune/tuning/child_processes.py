"""Child processes of a worker: started, watched, stopped."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from tf_finetune import files, terminal_escapes

_POLL_SECONDS = 0.2
# A child has its own grace period of 30 s, and then ends itself.
_STOP_SECONDS = 45.0
_LOG_BYTES = 64 << 20
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Child(Protocol):
    """A running process, as `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Returns its exit status, None while it runs."""

    def terminate(self) -> None:
        """Sends it SIGTERM."""

    def kill(self) -> None:
        """Sends it SIGKILL."""


Start = Callable[[Sequence[str], pathlib.Path, Sequence[int]], Child]
"""Starts a command: its name and flags, the file that its output is added to,
and open files that it keeps open while it runs."""


def start_command(
    words: Sequence[str], log: pathlib.Path, keep_open: Sequence[int] = ()
) -> subprocess.Popen:
    """Starts a command of this package in a process of its own.

    Args:
        words: Name of the command, then its flags.
        log: File that its output is added to.
        keep_open: Descriptors of files that it keeps open, such as locks.
    """
    with open(log, "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tf_finetune.tuning.child_command", *words],
            # Its other end is closed when this process ends in any way.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(keep_open),
            # Ctrl-C reaches this process alone, which stops the child.
            start_new_session=True,
        )


def wait(child: Child, look: Callable[[], bool]) -> int | None:
    """Waits for a child process to end; an exception stops it first.

    Args:
        child: The process.
        look: Called several times a second; True stops the process.

    Returns:
        Its exit status, as `subprocess.Popen.poll` returns it; None if `look`
        stopped it.
    """
    try:
        while (status := child.poll()) is None:
            if look():
                stop(child)
                return None
            time.sleep(_POLL_SECONDS)
        return status
    except BaseException:
        stop(child)
        raise


def stop(child: Child) -> None:
    """Stops a process by SIGTERM, after 45 s by SIGKILL; waits for its end."""
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    end = time.monotonic() + _STOP_SECONDS
    while child.poll() is None:
        if time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            end = float("inf")
        time.sleep(_POLL_SECONDS / 4)


def is_stop(status: int) -> bool:
    """Returns whether an exit status is that of a process that was stopped.

    Args:
        status: As `subprocess.Popen.poll` returns it; a command of this
            package that is stopped exits with 128 plus the signal's number.
    """
    return status in {
        value for each in _STOP_SIGNALS for value in (-each, 128 + each)
    }


def read_reason(log: pathlib.Path) -> str:
    """Returns the last error message in a command's output.

    Args:
        log: The output; it need not exist.

    Returns:
        The sentence behind "Error: "; else the last line that is not empty, ""
        where there is none.
    """
    try:
        text = files.read_text(log, limit=_LOG_BYTES, within=log.parent)
    except (OSError, ValueError):
        return ""
    lines = [each.strip() for each in text.splitlines() if each.strip()]
    found = [each for each in lines if each.startswith("Error: ")] or lines
    reason = found[-1].removeprefix("Error: ") if found else ""
    return terminal_escapes.escape(reason[:1000])


def describe_status(status: int) -> str:
    """Describes the end of a process: "it exited with status 3"."""
    if status >= 0:
        return f"it exited with status {status}"
    name = signal.Signals(-status).name
    hint = (
        ", as the system does when memory runs out"
        if -status == signal.SIGKILL
        else ""
    )
    return f"it was ended by {name}{hint}"


def describe_host() -> str:
    """Returns "HOST:PID" of this process, for the record of a trial."""
    return f"{os.uname().nodename}:{os.getpid()}"
