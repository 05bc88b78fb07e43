"""Pictures that lie elsewhere now."""

import pytest

from tf_finetune import files
from tf_finetune.runs import moved_pictures


@pytest.fixture
def picture(tmp_path):
    """A picture where it is now, and what a run knows of it."""
    path = tmp_path / "new" / "bees" / "1.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"content")
    return path, files.sha256(path)


@pytest.mark.parametrize(
    "was",
    [
        "/old/flowers/bees/1.png",
        "/somewhere/else/1.png",
        r"C:\Users\me\bees\1.png",
        "../../bees/1.png",
        "bees/1.png",
    ],
)
@pytest.mark.parametrize("up", [0, 1, 2])
def test_a_picture_is_found_in_the_folder_it_was_moved_to(picture, was, up):
    path, sha256 = picture
    root = [path.parent, *path.parent.parents][up]
    found = moved_pictures.PictureFinder(str(root)).find(was, sha256)
    assert found == str(path)


def test_another_picture_of_the_same_name_is_not_taken(picture):
    path, _ = picture
    finder = moved_pictures.PictureFinder(str(path.parent))
    assert finder.find("/old/bees/1.png", "0" * 64) is None
    assert finder.find("/old/bees/2.png", files.sha256(path)) is None


def test_of_several_of_that_name_the_one_of_that_content_is_taken(picture):
    path, sha256 = picture
    other = path.parents[1] / "ants" / "1.png"
    other.parent.mkdir()
    other.write_bytes(b"other")
    finder = moved_pictures.PictureFinder(str(path.parents[1]))
    assert finder.find("/old/ants/1.png", sha256) == str(path)


def test_without_a_folder_pictures_are_where_they_were(picture):
    path, sha256 = picture
    finder = moved_pictures.PictureFinder(None)
    assert finder.find(str(path), sha256) == str(path)
    assert finder.find("/old/1.png", sha256) is None
    assert finder.find(str(path.parent), sha256) is None
