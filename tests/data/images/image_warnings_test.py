"""What is said of pictures that hold nothing, or the same as others."""

import functools
import io
import logging

import numpy as np
import pytest
import sample_pictures
from PIL import Image

from tf_finetune.config import picture_options
from tf_finetune.data.images import decode_results, image_warnings, verification

SIZE = 32


def seen(
    images: list[np.ndarray], labels: str = "", **looks
) -> list[verification.VerifiedPicture]:
    return [
        verification.VerifiedPicture(
            picture=sample_pictures.make_picture(
                f"{number}.png", labels[number] if labels else "a", str(number)
            ),
            look=decode_results.measure_appearance(
                np.asarray(image, np.float32), b"", resize="squash", **looks
            ),
        )
        for number, image in enumerate(images)
    ]


def photograph(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    large = Image.fromarray(coarse).resize((SIZE, SIZE))
    return np.asarray(large, float)


def warned(caplog, found, **options) -> list[str]:
    caplog.clear()
    pixels = picture_options.PixelOptions(
        **{key: options.pop(key) for key in ("pixel_range",) if key in options}
    )
    with caplog.at_level(logging.WARNING):
        image_warnings.warn_of_oddities(found, pixels=pixels, **options)
    return [record.getMessage() for record in caplog.records]


def test_usual_pictures_are_not_warned_of(caplog):
    assert warned(caplog, seen([photograph(n) for n in range(40)])) == []


def test_pictures_of_one_color_are_counted_and_ten_are_named(caplog):
    blank = [np.full((SIZE, SIZE, 3), shade) for shade in range(0, 240, 20)]
    (line,) = warned(caplog, seen([*blank, photograph(0)]))
    assert line.startswith("12 of 13 pictures are a single color")
    assert "9.png and 2 more" in line
    assert "--background" not in line


def test_nearly_one_color_is_meant_too_and_a_speck_is_not(caplog):
    random = np.random.default_rng(0)
    dark = random.uniform(3, 5, (SIZE, SIZE, 3))
    speck = np.full((SIZE, SIZE, 3), 255.0)
    speck[5:7, 8:11] = 0
    lines = warned(caplog, seen([dark, speck]))
    assert lines == ["1 of 2 pictures is a single color, or nearly: 0.png."]


def test_a_color_all_over_is_one_though_its_channels_differ(caplog):
    red = np.zeros((SIZE, SIZE, 3)) + [255, 0, 0]
    (line,) = warned(caplog, seen([red]))
    assert "1 of 1 pictures is a single color" in line


def test_what_was_added_to_make_it_square_does_not_count():
    image = np.zeros((SIZE, SIZE, 3), np.float32)
    image[8:24] = 77
    look = functools.partial(decode_results.measure_appearance, image, b"")
    assert look(resize="pad").deviation == 0
    assert look(resize="squash").deviation > 30
    black = np.zeros((SIZE, SIZE, 3), np.float32)
    assert (
        decode_results.measure_appearance(black, b"", resize="pad").deviation
        == 0
    )


def test_files_that_look_alike_are_named_together(caplog):
    first, second = photograph(1), photograph(2)
    losses = np.random.default_rng(0).normal(0, 1.2, first.shape)
    images = [
        first,
        second,
        photograph(3),
        first,
        np.clip(second + losses, 0, 255),
    ]
    (line,) = warned(caplog, seen(images, labels="aabab"))
    assert "4 different files decode to the same pixels" in line
    assert "0.png = 3.png; 1.png = 4.png." in line
    assert "One such set has different labels." in line


def test_a_jpeg_looks_like_the_png_that_it_was_made_of(caplog):
    images = []
    image = Image.fromarray(photograph(1).astype(np.uint8))
    for quality in (None, 95):
        file = io.BytesIO()
        options = {"quality": quality, "subsampling": 0} if quality else {}
        image.save(file, "JPEG" if quality else "PNG", **options)
        images.append(np.asarray(Image.open(file), float))
    (line,) = warned(caplog, seen(images))
    assert line.startswith("2 different files")


def test_many_files_of_one_look_are_found_among_many(caplog):
    same = [photograph(0) + shift for shift in np.linspace(0, 1, 30)]
    others = [photograph(n) for n in range(1, 60)]
    lines = warned(caplog, seen([*same, *others]))
    assert lines[0].startswith("30 different files")
    assert "and 20 more" in lines[0]


def test_different_noise_of_one_shade_does_not_look_alike(caplog):
    random = np.random.default_rng(0)
    noise = [random.normal(128, 12, (SIZE, SIZE, 3)) for _ in range(20)]
    assert warned(caplog, seen(noise)) == []


def test_copies_are_not_named_where_they_are_of_no_interest(caplog):
    twice = seen([photograph(0), photograph(0)])
    assert warned(caplog, twice, compare=False) == []


@pytest.mark.parametrize(
    ("low", "high", "flag"),
    [
        (30, 220, "0,255"),
        (0, 255, "0,255"),
        (0, 256, "0,511"),
        (80, 3900, "0,4095"),
        (0, 16383, "0,16383"),
        (31000, 34000, "31000,34000"),
        (0, 0, "0,1"),
        (9, 9, "9,10"),
    ],
)
def test_a_small_part_of_sixteen_bits_is_named_with_the_flag(
    low, high, flag, caplog
):
    values = np.linspace(low, high, 900).reshape(30, 30, 1).astype(np.uint16)
    lines = warned(caplog, seen([photograph(0)], stored=values))
    assert len(lines) == 1
    assert f"uses the values {low} to {high}," in lines[0]
    assert f"--pixel_range={flag} " in lines[0]
    bounds = tuple(map(int, flag.split(",")))
    found = seen([photograph(0)], stored=values)
    assert warned(caplog, found, pixel_range=bounds) == []
    assert warned(caplog, found, pixel_range="full") == []


def test_defects_and_empty_borders_do_not_hide_a_small_part(caplog):
    values = np.linspace(0, 4000, 4000).reshape(40, 100, 1).astype(np.uint16)
    values[0, 0] = 65535
    (line,) = warned(caplog, seen([photograph(0)], stored=values))
    assert "nearly always uses the values 1 to 39" in line
    assert "--pixel_range=0,4095" in line


def test_colors_that_nobody_sees_do_not_count_as_used(caplog):
    values = np.zeros((20, 20, 2), np.uint16)
    values[..., 0] = np.arange(400).reshape(20, 20)
    values[..., 1] = 65535
    values[:2] = [65535, 0]
    (line,) = warned(caplog, seen([photograph(0)], stored=values))
    assert "the values 40 to 399" in line


def test_the_whole_range_is_no_oddity(caplog):
    dark = np.linspace(0, 3000, 900).reshape(30, 30, 1).astype(np.uint16)
    wide = np.linspace(0, 65535, 900).reshape(30, 30, 1).astype(np.uint16)
    found = [seen([photograph(n)], stored=wide)[0] for n in range(5)]
    found += seen([photograph(9)], stored=dark)
    assert warned(caplog, found) == []


def test_a_range_without_pictures_of_sixteen_bits_is_told(caplog):
    (line,) = warned(caplog, seen([photograph(0)]), pixel_range=(0, 4095))
    assert "--pixel_range=0,4095 changes nothing" in line


def test_a_look_is_kept_as_it_was():
    values = np.arange(900).reshape(30, 30, 1).astype(np.uint16)
    (first,) = seen([photograph(0)], stored=values)
    kept = decode_results.to_json(first.look)
    assert decode_results.from_json(kept) == first.look
    for wrong in ({}, kept | {"pixels": "AAAA"}, kept | {"stored": [1]}, None):
        with pytest.raises(ValueError, match="no look"):
            decode_results.from_json(wrong)


def test_hidden_white_drawings_are_told_to_need_another_background(caplog):
    file = io.BytesIO()
    Image.new("RGBA", (9, 9), (255, 255, 255, 0)).save(file, "PNG")
    white = np.full((SIZE, SIZE, 3), 255.0, np.float32)
    (found,) = seen([white])
    look = decode_results.measure_appearance(
        white, file.getvalue(), resize="squash"
    )
    hidden = verification.VerifiedPicture(picture=found.picture, look=look)
    (line,) = warned(caplog, [hidden])
    assert "--background=black or --background=gray" in line
