"""A run that is prepared but not trained, and hand-made parts of one."""

import contextlib
import dataclasses
import types

import numpy as np
import pytest
import sample_pictures
import tensorflow as tf
from PIL import Image

from tf_finetune import files
from tf_finetune.config import options, train_config
from tf_finetune.data import scan
from tf_finetune.runs import run_preparation, train
from tf_finetune.tasks import catalog as tasks
from tf_finetune.training import optimizer_state
from tf_finetune.training.checkpoints import checkpoint_callback
from tf_finetune.workdir import workdir_files

SETTINGS = {
    "backbone": "small_cnn",
    "weights": "digits",
    "image_size": 32,
    "epochs": 2,
    "batch_size": 8,
    "augmentation": "none",
    "seed": 3,
}


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory):
    """Pictures of two classes, 15 each, that brightness tells apart."""
    folder = tmp_path_factory.mktemp("bright_and_dark")
    generator = np.random.default_rng(0)
    for name, brightness in (("bright", 120), ("dark", 0)):
        (folder / name).mkdir()
        for number in range(15):
            pixels = generator.integers(0, 120, [32, 32, 3], dtype="uint8")
            Image.fromarray(pixels + np.uint8(brightness)).save(
                folder / name / f"{number}.png"
            )
    return folder


@pytest.fixture(scope="session")
def prepare_run():
    """Prepares a classification run of a config in a workdir."""

    def prepare(config, place, held):
        inspected = scan.list_and_inspect(
            config.data,
            tasks.TASKS.get("classification").labels,
            cache_dir=config.output.cache_folder,
        )
        place.checkpoints.mkdir(parents=True, exist_ok=True)
        return run_preparation.prepare_run(config, inspected, place, held)

    return prepare


@pytest.fixture(scope="session")
def sample_run(prepare_run, picture_folder, tmp_path_factory):
    """The context of a classification run whose model is not trained yet."""
    folder = tmp_path_factory.mktemp("sample_run")
    config = options.from_keywords(
        train_config.TrainConfig,
        {
            **SETTINGS,
            "data": str(picture_folder),
            "cache_dir": str(folder / "cache"),
        },
    )
    with contextlib.ExitStack() as held:
        yield prepare_run(config, workdir_files.Workdir(folder / "run"), held)


@pytest.fixture(scope="module")
def train_stages(prepare_run, sample_run, tmp_path_factory):
    """Trains `--stages` in a workdir of the given name, from new weights."""
    folder = tmp_path_factory.mktemp("stages")
    with contextlib.ExitStack() as held:

        def train_in(name, stages, **changes):
            config = options.replace(
                sample_run.config,
                epochs=10,
                stages=stages,
                cache="on",
                dropout=0.2,
                checkpoint_every_steps=1,
                **changes,
            )
            place = workdir_files.Workdir(folder / name)
            # As a process that begins does.
            context = prepare_run(config, place, held)
            return context, train.run_stages(context)

        yield train_in


class _Killed(Exception):
    pass


@pytest.fixture
def train_killed_stages(train_stages, monkeypatch):
    """Trains stages in a run that is killed once at each of some moments.

    A moment is (stage, epoch, step) of a checkpoint, or the number of a stage
    that has ended: its optimizer's state is read there.
    """
    keeper = checkpoint_callback.CheckpointCallback
    save, capture = keeper._save, optimizer_state.capture_state
    left, ended = set(), []

    def die_at(moment):
        if moment in left:
            left.remove(moment)
            raise _Killed

    def save_and_die(keeper, place, sums):
        save(keeper, place, sums)
        die_at((place.stage, place.epoch, place.step))

    def capture_and_die(trainer):
        ended.append(trainer)
        die_at(len(ended))
        return capture(trainer)

    def train_in(moments, *given, **changes):
        monkeypatch.setattr(keeper, "_save", save_and_die)
        monkeypatch.setattr(optimizer_state, "capture_state", capture_and_die)
        left.update(moments)
        for _ in moments:
            ended.clear()
            with pytest.raises(_Killed):
                train_stages(*given, **changes)
        ended.clear()
        return train_stages(*given, **changes)

    return train_in


@pytest.fixture
def fresh_run(sample_run, tmp_path):
    """The same with a workdir of its own and its first weights."""
    model = sample_run.assembly.model
    before = model.get_weights()
    place = workdir_files.Workdir(tmp_path / "run")
    place.checkpoints.mkdir(parents=True)
    yield dataclasses.replace(sample_run, place=place, shared=place)
    model.set_weights(before)


@pytest.fixture
def make_config():
    """Builds a config of flags by name."""

    def build(**changes):
        given = {"data": "pictures", **SETTINGS, **changes}
        return options.from_keywords(train_config.TrainConfig, given)

    return build


@pytest.fixture
def make_data(tmp_path):
    """Builds data of splits: the classes of their pictures, "abba"."""

    def build(**splits):
        pictures = []
        for split, labels in splits.items():
            for number, label in enumerate(labels):
                path = tmp_path / f"{split}{number}.png"
                path.write_bytes(f"{split} {number}".encode())
                pictures.append(
                    sample_pictures.make_picture(
                        path, label, files.sha256(path), split, side=8
                    )
                )
        return sample_pictures.make_data(
            ("a", "b"), pictures, fingerprint="of-all-pictures"
        )

    return build


@pytest.fixture
def make_context(make_config, make_data, tmp_path):
    """Builds the parts of a context that need no model.

    It is a classification of two classes, four training pictures and two of
    validation, whose head alone is trained.
    """

    def build(splits=None, changes=None, **others):
        config = make_config(**(changes or {}))
        splits = splits or {"train": "abab", "validation": "ab"}
        place = workdir_files.Workdir(tmp_path / "run")
        place.path.mkdir(exist_ok=True)
        given = {
            "config": config,
            "requested_config": config,
            "largest_batch": None,
            "place": place,
            "shared": place,
            "data": make_data(
                **(splits or {"train": "abab", "validation": "ab"})
            ),
            "task": tasks.TASKS.get("classification"),
            "strategy": tf.distribute.get_strategy(),
            "is_chief": True,
            "fine_tunes": False,
            "stages": (),
            "image_size": 32,
            "square": config.model.make_square(32),
            **others,
        }
        return types.SimpleNamespace(**given)

    return build
