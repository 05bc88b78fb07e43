"""Tests of tf_finetune/console_output.py, as programs meet it."""

import os
import subprocess
import sys

import pytest

_NAMES = "blüte.png 花.png plain.png …"


def _python(code: str, **surroundings: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, **surroundings},
        timeout=60,
    )


_SHOW = (
    f"from tf_finetune import console_output\nconsole_output.show({_NAMES!a})\n"
)
_PREPARED = (
    "from tf_finetune import console_output\n"
    f"console_output.prepare_streams()\nprint({_NAMES!a})\n"
)
_ASCII = b"bl\\xfcte.png \\u82b1.png plain.png ...\n"


@pytest.mark.parametrize("code", [_SHOW, _PREPARED])
@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_letters_that_a_terminal_lacks_are_escaped(code, surroundings):
    done = _python(code, **surroundings)
    assert done.returncode == 0, done.stderr
    assert done.stdout == _ASCII
    assert not done.stderr


def test_a_code_page_shows_what_it_has():
    done = _python(_PREPARED, PYTHONIOENCODING="cp1252")
    assert done.stdout.decode("cp1252").rstrip("\n") == (
        "blüte.png \\u82b1.png plain.png …"
    )


@pytest.mark.parametrize("code", [_SHOW, _PREPARED])
def test_utf_8_is_left_as_it_is(code):
    done = _python(code, PYTHONIOENCODING="utf-8")
    assert done.stdout.decode().rstrip("\n") == _NAMES


def test_a_name_that_is_no_text_shows_its_bytes():
    code = (
        "from tf_finetune import console_output\n"
        "console_output.prepare_streams()\n"
        "print(b'a\\xff.png'.decode('utf-8', 'surrogateescape'))\n"
        "console_output.show('b\\udcff')\n"
    )
    done = _python(code, PYTHONIOENCODING="utf-8")
    assert done.stdout == b"a\\xff.png\nb\\xff\n", done.stderr


def test_in_a_call_a_name_that_is_no_text_shows_its_bytes():
    code = (
        "from tf_finetune import console_output\n"
        "console_output.show('b\\udcff')\n"
    )
    done = _python(code, PYTHONIOENCODING="utf-8")
    assert done.stdout == b"b\\xff\n", done.stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_leaves_does_not_end_the_program(stream):
    code = (
        "import sys\n"
        "from tf_finetune import console_output\n"
        "console_output.prepare_streams()\n"
        "for n in range(2000):\n"
        f"    print(n, 40 * 'x', file=sys.{stream})\n"
        "sys.exit(5)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    left, other = process.stdout, process.stderr
    if stream == "stderr":
        left, other = other, left
    left.close()
    assert other.read() == b""
    assert process.wait(60) == 5


def test_a_full_disk_is_still_an_error():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    code = [sys.executable, "-c", _PREPARED]
    with open("/dev/full", "w") as full:
        done = subprocess.run(code, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode != 0
    assert b"No space left" in done.stderr


def test_a_closed_stdout_takes_no_file_s_place(tmp_path):
    code = (
        "from tf_finetune import console_output\n"
        "console_output.prepare_streams()\n"
        f"file = open({str(tmp_path / 'kept')!r}, 'w')\n"
        "print('for nobody')\n"
        "file.write('kept')\n"
    )
    done = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" >&-', sys.executable, code],
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept").read_text() == "kept"
