"""Head of a request: its first line and header fields, read strictly.

Python's own parser ends the fields at a malformed line and accepts a bare
carriage return as the end of one. A proxy in front reads on, so that the two
see different requests in the same bytes (request smuggling). Any line that
does not follow the standard is therefore refused before parsing.

Source: RFC 9112, sections 2.2, 3 and 5; RFC 9110, sections 5.5 and 5.6.2.
"""

import io
import re

from tf_finetune.serving import failures

_MAX_HEAD_BYTES = 1 << 14
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIRST_LINE = re.compile(rb"(%s) [!-~\x80-\xff]+ (HTTP/\d\.\d)\r?\n" % _TOKEN)
# Visible characters, blanks and tabs; no NUL, no bare carriage return.
_FIELD_LINE = re.compile(rb"%s:[\t -~\x80-\xff]*\r?\n" % _TOKEN)
_SHOWN_BYTES = 60


def read_head(stream: io.BufferedReader) -> tuple[bytes, bytes]:
    """Reads a request's first line, and its header fields with their end.

    Raises:
        RequestError: It ends early, is larger than 16 KiB, or a line is
            malformed.
        TimeoutError: The client is too slow.
    """
    first = stream.readline(_MAX_HEAD_BYTES)
    if first in (b"\r\n", b"\n"):  # RFC 9112, section 2.2.
        first = stream.readline(_MAX_HEAD_BYTES)
    if len(first) == _MAX_HEAD_BYTES:
        raise failures.RequestError(414, "The first line is too long.")
    if not _FIRST_LINE.fullmatch(first):
        raise failures.RequestError(
            400,
            "The first line must be METHOD PATH HTTP/1.1, got "
            f"{_format_line(first)}.",
        )
    return first, _read_fields(stream, _MAX_HEAD_BYTES - len(first))


def _read_fields(stream: io.BufferedReader, left: int) -> bytes:
    lines: list[bytes] = []
    while not lines or lines[-1] not in (b"\r\n", b"\n"):
        lines.append(stream.readline(left))
        left -= len(lines[-1])
        if not left:
            raise failures.RequestError(
                431, f"The header has more than {_MAX_HEAD_BYTES} bytes."
            )
        if not lines[-1].endswith(b"\n"):
            raise failures.RequestError(400, "The header ends too early.")
        if lines[-1] not in (b"\r\n", b"\n"):
            _check_field(lines[-1])
    return b"".join(lines)


def _check_field(line: bytes) -> None:
    if not _FIELD_LINE.fullmatch(line):
        raise failures.RequestError(
            400,
            "A line of the header must be NAME: VALUE without control "
            f"characters or continuation lines, got {_format_line(line)}.",
        )


def _format_line(line: bytes) -> str:
    return repr(line[:_SHOWN_BYTES].decode("latin-1"))
