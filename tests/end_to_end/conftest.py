"""A small finished run that several tests look at."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

SETTINGS = {
    "backbone": "small_cnn",
    "weights": "digits",
    "image_size": 32,
    "epochs": 2,
    "batch_size": 8,
    "seed": 3,
}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> pathlib.Path:
    """A folder of three classes that colour tells apart, 16 pictures each."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for index, name in enumerate(("red", "green", "blue")):
        (folder / name).mkdir()
        for number in range(16):
            pixels = generator.integers(0, 120, [40, 48, 3], dtype="uint8")
            pixels[..., index] += 100
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def settings(tmp_path_factory) -> dict:
    """Settings of a quick run, with a cache of the session's own."""
    return {**SETTINGS, "cache_dir": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="session")
def run(pictures, settings, tmp_path_factory):
    """A finished run of the Python API."""
    import tf_finetune

    return tf_finetune.fine_tune(
        pictures,
        workdir=str(tmp_path_factory.mktemp("runs") / "run"),
        report=lambda text: None,
        **settings,
    )


@pytest.fixture
def command(tmp_path):
    """Runs a command of the package as a program, in a folder of its own."""

    def call(name: str, *flags: str, **keywords) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", f"tf_finetune.{name}", *flags],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=300,
            **keywords,
        )

    return call
