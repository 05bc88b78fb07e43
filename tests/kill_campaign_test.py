"""Test of scripts/kill_campaign.py: two kills."""

import json
import pathlib
import subprocess
import sys

import pytest

_SCRIPT = pathlib.Path(__file__).parents[1] / "scripts" / "kill_campaign.py"


@pytest.mark.slow
def test_a_small_campaign_finds_nothing_lost(tmp_path):
    done = subprocess.run(
        [sys.executable, _SCRIPT, "--kills=2", "--output=figures.json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["kills"] >= 2
    assert figures["runs"] >= 1
    assert figures["mismatches"] == figures["lost_files"] == []
    assert done.stdout.splitlines()[-1].startswith(f"{figures['kills']} kills")
