"""Test of scripts/kill_exports.py: two kills."""

import json
import pathlib
import subprocess
import sys

import pytest

_SCRIPT = pathlib.Path(__file__).parents[1] / "scripts" / "kill_exports.py"


@pytest.mark.slow
def test_killed_exports_leave_nothing_half_and_are_made_again(tmp_path):
    done = subprocess.run(
        [
            sys.executable, _SCRIPT, "--kills=2", "--formats=h5",
            "--output=figures.json",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert sum(figures["kills"].values()) >= 2
    assert figures["exports"] >= 1
    assert figures["half"] == figures["mismatches"] == []
