"""Tests of tf_finetune/shutdown.py."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tf_finetune import shutdown


def test_a_signal_waits_until_it_is_asked_for():
    with (
        pytest.raises(shutdown.SignalExit) as stopped,
        shutdown.catch_signals(60, at_once=False) as request,
    ):
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.number == signal.SIGTERM
        request.raise_if_requested()
    assert stopped.value.code == 143
    assert "SIGTERM; the same command" in stopped.value.sentence


def test_ctrl_c_stays_a_keyboard_interrupt():
    with (
        pytest.raises(KeyboardInterrupt),
        shutdown.catch_signals(60, at_once=False) as request,
    ):
        os.kill(os.getpid(), signal.SIGINT)
        request.raise_if_requested()


def test_a_second_signal_is_obeyed_at_once():
    with (
        pytest.raises(shutdown.SignalExit),
        shutdown.catch_signals(60, at_once=False),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_without_a_signal_nothing_is_left_behind():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    threads = threading.active_count()
    with shutdown.catch_signals(60, at_once=True) as request:
        assert signal.getsignal(signal.SIGTERM) != before[0]
        request.raise_if_requested()
    after = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert after == before
    assert threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1


def test_the_inner_of_two_blocks_decides():
    with shutdown.catch_signals(60, at_once=True) as outer:
        with shutdown.catch_signals(60, at_once=False) as inner:
            os.kill(os.getpid(), signal.SIGTERM)
        assert (outer.number, inner.number) == (None, signal.SIGTERM)


def test_another_thread_gets_no_signals_and_may_train():
    found = []

    def work():
        with shutdown.catch_signals(60, at_once=True) as request:
            found.append(request.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None]


def test_when_the_grace_time_is_over_the_process_ends():
    code = (
        "import os, signal, time\n"
        "from tf_finetune import shutdown\n"
        "with shutdown.catch_signals(0.3, at_once=False):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 143
    assert time.monotonic() - start < 30
    assert done.stderr.count("\n") == 1
    assert "the same command resumes" in done.stderr
    assert "0.3 s" in done.stderr


def test_a_stop_says_whether_something_was_begun():
    for begun, then in (
        (True, shutdown.RESUMES),
        (False, shutdown.NOTHING_STARTED),
    ):
        with (
            pytest.raises(shutdown.SignalExit) as stopped,
            shutdown.mark_resumable(lambda begun=begun: begun),
        ):
            raise shutdown.SignalExit(signal.SIGTERM)
        assert stopped.value.sentence == f"Stopped by SIGTERM; {then}"
        with (
            pytest.raises(shutdown.KeyboardExit) as pressed,
            shutdown.mark_resumable(lambda begun=begun: begun),
        ):
            raise KeyboardInterrupt
        assert pressed.value.then == then


@pytest.mark.parametrize("known", [shutdown.STARTS_OVER, shutdown.RESUMES])
def test_a_command_that_overwrites_does_not_resume(known):
    with (
        pytest.raises(shutdown.SignalExit) as stopped,
        shutdown.mark_resumable(lambda: True, overwrites=True),
    ):
        raise shutdown.SignalExit(signal.SIGHUP, known)
    assert "without --overwrite resumes" in stopped.value.sentence


def test_what_the_inner_of_two_blocks_knows_is_kept():
    with (
        pytest.raises(shutdown.SignalExit) as stopped,
        shutdown.mark_resumable(lambda: False),
        shutdown.mark_resumable(lambda: True),
    ):
        raise shutdown.SignalExit(signal.SIGHUP)
    assert stopped.value.then == shutdown.RESUMES
    assert stopped.value.code == 129


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1]
)
def test_a_lost_connection_is_a_request_as_well(number):
    with (
        pytest.raises(shutdown.SignalExit) as stopped,
        shutdown.catch_signals(60, at_once=False) as request,
    ):
        os.kill(os.getpid(), number)
        request.raise_if_requested()
    assert stopped.value.code == 128 + number
