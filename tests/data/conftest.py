"""Pictures as users have them: odd but good ones, and bad ones."""

import dataclasses
import io
import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image


@dataclasses.dataclass(frozen=True)
class HostileFolder:
    """A folder of two classes, 40 good pictures and some 25 bad files.

    Attributes:
        folder: With the class folders "cats" and "dogs".
        good: Paths of the pictures that must be used.
        bad: Path of each other file, and a word of the reason to drop it.
        bad_at_decoding: Those of `bad` whose header is fine.
    """

    folder: pathlib.Path
    good: set[str]
    bad: dict[str, str]
    bad_at_decoding: set[str]


@pytest.fixture
def hostile_folder(tmp_path: pathlib.Path) -> HostileFolder:
    """Makes a folder of 40 good pictures among bad files."""
    folder = tmp_path / "hostile"
    cats, dogs = folder / "cats", folder / "dogs"
    cats.mkdir(parents=True)
    dogs.mkdir()
    good = set()
    for number, (name, content) in enumerate(_good().items()):
        path = (cats if number % 2 else dogs) / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        good.add(str(path))
    bad, bad_at_decoding = {}, set()
    for name, (content, word) in _bad_at_decoding().items():
        (cats / name).write_bytes(content)
        bad[str(cats / name)] = word
        bad_at_decoding.add(str(cats / name))
    for name, (content, word) in _bad_by_header().items():
        (cats / name).write_bytes(content)
        bad[str(cats / name)] = word
    bad |= _no_files(folder)
    return HostileFolder(folder, good, bad, bad_at_decoding)


@pytest.fixture
def picture_bytes() -> Callable[..., bytes]:
    """The function `encoded(seed, format, mode, size)`."""
    return encoded


def encoded(
    seed: int = 0,
    form: str = "PNG",
    mode: str = "RGB",
    size: tuple[int, int] = (24, 16),
    **options: object,
) -> bytes:
    """Returns a random picture as the bytes of a file."""
    random = np.random.default_rng(seed)
    # Coarse blocks, so that JPEG keeps them recognizable.
    blocks = random.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.convert(mode).save(file, form, **options)
    return file.getvalue()


def _good() -> dict[bytes, bytes]:
    """Returns 40 pictures by file name; names are bytes, not always UTF-8."""
    special = {
        b"gray.jpg": encoded(1, "JPEG", "L"),
        b"cmyk.jpg": encoded(2, "JPEG", "CMYK"),
        b"progressive.jpeg": encoded(3, "JPEG", progressive=True),
        b"rotated.jpg": encoded(4, "JPEG", exif=_rotation()),
        b"rgba.png": encoded(5, "PNG", "RGBA"),
        b"gray_alpha.png": encoded(6, "PNG", "LA"),
        b"palette.png": encoded(7, "PNG", "P"),
        b"bits.png": encoded(8, "PNG", "1"),
        b"sixteen.png": _sixteen_bit(),
        b"picture.gif": encoded(9, "GIF", "P"),
        b"animated.gif": _animated("GIF"),
        b"color.bmp": encoded(10, "BMP"),
        b"gray.bmp": encoded(11, "BMP", "L"),
        b"palette.bmp": encoded(12, "BMP", "P"),
        b"picture.webp": encoded(13, "WEBP"),
        b"alpha.webp": _transparent("WEBP", lossless=True),
        b"lossy_alpha.webp": _transparent("WEBP", quality=80),
        b"really_a_png.jpg": encoded(15, "PNG"),
        b"really_a_jpeg.gif": encoded(16, "JPEG"),
        b"no_extension": encoded(17, "JPEG"),
        b"UPPER.JPG": encoded(18, "JPEG"),
        b"with space.jpg": encoded(19, "JPEG"),
        b"line\nbreak.jpg": encoded(20, "JPEG"),
        "grüße-猫.jpg".encode(): encoded(21, "JPEG"),
        b"latin-\xe9.jpg": encoded(22, "JPEG"),
        b'comma,quote".jpg': encoded(23, "JPEG"),
        b"[glob]*.jpg": encoded(24, "JPEG"),
        b"one_pixel.png": encoded(25, "PNG", size=(1, 1)),
        b"wide.png": encoded(26, "PNG", size=(300, 2)),
        b"nested/deeper.jpg": encoded(27, "JPEG"),
    }
    plain = {
        f"plain_{n}.jpg".encode(): encoded(100 + n, "JPEG")
        for n in range(40 - len(special))
    }
    return special | plain


def _rotation() -> Image.Exif:
    """Returns the tag of a camera that was held upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _sixteen_bit() -> bytes:
    ramp = np.linspace(0, 65535, 24 * 16).reshape(16, 24).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "PNG")
    return file.getvalue()


def _transparent(form: str, **options: object) -> bytes:
    """Returns a picture of all degrees of transparency.

    An alpha of 255 everywhere is not stored by libwebp.
    """
    with Image.open(io.BytesIO(encoded(14, "PNG", "RGBA"))) as image:
        ramp = np.linspace(0, 255, 24 * 16).reshape(16, 24)
        image.putalpha(Image.fromarray(ramp.astype(np.uint8)))
        file = io.BytesIO()
        image.save(file, form, **options)
    return file.getvalue()


def _animated(form: str) -> bytes:
    frames = [Image.new("RGB", (24, 16), c) for c in ("red", "green")]
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    return file.getvalue()


def _bad_at_decoding() -> dict[str, tuple[bytes, str]]:
    jpeg = encoded(50, "JPEG", size=(200, 200))
    png = encoded(51, "PNG", size=(200, 200))
    middle = png.index(b"IDAT") + 20
    return {
        "truncated.jpg": (jpeg[: len(jpeg) * 2 // 3], "decode"),
        "two_bytes_missing.jpg": (jpeg[:-2], "decode"),
        "truncated.png": (png[: len(png) // 2], "decode"),
        "flipped_bits.png": (
            png[:middle] + bytes([png[middle] ^ 255]) + png[middle + 1 :],
            "decode",
        ),
    }


def _bad_by_header() -> dict[str, tuple[bytes, str]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "a")
    found = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"this is no picture\n", "plain text"),
        "page.png": (b"<!DOCTYPE html><html>404</html>", "HTML"),
        "drawing.jpg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        "document.jpg": (b"%PDF-1.7\n%\xe2\xe3\n", "PDF"),
        "archive.jpg": (archive.getvalue(), "ZIP"),
        "scan.tif": (encoded(60, "TIFF"), "TIFF"),
        "scan.jpg": (encoded(61, "TIFF"), "TIFF"),
        "zeros.jpg": (bytes(1000), "no known kind"),
        "only_magic.jpg": (b"\xff\xd8\xff\xe0", "damaged JPEG"),
        "only_magic.png": (b"\x89PNG\r\n\x1a\n", "damaged PNG"),
        "bomb.png": (_bomb(60_000, 60_000), "max_pixels"),
        "small_bomb.png": (_bomb(16_000, 16_000), "max_pixels"),
        "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
        "Thumbs.db": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 9, "no known kind"),
        "desktop.ini": (b"[.ShellClassInfo]\r\n", "plain text"),
        ".hidden.jpg": (encoded(62, "JPEG"), "hidden"),
        ".DS_Store": (b"\x00\x00\x00\x01Bud1", "hidden"),
    }
    if ".avif" in Image.registered_extensions():
        found["new.avif"] = (encoded(63, "AVIF"), "AVIF")
    return found


def _bomb(width: int, height: int) -> bytes:
    """Returns a tiny PNG whose header claims a huge gray picture."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", checksum)
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def _no_files(folder: pathlib.Path) -> dict[str, str]:
    """Makes what is no regular file, or lies in a wrong place."""
    cats = folder / "cats"
    (cats / "folder.jpg").mkdir()
    (cats / "broken.jpg").symlink_to(folder / "nowhere.jpg")
    (cats / "loop_a.jpg").symlink_to(cats / "loop_b.jpg")
    (cats / "loop_b.jpg").symlink_to(cats / "loop_a.jpg")
    (cats / "loop").symlink_to(folder)
    os.mkfifo(cats / "pipe.jpg")
    (folder / ".git").mkdir()
    (folder / "README.txt").write_text("Where these are from.")
    found = {
        str(cats / "folder.jpg"): "folder",
        str(cats / "broken.jpg"): "broken",
        str(cats / "loop_a.jpg"): "symbolic links",
        str(cats / "loop_b.jpg"): "symbolic links",
        str(cats / "loop"): "link",
        str(cats / "pipe.jpg"): "regular",
        str(folder / ".git"): "hidden",
        str(folder / "README.txt"): "outside any class folder",
    }
    if os.geteuid() != 0:  # Root may read everything.
        (cats / "secret.jpg").write_bytes(encoded(64, "JPEG"))
        (cats / "secret.jpg").chmod(0)
        found[str(cats / "secret.jpg")] = "ermission"
    return found
