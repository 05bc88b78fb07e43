"""What the decoder is told about transparency and 16-bit values."""

import pytest

from tf_finetune import errors
from tf_finetune.config import options, picture_options, train_config


@pytest.mark.parametrize(
    "given", ["0,4095", (0, 4095), [0, 4095], "auto", "full"]
)
def test_a_range_is_kept_as_it_was_given(given):
    config = options.from_keywords(
        train_config.TrainConfig,
        {"data": "x", "workdir": "y", "pixel_range": given},
    )
    expected = () if given in ("auto", "full") else (0, 4095)
    assert config.model.pixels.bounds == expected
    line = options.to_flag("pixel_range", config.model.pixels.pixel_range)
    assert line in options.to_flagfile(config)


@pytest.mark.parametrize(
    "given", [(5, 5), (9, 3), (-1, 10), (0, 65536), (1, 2, 3), ()]
)
def test_an_impossible_range_is_refused(given):
    with pytest.raises(errors.UsageError, match="LOW,HIGH"):
        picture_options.PixelOptions(pixel_range=given)


def test_what_decodes_alike_has_one_key():
    keys = [
        picture_options.PixelOptions(
            background=background, pixel_range=given
        ).key
        for background in ("white", "black")
        for given in ("auto", "full", (0, 65535), (0, 255))
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 6
