"""From --data to divided pictures; nothing is lost on the way."""

import dataclasses

import pytest

from tf_finetune import errors, files
from tf_finetune.config import data_options
from tf_finetune.data import data_statistics, scan
from tf_finetune.tasks.classification import labels as classes


@pytest.fixture
def clean_folder(tmp_path, picture_bytes):
    """Two classes of ten pictures."""
    folder = tmp_path / "clean"
    for number in range(20):
        path = folder / ("cats", "dogs")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(number))
    return folder


def _survey(options, cache_dir, problems=None, seed=0):
    inspected = scan.list_and_inspect(
        options, classes.LABELS, cache_dir=cache_dir
    )
    return scan.clean_and_split(inspected, problems or {}, options, seed=seed)


def test_hostile_folder_uses_the_good_and_names_every_bad_file(
    hostile_folder, tmp_path
):
    options = data_options.DataOptions(data=str(hostile_folder.folder))
    undecodable = dict.fromkeys(
        hostile_folder.bad_at_decoding, "does not decode"
    )
    data = _survey(options, tmp_path, undecodable)
    assert {p.path for p in data.pictures} == hostile_folder.good
    dropped = [d.path for d in data.dropped]
    assert sorted(dropped) == sorted(hostile_folder.bad)
    assert data.class_names == ("cats", "dogs")
    assert data.splits == ("train", "validation", "test")


def test_nothing_is_lost_between_the_disk_and_the_data(
    hostile_folder, tmp_path
):
    options = data_options.DataOptions(
        data=str(hostile_folder.folder), max_train_per_class=3
    )
    on_disk = sum(
        not path.is_dir() for path in hostile_folder.folder.rglob("*")
    )
    folders = 3  # folder.jpg, the link loop, .git: no files, but reported.
    inspected = scan.list_and_inspect(
        options, classes.LABELS, cache_dir=tmp_path
    )
    assert len(inspected.pictures) + len(inspected.dropped) == (
        on_disk + folders
    )
    problems = dict.fromkeys(hostile_folder.bad_at_decoding, "does not decode")
    data = scan.clean_and_split(inspected, problems, options, seed=0)
    assert len(data.pictures) + len(data.dropped) == on_disk + folders
    assert len(data.split("train")) == 6


def test_description_of_odd_names_can_be_written_and_read(
    hostile_folder, tmp_path
):
    options = data_options.DataOptions(data=str(hostile_folder.folder))
    data = _survey(options, tmp_path)
    description = data_statistics.describe_data(data, classes.LABELS)
    files.write_json(tmp_path / "data.json", description)
    assert files.read_json(tmp_path / "data.json") == description
    assert len(description["split_of"]) == len(data.pictures)


def test_moving_the_folder_changes_neither_split_nor_fingerprint(
    clean_folder, tmp_path
):
    before = _survey(data_options.DataOptions(data=str(clean_folder)), tmp_path)
    moved = clean_folder.rename(tmp_path / "moved")
    after = _survey(data_options.DataOptions(data=str(moved)), tmp_path)
    assert before.fingerprint == after.fingerprint
    name = str(moved)
    assert [p.split for p in before.pictures] == [
        p.split for p in after.pictures
    ]
    assert all(p.path.startswith(name) for p in after.pictures)


def test_bad_data_error_names_the_bad_files(clean_folder, tmp_path):
    (clean_folder / "cats" / ".hidden").write_text("no matter")
    options = data_options.DataOptions(data=str(clean_folder), bad_data="error")
    inspected = scan.list_and_inspect(
        options, classes.LABELS, cache_dir=tmp_path
    )
    (clean_folder / "cats" / "bad.jpg").write_text("text")
    with pytest.raises(errors.DataError, match=r"1 files.*bad\.jpg.*plain te"):
        scan.list_and_inspect(options, classes.LABELS, cache_dir=tmp_path)
    problems = {inspected.pictures[0].path: "is truncated"}
    with pytest.raises(errors.DataError, match="is truncated"):
        scan.clean_and_split(inspected, problems, options, seed=0)


def test_empty_class_folder_is_no_output_but_reported(clean_folder, tmp_path):
    (clean_folder / "birds").mkdir()
    data = _survey(data_options.DataOptions(data=str(clean_folder)), tmp_path)
    assert data.class_names == ("cats", "dogs")
    (dropped,) = data.dropped
    assert dropped.path == str(clean_folder / "birds")
    assert dropped.reason == "a class folder without pictures"


def test_class_without_usable_pictures_is_refused_with_reasons(
    clean_folder, tmp_path
):
    (clean_folder / "birds").mkdir()
    (clean_folder / "birds" / "a.jpg").write_bytes(b"")
    options = data_options.DataOptions(data=str(clean_folder))
    with pytest.raises(errors.DataError, match="class 'birds'.*empty file"):
        scan.list_and_inspect(options, classes.LABELS, cache_dir=tmp_path)


def test_class_that_decoding_empties_is_refused(clean_folder, tmp_path):
    options = data_options.DataOptions(data=str(clean_folder))
    inspected = scan.list_and_inspect(
        options, classes.LABELS, cache_dir=tmp_path
    )
    problems = {p.path: "cut" for p in inspected.pictures if p.label == "cats"}
    with pytest.raises(errors.DataError, match="10 files of the class 'cats'"):
        scan.clean_and_split(inspected, problems, options, seed=0)


def test_split_without_usable_pictures_is_refused(
    clean_folder, tmp_path, picture_bytes
):
    root = tmp_path / "split"
    root.mkdir()
    clean_folder.rename(root / "train")
    for name in ("cats", "dogs"):
        (root / "test" / name).mkdir(parents=True)
        (root / "test" / name / "a.jpg").write_bytes(b"")
    with pytest.raises(errors.DataError, match="2 files of the split 'test'"):
        scan.list_and_inspect(
            data_options.DataOptions(data=str(root)),
            classes.LABELS,
            cache_dir=tmp_path,
        )


def test_folder_of_empty_folders_is_refused(tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / "empty" / name).mkdir(parents=True)
    with pytest.raises(errors.DataError, match="no usable picture"):
        scan.list_and_inspect(
            data_options.DataOptions(data=str(tmp_path / "empty")),
            classes.LABELS,
            cache_dir=tmp_path,
        )


def test_single_class_is_refused_in_training_only(clean_folder, tmp_path):
    (clean_folder / "dogs").rename(tmp_path / "dogs")
    options = data_options.DataOptions(data=str(clean_folder))
    with pytest.raises(errors.DataError, match="single class"):
        scan.list_and_inspect(options, classes.LABELS, cache_dir=tmp_path)
    inspected = scan.list_and_inspect(
        options, classes.LABELS, cache_dir=tmp_path, training=False
    )
    assert len(inspected.pictures) == 10


def test_conflicting_labels_are_warned_of(
    clean_folder, tmp_path, caplog, picture_bytes
):
    for name in ("cats", "dogs"):
        (clean_folder / name / "same.png").write_bytes(picture_bytes(99))
    data = _survey(data_options.DataOptions(data=str(clean_folder)), tmp_path)
    assert "different labels" in caplog.text
    assert len({p.split for p in data.pictures if "same" in p.path}) == 1
    (conflict,) = data_statistics.describe_data(data, classes.LABELS)[
        "conflicting_labels"
    ]
    assert sorted(conflict["labels"].values()) == ["cats", "dogs"]


def test_warnings_of_conflicting_labels_end_after_ten(
    tmp_path, caplog, picture_bytes
):
    for number in range(25):
        for name in ("cats", "dogs"):
            path = tmp_path / "data" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture_bytes(number))
    options = data_options.DataOptions(data=str(tmp_path / "data"))
    _survey(options, tmp_path / "cache")
    lines = [m for m in caplog.messages if "different labels" in m]
    assert len(lines) == 11
    assert lines[-1].startswith("data.json lists 15 more pictures with")


def test_folders_without_data_are_counted_but_not_bad(clean_folder, tmp_path):
    for number in range(3):
        path = clean_folder / "cats" / "@eaDir" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"thumb")
    options = data_options.DataOptions(data=str(clean_folder), bad_data="error")
    data = _survey(options, tmp_path)
    (line,) = data_statistics.format_summary(data).splitlines()
    assert line.startswith("20 pictures, 3 dropped, 2 classes: ")


def test_replayed_options_give_the_same_data(clean_folder, tmp_path):
    options = data_options.DataOptions(data=str(clean_folder))
    first = _survey(options, tmp_path)
    assert _survey(dataclasses.replace(options), tmp_path) == first
    assert _survey(options, tmp_path, seed=1).fingerprint != first.fingerprint


@pytest.mark.real
def test_ants_and_bees_keep_their_splits(material, tmp_path):
    options = data_options.DataOptions(data=str(material / "hymenoptera"))
    data = _survey(options, tmp_path)
    assert data_statistics.format_summary(data) == (
        "398 pictures, 0 dropped, 2 classes: train 245, validation 153"
    )


def test_a_class_that_lost_much_is_warned_of_with_the_way_out(
    clean_folder, tmp_path, caplog
):
    for number in range(10):
        path = clean_folder / "cats" / f"{number}.heic"
        path.write_bytes(b"\0\0\0\x18ftypheic" + bytes([number]))
    options = data_options.DataOptions(data=str(clean_folder))
    _survey(options, tmp_path)
    (line,) = [m for m in caplog.messages if "cannot be used" in m]
    assert "10 of 20 files of the class 'cats'" in line
    assert "it is a HEIC (ImageMagick, or Pillow with pillow-heif," in line


def test_tiny_pictures_are_warned_of(
    clean_folder, picture_bytes, tmp_path, caplog
):
    for number in range(12):
        path = clean_folder / "cats" / f"tiny{number:02}.png"
        path.write_bytes(picture_bytes(100 + number, size=(3, 2)))
    _survey(data_options.DataOptions(data=str(clean_folder)), tmp_path)
    (line,) = [m for m in caplog.messages if "pixels" in m]
    assert line.startswith("12 of 32 pictures have a side of less than 8")
    assert "tiny00.png (3 x 2)" in line
    assert line.endswith("and 2 more.")


def test_a_test_split_alone_can_be_evaluated_but_not_learned(
    tmp_path, picture_bytes
):
    for number in range(6):
        path = tmp_path / "d/test" / ("cats", "dogs")[number % 2] / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(number))
    options = data_options.DataOptions(data=str(tmp_path / "d"))
    inspected = scan.list_and_inspect(
        options, classes.LABELS, cache_dir=tmp_path, training=False
    )
    assert {p.split for p in inspected.pictures} == {"test"}
    with pytest.raises(errors.DataError, match="but no training pictures"):
        scan.list_and_inspect(options, classes.LABELS, cache_dir=tmp_path)
    (tmp_path / "d/test").rename(tmp_path / "d/train")
    scan.list_and_inspect(options, classes.LABELS, cache_dir=tmp_path)
