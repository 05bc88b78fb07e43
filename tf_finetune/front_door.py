"""Runs a command: flags become a config, errors one sentence."""

import atexit
import copy
import errno
import logging as standard_logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence, Set
from typing import Any, TypeVar

from absl import app, flags, logging

from tf_finetune import errors, escaping, printing, stopping
from tf_finetune.config import flagfiles, kinds, options, parsing

Config = TypeVar("Config")

_STATUS = {
    errors.UsageError: 2,
    errors.DataError: 2,
    errors.RunError: 1,
    errors.GateError: 3,
}


def run(
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
        purpose: What the command does, for `--help`.
        settle: Given the parsed config and the names of the options that
            the command line sets itself, returns the config for `main`.

    Exit status: 0 done, 1 the run could not go on, 2 the flags or the data
    are wrong, 3 a gate was missed, 128 + a signal that stopped it.
    """
    # First of all: a signal may come while modules are being imported.
    stopping.before_the_start()
    printing.prepare()
    statuses: list[Any] = []
    # What is registered first is called last.
    atexit.register(_end, statuses)
    try:
        app.run(
            lambda given: _guard(main, settle, *given),
            flags_parser=_parser(config_class, purpose),
        )
    except SystemExit as end:
        statuses.append(end.code)
        raise
    finally:
        stopping.after_the_end()


def parsed(
    config_class: type[Config],
    arguments: Sequence[str],
    values: flags.FlagValues,
) -> tuple[Config, Set[str]]:
    """Parses arguments into a config and the names set outside flagfiles.

    Args:
        config_class: The dataclass the flags are derived from.
        arguments: Of a command line.
        values: Where the flags are defined and set.

    Raises:
        UsageError: As `config.parsing.parse`.
    """
    options.define_flags(config_class, values)
    parsing.parse(values, arguments)
    # Parsed a second time, to know what stands in no flagfile.
    alone = parsing.WithoutFlagfiles()
    options.define_flags(config_class, alone)
    given = parsing.given(alone, arguments)
    return options.from_flags(config_class, values), given


def help_text(config_class: type, purpose: str) -> str:
    """Returns the page that `--help` prints: every flag with its default."""
    lines = [purpose]
    title = None
    for name, field, value, group in options.declared(config_class):
        if group != title:
            lines += ["", f"{group}:"]
            title = group
        lines += _flag_help(name, field, value)
    lines += [
        "",
        "--flagfile=FILE reads flags from a file, one --name=value a line;",
        "a flag after it overrides it. --name=none leaves an option open.",
        *textwrap.wrap(
            f"The package has: {', '.join(flagfiles.names())}.", width=79
        ),
    ]
    return "\n".join(lines)


def _flag_help(name: str, field: Any, value: Any) -> list[str]:
    kind = kinds.in_words(field)
    return [
        f"  --{name}  (default: {options.to_text(value) or repr('')})",
        *textwrap.wrap(
            f"{field.metadata['help']} [{kind}]",
            width=79,
            initial_indent="      ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        ),
    ]


def _parser(
    config_class: type[Config], purpose: str
) -> Callable[[Sequence[str]], tuple[Config, Set[str]]]:
    def parse(argv: Sequence[str]) -> tuple[Config, Set[str]]:
        if {"--help", "-h", "-help", "--h"} & set(argv[1:]):
            # absl's own help would group the flags by defining module.
            printing.show(help_text(config_class, purpose))
            sys.exit(0)
        try:
            return parsed(config_class, argv[1:], flags.FLAGS)
        except (flags.Error, errors.UsageError, OSError) as error:
            _leave(_sentence(error) + " (--help lists every flag)", 2)

    return parse


def _guard(
    main: Callable[[Config], None],
    settle: Callable[[Config, Set[str]], Config] | None,
    config: Config,
    given: Set[str],
) -> None:
    _speak_plainly()
    sys.unraisablehook = _end_if_stopped
    try:
        config = settle(config, given) if settle else config
        with stopping.listening(_grace(config), at_once=True) as request:
            _obedient(request, main, config)
    except tuple(_STATUS) as error:
        # The status of the nearest class: errors may be subclassed.
        status = next(_STATUS[k] for k in type(error).mro() if k in _STATUS)
        _leave(_sentence(error), status)
    except OSError as error:
        _leave(_sentence(error), 1)
    except stopping.Stopped as stopped:
        _leave(stopped.sentence, stopped.code)
    except KeyboardInterrupt as stopped:
        then = getattr(stopped, "then", stopping.ANEW)
        _leave(stopping.sentence(signal.SIGINT, then), 128 + signal.SIGINT)


def _obedient(
    request: stopping.Request, main: Callable[[Config], None], config: Config
) -> None:
    """Calls a command; an error that follows a stop signal counts as a stop."""
    try:
        main(config)
    except (KeyboardInterrupt, stopping.Stopped):
        raise
    except Exception:
        # An import that is interrupted may call that an error of its own.
        request.obey()
        raise


def _grace(config: Any) -> float:
    """Returns how long a command may take to stop, seconds."""
    interruptions = getattr(config, "interruptions", None)
    return getattr(interruptions, "grace_seconds", stopping.GRACE_SECONDS)


def _end_if_stopped(fault: Any) -> None:
    """Ends the process if Python swallows the exception that stops it."""
    if isinstance(fault.exc_value, (KeyboardInterrupt, stopping.Stopped)):
        number = getattr(fault.exc_value, "number", signal.SIGINT)
        then = getattr(fault.exc_value, "then", stopping.ANEW)
        print(
            f"Error: {stopping.sentence(number, then)}",
            file=sys.stderr,
            flush=True,
        )
        os._exit(128 + number)
    sys.__unraisablehook__(fault)


def _end(statuses: Sequence[Any]) -> None:
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


def _speak_plainly() -> None:
    """Formats the log as plain messages without time stamps, info included."""
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler()
    handler.setFormatter(_Plain("%(message)s"))
    handler.addFilter(_is_ours_or_serious)


class _Plain(standard_logging.Formatter):
    """Formats records as their message, with terminal escapes made visible."""

    def format(self, record: standard_logging.LogRecord) -> str:
        """Returns the message; line breaks in its arguments are escaped."""
        if isinstance(record.args, tuple):
            record = copy.copy(record)
            record.args = tuple(map(_escaped, record.args))
        return escaping.escape(super().format(record), keep="\n\t")


def _escaped(value: Any) -> Any:
    """Escapes an argument of a message if it is a name or a path."""
    if isinstance(value, str):
        return escaping.escape(value)
    return (
        escaping.escape(str(value)) if isinstance(value, os.PathLike) else value
    )


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f" while writing {error.filename}" if error.filename else ""
        return f"No space left on the disk{where}; free some and run again."
    # `str(OSError)` begins with "[Errno 13]".
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}."
    # `str` would lose the type of Lines, and their breaks be escaped.
    return error.args[0] if _is_lines(error) else str(error)


def _is_lines(error: BaseException) -> bool:
    return len(error.args) == 1 and isinstance(error.args[0], escaping.Lines)


def _leave(message: str, status: int) -> None:
    sys.stdout.flush()
    print(f"Error: {escaping.escape(message)}", file=sys.stderr)
    sys.exit(status)
