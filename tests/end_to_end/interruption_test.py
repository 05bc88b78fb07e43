"""A run that is killed is completed by the same command."""

import pathlib
import signal

import keras
import numpy as np
import pytest
import torch_files
import torch_golden

from tf_finetune import files
from tf_finetune.workdir import workdir_files

_PATIENCE_SECONDS = 240


def _command(pictures, settings, place: pathlib.Path) -> list[str]:
    flags = {
        **settings,
        "epochs": 6,
        "augmentation": "none",
        "dropout": 0.2,
        "deterministic": True,
        "data": pictures,
        # Whether to use it would be measured, a second and more each time.
        "cache": "off",
    }
    return [
        "-m", "tf_finetune.train", f"--workdir={place}",
        *(f"--{name}={value}" for name, value in flags.items()),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(
    pictures, settings, tmp_path_factory, start
) -> workdir_files.Workdir:
    folder = tmp_path_factory.mktemp("uninterrupted")
    place = workdir_files.Workdir(folder / "run")
    command = _command(pictures, settings, place.path)
    done = start(command, folder).wait(_PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize(
    "moment",
    [
        "checkpoints/epoch-00000-step-00000003.checkpoint",
        "model.weights.h5",
        pytest.param("run.flags", marks=pytest.mark.campaign),
        pytest.param(
            "checkpoints/best-00000.weights", marks=pytest.mark.campaign
        ),
        pytest.param("evaluation.json", marks=pytest.mark.campaign),
    ],
)
def test_a_killed_run_is_completed_to_the_same_numbers(
    moment, uninterrupted, pictures, settings, tmp_path, start
):
    place = workdir_files.Workdir(tmp_path / "run")
    command = _command(pictures, settings, place.path)
    command.append("--checkpoint_every_steps=1")
    start(command, tmp_path).end_when((place.path / moment).exists)
    assert not place.is_finished
    done = start(command, tmp_path).wait(_PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    _assert_same(place, uninterrupted)


@pytest.mark.slow
def test_a_killed_run_from_torch_weights_is_completed_to_the_same_numbers(
    pictures, settings, tmp_path, start
):
    vector = torch_golden.read_vector("mobilenet_v2")
    weights = torch_files.write_state_dict(
        tmp_path / "mobilenet_v2.pth",
        torch_golden.fill_arrays(vector["arrays"]),
    )
    flags = (
        "--backbone=mobilenet_v2", f"--weights={weights}", "--epochs=2",
        "--checkpoint_every_steps=1", "--cache=on",
    )  # fmt: skip
    _assert_completed_alike(pictures, settings, flags, tmp_path, start)


@pytest.mark.campaign
def test_a_killed_run_that_keeps_classes_without_pictures_is_completed(
    run, pictures, settings, tmp_path, start
):
    (tmp_path / "more").mkdir()
    for ours, theirs in (("red", "red"), ("lime", "green")):
        (tmp_path / "more" / ours).symlink_to(pictures / theirs)
    flags = (
        f"--data={tmp_path / 'more'}", f"--weights={run.workdir}",
        "--classes=keep", "--epochs=2", "--checkpoint_every_steps=1",
    )  # fmt: skip
    place = _assert_completed_alike(pictures, settings, flags, tmp_path, start)
    plan = place.plan.read_text("utf-8")
    assert "1 new, 1 kept, 2 kept without pictures" in plan


def _assert_completed_alike(
    pictures, settings, flags: tuple[str, ...], folder: pathlib.Path, start
) -> workdir_files.Workdir:
    """Asserts that a run killed in its second epoch ends as a whole one does.

    Returns:
        The workdir of the run that was killed.
    """
    whole, place = (
        workdir_files.Workdir(folder / name) for name in ("whole", "run")
    )
    command = [*_command(pictures, settings, whole.path), *flags]
    done = start(command, folder).wait(_PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    command = [*_command(pictures, settings, place.path), *flags]
    moment = place.checkpoints / "epoch-00001-step-00000001.checkpoint"
    start(command, folder).end_when(moment.exists)
    assert not place.is_finished
    done = start(command, folder).wait(_PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    assert "continuing after epoch 1" in done.stderr
    _assert_same(place, whole)
    return place


def _assert_same(
    place: workdir_files.Workdir, uninterrupted: workdir_files.Workdir
):
    assert place.is_finished
    ours = files.read_json(place.evaluation)
    assert ours == files.read_json(uninterrupted.evaluation)
    assert place.history.read_text() == uninterrupted.history.read_text()
    for mine, theirs in zip(
        keras.saving.load_model(place.model).get_weights(),
        keras.saving.load_model(uninterrupted.model).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert not list(place.path.glob(".tmp-*")), "leftovers"


@pytest.mark.slow
def test_a_run_asked_to_stop_says_how_to_go_on_and_does(
    uninterrupted, pictures, settings, tmp_path, start
):
    place = workdir_files.Workdir(tmp_path / "run")
    command = _command(pictures, settings, place.path)
    status, said = start(command, tmp_path, together=True).end_when(
        lambda: any(place.checkpoints.glob("epoch-00002*")), signal.SIGTERM
    )
    assert status == 143, said
    assert "Traceback" not in said
    assert said.splitlines()[-1] == (
        "Error: Stopped by SIGTERM; the same command resumes the run."
    )
    # And the checkpoint that was written then is damaged.
    newest = max(place.checkpoints.glob("*.checkpoint"))
    content = bytearray(newest.read_bytes())
    content[-9] ^= 4
    newest.write_bytes(content)
    done = start(command, tmp_path).wait(_PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    assert newest.name in done.stderr
    assert "continuing after epoch" in done.stderr
    _assert_same(place, uninterrupted)


@pytest.mark.slow
def test_a_run_asked_to_stop_before_training_stops(
    pictures, settings, tmp_path, start
):
    place = workdir_files.Workdir(tmp_path / "run")
    command = _command(pictures, settings, place.path)
    status, said = start(command, tmp_path, together=True).end_when(
        place.path.exists, signal.SIGTERM
    )
    assert status == 143, said
    assert "Stopped by SIGTERM" in said
    assert "Traceback" not in said


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(
    run, tmp_path, start
):
    # A file-size limit stops writes as a full disk does.
    code = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "sys.argv[0] = 'train'\n"
        "runpy.run_module('tf_finetune.train', run_name='__main__')\n"
    )
    flags = (
        f"--flagfile={run.workdir / 'run.flags'}",
        f"--workdir={tmp_path / 'run'}",
    )
    done = start(["-c", code, *flags], tmp_path).wait(_PATIENCE_SECONDS)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Error: " in done.stderr
    assert not workdir_files.Workdir(tmp_path / "run").is_finished
    assert not list((tmp_path / "run").glob("model*"))
    assert not list((tmp_path / "run").glob(".tmp-*"))
