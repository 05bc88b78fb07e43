"""A polite stop: what SIGTERM and Ctrl-C do to a run.

Python calls a signal's handler between two of its own instructions, which a
long computation of TensorFlow postpones. So a thread beside it, told by the
operating system's own handler, keeps the time.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(SystemExit):
    """The process was asked to stop; it exits with 128 + the signal."""

    def __init__(self, number: int) -> None:
        """Takes the signal's number."""
        super().__init__(128 + number)
        self.sentence = _sentence(number)


class Request:
    """Whether this process was asked to stop.

    Attributes:
        number: The signal that asked; None: none did.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def obey(self) -> None:
        """Raises what ends the process if it was asked to stop.

        Raises:
            KeyboardInterrupt: It was Ctrl-C.
            Stopped: It was another signal.
        """
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.number is not None:
            raise Stopped(self.number)


@contextlib.contextmanager
def listening(grace_seconds: float, *, at_once: bool) -> Iterator[Request]:
    """Turns SIGTERM and Ctrl-C into a request while the block runs.

    In another thread than the main one, which gets no signals, nothing is
    changed.

    Args:
        grace_seconds: When this has passed since SIGTERM and the block has
            not ended, the process exits with 143. (Who presses Ctrl-C can
            press it again; a notebook's process should outlive it.)
        at_once: The request is obeyed between any two instructions; else the
            block has to ask for it, or a second signal comes.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def tell(number: int, frame: object) -> None:
        is_second = request.number is not None
        request.number = number
        if at_once or is_second:
            request.obey()

    before = {}
    with _deadline(grace_seconds):
        try:
            for each in _SIGNALS:
                before[each] = signal.signal(each, tell)
            yield request
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Ends the process if the block outlives SIGTERM by `seconds`."""
    told, tell = socket.socketpair()
    tell.setblocking(False)
    before = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(told, seconds), daemon=True)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        tell.close()
        watch.join()
        told.close()


def _watch(told: socket.socket, seconds: float) -> None:
    number = 0
    while number != signal.SIGTERM:
        byte = told.recv(1)
        if not byte:
            return
        number = byte[0]
    told.settimeout(seconds)
    try:
        while told.recv(1):
            pass
    except TimeoutError:
        print(
            f"Error: {_sentence(number)} (No step ended within "
            f"{seconds:g} s; --grace_seconds.)",
            file=sys.stderr,
            flush=True,
        )
        os._exit(128 + number)


def _sentence(number: int) -> str:
    name = signal.Signals(number).name
    return f"Stopped by {name}; the same command goes on where it was."
