"""Graceful shutdown on SIGTERM, a lost connection or Ctrl-C.

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
from collections.abc import Callable, Iterator

# A terminal that is gone (SIGHUP), Ctrl-\, the warning that schedulers send
# (SIGUSR1), and the end of the computing time that a shell allows (SIGXCPU).
_GRACEFUL_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGXCPU")
    if hasattr(signal, name)
)
_SIGNALS = (*_GRACEFUL_SIGNALS, signal.SIGINT)

GRACE_SECONDS = 30.0
"""Seconds that a process may take to stop; the default."""

NOTHING_STARTED = "nothing was started."
STARTS_OVER = "the same command starts over."
RESUMES = "the same command resumes the run."
RESUMES_WITHOUT_OVERWRITE = (
    "the same command without --overwrite resumes the run."
)


class SignalExit(SystemExit):
    """The exception that ends the process with status 128 + the signal.

    Attributes:
        number: The signal's number.
        then: Clause for the user on what the same command will do, such as
            `NOTHING_STARTED`, `STARTS_OVER` or `RESUMES`.
    """

    def __init__(self, number: int, then: str = STARTS_OVER) -> None:
        """Stores the signal's number and the clause for the user."""
        super().__init__(128 + number)
        self.number = number
        self.then = then

    @property
    def sentence(self) -> str:
        """Message for the user: "Stopped by SIGTERM; …", with `then`."""
        return format_message(self.number, self.then)


class KeyboardExit(KeyboardInterrupt):
    """A `KeyboardInterrupt` with a clause for the user about the next start.

    Attributes:
        then: Clause on whether the same command resumes, such as `STARTS_OVER`
            or `RESUMES`.
    """

    def __init__(self, then: str) -> None:
        """Stores the clause for the user."""
        super().__init__()
        self.then = then


class StopRequest:
    """The stop signal that this process has received, if any.

    Attributes:
        number: Number of the signal; None: none was received.
        then: Clause for the user on what the same command will do, such as
            `STARTS_OVER` or `RESUMES`.
    """

    def __init__(self, then: str = STARTS_OVER) -> None:
        self.number: int | None = None
        self.then = then

    def raise_if_requested(self) -> None:
        """Raises the exception that ends the process if a signal was received.

        Raises:
            KeyboardExit: Ctrl-C was pressed.
            SignalExit: Another signal was received.
        """
        if self.number == signal.SIGINT:
            raise KeyboardExit(self.then)
        if self.number is not None:
            raise SignalExit(self.number, self.then)


def exit_on_signals() -> None:
    """Makes stop signals end the process at once, with one sentence.

    No exception is raised: a module that is being imported could swallow it.
    """
    _set_handlers(_end_at_once)


def restore_default_signals() -> None:
    """Restores the system's default handlers of the stop signals."""
    _set_handlers(signal.SIG_DFL)


@contextlib.contextmanager
def mark_resumable(
    has_begun: Callable[[], bool], *, overwrites: bool = False
) -> Iterator[None]:
    """Adds to a stop in the block whether the same command resumes the run.

    `SignalExit` and `KeyboardInterrupt` are raised again with another clause
    for the user (`then`); one that says more than the default stays.

    Args:
        has_begun: Called once the block was stopped, if it is not known yet:
            whether there is something to resume.
        overwrites: Whether the command has --overwrite, which starts over.
    """
    try:
        yield
    except (SignalExit, KeyboardInterrupt) as stopped:
        known = getattr(stopped, "then", STARTS_OVER)
        if known not in (STARTS_OVER, RESUMES):
            raise
        begun = known == RESUMES or has_begun()
        resumes = RESUMES_WITHOUT_OVERWRITE if overwrites else RESUMES
        then = resumes if begun else NOTHING_STARTED
        if then == known:
            raise
        if isinstance(stopped, SignalExit):
            raise SignalExit(stopped.number, then) from stopped
        raise KeyboardExit(then) from stopped


@contextlib.contextmanager
def catch_signals(
    grace_seconds: float = GRACE_SECONDS, *, at_once: bool
) -> Iterator[StopRequest]:
    """Turns stop signals and Ctrl-C in the block into a `StopRequest`.

    Outside of the main thread, which alone gets signals, nothing is changed.

    Args:
        grace_seconds: If the block has not ended this long after SIGTERM, the
            process exits with 143. (Who presses Ctrl-C can press it again; a
            notebook's process should outlive it.)
        at_once: Whether a signal raises at once, between two instructions;
            else the block must call `raise_if_requested` where it can stop,
            and only a second signal raises at once.

    Yields:
        The request, with `number` set once a signal was received.
    """
    then = STARTS_OVER if at_once else RESUMES
    request = StopRequest(then)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def tell(number: int, frame: object) -> None:
        is_second = request.number is not None
        request.number = number
        if at_once or is_second:
            request.raise_if_requested()

    before = {}
    with _enforce_deadline(grace_seconds, then):
        try:
            for each in _list_signals():
                before[each] = signal.signal(each, tell)
            yield request
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


@contextlib.contextmanager
def _enforce_deadline(seconds: float, then: str) -> Iterator[None]:
    """Ends the process if the block outlives SIGTERM by `seconds`."""
    # Python's C handler writes a signal's number into the socket, also while
    # the main thread is inside of TensorFlow.
    told, tell = socket.socketpair()
    # Python takes no blocking socket for this.
    tell.setblocking(False)
    before = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    watch = threading.Thread(
        target=_watch_socket, args=(told, seconds, then), daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        # The thread reads an empty string then, and ends.
        tell.close()
        watch.join()
        told.close()


def _watch_socket(told: socket.socket, seconds: float, then: str) -> None:
    number = 0
    while number not in _GRACEFUL_SIGNALS:
        byte = told.recv(1)
        if not byte:  # The block has ended and closed its side.
            return
        number = byte[0]
    told.settimeout(seconds)
    try:
        # Further signals are read away; an empty read is the block's end.
        while told.recv(1):
            pass
    except TimeoutError:
        print(
            f"Error: {format_message(number, then)} (No step ended within "
            f"{seconds:g} s, the limit of --grace_seconds.)",
            file=sys.stderr,
            flush=True,
        )
        # `sys.exit` would only end this thread.
        os._exit(128 + number)


def _list_signals() -> list[signal.Signals]:
    """Returns the signals that are not ignored (as `nohup` has SIGHUP)."""
    return [
        each
        for each in _SIGNALS
        if signal.getsignal(each) not in (signal.SIG_IGN, None)
    ]


def _set_handlers(handler: Callable | signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        for each in _list_signals():
            signal.signal(each, handler)


def _end_at_once(number: int, frame: object) -> None:
    # Buffered streams may be in use by what the signal interrupts.
    with contextlib.suppress(OSError):
        os.write(
            2, f"Error: {format_message(number, NOTHING_STARTED)}\n".encode()
        )
    os._exit(128 + number)


def format_message(number: int, then: str) -> str:
    """Returns "Stopped by SIGNAL; …", the message for the user.

    Args:
        number: The signal's number.
        then: Clause on what the same command will do, such as `RESUMES`.
    """
    is_key = number == signal.SIGINT
    by = "Ctrl-C" if is_key else signal.Signals(number).name
    return f"Stopped by {by}; {then}"
