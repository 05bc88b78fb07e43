"""A small finished run that several tests look at."""

import contextlib
import csv
import fcntl
import functools
import itertools
import os
import pathlib
import subprocess

import graph_optimizer
import numpy as np
import pytest
import quiet
import server_client
from PIL import Image

_COLORS = ("red", "green", "blue")
SETTINGS = {
    "backbone": "small_cnn",
    "weights": "digits",
    "image_size": 32,
    "epochs": 2,
    "batch_size": 8,
    "seed": 3,
    # Trials take longer than all else of a small run.
    "recipe": "none",
}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> pathlib.Path:
    """A folder of three classes that color tells apart, 16 pictures each."""
    return _colored(tmp_path_factory.mktemp("pictures"), 100)


@pytest.fixture(scope="session")
def hard_pictures(tmp_path_factory) -> pathlib.Path:
    """The same, hardly to be told apart: steps improve on the solved head."""
    return _colored(tmp_path_factory.mktemp("hard_pictures"), 8)


def _colored(folder: pathlib.Path, brighter: int) -> pathlib.Path:
    generator = np.random.default_rng(0)
    for index, name in enumerate(_COLORS):
        (folder / name).mkdir()
        for number in range(16):
            pixels = generator.integers(0, 120, [40, 48, 3], dtype="uint8")
            pixels[..., index] += brighter
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def color_table(tmp_path_factory) -> pathlib.Path:
    """A CSV file of pictures, labeled with the colors that are lit."""
    folder = tmp_path_factory.mktemp("labeled")
    generator = np.random.default_rng(0)
    rows = []
    for number, lit in enumerate(itertools.product([0, 1], repeat=3), start=0):
        for copy in range(9):
            pixels = generator.integers(0, 80, [40, 48, 3], dtype="uint8")
            pixels += np.array(lit, "uint8") * 120
            name = f"{number}{copy}.png"
            Image.fromarray(pixels).save(folder / name)
            names = [c for c, on in zip(_COLORS, lit, strict=True) if on]
            rows.append([name, "|".join(names)])
    with open(folder / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", "colors"], *rows])
    return folder / "table.csv"


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> pathlib.Path:
    """Boxes before a sky: 24 pictures of many sizes, some pixels ignored."""
    root = tmp_path_factory.mktemp("scenes")
    colors = np.array([[40, 40, 200], [220, 60, 40], [9, 9, 9]], "uint8")
    generator = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for number in range(24):
        height, width = generator.integers(30, 50, 2)
        mask = np.zeros([height, width], "uint8")
        top, left = generator.integers(0, 14, 2)
        mask[top : top + 16, left : left + 16] = 1
        mask[-4:] = 2
        noise = generator.normal(0, 12, [height, width, 3])
        pixels = np.clip(colors[mask] + noise, 0, 255).astype("uint8")
        Image.fromarray(pixels).save(root / "images" / f"{number}.jpg")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    (root / "classes.json").write_text('["sky", "box", "void"]')
    return root


@pytest.fixture(scope="session")
def settings(tmp_path_factory) -> dict:
    """Settings of a quick run, with a cache of the session's own."""
    return {**SETTINGS, "cache_dir": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="session")
def train(settings):
    """Trains with these settings but for changes; returns run and report."""
    import tf_finetune

    def fine_tune(data, place, **changes):
        said = []
        run = tf_finetune.fine_tune(
            data,
            workdir=str(place),
            report=said.append,
            **{**settings, **changes},
        )
        return run, "\n".join(said)

    return fine_tune


@pytest.fixture(scope="session")
def run(pictures, train, tmp_path_factory):
    """A finished run of the Python API."""
    place = tmp_path_factory.mktemp("runs") / "run"
    with graph_optimizer.switched_on():
        # What is measured for `auto` takes longer than training.
        return train(pictures, place, cache="on")[0]


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory) -> pathlib.Path:
    """That run as a SavedModel, the first version of its folder."""

    with graph_optimizer.switched_on():
        (version,) = quiet.export(
            run.workdir,
            output=str(tmp_path_factory.mktemp("exports") / "out"),
        )
    return version


@pytest.fixture(scope="session")
def mixed_runs(pictures, train, tmp_path_factory):
    """A function: precision → a run with all weights moving, what it said."""

    @functools.cache
    def of(precision):
        place = tmp_path_factory.mktemp(precision) / "run"
        return train(pictures, place, trainable="all", precision=precision)

    return of


@pytest.fixture(scope="session")
def ants_and_bees(material, tmp_path_factory) -> pathlib.Path:
    """The workdir of MobileNet 0.25's head on real pictures.

    It is trained once for all of pytest's processes; `cache` beside it holds
    the features. Nothing may be written into it.
    """
    from tf_finetune.workdir import workdir_files

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with open(folder / "ants_and_bees.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = folder / "ants_and_bees" / "run"
        if not workdir_files.Workdir(place).is_finished:
            quiet.fine_tune(
                material / "hymenoptera",
                backbone="mobilenet@0.25",
                weights=str(
                    material / "weights" / "mobilenet_0.25_224_notop.h5"
                ),
                trainable="head",
                workdir=str(place),
                cache_dir=str(place.with_name("cache")),
            )
    return place


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> pathlib.Path:
    """Rows whose price is told by a color, an area and a place together."""
    folder = tmp_path_factory.mktemp("houses")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(40):
        red = int(generator.integers(0, 130))
        names = [f"{number}_{view}.png" for view in ("front", "back")]
        for name, shade in zip(names, (red, 0), strict=True):
            pixels = generator.integers(0, 120, [20, 24, 3], dtype="uint8")
            pixels[..., 0] += np.uint8(shade)
            Image.fromarray(pixels).save(folder / name)
        area = round(float(np.exp(generator.normal(5, 0.5))), 1)
        place = str(generator.choice(["94501", "94502", "93510"]))
        price = area * np.exp(red / 60) * (1.5 if place < "94" else 1)
        shown = "" if number == 7 else area
        rows.append((*names, shown, place, round(price, 2), round(red + 1, 2)))
    with open(folder / "t.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["front", "back", "area", "place", "price", "redness"])
        writer.writerows(rows)
    return folder / "t.csv"


@pytest.fixture(scope="module")
def talk():
    """A function that serves an exported version and returns who asks it."""
    with contextlib.ExitStack() as ends:

        def start(version, **flags):
            return ends.enter_context(
                contextlib.closing(server_client.Talk(version, **flags))
            )

        yield start


@pytest.fixture
def damage(tmp_path):
    """A function: a picture → a copy that ends in the middle."""
    return lambda path: server_client.damaged(pathlib.Path(path), tmp_path)


@pytest.fixture
def start_training(settings, tmp_path, start):
    """Starts a program that trains in a folder of the test's own."""

    def begin(place: str, **changes):
        flags = {
            **settings,
            "epochs": 2,
            "checkpoint_every_steps": 1,
            **changes,
            "workdir": tmp_path / place,
        }
        words = [f"--{name}={value}" for name, value in flags.items()]
        return start(["-m", "tf_finetune.train", *words], tmp_path)

    return begin


@pytest.fixture
def command(tmp_path, start):
    """Runs a command of the package as a program, in a folder of its own."""

    def call(name: str, *flags: str) -> subprocess.CompletedProcess:
        arguments = ["-m", f"tf_finetune.{name}", *flags]
        return start(arguments, tmp_path).wait(timeout=300)

    return call
