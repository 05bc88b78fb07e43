"""What all tests share."""

import collections
import gc
import logging
import os
import pathlib
import sys

import forked_commands
import graph_optimizer
import hypothesis
import pytest
import runtime_forks

from tf_finetune.exports.parity import fresh_process

# Set before any test imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # As in a run.
# pytest's two processes share two cores: a tenth less of a run's CPU seconds.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# The same examples everywhere, however slow the machine.
hypothesis.settings.register_profile(
    "steady", derandomize=True, deadline=None, database=None
)
hypothesis.settings.load_profile("steady")

# Folders of tests that start programs or go through every component of a kind.
_LONG = ("contracts", "documents", "end_to_end", "training/distributed")
# Folders whose tests build, train or export networks, a second or more each:
# the quick ones take the first two parameters of a test.
_HEAVY = (
    *("adaptation", "backbones", "exports", "heads", "model", "runs"),
    *("semi_supervised", "tasks", "training", "weights"),
)
_TESTS = pathlib.Path(__file__).parent
# Bytes by which pytest's process grows before it looks for what can go.
_MUCH = 300 << 20
_own_bytes = {"left": 0}
_BESIDE = pathlib.Path(__file__).parents[2] / "shared" / "material"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what takes long as slow, unless it is marked quick."""
    seen = collections.Counter()
    for item in items:
        folder = item.path.relative_to(_TESTS).as_posix()
        name = item.nodeid.partition("[")[0]
        seen[name] += 1
        takes_long = folder.startswith(_LONG) or (
            folder.startswith(_HEAVY) and seen[name] > 2
        )
        if takes_long and not item.get_closest_marker("quick"):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Leaves what the tests have imported out of later garbage collections.

    Each would go through all of TensorFlow: a tenth of the CPU seconds.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Switches the graph optimizer before a test's fixtures are set up."""
    marks = [item.get_closest_marker(each) for each in ("optimizer", "real")]
    graph_optimizer.switch(on=any(marks))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Lets go of networks where the process has grown much since it last did.

    Cycles of few objects hold many weights, which Python collects late, and
    TensorFlow keeps what it compiled of functions that are gone.
    """
    if _read_own_bytes() > _own_bytes["left"] + _MUCH:
        gc.collect()
        if "tensorflow" in sys.modules:
            from tensorflow.python.eager import context

            context.context().clear_kernel_cache()
        _own_bytes["left"] = _read_own_bytes()


def _read_own_bytes() -> int:
    """Returns the memory of this process that it shares with no file."""
    _, resident, shared, *_ = (
        pathlib.Path("/proc/self/statm").read_text().split()
    )
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="session")
def material() -> pathlib.Path:
    """The folder of real weights and pictures; skips where it is absent."""
    folder = pathlib.Path(os.environ.get("TF_FINETUNE_MATERIAL", _BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real weights and pictures at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def forked_runtimes():
    """Processes that prove exports are forked; `runtime_forks.py` says why."""
    long_way = fresh_process.run_isolated
    forked = runtime_forks.Runtimes(
        fresh_process.RUNTIMES,
        fresh_process.build_environment(),
        long_way,
        fresh_process.TIMEOUT_SECONDS,
        graph_optimizer.is_on,
    )
    fresh_process.run_isolated = forked.ended
    yield
    fresh_process.run_isolated = long_way
    forked.close()


@pytest.fixture(autouse=True)
def _audible_log():
    """Lets `caplog` decide what is heard, whatever ran before."""
    logging.getLogger("absl").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def start():
    """Starts `python ARGUMENTS…` in a folder, TensorFlow being loaded."""
    forks = forked_commands.Forks()

    def call(arguments, cwd, **keywords):
        return forked_commands.Fork(forks, arguments, cwd, **keywords)

    yield call
    forks.close()
