"""Which file a name in a table means."""

import os
import pathlib
import re
import shlex
import unicodedata

import pytest

from tf_finetune.data.tables import file_locator, path_advice


@pytest.fixture
def place(tmp_path) -> pathlib.Path:
    """A folder with a table's pictures, in folders and beside it."""
    for name in (
        "train/disc0.png",
        "train/disc 1.png",
        "train/Été.jpg",
        "other/disc0.png",
        "top.jpeg",
        "two.jpg",
        "two.png",
        "train.gif",
    ):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "set"


def _find(place, name, names=None, root=None) -> str:
    files = file_locator.Locator(place / "t.csv", root, names or [name])
    path = pathlib.Path(files.find(name))
    is_there = os.path.isfile(path)
    assert files.exists(name) == is_there
    return str(path.relative_to(place)) if is_there else ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/disc0.png", "train/disc0.png"),
        ("./train/disc0.png", "train/disc0.png"),
        ("train/disc0.png ", "train/disc0.png"),
        ("\ttrain/disc0.png\u00a0", "train/disc0.png"),
        ("train\\disc0.png", "train/disc0.png"),
        (".\\train\\disc0.png", "train/disc0.png"),
        ("train\\disc 1.png ", "train/disc 1.png"),
        ("/train/disc0.png", "train/disc0.png"),
        ("\\train\\disc0.png", "train/disc0.png"),
        ("C:\\Users\\me\\set\\train\\disc0.png", "train/disc0.png"),
        ("D:/work/train/disc0.png", "train/disc0.png"),
        ("\\\\server\\share\\train\\disc0.png", "train/disc0.png"),
        ("/home/other/set/train/disc0.png", "train/disc0.png"),
        ("file:///home/other/train/disc%201.png", "train/disc 1.png"),
        ("file:train/disc%201.png", "train/disc 1.png"),
        ("file:///C:/other/train/disc0.png", "train/disc0.png"),
        ("Train/DISC0.PNG", "train/disc0.png"),
        ("train/été.JPG", "train/Été.jpg"),
        (unicodedata.normalize("NFD", "train/Été.jpg"), "train/Été.jpg"),
        ("train/disc0", "train/disc0.png"),
        ("TRAIN\\Disc0 ", "train/disc0.png"),
        ("top", "top.jpeg"),
        ("two", ""),
        ("disc0.png", ""),
        ("train/disc0.jpg", ""),
        ("https://example.org/train/disc0.png", ""),
        ("s3://bucket/train/disc0.png", ""),
        ("nothing", ""),
        ("..\\..", ""),
        ("train", "train.gif"),
        ("\0", ""),
        ("a" * 5000, ""),
    ],
)
def test_a_name_means_the_one_file_that_it_can_mean(place, name, expected):
    found = _find(place, name)
    assert found == expected


def test_a_file_of_the_very_name_comes_first(place):
    for name in (" top.jpeg", "a\\b.png", "top.JPEG"):
        (place / name).touch()
        assert _find(place, name) == name


def test_an_absolute_path_that_exists_is_that_file(place, tmp_path):
    (tmp_path / "elsewhere.png").touch()
    name = str(tmp_path / "elsewhere.png")
    files = file_locator.Locator(place / "t.csv", None, [name])
    assert files.find(name) == name
    uri = f"file://{name}"
    assert file_locator.Locator(place / "t.csv").find(uri) == name


def test_paths_of_another_computer_lose_what_all_of_them_share(place):
    names = [f"E:\\x\\set\\{each}\\disc0.png" for each in ("train", "other")]
    files = file_locator.Locator(place / "t.csv", None, names)
    found = [pathlib.Path(files.find(each)).parent.name for each in names]
    assert found == ["train", "other"]


def test_names_start_from_the_root_that_is_given(place):
    root = str(place / "train")
    assert _find(place, "disc0", root=root) == "train/disc0.png"
    assert _find(place, "train/disc0.png", root=root) == ""


def test_what_was_read_otherwise_is_told_in_a_line_for_each_way(place, caplog):
    caplog.set_level("INFO")
    names = ["train\\disc0.png", "train\\disc 1.png", "top.jpeg ", "top.jpeg"]
    files = file_locator.Locator(place / "t.csv", None, names)
    for name in [*names, *names]:
        files.find(name)
    files.tell()
    lines = [each.getMessage() for each in caplog.records]
    assert len(lines) == 2
    assert "2 names are read with / for \\" in lines[0]
    assert "1 name is read without the blanks" in lines[1]
    assert "'top.jpeg '" in lines[1]


def _advised_root(text: str) -> str:
    (flag,) = re.findall(r"--image_root=('.*?'|\S+)", text)
    return shlex.split(flag)[0]


@pytest.mark.parametrize(
    "names",
    [
        ["disc0", "disc 1"],
        ["disc0.png", "disc 1.png"],
        ["DISC0.PNG"],
        ["disc0.jpg", "disc 1.png", "disc0.png"],
    ],
)
def test_the_root_that_is_advised_finds_the_names(place, names):
    files = file_locator.Locator(place / "t.csv", None, names)
    (place / "other" / "disc0.png").unlink()
    text = path_advice.advise_paths(files, names)
    assert "train/disc" in text
    assert " exists" in text
    other = file_locator.Locator(place / "t.csv", _advised_root(text), names)
    found = sum(other.exists(each) for each in names)
    assert 2 * found > len(names)
    assert f"{found} of {len(names)}" in text or len(names) == 1


def test_a_root_that_lies_too_deep_is_corrected(place):
    names = ["train/disc0.png", "train/disc 1.png"]
    files = file_locator.Locator(place / "t.csv", str(place / "train"), names)
    root = _advised_root(path_advice.advise_paths(files, names))
    assert file_locator.Locator(place / "t.csv", root, names).exists(names[0])


def test_pictures_beside_the_folder_of_the_table_are_seen(place, tmp_path):
    (tmp_path / "tables").mkdir()
    names = ["disc 1.png"]
    files = file_locator.Locator(tmp_path / "tables" / "t.csv", None, names)
    root = _advised_root(path_advice.advise_paths(files, names))
    assert file_locator.Locator(tmp_path / "t.csv", root).exists("disc 1.png")


def test_folders_that_one_root_cannot_give_are_to_be_written(tmp_path):
    names = []
    for number in range(6):
        path = tmp_path / f"class{number}" / f"p{number}.png"
        path.parent.mkdir()
        path.touch()
        names.append(path.name)
    files = file_locator.Locator(tmp_path / "t.csv", None, names)
    text = path_advice.advise_paths(files, names)
    assert "write 'class0/p0.png' in place of 'p0.png'" in text
    assert files.exists("class0/p0.png")


def test_addresses_are_to_be_downloaded(place):
    names = ["https://example.org/a.jpg", "gs://b/c.png"]
    files = file_locator.Locator(place / "t.csv", None, names)
    text = path_advice.advise_paths(files, names)
    assert "are URLs" in text
    assert "download them first" in text
    assert (
        file_locator.explain_missing(names[1]) == file_locator.NETWORK_ADDRESS
    )


def test_the_file_in_the_folder_of_that_name_is_advised(place):
    for name in ("train/lone.png", "masks/lone.png"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).touch()
    files = file_locator.Locator(place / "t.csv", None, ["x/train/lone.jpg"])
    text = path_advice.advise_paths(files, ["x/train/lone.jpg"], any_root=False)
    assert "write 'train/lone.png'" in text
    text = path_advice.advise_paths(files, ["lone.png"])
    assert "2 files match: masks/lone.png, train/lone.png." in text
    assert _find(place, "train/lone.png") == "train/lone.png"
    root = str(place / "train")
    assert _find(place, "lone.png", root=root) == "train/lone.png"
