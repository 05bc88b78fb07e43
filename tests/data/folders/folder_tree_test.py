"""What is no data among pictures, and how it is told of."""

import os
import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.data import unlabeled_files
from tf_finetune.data.folders import folder_tree

_LEFTOVERS = [
    "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found", "thumbs",
    "Thumbnails", ".thumbnails", "System Volume Information", "__MACOSX",
    ".ipynb_checkpoints",
]  # fmt: skip


@pytest.mark.parametrize("name", _LEFTOVERS)
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_leftovers_are_no_data_anywhere(make, listed, name, task):
    good = {"images/{}.jpg": 3, "masks/{}.png": 3}
    if task == "classification":
        good = {"a/{}.jpg": 3, "b/{}.jpg": 3}
    bad = {f"{name}/{{}}.jpg": 2}
    bad |= {os.path.dirname(k) + f"/{name}/x/{{}}.jpg": 2 for k in good}
    before = listed(make(good), task=task)
    after = listed(make(bad), task=task)
    assert after.examples == before.examples
    assert len(after.dropped) == 3


def test_leftovers_are_named_once_with_their_pictures(make, listed, caplog):
    root = make({"a/{}.jpg": 3, "b/{}.jpg": 3})
    make({"a/@eaDir/{}.jpg": 6, "b/@eaDir/{}.jpg": 6, "thumbs/a/{}.jpg": 3})
    make({"lost+found/{}.jpg": 1})
    listed(root)
    assert caplog.messages == [
        "Left out of --data: lost+found/ (1 picture): files found after a "
        "crash.",
        "Left out of --data: thumbs/ (3 pictures): thumbnails. Rename it if it "
        "is a class.",
        "Left out of --data: a/@eaDir/ and b/@eaDir/ (12 pictures): "
        "thumbnails.",
    ]


def test_several_leftovers_may_be_renamed(make, listed, caplog):
    root = make({"a/{}.jpg": 3, "thumb/{}.jpg": 3, "thumbs/{}.jpg": 2})
    make({"Thumbnails/{}.jpg": 2, "_thumbs/{}.jpg": 1})
    assert set(listed(root).class_names) == {"a", "thumb"}
    (line,) = [m for m in caplog.messages if "Thumbnails/" in m]
    assert line.endswith("thumbnails. Rename them if they are classes.")
    (root / "thumbs").rename(root / "thumbs2")
    (root / "Thumbnails").rename(root / "Thumbnails2")
    assert {"thumbs2", "Thumbnails2"} <= set(listed(root).class_names)


def test_many_leftovers_are_told_of_in_one_line(make, listed, caplog):
    root = make({f"{n}/{{}}.jpg": 1 for n in range(30)})
    make({f"{n}/@eaDir/{{}}.jpg": 2 for n in range(30)})
    listed(root)
    (line,) = caplog.messages
    assert "and 20 more (60 pictures)" in line


@pytest.mark.parametrize("mark", ["run.json", "run.flags"])
def test_a_workdir_is_no_class(make, counted, caplog, mark):
    root = make({"a/{}.jpg": 3, "b/{}.jpg": 3})
    make({"runs/x/plot{}.png": 4, f"runs/x/{mark}": 1, f"a/mine/{mark}": 1})
    make({"exported/saved_model.pb": 1, "exported/variables/x": 1})
    assert counted(root) == {(None, "a"): 3, (None, "b"): 3}
    assert (
        f"runs/x/ and a/mine/ (4 pictures): the workdir of a run ({mark})"
        in (caplog.text)
        or f"a/mine/ and runs/x/ (4 pictures): the workdir of a run ({mark})"
        in (caplog.text)
    )


def test_a_run_beside_the_classes_leaves_them_alone(make, counted):
    root = make({"a/{}.jpg": 3, "b/{}.jpg": 3, "run.json": 1})
    make({"export/1/{}.png": 3, "checkpoints/{}": 2, "tensorboard/{}": 1})
    assert counted(root) == {(None, "a"): 3, (None, "b"): 3}


def test_the_cache_is_no_class(make, listed, tmp_path):
    root = make({"a/{}.jpg": 3, "b/{}.jpg": 3, "cache/masks/{}.png": 4})
    (tmp_path / "cache").symlink_to(root / "cache")
    assert listed(root).class_names == ("a", "b")


def test_prediction_finds_no_leftovers(make, caplog):
    root = make({"{}.jpg": 3, "deep/{}.jpg": 2, "@eaDir/x/{}.jpg": 4})
    make({"run/run.json": 1, "run/{}.png": 2, ".hidden/{}.jpg": 1})
    expected = sorted(map(str, [*root.glob("*.jpg"), *root.glob("deep/*")]))
    assert unlabeled_files.find_files(str(root)) == expected
    assert "@eaDir/ (4 pictures)" in caplog.text
    caplog.clear()
    assert unlabeled_files.find_files(f"{root}/**/*.[jp][pn]g") == expected
    assert "6 more" not in caplog.text
    assert "thumbnails" in caplog.text
    named = unlabeled_files.find_files(
        f"{root}/@eaDir/*/*.jpg", flag="unlabeled_data"
    )
    assert len(named) == 4


def test_a_folder_that_cannot_be_read_is_an_error(make, counted, monkeypatch):
    root = make({"a/{}.jpg": 3, "b/{}.jpg": 3, "b/deep/{}.jpg": 1})
    real = os.scandir
    closed = [str(root / "b" / "deep")]

    def refusing(path):
        if str(path) in closed:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert counted(root) == {(None, "a"): 3, (None, "b"): 3}
    for folder in (root / "b", root):
        closed[:] = [str(folder)]
        with pytest.raises(errors.DataError, match=f"{folder} cannot be read"):
            counted(root)


def test_pictures_are_counted_by_name_or_else_by_content(tmp_path):
    picture = b"\xff\xd8\xff\xe0" + bytes(20)
    for name in ("a/1.jpg", "a/notes.txt", "b/0001", "b/0002", "c/LICENSE"):
        path = pathlib.Path(tmp_path / name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture if name[0] == "b" else b"words")
    root = folder_tree.read_tree(str(tmp_path))
    assert [each.pictures for each in root.folders] == [1, 2, 0]
    assert [each.total for each in root.folders] == [2, 2, 1]
