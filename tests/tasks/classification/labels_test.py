"""Which classes a table or folder gives."""

import collections

import numpy as np
import pytest
import sample_pictures
from PIL import Image

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, scan
from tf_finetune.tasks.classification import labels
from tf_finetune.tasks.regression import labels as regression


@pytest.fixture
def listed(tmp_path):
    """Lists and inspects a table of given rows, beside the pictures in it."""

    def call(rows, *, header="image,label", known=None, names=labels.LABELS,
             training=True, **options):  # fmt: skip
        random = np.random.default_rng(0)
        for number, _ in enumerate(rows):
            pixels = random.integers(0, 256, (8, 8, 3), "uint8")
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines = [f"{n}.png,{cells}" for n, cells in enumerate(rows)]
        table = tmp_path / "t.csv"
        table.write_text("\n".join([header, *lines]) + "\n")
        if known:
            names = names.restore({"class_names": known})
        return scan.list_and_inspect(
            data_options.DataOptions(data=str(table), **options),
            names,
            cache_dir=tmp_path / "cache",
            training=training,
        )

    return call


def _counts(found: scan.InspectedPictures) -> dict[str, int]:
    return dict(collections.Counter(each.label for each in found.pictures))


def test_equal_numbers_are_one_class_in_a_table(listed, caplog):
    found = listed(["10", "2.0", "2", "10.0", "0", "0.0"])
    assert found.class_names == ("0", "2", "10")
    assert _counts(found) == {"0": 2, "2": 2, "10": 2}
    lines = [record.getMessage() for record in caplog.records]
    assert "'0.0' as '0', '10.0' as '10', '2.0' as '2'" in " ".join(lines)


def test_equal_numbers_are_one_class_in_folders(tmp_path):
    random = np.random.default_rng(0)
    for name in ("1", "01", "2", "10"):
        for number in range(2):
            path = tmp_path / "data" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (8, 8, 3), "uint8")
            Image.fromarray(pixels).save(path)
    found = scan.list_and_inspect(
        data_options.DataOptions(data=str(tmp_path / "data")),
        labels.LABELS,
        cache_dir=tmp_path / "cache",
    )
    assert found.class_names == ("1", "2", "10")
    assert _counts(found) == {"1": 4, "2": 2, "10": 2}


def test_kept_classes_follow_those_with_pictures(listed):
    kept = labels.Classes(kept=("fly", "2", "ant"), known=("fly", "2", "ant"))
    found = listed(["2", "2", "moth", "moth"], names=kept)
    assert found.class_names == ("2", "moth", "fly", "ant")
    # One class alone is enough beside kept ones.
    found = listed(["moth", "moth"], names=kept)
    assert found.class_names == ("moth", "fly", "2", "ant")


def test_other_pictures_have_the_classes_of_the_run_by_value(listed):
    found = listed(["1", "02", "2.0"], known=["1.0", "2.0"], training=False)
    assert _counts(found) == {"1.0": 1, "2.0": 2}


def test_what_a_run_does_not_know_stays_unknown(listed):
    found = listed(["3", "cat"], known=["3.0", "dog"], training=False)
    assert found.class_names == ("3", "cat")


@pytest.mark.parametrize(
    "marks", [("1", "0"), ("1.0", "0.0"), ("True", "FALSE"), ("yes", "no")]
)
def test_columns_of_marks_are_classes(listed, marks):
    on, off = marks
    rows = [
        ",".join(on if column == row % 3 else off for column in range(3))
        for row in range(9)
    ]
    found = listed(
        rows, header="image,disc,frame,cross",
        label_column=("disc", "frame", "cross"),
    )  # fmt: skip
    assert _counts(found) == {"disc": 3, "frame": 3, "cross": 3}
    assert found.class_names == ("cross", "disc", "frame")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("0,0", "line 4 marks none of the columns a, b"),
        ("1,1", "line 4 marks 2 of the columns a, b: a and b.*multilabel"),
        ("1,x", "line 4 has 'x' in the column 'b'"),
        ("1,", "line 4 has nothing in the column 'b'"),
    ],
)
def test_a_row_of_none_or_several_classes_is_named(listed, row, words):
    with pytest.raises(errors.DataError, match=words):
        listed(["1,0", "0,1", row], header="image,a,b",
               label_column=("a", "b"))  # fmt: skip


@pytest.mark.parametrize(
    "rows",
    [
        [f"{100 + 1.37 * i:.2f}" for i in range(48)],
        [str(100 + i) for i in range(20)],
        [f"{i // 2}.5" for i in range(20)],
    ],
)
def test_a_class_for_each_value_of_a_quantity_is_sent_to_regression(
    listed, rows
):
    with pytest.raises(errors.DataError, match="--task=regression"):
        listed(rows)
    found = listed(rows, names=regression.LABELS)
    assert len(found.pictures) == len(rows)


def test_many_fractions_as_classes_are_warned_of(listed, caplog):
    listed([f"{i % 25}.5" for i in range(75)])
    assert any("--task=regression" in r.getMessage() for r in caplog.records)


def test_whole_numbers_of_several_pictures_are_classes(listed, caplog):
    listed([str(i % 30) for i in range(90)])
    assert not caplog.records


def test_groups_that_cannot_be_divided_name_the_flag(listed):
    rows = [f"{'ab'[i % 2]},{i // 2 % 2}" for i in range(16)]
    options = data_options.DataOptions()
    found = listed(rows, header="image,label,group")
    with pytest.raises(errors.DataError, match="--group_column=none"):
        scan.clean_and_split(found, {}, options, seed=0)
    found = listed(rows, header="image,label,group", group_column=None)
    assert scan.clean_and_split(found, {}, options, seed=0).splits


def test_work_grows_with_the_classes_not_with_their_square():
    """5,000 classes times 15,000 units would be looked at 75 million times."""
    pictures = [
        sample_pictures.make_picture(n, f"c{n % 5000}", f"{n:064x}")
        for n in range(15_000)
    ]
    units = [(each,) for each in pictures]
    divided = {
        split: units[5000 * k : 5000 * (k + 1)]
        for k, split in enumerate(examples.SPLITS)
    }
    labels.LABELS.check_drawn(units, divided)


def test_masks_as_labels_are_told_with_the_task(listed):
    with pytest.raises(errors.DataError, match="--task=segmentation"):
        listed([f"masks/{number}.png" for number in range(6)])


def test_folders_called_like_missing_labels_are_told(tmp_path, caplog):
    for name in ("cat", "dog", "nan", "-"):
        for number in range(3):
            path = tmp_path / "d" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            color = (len(name), number, ord(name[0]))
            Image.new("RGB", (9, 9), color).save(path)
    options = data_options.DataOptions(data=str(tmp_path / "d"))
    scan.list_and_inspect(options, labels.LABELS, cache_dir=tmp_path)
    (line,) = [m for m in caplog.messages if "missing" in m]
    assert line.startswith("The classes '-' and 'nan' are named like a missing")
