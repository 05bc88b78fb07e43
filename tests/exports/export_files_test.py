"""What the files of an exported model hold; needs no TensorFlow."""

import os

import pytest

from tf_finetune.exports import export_files


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ants", b"ants"),
        ("ants\n", rb"ants\n"),
        ("a\r\nb", rb"a\r\nb"),
        ("a\u2028b", rb"a\u2028b"),
        ("na\u00efve", b"na\xc3\xafve"),
        (os.fsdecode(b"caf\xe9"), b"caf\xe9"),
        ("", b""),
    ],
)
def test_every_name_is_one_line(name, line):
    assert export_files.encode_labels([name, "bees"]) == line + b"\nbees\n"
