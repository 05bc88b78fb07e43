"""Forked runtimes end as those that are started the long way do."""

import os
import subprocess
import textwrap

import pytest
import runtime_forks


@pytest.fixture
def asked(tmp_path):
    """A function: code of `main` → what became of it, within a second."""
    made = []

    def call(code):
        script = tmp_path.resolve() / "keras_file.py"
        script.write_text(
            "import os, time\ndef main(artifact, source, target):\n"
            + textwrap.indent(code, "    ")
        )
        if not made:
            made.append(
                runtime_forks.Runtimes(
                    tmp_path,
                    dict(os.environ),
                    lambda arguments: "the long way",
                    1,
                    lambda: False,
                )
            )
        names = (script, script, script, tmp_path / "target")
        return made[0].ended([*names])

    yield call
    made[0].close()


def test_a_fork_that_hangs_is_ended_and_the_next_one_is_another(asked):
    with pytest.raises(subprocess.TimeoutExpired):
        asked("time.sleep(60)")
    assert asked("os._exit(3)").returncode == 3


@pytest.mark.parametrize(
    "code",
    ["os.kill(os.getppid(), 9)", "os.kill(os.getppid(), 9); time.sleep(9)"],
    ids=["ended", "hangs"],
)
def test_where_who_forks_has_died_it_goes_the_long_way(asked, code):
    assert asked(code) == "the long way"
    assert asked("os._exit(3)").returncode == 3
