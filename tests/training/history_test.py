"""Tests of tf_finetune/training/history.py."""

import csv

from tf_finetune.training import history


def test_rows_carry_stage_and_epoch_and_missing_figures_stay_empty(tmp_path):
    table = [
        *history.make_rows("head", [{"loss": 0.5}]),
        *history.make_rows("fine_tune", [{"loss": 0.25, "accuracy": 1.0}]),
    ]
    history.write(tmp_path / "h.csv", table)
    with open(tmp_path / "h.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"stage": "head", "epoch": "1", "loss": "0.5", "accuracy": ""},
        {"stage": "fine_tune", "epoch": "1", "loss": "0.25", "accuracy": "1.0"},
    ]
