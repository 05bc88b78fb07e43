"""Fresh processes that start quickly: forks of one that has its runtime.

Most of the seconds of a proof in a process of its own are the imports of
TensorFlow or Keras. As a program, `python -I runtime_forks.py SCRIPT`, this
does the imports of a script of `exports/parity/runtimes/`, computes nothing,
and then forks a process for each line of JSON that it reads, which does the
rest. Such a process has what `fresh_process.run_script` gives one, and knows as
little of this package.

ONNX Runtime has threads from its import on, which a fork loses; it and LiteRT
start quickly anyway. `tests/exports/parity/fresh_process_test.py` and every
export by a command in `tests/end_to_end/` start theirs the long way.
"""

import contextlib
import gc
import json
import os
import pathlib
import runpy
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

# Scripts that import no more than TensorFlow or Keras, which can be forked.
_FORKED = ("keras_file.py", "saved_model.py")


class Runtimes:
    """Processes that fork, one a script; started when they are needed."""

    def __init__(
        self,
        folder: pathlib.Path,
        environment: dict[str, str],
        otherwise: Callable[..., subprocess.CompletedProcess],
        patience_seconds: float,
        is_optimizer_on: Callable[[], bool],
    ) -> None:
        """Starts nothing yet.

        Args:
            folder: Of the scripts.
            environment: Of their processes.
            otherwise: Called for all others, and where one has died.
            patience_seconds: That a script may take.
            is_optimizer_on: Whether TensorFlow is to optimize graphs.
        """
        self._folder = folder.resolve()
        self._environment = environment
        self._otherwise = otherwise
        self._patience_seconds = patience_seconds
        self._is_optimizer_on = is_optimizer_on
        self._processes: dict[pathlib.Path, subprocess.Popen] = {}

    def ended(
        self, arguments: list[pathlib.Path]
    ) -> subprocess.CompletedProcess:
        """Does what `fresh_process.run_isolated` does.

        Raises:
            subprocess.TimeoutExpired: The script takes too long; it is ended.
        """
        script, _, source, _ = arguments
        if script.parent != self._folder or script.name not in _FORKED:
            return self._otherwise(arguments)
        if script not in self._processes:
            self._processes[script] = self._forking(script)
        with tempfile.NamedTemporaryFile() as said:
            request = {
                "arguments": [str(each) for each in arguments],
                "cwd": str(source.parent),
                "stderr": said.name,
                "optimizer": self._is_optimizer_on(),
            }
            status = self._status(script, json.dumps(request))
            if status is None:
                return self._otherwise(arguments)
            return subprocess.CompletedProcess(
                arguments, status, stderr=said.read()
            )

    def _status(self, script: pathlib.Path, request: str) -> int | None:
        """Returns with which status a fork ended, None if who forks died."""
        process = self._processes[script]
        try:
            print(request, file=process.stdin, flush=True)
        except BrokenPipeError:
            self._kill(script)
            return None
        # One line a request: nothing is in a buffer of Python's before.
        seconds = self._patience_seconds
        if not select.select([process.stdout], [], [], seconds)[0]:
            self._kill(script)
            raise subprocess.TimeoutExpired(request, seconds)
        answer = process.stdout.readline()
        if not answer:
            self._kill(script)
            return None
        return int(answer)

    def _kill(self, script: pathlib.Path) -> None:
        """Ends a process and its forks; the next request starts another."""
        process = self._processes.pop(script)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def close(self) -> None:
        """Ends them."""
        for process in self._processes.values():
            process.communicate()

    def _forking(self, script: pathlib.Path) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-I", __file__, str(script)],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def _next_fork(requests: Any, answers: Any) -> dict[str, Any] | None:
    """Answers requests with statuses; returns one in each new process."""
    for line in requests:
        request = json.loads(line)
        child = os.fork()
        if not child:
            return request
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
    return None


def _main(script: str) -> None:
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    loaded = runpy.run_path(script, run_name="loaded")
    # No fork goes through all that was imported to collect its garbage.
    gc.freeze()
    request = _next_fork(requests, answers)
    if request is None:
        return
    requests.close()
    answers.close()
    os.chdir(request["cwd"])
    os.dup2(os.open(request["stderr"], os.O_WRONLY | os.O_APPEND), 2)
    if "tensorflow" in sys.modules and not request["optimizer"]:
        options = sys.modules["tensorflow"].config.optimizer
        options.set_experimental_options({"disable_meta_optimizer": True})
    sys.argv = request["arguments"]
    loaded["main"](*sys.argv[1:])


if __name__ == "__main__":
    _main(sys.argv[1])
