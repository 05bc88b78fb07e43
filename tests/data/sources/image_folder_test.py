"""Which files a folder of class folders lists."""

import contextlib
import os
import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data.sources import image_folder
from tf_finetune.tasks.classification import labels as classes


def _make(root: pathlib.Path, *names: str) -> pathlib.Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def _list(root: pathlib.Path):
    options = data_options.DataOptions(data=str(root))
    return image_folder.SOURCE.list_examples(options, classes.LABELS, root)


def _relative(root, found):
    return [str(pathlib.Path(each.path).relative_to(root)) for each in found]


def test_class_folders_give_labels_in_sorted_order(tmp_path):
    _make(tmp_path, "dogs/2.jpg", "dogs/10.jpg", "cats/b.txt", "cats/a/x.png")
    listing = _list(tmp_path)
    assert [e.label for e in listing.examples] == ["cats"] * 2 + ["dogs"] * 2
    assert _relative(tmp_path, listing.examples) == [
        "cats/a/x.png",
        "cats/b.txt",
        "dogs/10.jpg",
        "dogs/2.jpg",
    ]
    assert {e.split for e in listing.examples} == {None}
    assert listing.class_names == ("cats", "dogs")
    assert listing.dropped == ()


def test_numbered_classes_are_ordered_by_value(tmp_path):
    _make(tmp_path, "10/a.jpg", "9/a.jpg", "100/a.jpg")
    assert _list(tmp_path).class_names == ("9", "10", "100")


@pytest.mark.parametrize(
    "names",
    [
        ("train", "validation", "test"),
        ("Train", "val", "TEST"),
        ("training", "valid", "testing"),
    ],
)
def test_split_folders_are_known_by_any_usual_name(tmp_path, names):
    for name in names:
        _make(tmp_path, f"{name}/cats/1.jpg", f"{name}/dogs/1.jpg")
    _make(tmp_path, f"{names[1]}/birds/1.jpg")
    listing = _list(tmp_path)
    assert listing.class_names == ("birds", "cats", "dogs")
    found = {pathlib.Path(e.path).parts[-3]: e.split for e in listing.examples}
    assert found == dict(
        zip(names, ("train", "validation", "test"), strict=True)
    )


def test_class_may_be_called_train(tmp_path):
    _make(tmp_path, "train/1.jpg", "bus/1.jpg")
    listing = _list(tmp_path)
    assert listing.class_names == ("bus", "train")
    assert {e.split for e in listing.examples} == {None}


def test_two_folders_of_one_split_are_refused(tmp_path):
    _make(tmp_path, "train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg")
    with pytest.raises(errors.DataError, match="val/ and valid/"):
        _list(tmp_path)


def test_splits_without_train_can_be_evaluated(tmp_path):
    _make(tmp_path, "val/a/1.jpg", "test/a/1.jpg", "test/b/2.jpg")
    listing = _list(tmp_path)
    assert {(e.split, e.label) for e in listing.examples} == {
        ("validation", "a"),
        ("test", "a"),
        ("test", "b"),
    }


def test_files_outside_class_folders_are_reported(tmp_path):
    _make(
        tmp_path,
        "train/a/1.jpg",
        "train/stray.jpg",
        "test/1.jpg",
        "extra/2.jpg",
        "notes.txt",
    )
    listing = _list(tmp_path)
    assert _relative(tmp_path, listing.examples) == ["train/a/1.jpg"]
    assert {
        str(pathlib.Path(each.path).relative_to(tmp_path)): each.reason
        for each in listing.dropped
    } == {
        "extra": "outside any class folder: 1 picture",
        "notes.txt": "lies outside any class folder",
        "test": "no class folder in it: 1 picture",
        "train/stray.jpg": "lies outside any class folder",
    }


def test_hidden_files_and_folders_are_reported(tmp_path):
    _make(tmp_path, "a/1.jpg", "a/.x.jpg", "a/.y/1.jpg", ".git/config")
    listing = _list(tmp_path)
    assert _relative(tmp_path, listing.examples) == ["a/1.jpg"]
    reasons = dict(
        zip(
            _relative(tmp_path, listing.dropped),
            [d.reason for d in listing.dropped],
            strict=True,
        )
    )
    assert reasons == {
        ".git": "a hidden folder",
        "a/.x.jpg": "a hidden file",
        "a/.y": "a hidden folder: 1 picture",
    }


def test_links_are_followed_and_loops_end(tmp_path):
    _make(tmp_path, "data/a/1.jpg", "data/b/1.jpg", "store/deep/2.jpg")
    data = tmp_path / "data"
    (data / "a" / "linked").symlink_to(tmp_path / "store")
    (data / "a" / "again").symlink_to(tmp_path / "store" / "deep")
    (data / "a" / "up").symlink_to(data)
    (data / "a" / "file.jpg").symlink_to(tmp_path / "store/deep/2.jpg")
    (tmp_path / "store" / "back").symlink_to(tmp_path / "store")
    listing = _list(data)
    assert _relative(data, listing.examples) == [
        "a/1.jpg",
        "a/again/2.jpg",
        "a/file.jpg",
        "b/1.jpg",
    ]
    assert {d.reason for d in listing.dropped} == {
        "a link to a folder that is already listed"
    }
    assert _relative(data, listing.dropped) == [
        "a/linked/back",
        "a/linked/deep",
        "a/up",
    ]


def test_folders_linked_to_each_other_are_walked_once(tmp_path):
    # Every path through these links would be 20! of them.
    folders = [tmp_path / "a" / str(n) for n in range(20)]
    for each in folders:
        _make(each, "1.jpg")
    for each in folders:
        for other in folders:
            (each / f"to_{other.name}").symlink_to(other)
    _make(tmp_path, "b/1.jpg")
    assert len(_list(tmp_path).examples) == 21


def test_deep_nesting_is_walked(tmp_path):
    path = tmp_path / "a" / "/".join(["d"] * 300)
    path.mkdir(parents=True)
    (path / "1.jpg").write_bytes(b"x")
    _make(tmp_path, "b/1.jpg")
    assert len(_list(tmp_path).examples) == 2


def test_names_of_any_bytes_are_listed(tmp_path):
    _make(tmp_path, "a/1.jpg")
    names = [b"line\nbreak.jpg", b"latin-\xe9.jpg", "猫.jpg".encode()]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path / "a"), name), "wb"):
            pass
    found = {os.fsencode(e.path) for e in _list(tmp_path).examples}
    assert {os.path.basename(path) for path in found} == {*names, b"1.jpg"}


def test_order_does_not_depend_on_the_disk(tmp_path, monkeypatch):
    _make(tmp_path, *(f"{c}/{n}.jpg" for c in "ab" for n in range(20)))
    listing = _list(tmp_path)
    real = os.scandir

    @contextlib.contextmanager
    def backwards(path):
        with real(path) as entries:
            yield list(entries)[::-1]

    monkeypatch.setattr(os, "scandir", backwards)
    assert _list(tmp_path) == listing


def test_empty_class_folder_is_declared_and_reported(tmp_path):
    _make(tmp_path, "a/1.jpg", "c/.DS_Store")
    (tmp_path / "b").mkdir()
    listing = _list(tmp_path)
    assert listing.class_names == ("a", "b", "c")
    assert _relative(tmp_path, listing.dropped) == ["b", "c/.DS_Store", "c"]


def test_folder_without_classes_is_refused_with_a_hint(tmp_path):
    _make(tmp_path, "1.jpg", "labels.csv")
    with pytest.raises(errors.DataError, match=r"--data=.*labels\.csv reads"):
        _list(tmp_path)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(errors.DataError, match="is not a folder"):
        _list(tmp_path / "nowhere")
