import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tf_finetune.config import picture_options
from tf_finetune.data.images import decoding

TOLERANCE = 4  # Of 255: JPEG decoders round differently.

_decode = tf.function(
    decoding.decode, input_signature=[tf.TensorSpec((), tf.string)]
)


def picture(width: int = 37, height: int = 25) -> Image.Image:
    """A smooth picture without any symmetry."""
    y, x = np.mgrid[:height, :width]
    channels = (x * 200 / width, y * 200 / height, 90 + 60 * np.sin(x / 9 + y))
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def by_pillow(contents: bytes) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def check_equal(contents: bytes, expected: np.ndarray, tolerance=TOLERANCE):
    pixels = _decode(contents).numpy()
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape
    assert abs(pixels.astype(int) - expected).max() <= tolerance


def transparent() -> Image.Image:
    image = picture().convert("RGBA")
    alpha = np.arange(37 * 25).reshape(25, 37) % 256
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


KINDS = {
    "baseline JPEG": encoded(picture(), "JPEG", quality=95),
    "progressive JPEG": encoded(picture(), "JPEG", progressive=True),
    "gray JPEG": encoded(picture().convert("L"), "JPEG"),
    "CMYK JPEG": encoded(picture().convert("CMYK"), "JPEG", quality=95),
    "PNG": encoded(picture(), "PNG"),
    "gray PNG": encoded(picture().convert("L"), "PNG"),
    "palette PNG": encoded(picture().convert("P"), "PNG"),
    "PNG of 1 bit": encoded(picture().convert("1"), "PNG"),
    "PNG with alpha": encoded(transparent(), "PNG"),
    "gray PNG with alpha": encoded(transparent().convert("LA"), "PNG"),
    "lossless WebP": encoded(picture(), "WEBP", lossless=True),
    "WebP": encoded(picture(), "WEBP", quality=95),
    "BMP of 24 bits": encoded(picture(), "BMP"),
    "BMP of 32 bits": encoded(transparent(), "BMP"),
    "gray BMP": encoded(picture().convert("L"), "BMP"),
    "palette BMP": encoded(picture().convert("P"), "BMP"),
    "GIF": encoded(picture().convert("P"), "GIF"),
    "1 x 1 PNG": encoded(picture(1, 1), "PNG"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_decodes_as_pillow_does(kind):
    check_equal(KINDS[kind], by_pillow(KINDS[kind]))


def test_sixteen_bits_keep_their_upper_eight():
    values = np.linspace(0, 65535, 37 * 25).reshape(25, 37).astype(np.uint16)
    expected = np.repeat((values >> 8)[..., None], 3, axis=-1)
    check_equal(encoded(Image.fromarray(values), "PNG"), expected, 1)


def test_a_gif_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 6), name) for name in ("red", "blue")]
    contents = encoded(
        frames[0], "GIF", save_all=True, append_images=frames[1:]
    )
    check_equal(contents, np.full((6, 8, 3), (255, 0, 0)))


def test_bytes_after_the_pixels_of_a_bmp_do_no_harm():
    for image in (picture(), picture().convert("P")):
        contents = encoded(image, "BMP")
        check_equal(contents + b"\0\0", by_pillow(contents), 0)


def test_a_bmp_palette_may_be_shorter_than_its_pixels_say():
    contents = bytearray(encoded(picture().convert("L"), "BMP"))
    contents[46:50] = struct.pack("<I", 2)  # Colors used: black, almost black.
    pixels = _decode(bytes(contents)).numpy()
    assert set(np.unique(pixels)) <= {0, 1}


def test_a_bmp_whose_first_row_is_the_uppermost():
    contents = bytearray(encoded(picture(), "BMP"))
    contents[22:26] = struct.pack("<i", -25)
    check_equal(bytes(contents), by_pillow(bytes(contents)), 0)


def run_length_bmp() -> bytes:
    contents = bytearray(encoded(picture().convert("L"), "BMP"))
    contents[30:34] = struct.pack("<I", 1)
    return bytes(contents)


def two_frames(form: str) -> bytes:
    frames = [Image.new("RGB", (8, 6), name) for name in ("red", "blue")]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:])


REFUSED = {
    "nothing": b"",
    "text": b"this is no picture",
    "a truncated JPEG": KINDS["baseline JPEG"][:-2],
    "half a PNG": KINDS["PNG"][: len(KINDS["PNG"]) // 2],
    "half a WebP": KINDS["WebP"][: len(KINDS["WebP"]) // 2],
    "half a GIF": KINDS["GIF"][: len(KINDS["GIF"]) // 2],
    "half a BMP": KINDS["gray BMP"][: len(KINDS["gray BMP"]) // 2],
    "two letters": b"BM",
    "a BMP of 1 bit": encoded(picture().convert("1"), "BMP"),
    "a run-length BMP": run_length_bmp(),
    "an animated WebP": two_frames("WEBP"),
    "a TIFF": encoded(picture(), "TIFF"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_decoded_is_an_error_and_no_crash(kind):
    with pytest.raises(tf.errors.InvalidArgumentError):
        _decode(REFUSED[kind])


def test_it_works_on_a_batch_in_a_saved_model(tmp_path):
    class Server(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
        def serve(self, batch):
            return tf.map_fn(
                lambda contents: decoding.load_bytes(
                    contents, picture_options.Square(16)
                ),
                batch,
                fn_output_signature=tf.TensorSpec((16, 16, 3), tf.float32),
            )

    tf.saved_model.save(Server(), str(tmp_path))
    server = tf.saved_model.load(str(tmp_path))
    kinds = list(KINDS.values())
    images = server.serve(tf.constant(kinds)).numpy()
    alone = [
        decoding.load_bytes(
            tf.constant(each), picture_options.Square(16)
        ).numpy()
        for each in kinds
    ]
    np.testing.assert_array_equal(images, alone)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_large_pictures_shrink_without_aliasing(resize):
    # Stripes of one pixel; every third sample of them alone would be stripes.
    stripes = np.zeros((90, 90, 3), np.uint8)
    stripes[:, ::2] = 255
    contents = encoded(Image.fromarray(stripes), "PNG")
    image = decoding.load_bytes(
        tf.constant(contents), picture_options.Square(30, resize)
    )
    assert image.dtype == tf.float32
    assert abs(image.numpy()[2:-2, 2:-2] - 127.5).max() < 20


def load_wide(resize: str, size: int) -> np.ndarray:
    # From left to right: red, green, green, blue; each 10 x 10.
    colors = np.eye(3)[[0, 1, 1, 2]] * 255
    wide = np.repeat(np.repeat(colors, 10, axis=0)[None], 20, axis=0)
    contents = encoded(Image.fromarray(wide.astype(np.uint8)), "PNG")
    return load(contents, resize, size)


def test_squash_keeps_all_of_the_picture():
    image = load_wide("squash", 40)
    np.testing.assert_allclose(image[20, [3, 20, 36]], np.eye(3) * 255)


def test_crop_keeps_the_middle_square():
    np.testing.assert_allclose(load_wide("crop", 20)[..., 1], 255)


def test_pad_keeps_the_shape_and_adds_black():
    image = load_wide("pad", 40)
    np.testing.assert_array_equal(image[:10], 0)
    np.testing.assert_array_equal(image[30:], 0)
    np.testing.assert_allclose(image[10:30, [3, 20, 36]][7], np.eye(3) * 255)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_a_very_thin_picture_becomes_square(resize):
    contents = encoded(picture(300, 1), "PNG")
    image = decoding.load_bytes(
        tf.constant(contents), picture_options.Square(16, resize)
    )
    assert image.shape == (16, 16, 3)


def test_a_file_decodes_whatever_its_name_says(tmp_path):
    path = tmp_path / "picture.jpg"
    path.write_bytes(KINDS["PNG"])
    image = decoding.load_file(
        tf.constant(str(path)), picture_options.Square(25, "crop")
    ).numpy()
    np.testing.assert_allclose(
        image, by_pillow(KINDS["PNG"])[:, 6:31], atol=0.1
    )


def load(contents: bytes, resize: str, size: int = 32) -> np.ndarray:
    # What `load_bytes` compiles, so that its parts can be changed.
    square = picture_options.Square(size, resize)
    return decoding._load(tf.constant(contents), square, None).numpy()


@pytest.mark.parametrize(
    ("width", "height", "resize", "ratio"),
    [
        (399, 600, "squash", 1),
        (400, 600, "squash", 2),
        (600, 400, "crop", 2),
        (800, 800, "squash", 4),
        (1600, 1600, "squash", 8),
        (1600, 1592, "squash", 4),  # The shorter side is decisive …
        (1600, 104, "pad", 8),  # … but the longer one where it fits.
        (1600, 100, "pad", 4),  # 100 / 8 is 12.5.
        (801, 801, "squash", 2),  # 801 / 4 = 200.25, rounded up to 201.
        (401, 401, "squash", 1),  # 401 / 2 = 200.5: 0.25 of 100 pixels off.
        (6401, 6400, "squash", 8),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_twice_what_is_needed(
    width, height, resize, ratio, monkeypatch
):
    asked = []
    original = decoding._decode_jpeg

    def spy(contents, ratio):
        asked.append(ratio)
        return original(contents, ratio)

    monkeypatch.setattr(decoding, "_decode_jpeg", spy)
    load(encoded(Image.new("L", (width, height)), "JPEG"), resize, 100)
    assert asked == [ratio]


def photograph(width: int, height: int) -> Image.Image:
    """Smooth areas, hard edges and some noise."""
    y, x = np.mgrid[:height, :width]
    pixels = 110 + np.stack(
        [60 * np.sin(x / 41), 60 * np.sin(y / 29), 50 * np.cos((x + y) / 53)],
        axis=-1,
    )
    pixels[((x // 97 + y // 61) % 3) == 0] += 60
    pixels += np.random.default_rng(0).normal(0, 4, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


LARGE = {
    "baseline": encoded(photograph(640, 512), "JPEG", quality=92),
    "4:4:4": encoded(photograph(640, 512), "JPEG", subsampling=0),
    "4:2:2": encoded(photograph(640, 512), "JPEG", subsampling=1),
    "progressive": encoded(photograph(640, 512), "JPEG", progressive=True),
    "gray": encoded(photograph(640, 512).convert("L"), "JPEG"),
    "CMYK": encoded(photograph(640, 512).convert("CMYK"), "JPEG"),
    "restarts": encoded(photograph(640, 512), "JPEG", restart_marker_blocks=7),
    "low quality": encoded(photograph(640, 512), "JPEG", quality=20),
    "odd sides": encoded(photograph(641, 513), "JPEG", quality=92),
}


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("kind", LARGE)
def test_a_reduced_jpeg_is_like_the_full_one(kind, resize, monkeypatch):
    reduced = load(LARGE[kind], resize)
    monkeypatch.setattr(decoding, "_JPEG_RATIOS", (1,))
    full = load(LARGE[kind], resize)
    difference = abs(reduced - full)
    assert 0 < difference.mean() < 1.0
    assert difference.max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_jpeg_is_turned_as_its_tag_says(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    contents = encoded(photograph(640, 384), "JPEG", quality=92, exif=exif)
    upright = Image.fromarray(by_pillow(contents))
    expected = upright.resize((32, 32), Image.Resampling.BILINEAR)
    difference = abs(load(contents, "squash") - np.asarray(expected, float))
    assert difference.mean() < 1.5


def test_a_small_jpeg_is_decoded_in_full():
    contents = encoded(photograph(63, 80), "JPEG", quality=92)
    pixels = by_pillow(contents)
    expected = tf.image.resize(pixels, (32, 32), antialias=True).numpy()
    np.testing.assert_allclose(load(contents, "squash"), expected, atol=0.01)


def test_a_large_truncated_jpeg_is_an_error_too():
    with pytest.raises(tf.errors.InvalidArgumentError):
        load(LARGE["baseline"][:-2], "squash")


@pytest.mark.real
def test_real_pictures_reduce_to_what_they_are(material, monkeypatch):
    paths = sorted((material / "hymenoptera").rglob("*.jp*g"))[::20]
    contents = [path.read_bytes() for path in paths]
    reduced = [load(each, "squash", 64) for each in contents]
    monkeypatch.setattr(decoding, "_JPEG_RATIOS", (1,))
    full = [load(each, "squash", 64) for each in contents]
    differences = abs(np.array(reduced) - np.array(full)).mean(axis=(1, 2, 3))
    assert differences.max() < 2.0
    assert differences.mean() < 1.0


@pytest.mark.real
def test_real_pictures_decode_as_pillow_does(material):
    paths = sorted((material / "hymenoptera").rglob("*.jp*g"))
    for path in paths[:: len(paths) // 40]:
        contents = path.read_bytes()
        difference = abs(
            _decode(contents).numpy().astype(int) - by_pillow(contents)
        )
        assert difference.max() <= TOLERANCE, path


@pytest.mark.real
def test_the_real_placeholder_gif_decodes(material):
    (path,) = (material / "hymenoptera").rglob("*.gif")
    check_equal(path.read_bytes(), by_pillow(path.read_bytes()))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WebP", "GIF", "BMP"])
@pytest.mark.parametrize("turn", [1, 4, 7])
def test_the_graph_of_one_kind_gives_the_pixels_of_the_whole(form, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    contents = encoded(picture(90, 60), form, exif=exif)
    # Of a tensor nothing is known before it runs: it takes the whole decoder.
    whole, alone = (
        decoding.load_bytes(given, picture_options.Square(20, "pad")).numpy()
        for given in (tf.constant(contents), contents)
    )
    np.testing.assert_array_equal(whole, alone)


def test_bytes_of_no_kind_are_refused_alike():
    for given in (b"no picture", tf.constant(b"no picture")):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decoding.load_bytes(given, picture_options.Square(20, "pad"))


def test_the_decoder_is_made_ready_once_for_all_pipelines(monkeypatch):
    traced = []
    original = decoding._load

    def spy(contents, square, kind):
        traced.append(square.size)
        return original(contents, square, kind)

    monkeypatch.setattr(decoding, "_load", spy)
    for size in (13, 17, 13):
        dataset = tf.data.Dataset.from_tensors(KINDS["PNG"]).map(
            lambda contents, size=size: decoding.load_bytes(
                contents, picture_options.Square(size, "pad")
            )
        )
        assert next(iter(dataset)).shape == (size, size, 3)
    assert traced == [13, 17]
