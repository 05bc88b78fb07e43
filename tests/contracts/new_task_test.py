"""A task of one's own is its parts and one name in the registry."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.data import data_statistics, label_protocol, scan
from tf_finetune.preflight import train
from tf_finetune.tasks import catalog, regression


class Intervals(label_protocol.Labels):
    """Labels such as 2-5: the least and the largest count in a picture."""

    sources = ("csv",)

    def read_row(self, cells, where, files, options):
        low, dash, high = cells[options.label_column[0]].partition("-")
        if not dash:
            raise errors.DataError(f"{where} holds no interval such as 2-5.")
        return float(low), float(high)

    def names(self, listing, options):
        return ("least", "largest")

    def add_strata(self, pictures, names):
        return tuple(
            dataclasses.replace(each, strata=(f"from {each.label[0]:g}",))
            for each in pictures
        ), ()

    def check(self, pictures):
        if any(low > high for low, high in (p.label for p in pictures)):
            raise errors.DataError("An interval ends before it begins.")

    def check_divided(self, pictures):
        self.check(pictures)

    def text(self, label):
        return "{:g}-{:g}".format(*label)

    def describe(self, data):
        return {"widest": max(h - low for low, h in _labels(data))}


def _labels(data):
    return [picture.label for picture in data.pictures]


@pytest.fixture
def task(monkeypatch):
    """The task "interval", known to the registry while a test runs."""
    monkeypatch.setattr(catalog.TASKS, "_places", {**catalog.TASKS._places})
    made = dataclasses.replace(
        regression.TASK, name="interval", labels=Intervals()
    )
    catalog.TASKS.add("interval", made)
    return made


@pytest.fixture
def table(tmp_path):
    """Twelve pictures with intervals that begin at 1 or at 2."""
    lines = ["image,label"]
    generator = np.random.default_rng(0)
    for number in range(12):
        pixels = generator.integers(0, 255, [16, 16, 3]).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{1 + number % 2}-{number + 3}")
    (tmp_path / "counts.csv").write_text("\n".join(lines))
    return tmp_path / "counts.csv"


def _config(data, **keywords):
    return options.from_keywords(
        train_config.TrainConfig,
        {
            "task": "interval",
            "data": str(data),
            "image_column": "image",
            "label_column": "label",
            "backbone": "small_cnn",
            "weights": "digits",
            **keywords,
        },
    )


def test_its_flags_are_checked_by_its_parts(task, table):
    train.check_config(_config(table))
    with pytest.raises(errors.UsageError, match="--loss of --task=interval"):
        train.check_config(_config(table, loss="cross_entropy"))
    with pytest.raises(errors.UsageError, match="class_weight"):
        train.check_config(_config(table, class_weight="balanced"))


def test_its_labels_are_read_divided_and_described(task, table, tmp_path):
    config = _config(table)
    found = scan.list_and_inspect(config.data, task.labels, cache_dir=tmp_path)
    train.check_pictures(config, found)
    data = scan.clean_and_split(found, {}, config.data, seed=0)
    assert data.class_names == ("least", "largest")
    # Each stratum is divided: intervals from 1 and from 2 in every split.
    for split in ("train", "validation", "test"):
        assert {p.label[0] for p in data.split(split)} == {1.0, 2.0}
    described = data_statistics.describe_data(data, found.labels)
    assert json.loads(json.dumps(described))["widest"] == 12.0


def test_its_messages_name_the_row(task, table, tmp_path):
    table.write_text("image,label\n0.png,many\n")
    with pytest.raises(errors.DataError, match="line 2 holds no interval"):
        scan.list_and_inspect(
            _config(table).data, task.labels, cache_dir=tmp_path
        )


def test_what_it_must_tell_of_its_labels_is_missed_at_once():
    class Unfinished(label_protocol.Labels):
        sources = ("csv",)

    with pytest.raises(TypeError, match="read_row"):
        Unfinished()
