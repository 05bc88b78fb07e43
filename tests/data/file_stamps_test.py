"""Pictures that are replaced or removed between inspection and training."""

import os
import pathlib
import shutil

import pytest

from tf_finetune import errors
from tf_finetune.data import examples, file_stamps
from tf_finetune.data.images import inspection


@pytest.fixture
def pictures(tmp_path, picture_bytes):
    """Three inspected pictures."""
    listed = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        path.write_bytes(picture_bytes(number))
        listed.append(examples.Example(path=str(path), label="a"))
    found, _ = inspection.inspect_files(listed, max_pixels=10**6)
    return found


def test_untouched_pictures_pass(pictures):
    file_stamps.check_unchanged(pictures)
    with file_stamps.verify_unchanged(pictures):
        pass


def test_a_replaced_picture_is_named(pictures, picture_bytes):
    with (
        pytest.raises(errors.RunError, match=r"1 pict.*1\.png has differ"),
        file_stamps.verify_unchanged(pictures),
    ):
        pathlib.Path(pictures[1].path).write_bytes(picture_bytes(9))


def test_a_replacement_of_equal_size_and_time_is_noticed(pictures):
    path = pathlib.Path(pictures[0].path)
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(errors.RunError, match=r"0\.png has different contents"):
        file_stamps.check_unchanged(pictures)


def test_a_removed_picture_is_the_cause_of_what_fails_by_it(pictures):
    with (
        pytest.raises(errors.RunError, match=r"2\.png no longer") as caught,
        file_stamps.verify_unchanged(pictures),
    ):
        os.remove(pictures[2].path)
        raise KeyError("what a graph says")
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_fails_for_another_reason_stays_what_it_is(pictures):
    with pytest.raises(KeyError), file_stamps.verify_unchanged(pictures):
        raise KeyError("another reason")


def test_a_folder_in_the_place_of_a_picture_is_noticed(pictures):
    os.remove(pictures[0].path)
    os.mkdir(pictures[0].path)
    with pytest.raises(
        errors.RunError, match=r"not a regular file but a folder\. The"
    ):
        file_stamps.check_unchanged(pictures)


def test_equal_bytes_written_again_are_no_change(pictures):
    path = pictures[0].path
    shutil.copy(path, path + ".copy")
    os.replace(path + ".copy", path)
    os.chmod(path, 0o600)
    file_stamps.check_unchanged(pictures)


def test_many_changes_are_counted_and_some_named(pictures):
    many = pictures * 4
    for picture in pictures:
        os.remove(picture.path)
    with pytest.raises(errors.RunError, match="12 pictures.*and 7 more"):
        file_stamps.check_unchanged(many)
