"""What is transparent is seen on the background, whatever the file is."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

tf = pytest.importorskip("tensorflow")

from tf_finetune.config import picture_options  # noqa: E402
from tf_finetune.data.images import decoding  # noqa: E402

SHADES = {"white": 255, "black": 0, "gray": 128}
WIDTH, HEIGHT = 23, 17
TABLE = [255, 0, 0, 0, 255, 0, 0, 0, 0, 9, 90, 200]


@pytest.fixture(scope="module")
def decode():
    """The decoder by background, traced once each."""
    return {
        name: tf.function(
            lambda contents, name=name: decoding.decode(
                contents, pixels=picture_options.PixelOptions(background=name)
            ),
            input_signature=[tf.TensorSpec((), tf.string)],
            autograph=False,
        )
        for name in SHADES
    }


def rgba() -> Image.Image:
    """All degrees of transparency over colors that nobody sees."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    pixels[:4, :, 3] = 0
    pixels[4:8, :, 3] = 255
    return Image.fromarray(pixels)


def places(count: int = 4) -> np.ndarray:
    """Numbers of colors, all of them occurring."""
    random = np.random.default_rng(1)
    return random.integers(0, count, (HEIGHT, WIDTH), dtype=np.uint8)


def palette() -> Image.Image:
    image = Image.fromarray(places())
    image.putpalette(TABLE)
    return image


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def png(
    array: np.ndarray, *, depth: int, kind: int, between: bytes = b""
) -> bytes:
    """Returns a PNG of a color type and depth that Pillow does not write."""
    rows = array.astype(">u2" if depth == 16 else "u1")
    if depth < 8:
        bits = np.unpackbits(array[..., None], axis=-1)[..., -depth:]
        rows = np.packbits(bits.reshape(len(array), -1), axis=1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(
        ">IIBBBBB", array.shape[1], array.shape[0], depth, kind, 0, 0, 0
    )
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + between
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def interlaced_png() -> bytes:
    """Returns a palette PNG in Adam7 order, two of its colors clear."""
    values, data = places(), b""
    for top, left, down, right in (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):
        rows = values[top::down, left::right]
        data += b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"PLTE", bytes(TABLE))
        + chunk(b"tRNS", bytes([0, 128]))
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def turned(form: str, orientation: int, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(rgba(), form, exif=exif, **options)


def late_palette() -> bytes:
    """Returns a PNG whose tRNS comes behind a large chunk of text."""
    large = chunk(b"tEXt", b"Comment\0" + b"x" * 100_000)
    plte = chunk(b"PLTE", bytes(TABLE)) + chunk(b"tRNS", bytes([0, 9, 99]))
    return png(places(), depth=8, kind=3, between=large + plte)


def bmp(pixels: np.ndarray) -> bytes:
    """Returns a BMP of 32 bits whose header says where alpha is."""
    data = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
    head = struct.pack(
        "<IiiHHIIiiII", 108, WIDTH, HEIGHT, 1, 32, 3, len(data), 1, 1, 0, 0
    )
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head += masks + bytes(108 - len(head) - len(masks))
    start = 14 + len(head)
    return (
        b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head
    ) + data


def two_frames(form: str, **options) -> bytes:
    later = Image.new("RGBA", (WIDTH, HEIGHT), "blue")
    return encoded(
        rgba(), form, save_all=True, append_images=[later], **options
    )


KINDS = {
    "RGBA": encoded(rgba()),
    "gray with alpha": encoded(rgba().convert("LA")),
    "palette": encoded(palette(), transparency=bytes([0, 128, 255, 77])),
    "palette with one clear color": encoded(palette(), transparency=2),
    "palette of 2 bits": encoded(palette(), bits=2, transparency=b"\0\x80"),
    "interlaced palette": interlaced_png(),
    "palette behind a long text": late_palette(),
    "gray with a clear shade": encoded(
        Image.fromarray(places() * 60), transparency=120
    ),
    "one bit": encoded(Image.fromarray(places() > 1), transparency=1),
    "RGB with a clear color": encoded(
        palette().convert("RGB"), transparency=(0, 255, 0)
    ),
    "animated PNG": two_frames("PNG"),
    "RGBA that lies down": turned("PNG", 6),
    "fully transparent": encoded(Image.new("RGBA", (9, 5), (1, 99, 200, 0))),
    "opaque RGBA": encoded(Image.new("RGBA", (9, 5), (1, 99, 200, 255))),
    "lossy WebP": encoded(rgba(), "WEBP", quality=80),
    "lossless WebP": encoded(rgba(), "WEBP", lossless=True, exact=True),
    "WebP without hidden colors": encoded(rgba(), "WEBP", lossless=True),
    "WebP that lies down": turned("WEBP", 8, quality=80),
    "lossless WebP in a container": turned("WEBP", 3, lossless=True),
    "WebP with a profile": encoded(rgba(), "WEBP", icc_profile=b"x" * 200),
    "opaque WebP in a container": encoded(
        rgba().convert("RGB"), "WEBP", icc_profile=b"x" * 200
    ),
    "fully transparent WebP": encoded(
        Image.new("RGBA", (9, 5), (1, 99, 200, 0)), "WEBP"
    ),
    "GIF": encoded(palette(), "GIF", transparency=1),
    "GIF with clear black": encoded(palette(), "GIF", transparency=2),
    "animated GIF": two_frames("GIF"),
    "BMP": bmp(np.asarray(rgba())),
}


def by_pillow(contents: bytes, background: str) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    below = Image.new("RGBA", image.size, (*[SHADES[background]] * 3, 255))
    above = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(below, above).convert("RGB"))


@pytest.mark.parametrize("background", SHADES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_what_a_viewer_shows(kind, background, decode):
    pixels = decode[background](KINDS[kind]).numpy()
    expected = by_pillow(KINDS[kind], background)
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape
    # Pillow does not always round to the nearest.
    assert abs(pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP"])
def test_hidden_colors_have_no_influence(form, decode):
    first = np.asarray(rgba()).copy()
    second = first.copy()
    second[:4, :, :3] = 255 - second[:4, :, :3]
    results = []
    for array in (first, second):
        contents = (
            bmp(array)
            if form == "BMP"
            else encoded(Image.fromarray(array), form, **_lossless(form))
        )
        results.append(decode["white"](contents).numpy())
    np.testing.assert_array_equal(*results)


def _lossless(form: str) -> dict[str, bool]:
    return {"lossless": True, "exact": True} if form == "WEBP" else {}


def test_sixteen_bits_keep_their_transparency(decode):
    random = np.random.default_rng(2)
    wide = random.integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
    upper = Image.fromarray((wide >> 8).astype(np.uint8))
    for kind, channels in ((6, [0, 1, 2, 3]), (4, [0, 3])):
        array = wide[..., channels]
        pixels = decode["white"](png(array, depth=16, kind=kind)).numpy()
        shown = upper if kind == 6 else _gray(np.asarray(upper))
        expected = by_pillow(encoded(shown), "white")
        assert abs(pixels.astype(int) - expected).max() <= 1


def _gray(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., [0, 0, 0, 3]])


@pytest.mark.parametrize("depth", [2, 4])
def test_a_clear_shade_of_few_bits_is_clear(depth, decode):
    # Pillow looks for the number among the shades that it makes of numbers.
    clear = chunk(b"tRNS", b"\0\1")
    pixels = decode["white"](png(places(), depth=depth, kind=0, between=clear))
    shades = places().astype(int) * 255 // (2**depth - 1)
    expected = np.where(places() == 1, 255, shades)
    np.testing.assert_array_equal(pixels.numpy()[..., 0], expected)


def test_a_clear_shade_of_sixteen_bits_is_clear(decode):
    values = places().astype(np.uint16) * 20000
    clear = chunk(b"tRNS", struct.pack(">H", 20000))
    pixels = decode["white"](png(values, depth=16, kind=0, between=clear))
    expected = np.where(values == 20000, 255, values >> 8)
    np.testing.assert_array_equal(pixels.numpy()[..., 0], expected)


def test_colors_of_an_empty_alpha_channel_of_a_bmp_are_seen(decode):
    pixels = np.asarray(rgba()).copy()
    pixels[..., 3] = 0
    found = decode["white"](bmp(pixels)).numpy()
    np.testing.assert_array_equal(found, pixels[..., :3])


def gif(
    values: np.ndarray,
    *,
    corner: tuple[int, int] = (0, 0),
    screen: tuple[int, int] | None = None,
    clear: int | None = None,
    before: bytes = b"",
    own: bool = False,
) -> bytes:
    """Returns a GIF with one frame, anywhere on its screen."""
    height, width = screen or values.shape
    table = b"" if own else bytes(TABLE)
    flags = 0 if own else 0x81
    found = b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0)
    found += table + before
    if clear is not None:
        found += b"\x21\xf9\x04" + bytes([1, 0, 0, clear, 0])
    size = (*corner[::-1], *values.shape[::-1])
    found += b"\x2c" + struct.pack("<HHHHB", *size, 0x81 if own else 0)
    found += bytes(TABLE) if own else b""
    return found + _codes(values) + b";"


def _codes(values: np.ndarray) -> bytes:
    """Returns pixels in codes of 8 bits; 128 clears, 129 ends."""
    codes = [128]
    for number, value in enumerate(values.ravel().tolist()):
        # Codes would grow to nine bits.
        codes += [128, value] if number % 100 == 99 else [value]
    data = bytes([*codes, 129])
    blocks = [data[i : i + 255] for i in range(0, len(data), 255)]
    return b"\7" + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0"


def colors(values: np.ndarray) -> np.ndarray:
    table = np.reshape([*TABLE, *[255] * 768], (-1, 3)).astype(np.uint8)
    return table[values]


def test_a_clear_color_beyond_the_table_is_clear(decode):
    values = np.where(places() == 1, 77, places())
    pixels = decode["white"](gif(values.astype(np.uint8), clear=77)).numpy()
    np.testing.assert_array_equal(pixels, colors(values))


def test_a_frame_may_have_its_own_colors(decode):
    for clear in (None, 0):
        pixels = decode["black"](gif(places(), own=True, clear=clear)).numpy()
        expected = colors(places())
        if clear == 0:
            expected = np.where((places() == 0)[..., None], 0, expected)
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("clear", [None, 1])
def test_beside_a_small_frame_there_is_background(clear, decode):
    contents = gif(places(), corner=(3, 5), screen=(30, 40), clear=clear)
    expected = np.full((30, 40, 3), 128, np.uint8)
    frame = colors(places())
    if clear is not None:
        frame = np.where((places() == clear)[..., None], 128, frame)
    expected[3 : 3 + HEIGHT, 5 : 5 + WIDTH] = frame
    np.testing.assert_array_equal(decode["gray"](contents), expected)


def test_a_gif_may_begin_with_any_extensions(decode):
    many = b"\x21\xfe" + b"\xff" * 256 * 20 + b"\0"
    loop = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    contents = gif(places(), clear=1, before=many + loop)
    expected = np.where((places() == 1)[..., None], 255, colors(places()))
    np.testing.assert_array_equal(decode["white"](contents), expected)


@pytest.mark.parametrize("cut", [5, 13, 20, 26, 33, 40, 60])
def test_a_cut_gif_is_an_error_and_no_crash(cut, decode):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode["white"](gif(places(), clear=1)[:cut])


def test_a_screen_that_no_memory_holds_is_an_error(decode):
    with pytest.raises(tf.errors.InvalidArgumentError, match="more pixels"):
        decode["white"](gif(places(), screen=(60_000, 60_000)))


def test_opaque_pictures_are_the_same_on_any_background(decode):
    photo = rgba().convert("RGB")
    for contents in (
        encoded(photo, "JPEG"),
        encoded(photo, "PNG"),
        encoded(photo, "WEBP"),
        encoded(photo, "BMP"),
        encoded(palette(), "PNG"),
        encoded(palette(), "GIF"),
        encoded(rgba(), "BMP"),  # 32 bits, of which 8 mean nothing.
        encoded(photo, "PNG", pnginfo=None) + b"tRNS",
    ):
        first, *others = (decode[each](contents).numpy() for each in SHADES)
        for other in others:
            np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("bounds", [(0, 255), (0, 4095), (1000, 1500)])
def test_a_range_of_sixteen_bits_becomes_black_to_white(bounds):
    low, high = bounds
    values = np.linspace(0, 1.2 * high, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
    values = values.astype(np.uint16)
    pixels = picture_options.PixelOptions(pixel_range=bounds)
    found = decoding.decode(
        png(values, depth=16, kind=0), pixels=pixels
    ).numpy()
    scaled = (values.astype(float) - low) / (high - low)
    expected = np.round(np.clip(scaled, 0, 1) * 255)
    assert abs(found[..., 0] - expected).max() <= 1
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_a_range_leaves_bytes_as_they_are_and_lays_on_the_background():
    pixels = picture_options.PixelOptions(
        pixel_range=(0, 4095), background="black"
    )
    contents = encoded(rgba())
    found = decoding.decode(contents, pixels=pixels).numpy()
    expected = by_pillow(contents, "black").astype(int)
    assert abs(found - expected).max() <= 1
    wide = np.zeros((2, 3, 2), np.uint16)
    wide[..., 0] = 4095
    wide[0, :, 1] = 65535
    found = decoding.decode(png(wide, depth=16, kind=4), pixels=pixels).numpy()
    np.testing.assert_array_equal(found[..., 1], [[255] * 3, [0] * 3])


def test_transparency_is_seen_the_same_in_a_saved_model(tmp_path):
    module = tf.Module()
    module.decode = tf.function(
        lambda contents: decoding.load_bytes(
            contents,
            picture_options.Square(
                16, pixels=picture_options.PixelOptions(background="gray")
            ),
        ),
        input_signature=[tf.TensorSpec((), tf.string)],
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for contents in KINDS.values():
        alone = module.decode(tf.constant(contents))
        np.testing.assert_array_equal(loaded.decode(contents), alone)
