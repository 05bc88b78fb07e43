"""What a file is, by its first bytes."""

import gzip
import io
import struct

import pytest
from PIL import Image

from tf_finetune.data.images import file_kinds, verification
from tf_finetune.untrusted import picture_signatures


def _gzip(content: bytes) -> bytes:
    """Compresses without the time, so that every process names tests alike."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize("kind", file_kinds.DECODABLE)
def test_pictures_that_pillow_writes_are_known(kind):
    file = io.BytesIO()
    Image.new("RGB", (5, 4)).save(file, kind)
    assert file_kinds.detect_kind(file.getvalue()[:512]) == kind


def test_every_kind_that_is_decoded_has_a_signature():
    kinds = dict.fromkeys(kind for kind, _ in picture_signatures.SIGNATURES)
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


def encoded(mode: str, form: str, **options) -> bytes:
    file = io.BytesIO()
    image = Image.new("RGBA", (40, 30), (1, 2, 3, 4))
    image = image.convert("RGB").convert(mode) if mode == "P" else image
    image = image.convert(mode)
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (encoded("RGBA", "PNG"), True),
        (encoded("LA", "PNG"), True),
        (encoded("P", "PNG", transparency=0), True),
        (encoded("P", "PNG"), False),
        (encoded("RGB", "PNG"), False),
        (encoded("RGBA", "WEBP"), True),
        (encoded("RGBA", "WEBP", lossless=True), True),
        (encoded("RGB", "WEBP"), False),
        (encoded("RGB", "WEBP", lossless=True), False),
        (encoded("RGB", "WEBP", icc_profile=b"x" * 99), False),
        (encoded("P", "GIF", transparency=0), True),
        (encoded("P", "GIF"), False),
        (encoded("RGB", "JPEG"), False),
        (encoded("RGB", "BMP"), False),
        (b"", False),
        (b"\x89PNG\r\n\x1a\n", False),
    ],
)
def test_a_file_tells_if_it_may_be_transparent(contents, expected):
    assert file_kinds.has_alpha(contents) is expected


def test_a_webp_tells_if_it_kept_its_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in ({}, {"exif": exif}, {"icc_profile": b"x" * 9}):
        for mode in ("RGB", "RGBA"):
            kept = encoded(mode, "WEBP", lossless=True, **options)
            assert file_kinds.is_lossless_webp(kept)
            lossy = encoded(mode, "WEBP", **options)
            assert not file_kinds.is_lossless_webp(lossy)


def jpeg(marker: int, bits: int = 8) -> bytes:
    """Returns a baseline JPEG that says that it is of another process."""
    contents = bytearray(encoded("RGB", "JPEG"))
    place = contents.index(b"\xff\xc0")
    contents[place + 1] = marker
    contents[place + 4] = bits
    return bytes(contents)


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (jpeg(0xC3), "lossless"),
        (jpeg(0xC9), "arithmetic coding"),
        (jpeg(0xC1, bits=12), "12 bits"),
    ],
)
def test_a_jpeg_of_a_rare_kind_is_not_called_damaged(contents, words):
    said = verification.explain_failure("Invalid JPEG data", contents)
    assert words in said
    assert "damaged" not in said


def test_damage_is_said_only_of_what_no_decoder_reads():
    whole = encoded("RGB", "WEBP")
    said = verification.explain_failure(
        "Number of channels does not match", whole
    )
    assert "damaged" not in said
    assert "save it anew as PNG" in said
    cut = verification.explain_failure("whatever", whole[: len(whole) // 2])
    assert cut == "a truncated or damaged WebP"


def test_a_usual_jpeg_is_of_no_rare_kind():
    for options in ({}, {"progressive": True}):
        assert (
            file_kinds.describe_rare_jpeg(encoded("RGB", "JPEG", **options))
            == ""
        )
    for junk in (
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8" + b"\xff" * 50,
        b"\xff\xd8\0",
    ):
        assert file_kinds.describe_rare_jpeg(junk) == ""


def test_sixteen_bits_are_told_from_eight():
    file = io.BytesIO()
    Image.new("I;16", (3, 2)).save(file, "PNG")
    assert file_kinds.has_sixteen_bits(file.getvalue())
    assert not file_kinds.has_sixteen_bits(encoded("RGB", "PNG"))
    assert not file_kinds.has_sixteen_bits(struct.pack("<25x"))
