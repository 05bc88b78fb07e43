"""Transparency and 16-bit values mean the same wherever a run is used."""

import logging
import pathlib

import numpy as np
import pytest
import quiet
import tensorflow as tf
from PIL import Image, ImageDraw

SETTINGS = {
    "backbone": "small_cnn",
    "weights": "digits",
    "image_size": 32,
    "epochs": 0,
    "seed": 1,
}


def shape(kind: int, seed: int) -> np.ndarray:
    """A disc (0) or a frame (1), 0..255, with noise."""
    random = np.random.default_rng(100 * seed + kind)
    image = Image.new("L", (40, 40), 20)
    x, y = random.uniform(15, 25, 2)
    half = random.uniform(9, 13)
    box = (x - half, y - half, x + half, y + half)
    draw = ImageDraw.Draw(image)
    if kind:
        draw.rectangle(box, outline=230, width=3)
    else:
        draw.ellipse(box, fill=230)
    noisy = np.asarray(image) + random.normal(0, 5, (40, 40))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def white_icon(kind: int, seed: int) -> Image.Image:
    """White all over; the shape is in alpha alone."""
    pixels = np.full((40, 40, 4), 255, np.uint8)
    pixels[..., 3] = shape(kind, seed)
    return Image.fromarray(pixels)


def of_12_bits(kind: int, seed: int) -> Image.Image:
    return Image.fromarray(shape(kind, seed).astype(np.uint16))


def write(folder: pathlib.Path, draw, suffix: str, **options) -> None:
    for kind, name in enumerate(("disc", "frame")):
        (folder / name).mkdir(parents=True)
        for seed in range(16):
            path = folder / name / f"{seed}{suffix}"
            draw(kind, seed).save(path, **options)


def train(data: pathlib.Path, folder: pathlib.Path, **options):
    return quiet.fine_tune(
        str(data),
        workdir=str(folder / "run"),
        cache_dir=str(folder / "cache"),
        overwrite=True,
        **SETTINGS,
        **options,
    )


def answers(run, folder: pathlib.Path) -> np.ndarray:
    """The probability of "disc" of each file of a folder."""
    found = quiet.predict(run.workdir, str(folder))
    assert [each.error for each in found] == [""] * len(found)
    return np.array([dict(each.top_k)["disc"] for each in found])


@pytest.fixture(scope="module")
def icons(tmp_path_factory):
    """A run on white icons, in WebP of both kinds, on black."""
    folder = tmp_path_factory.mktemp("icons")
    write(folder / "data", white_icon, ".webp", quality=90)
    for path in sorted((folder / "data").rglob("1?.webp")):
        with Image.open(path) as image:
            image.save(path, lossless=True, exact=True)
    return train(folder / "data", folder, background="black")


def test_what_is_seen_on_the_background_is_learned(icons):
    figures = [icons.evaluation[s]["accuracy"] for s in ("validation", "test")]
    assert figures == [1.0, 1.0]


def test_hidden_white_is_warned_of_and_the_advice_helps(tmp_path, caplog):
    write(tmp_path / "data", white_icon, ".png")
    caplog.set_level(logging.WARNING)
    first = train(tmp_path / "data", tmp_path)
    (line,) = [m for m in caplog.messages if "a single color" in m]
    assert line.startswith("32 of 32 pictures are a single color")
    assert "--background=black" in line
    caplog.clear()
    second = train(tmp_path / "data", tmp_path, background="black")
    assert first.evaluation["train"]["accuracy"] < 0.7
    assert second.evaluation["test"]["accuracy"] == 1.0
    assert not [m for m in caplog.messages if "a single color" in m]


def test_values_of_few_bits_are_warned_of_and_the_advice_helps(
    tmp_path, caplog
):
    write(tmp_path / "data", of_12_bits, ".png")
    caplog.set_level(logging.WARNING)
    train(tmp_path / "data", tmp_path)
    (line,) = [m for m in caplog.messages if "16 bits" in m]
    assert "--pixel_range=0,255 " in line
    caplog.clear()
    # The same cache: what was computed of black pictures is not used again.
    second = train(tmp_path / "data", tmp_path, pixel_range="0,255")
    assert second.evaluation["test"]["accuracy"] == 1.0
    assert not [m for m in caplog.messages if "16 bits" in m]
    asked = tmp_path / "data" / "disc"
    assert (answers(second, asked) > 0.5).all()
    (version,) = quiet.export(second.workdir)
    np.testing.assert_allclose(
        exported(version, asked), answers(second, asked), atol=1e-5
    )


def exported(version: pathlib.Path, folder: pathlib.Path) -> np.ndarray:
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    paths = sorted(folder.iterdir())
    contents = tf.constant([path.read_bytes() for path in paths])
    return signature(image_bytes=contents)["probabilities"].numpy()[:, 0]


def test_one_picture_in_many_files_is_answered_alike_everywhere(
    icons, tmp_path
):
    image = white_icon(0, 3)
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.webp", lossless=True, exact=True)
    image.save(tmp_path / "c.webp", lossless=True)
    image.convert("LA").save(tmp_path / "d.png")
    black = Image.new("RGBA", image.size, "black")
    Image.alpha_composite(black, image).convert("RGB").save(tmp_path / "e.png")
    said = answers(icons, tmp_path)
    assert np.ptp(said) < 2e-4  # Pillow rounds otherwise by 1 of 255.
    assert np.ptp(said[:4]) < 1e-5
    (version,) = quiet.export(icons.workdir)
    np.testing.assert_allclose(exported(version, tmp_path), said, atol=1e-5)


def test_evaluation_of_other_files_is_on_the_background_of_the_run(
    icons, tmp_path
):
    write(tmp_path / "data", white_icon, ".png")
    figures = quiet.evaluate(
        icons.workdir,
        data=str(tmp_path / "data"),
        cache_dir=str(tmp_path / "cache"),
    )
    assert figures["test"]["accuracy"] == 1.0
