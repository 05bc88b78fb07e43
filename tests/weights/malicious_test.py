"""Weights files that carry code: it never runs, and a sentence says why."""

import json
import os
import pathlib
import pickle
import zipfile

import pytest

from tf_finetune import errors
from tf_finetune.weights import weights_file
from tf_finetune.weights.torch import reader


class _Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: pathlib.Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.marker),)


@pytest.fixture
def trap(tmp_path):
    """Bytes that create the file "ran" where they are unpickled."""
    marker = tmp_path / "ran"
    content = pickle.dumps(_Trap(marker))
    pickle.loads(content)
    assert marker.exists()  # The trap works.
    marker.unlink()
    yield content
    assert not marker.exists()


@pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.h5", "x.keras", "x"])
def test_a_pickle_is_named_and_not_opened(tmp_path, trap, name):
    (tmp_path / name).write_bytes(trap)
    with pytest.raises(errors.UsageError, match="PyTorch file"):
        weights_file.read_weights(tmp_path / name)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickles_is_known(tmp_path, trap, protocol):
    (tmp_path / "x").write_bytes(
        pickle.dumps(pickle.loads(trap) or 1, protocol)
    )
    (tmp_path / "ran").unlink()  # Of the line above.
    with pytest.raises(errors.UsageError, match="PyTorch file"):
        weights_file.read_weights(tmp_path / "x")


@pytest.mark.parametrize("name", ["x.pth", "x.h5", "x"])
def test_a_pickle_is_read_and_not_run(tmp_path, trap, name):
    (tmp_path / name).write_bytes(trap)
    with pytest.raises(errors.RunError, match="which is no array"):
        reader.read_state_dict(tmp_path / name)


def test_a_pytorch_archive_is_named_and_not_opened(tmp_path, trap):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("x/data.pkl", trap)
        archive.writestr("x/version", "3\n")
    with pytest.raises(errors.UsageError, match="PyTorch file"):
        weights_file.read_weights(tmp_path / "x.pth")


def test_a_numpy_archive_of_objects_is_not_opened(tmp_path, trap):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("kernel.npy", b"\x93NUMPY\x01\x00" + trap)
    with pytest.raises(errors.UsageError, match=r"NumPy \.npz"):
        weights_file.read_weights(tmp_path / "x.npz")


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path):
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps({}))
        with archive.open("model.weights.h5", "w", force_zip64=True) as file:
            for _ in range(1100):
                file.write(bytes(1 << 20))
    assert path.stat().st_size < 2 << 20
    with pytest.raises(errors.RunError, match="refused: .*unpacks from"):
        weights_file.read_weights(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.h5")
    with pytest.raises(errors.UsageError, match="not a regular file"):
        weights_file.read_weights(tmp_path / "x.h5")
