"""What all tests share."""

import os
import pathlib

import hypothesis
import pytest

# Set before any test imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # As in a run.

# The same examples everywhere, however slow the machine.
hypothesis.settings.register_profile(
    "steady", derandomize=True, deadline=None, database=None
)
hypothesis.settings.load_profile("steady")

_BESIDE = pathlib.Path(__file__).parents[2] / "shared" / "material"


@pytest.fixture(scope="session")
def material() -> pathlib.Path:
    """The folder of real weights and pictures; skips where it is absent."""
    folder = pathlib.Path(os.environ.get("TF_FINETUNE_MATERIAL", _BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real weights and pictures at {folder}")
    return folder
