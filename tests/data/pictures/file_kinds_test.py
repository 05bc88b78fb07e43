"""What a file is, by its first bytes."""

import io

import pytest
from PIL import Image

from tf_finetune.data.pictures import file_kinds


@pytest.mark.parametrize("kind", file_kinds.DECODABLE)
def test_pictures_that_pillow_writes_are_known(kind):
    file = io.BytesIO()
    Image.new("RGB", (5, 4)).save(file, kind)
    assert file_kinds.of(file.getvalue()[:512]) == kind


def test_every_kind_that_is_decoded_has_a_signature():
    kinds = dict.fromkeys(kind for kind, _ in file_kinds.SIGNATURES)
    assert tuple(kinds) == file_kinds.DECODABLE


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"MM\x00*....", "a TIFF"),
        (b"\x00\x00\x00\x20ftypavif", "an AVIF"),
        (b"\x00\x00\x00\x18ftypheic", "a HEIC"),
        (b"\x00\x00\x00\x18ftypmp42", "a video"),
        (b"\x89PNG and text", "no known kind of file"),
        (b"GIF85a", "plain text"),
        (b"RIFF\x00\x00\x00\x00WAVE", "no known kind of file"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"  <!-- x -->\n<HTML>", "HTML"),
        (b"<?xml version='1.0'?>\n<svg/>", "an SVG"),
        (b"<?xml version='1.0'?>\n<annotation/>", "XML"),
        (b"\xef\xbb\xbfcaf\xc3\xa9\r\n", "plain text"),
        ("é".encode() * 255 + b"x" + "é".encode()[:1], "plain text"),
        (b"\xff\xfe\x00", "no known kind of file"),
        (b"", "no known kind of file"),
    ],
)
def test_other_files_are_named(head, kind):
    assert file_kinds.of(head) == kind
