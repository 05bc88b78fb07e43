"""Runs a command: flags become a config, errors one sentence."""

import atexit
import copy
import errno
import logging as standard_logging
import os
import signal
import sys
from collections.abc import Callable, Sequence, Set
from typing import Any, TypeVar

from absl import app, flags, logging

from tf_finetune import console_output, errors, shutdown, terminal_escapes
from tf_finetune.config import flag_parser, given_options, help_page, options

Config = TypeVar("Config")

_STATUS = {
    errors.UsageError: 2,
    errors.DataError: 2,
    errors.RunError: 1,
    errors.GateError: 3,
}


def run_command(
    main: Callable[[Config], None],
    config_class: type[Config],
    *,
    purpose: str,
    settle: Callable[[Config, Set[str]], Config] | None = None,
) -> None:
    """Parses the command line into a config, calls `main` and exits.

    Args:
        main: The command; prints its result and returns nothing.
        config_class: The dataclass its flags are derived from.
        purpose: First lines of `--help`: a sentence and an example.
        settle: Given the parsed config and the names of the options set on
            the command line itself (not in a flagfile), returns the config
            for `main`; None: `main` gets the parsed one.

    Raises:
        SystemExit: Always. Status 0: done; 1: `RunError` or no access to a
            file; 2: wrong flags or data; 3: a condition on the result
            failed; 128 + number of the signal that stopped the process.
    """
    # First of all: a signal may come while modules are being imported.
    shutdown.exit_on_signals()
    console_output.prepare_streams()
    statuses: list[Any] = []
    # What is registered first is called last.
    atexit.register(_exit_without_cleanup, statuses)
    try:
        app.run(
            lambda given: _run_guarded(main, settle, *given),
            flags_parser=_make_parser(config_class, purpose),
        )
    except SystemExit as end:
        statuses.append(end.code)
        raise
    finally:
        shutdown.restore_default_signals()


def parse_arguments(
    config_class: type[Config],
    arguments: Sequence[str],
    values: flags.FlagValues,
) -> tuple[Config, Set[str]]:
    """Parses arguments into a config and the set of options named in them.

    Args:
        config_class: The dataclass the flags are derived from.
        arguments: Arguments of a command line, without the program's name.
        values: Flag values in which the flags are defined and then set.

    Returns:
        The config, and the names of the options that the arguments set
        themselves, not through a flagfile.

    Raises:
        UsageError: A flag is unknown, a value is invalid, a flagfile cannot
            be read, or an argument is not a flag.
    """
    options.define_flags(config_class, values)
    flag_parser.parse_arguments(values, arguments)
    # Parsed a second time, to know what stands in no flagfile.
    alone = flag_parser.ArgumentFlagValues()
    options.define_flags(config_class, alone)
    given = flag_parser.list_given(alone, arguments)
    # Those of flagfiles too: a recipe keeps every value that was given.
    present = {name for name in values if values[name].present}
    config = options.from_flags(config_class, values)
    return given_options.mark_given(config, present), given


def _make_parser(
    config_class: type[Config], purpose: str
) -> Callable[[Sequence[str]], tuple[Config, Set[str]]]:
    def parse(argv: Sequence[str]) -> tuple[Config, Set[str]]:
        if {"--help", "-h", "-help", "--h"} & set(argv[1:]):
            # absl's own help would group the flags by defining module.
            console_output.show(help_page.format_help(config_class, purpose))
            sys.exit(0)
        try:
            return parse_arguments(config_class, argv[1:], flags.FLAGS)
        except (flags.Error, errors.UsageError, OSError) as error:
            _exit_with_error(
                _format_error(error) + " (--help lists every flag)", 2
            )

    return parse


def _run_guarded(
    main: Callable[[Config], None],
    settle: Callable[[Config, Set[str]], Config] | None,
    config: Config,
    given: Set[str],
) -> None:
    _configure_log()
    sys.unraisablehook = _end_if_stopped
    try:
        config = settle(config, given) if settle else config
        with shutdown.catch_signals(
            _read_grace_seconds(config), at_once=True
        ) as request:
            _call_interruptible(request, main, config)
    except tuple(_STATUS) as error:
        # The status of the nearest class: errors may be subclassed.
        status = next(_STATUS[k] for k in type(error).mro() if k in _STATUS)
        _exit_with_error(_format_error(error), status)
    except OSError as error:
        _exit_with_error(_format_error(error), 1)
    except shutdown.SignalExit as stopped:
        _exit_with_error(stopped.sentence, stopped.code)
    except KeyboardInterrupt as stopped:
        then = getattr(stopped, "then", shutdown.STARTS_OVER)
        _exit_with_error(
            shutdown.format_message(signal.SIGINT, then), 128 + signal.SIGINT
        )


def _call_interruptible(
    request: shutdown.StopRequest,
    main: Callable[[Config], None],
    config: Config,
) -> None:
    """Calls a command; an error that follows a stop signal counts as a stop."""
    try:
        main(config)
    except (KeyboardInterrupt, shutdown.SignalExit):
        raise
    except Exception:
        # An import that is interrupted may call that an error of its own.
        request.raise_if_requested()
        raise


def _read_grace_seconds(config: Any) -> float:
    """Returns how long a command may take to stop, seconds."""
    interruptions = getattr(config, "interruptions", None)
    return getattr(interruptions, "grace_seconds", shutdown.GRACE_SECONDS)


def _end_if_stopped(fault: Any) -> None:
    """Ends the process if Python swallows the exception that stops it."""
    if isinstance(fault.exc_value, (KeyboardInterrupt, shutdown.SignalExit)):
        number = getattr(fault.exc_value, "number", signal.SIGINT)
        then = getattr(fault.exc_value, "then", shutdown.STARTS_OVER)
        print(
            f"Error: {shutdown.format_message(number, then)}",
            file=sys.stderr,
            flush=True,
        )
        os._exit(128 + number)
    sys.__unraisablehook__(fault)


def _exit_without_cleanup(statuses: Sequence[Any]) -> None:
    """Ends the process and leaves its memory to the operating system.

    Python would take TensorFlow apart object by object, for most of a second.

    Args:
        statuses: What `sys.exit` was called with; none after a traceback.
    """
    if not statuses or not isinstance(statuses[0], (int, type(None))):
        return
    standard_logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        return
    # Past Python's own clean-up; everything is written and flushed.
    os._exit(statuses[0] or 0)


def _is_ours_or_serious(record: standard_logging.LogRecord) -> bool:
    """Tells whether a record is this package's, or an error of any."""
    ours = record.pathname.startswith(os.path.dirname(__file__))
    return ours or record.levelno >= standard_logging.ERROR


def _configure_log() -> None:
    """Formats the log as plain messages without time stamps, info included."""
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler()
    handler.setFormatter(_PlainFormatter("%(message)s"))
    handler.addFilter(_is_ours_or_serious)


class _PlainFormatter(standard_logging.Formatter):
    """Formats records as their message, with terminal escapes made visible."""

    def format(self, record: standard_logging.LogRecord) -> str:
        """Returns the message; line breaks in its arguments are escaped."""
        if isinstance(record.args, tuple):
            record = copy.copy(record)
            record.args = tuple(map(_escape_argument, record.args))
        return terminal_escapes.escape(super().format(record), keep="\n\t")


def _escape_argument(value: Any) -> Any:
    """Escapes an argument of a message if it is a name or a path."""
    if isinstance(value, str):
        return terminal_escapes.escape(value)
    return (
        terminal_escapes.escape(str(value))
        if isinstance(value, os.PathLike)
        else value
    )


def _format_error(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f" while writing {error.filename}" if error.filename else ""
        return f"No space left on the disk{where}; free some and run again."
    # `str(OSError)` begins with "[Errno 13]".
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}."
    # `str` would lose the type of Lines, and their breaks be escaped.
    return error.args[0] if _is_lines(error) else str(error)


def _is_lines(error: BaseException) -> bool:
    return len(error.args) == 1 and isinstance(
        error.args[0], terminal_escapes.EscapedLines
    )


def _exit_with_error(message: str, status: int) -> None:
    sys.stdout.flush()
    print(f"Error: {terminal_escapes.escape(message)}", file=sys.stderr)
    sys.exit(status)
