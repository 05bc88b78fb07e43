"""What headers say of samples."""

import io
import struct

import pytest
from PIL import Image

from tf_finetune.data.images import decode_errors, sample_formats


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
    assert sample_formats.has_alpha(contents) is expected


def test_a_webp_tells_if_it_kept_its_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in ({}, {"exif": exif}, {"icc_profile": b"x" * 9}):
        for mode in ("RGB", "RGBA"):
            kept = encoded(mode, "WEBP", lossless=True, **options)
            assert sample_formats.is_lossless_webp(kept)
            lossy = encoded(mode, "WEBP", **options)
            assert not sample_formats.is_lossless_webp(lossy)


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
    said = decode_errors.explain_failure("Invalid JPEG data", contents)
    assert words in said
    assert "damaged" not in said


def test_damage_is_said_only_of_what_no_decoder_reads():
    whole = encoded("RGB", "WEBP")
    said = decode_errors.explain_failure(
        "Number of channels does not match", whole
    )
    assert "damaged" not in said
    assert "save it anew as PNG" in said
    cut = decode_errors.explain_failure("whatever", whole[: len(whole) // 2])
    assert cut == "a truncated or damaged WebP"


def test_a_usual_jpeg_is_of_no_rare_kind():
    for options in ({}, {"progressive": True}):
        assert (
            sample_formats.describe_rare_jpeg(encoded("RGB", "JPEG", **options))
            == ""
        )
    for junk in (
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8" + b"\xff" * 50,
        b"\xff\xd8\0",
    ):
        assert sample_formats.describe_rare_jpeg(junk) == ""


def test_sixteen_bits_are_told_from_eight():
    file = io.BytesIO()
    Image.new("I;16", (3, 2)).save(file, "PNG")
    assert sample_formats.has_sixteen_bits(file.getvalue())
    assert not sample_formats.has_sixteen_bits(encoded("RGB", "PNG"))
    assert not sample_formats.has_sixteen_bits(struct.pack("<25x"))
