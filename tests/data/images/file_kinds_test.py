"""What a file is, by its first bytes."""

import gzip
import io

import pytest
from PIL import Image

from tf_finetune.data.images import file_kinds


def _gzip(content: bytes) -> bytes:
    """Compresses without the time, so that every process names tests alike."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize("kind", file_kinds.DECODABLE)
def test_pictures_that_pillow_writes_are_known(kind):
    file = io.BytesIO()
    Image.new("RGB", (5, 4)).save(file, kind)
    assert file_kinds.detect_kind(file.getvalue()[:512]) == kind


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
        (b"\0\0\2\0" + bytes(8) + b"\x30\0\x30\0\x18\0", "a TGA"),
        (b"\0\0\2\0\1\0\x20\x20\0\0\1\0\1\0", "an icon (ICO)"),
        (b"RIFF\x00\x00\x00\x00WAVE", "a sound"),
        (b"RIFF\x00\x00\x00\x00FOUR", "no known kind of file"),
        (bytes(128) + b"DICM\x02\0\0\0", "a DICOM file"),
        (b"II*\0" + bytes(124) + b"DICM\x02\0", "a DICOM file"),
        (b"\x5c\1\0\0" + bytes(340) + b"n+1\0", "a NIfTI volume"),
        (b"\x5c\1\0\0" + bytes(340) + b"ni1\0", "a NIfTI volume"),
        (b"\x1c\2\0\0n+2\0\r\n\x1a\n", "a NIfTI volume"),
        (
            _gzip(b"\x5c\1\0\0" + bytes(340) + b"n+1\0" + bytes(9)),
            "a NIfTI volume",
        ),
        (_gzip(b"some text"), "a gzip archive"),
        (_gzip(_gzip(b"")), "a gzip archive"),
        (b"II*\0\x10\0\0\0CR\2\0", "a raw picture of a camera"),
        (
            b"II*\0\x08\0\0\0\1\0\x12\xc6\1\0\4\0\0\0\1\4\0\0",
            "a raw picture of a camera",
        ),
        (
            b"MM\0*\0\0\0\x08\0\1\xc6\x12\0\1\0\0\0\4\1\4\0\0",
            "a raw picture of a camera",
        ),
        (
            b"MM\0*\0\0\0\x08\0\1\1\x4a\0\4\0\0NIKON D5",
            "a raw picture of a camera",
        ),
        (b"FUJIFILMCCD-RAW 0201", "a raw picture of a camera"),
        (b"\0\0\0\x18ftypcrx ", "a raw picture of a camera"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"CDF\1", "a NetCDF file"),
        (b"SIMPLE  =                    T", "a FITS file"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\x93NUMPY\1\0", "a NumPy array"),
        (b"\x76\x2f\x31\1", "an OpenEXR picture"),
        (b"gimp xcf v011", "a GIMP file"),
        (b"NRRD0004", "an NRRD volume"),
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
    assert file_kinds.detect_kind(head) == kind


@pytest.mark.parametrize(
    "form",
    [
        "TIFF",
        "AVIF",
        "JPEG2000",
        "ICO",
        "ICNS",
        "PPM",
        "TGA",
        "PCX",
        "SGI",
        "DDS",
    ],
)
def test_what_pillow_is_said_to_convert_it_converts(form):
    file = io.BytesIO()
    try:
        Image.new("RGB", (32, 32)).save(file, form)
    except (KeyError, OSError):
        pytest.skip(f"Pillow writes no {form} here")
    kind = file_kinds.detect_kind(file.getvalue()[: file_kinds.HEAD_BYTES])
    assert "Pillow saves it as PNG" in file_kinds.describe_kind(kind)
    again = io.BytesIO()
    Image.open(file).save(again, "PNG")
    assert file_kinds.detect_kind(again.getvalue()) == "PNG"


def test_every_way_belongs_to_a_kind_that_is_named():
    named = {
        kind
        for _, kind in file_kinds._SIGNATURE_PATTERNS
        + file_kinds._TEXT_PATTERNS
    }
    assert set(file_kinds.CONVERSIONS) <= named
