"""Prints to stdout and stderr without failing on pipes or encodings.

What was computed for minutes must not be lost because a terminal cannot show
a letter, or because its reader has left.
"""

import codecs
import contextlib
import errno
import io
import os
import sys
from typing import TextIO

_ESCAPED = "tf_finetune.escaped"
# Characters of progress bars and messages, for terminals of ASCII alone.
_PLAIN = {
    "━": "=", "█": "#", "–": "-", "—": "-", "−": "-", "·": "-", "…": "...",
    "→": "->", "×": "x", "±": "+-", "’": "'", "°": " degrees", "≥": ">=",
    "≤": "<=",
}  # fmt: skip
# A closed pipe, or a terminal that has hung up.
_GONE = (errno.EPIPE, errno.EIO)


class _LastingStream(io.FileIO):
    """A stream that discards its output once its reader has left."""

    def write(self, content: bytes) -> int | None:
        """Writes as a file does; a closed reader is no error."""
        try:
            return super().write(content)
        except OSError as error:
            # A full disk is reported once: Python flushes again at exit.
            _silence(self.fileno())
            if error.errno not in _GONE:
                raise
            return len(content)


def prepare_streams() -> None:
    """Replaces stdout and stderr by streams on which printing cannot fail.

    Output to a closed pipe is discarded; letters that a stream's encoding
    lacks are printed as ASCII or escaped, in results, logs and progress bars.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass  # A stream was closed; no file of ours may take its place.
    os.close(number)
    codecs.register_error(_ESCAPED, _escape)
    sys.stdout = _wrap_stream(sys.stdout, 1)
    sys.stderr = _wrap_stream(sys.stderr, 2)


def show(text: str) -> None:
    """Prints a block of text and a line break to stdout.

    Letters that its encoding lacks are escaped. If the reader of the pipe has
    gone, the text is discarded without an error.
    """
    try:
        print(text, flush=True)
    except UnicodeEncodeError:
        codecs.register_error(_ESCAPED, _escape)
        encoding = sys.stdout.encoding or "ascii"
        shown = text.encode(encoding, _ESCAPED).decode(encoding)
        show(shown)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        # Python flushes once more as it exits.
        _silence(sys.stdout.fileno())


def _wrap_stream(stream: TextIO | None, number: int) -> TextIO:
    """Returns a stream like the given one, on which printing cannot fail."""
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.flush()
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if stream is not None and stream.fileno() != number:
            return stream  # Somebody has put another one in its place.
    buffered = io.BufferedWriter(_LastingStream(number, "w", closefd=False))
    return io.TextIOWrapper(
        buffered,
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors=_ESCAPED,
        line_buffering=number == 2 or os.isatty(number),
        write_through=number == 2,
    )


def _silence(number: int) -> None:
    """Redirects a file descriptor to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Replaces characters that an encoding lacks; see `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    shown = "".join(_replace_letter(each) for each in lacking)
    return shown.encode("ascii", "backslashreplace").decode(), error.end


def _replace_letter(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        # A byte of a file's name that is not UTF-8 (PEP 383).
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return _PLAIN.get(letter, letter)
