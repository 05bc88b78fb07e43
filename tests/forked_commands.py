"""Starts commands quickly: forks of a process that has TensorFlow loaded.

As a program it loads everything that a command needs, computes nothing, and
then forks a process for each line of JSON that it reads. Such a process is its
own in all that a test looks at (status, signals, output, memory); only the
seconds of the imports are missing. `scripts/campaigns/kill_runs.py` shows that
it computes what any other process does.
"""

import gc
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import graph_optimizer


class Forks:
    """The process that forks; one at a time asks it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> Any:
        """Returns its answer to a request."""
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it."""
        self._process.communicate()


class Fork:
    """What `subprocess.Popen` is for a command that is forked."""

    def __init__(
        self,
        forks: Forks,
        arguments: list[str],
        cwd: pathlib.Path,
        *,
        together: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Starts it.

        Args:
            forks: Who forks.
            arguments: What follows `python`: "-m", a module and flags; "-c",
                code and flags; or the path of a script and flags.
            cwd: The folder it runs in.
            together: Whether what it says on stderr goes to stdout too.
            environment: Variables to set; what loads with TensorFlow has
                read its own already.
        """
        self._forks = forks
        # Closed when they have been read.
        self._said = [
            tempfile.TemporaryFile()  # noqa: SIM115
            for _ in range(1 if together else 2)
        ]
        self.returncode: int | None = None
        self.pid = forks.ask(
            arguments=[str(each) for each in arguments],
            cwd=str(cwd),
            environment={**(environment or {})},
            optimizer=graph_optimizer.is_on(),
            streams=[
                f"/proc/{os.getpid()}/fd/{each.fileno()}"
                for each in (self._said * 2)[:2]
            ],
        )

    def poll(self) -> int | None:
        """Returns its exit status, None while it runs."""
        if self.returncode is None:
            self.returncode = self._forks.ask(poll=self.pid)
        return self.returncode

    def predictions(self) -> str:
        """Returns what it has written to stdout by now."""
        self._said[0].seek(0)
        return self._said[0].read().decode()

    def send(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout: float) -> subprocess.CompletedProcess:
        """Returns status and output when it has ended; kills it if late."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                self.send(signal.SIGKILL)
                raise subprocess.TimeoutExpired("a fork", timeout)
            time.sleep(0.01)
        return subprocess.CompletedProcess(
            self.pid, self.returncode, *self._heard()
        )

    def end_when(
        self,
        there: Callable[[], bool],
        number: int = signal.SIGKILL,
        timeout: float = 240,
    ) -> tuple[int, str]:
        """Sends it a signal as soon as `there()` holds.

        Returns:
            Its exit status and what it said.
        """
        end = time.monotonic() + timeout
        while not there():
            assert self.poll() is None, self.wait(timeout=0).stdout
            assert time.monotonic() < end, "the moment to kill never came"
            time.sleep(0.005)
        self.send(number)
        done = self.wait(timeout)
        return done.returncode, done.stdout

    def _heard(self) -> list[str]:
        heard = []
        for each in self._said:
            each.seek(0)
            heard.append(each.read().decode())
            each.close()
        return heard


def _load() -> None:
    """Imports all that a run needs; computes nothing."""
    from tf_finetune import environment

    environment.start_tensorflow()
    import matplotlib.pyplot  # noqa: F401
    import sklearn.linear_model
    import sklearn.model_selection  # noqa: F401

    from tf_finetune import workflow  # noqa: F401
    from tf_finetune.drawing import result_plots  # noqa: F401
    from tf_finetune.runs import (
        train,  # noqa: F401
    )
    from tf_finetune.tasks import result_table  # noqa: F401


def _next_fork(requests: Any, answers: Any) -> list[str] | None:
    """Answers requests; returns, in a new process, the arguments it has."""
    for line in requests:
        request = json.loads(line)
        if "poll" in request:
            ended, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        elif not (answer := os.fork()):
            os.chdir(request["cwd"])
            os.environ.update(request["environment"])
            graph_optimizer.switch(on=request["optimizer"])
            for stream, path in enumerate(request["streams"], 1):
                os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), stream)
            return request["arguments"]
        print(json.dumps(answer), file=answers, flush=True)
    return None


def _main() -> None:
    requests = os.fdopen(os.dup(0))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    _load()
    # No fork goes through all that was imported to collect its garbage.
    gc.freeze()
    if (arguments := _next_fork(requests, answers)) is None:
        return
    requests.close()
    answers.close()
    _become(*arguments)


def _become(kind: str, *arguments: str) -> None:
    """Does what `python kind arguments…` does."""
    if kind not in ("-m", "-c"):
        sys.argv = [kind, *arguments]
        sys.path[0] = os.path.dirname(os.path.realpath(kind))
        runpy.run_path(kind, run_name="__main__")
        return
    what, *flags = arguments
    sys.argv = [kind, *flags]
    sys.path[0] = os.getcwd()
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what, {"__name__": "__main__"})


if __name__ == "__main__":
    _main()
