"""Which files count as pictures, and what is said of the others."""

import hashlib
import os
import pathlib
import resource
import shutil
import socket
import struct
import subprocess
import sys
import warnings
import zlib

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples
from tf_finetune.data.images import inspection
from tf_finetune.data.sources import image_folder
from tf_finetune.tasks.classification import labels as classes

MAX_PIXELS = data_options.DataOptions().max_pixels


def _inspect(*paths, max_pixels=MAX_PIXELS):
    listed = [examples.Example(path=str(p), label="cat") for p in paths]
    return inspection.inspect_files(listed, max_pixels=max_pixels)


def test_hostile_folder_loses_exactly_the_bad_files(hostile_folder, tmp_path):
    options = data_options.DataOptions(data=str(hostile_folder.folder))
    listing = image_folder.SOURCE.list_examples(
        options, classes.LABELS, tmp_path
    )
    pictures, dropped = inspection.inspect_files(
        listing.examples, max_pixels=MAX_PIXELS
    )
    kept = {picture.path for picture in pictures}
    assert len(hostile_folder.good) == 40
    assert kept == hostile_folder.good | hostile_folder.bad_at_decoding
    reasons = {d.path: d.reason for d in listing.dropped + dropped}
    by_header = set(hostile_folder.bad) - hostile_folder.bad_at_decoding
    assert set(reasons) == by_header
    for path in by_header:
        assert hostile_folder.bad[path] in reasons[path], path


def test_picture_records_hash_size_and_what_the_source_said(
    tmp_path, picture_bytes
):
    content = picture_bytes(form="JPEG", size=(31, 17))
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    example = examples.Example(
        path=str(path), label="cat", split="train", group="g"
    )
    (picture,), dropped = inspection.inspect_files(
        [example], max_pixels=MAX_PIXELS
    )
    assert dropped == ()
    assert picture == examples.Picture(
        path=str(path),
        label="cat",
        sha256=hashlib.sha256(content).hexdigest(),
        width=31,
        height=17,
        split="train",
        group="g",
    )


def test_max_pixels_is_the_largest_allowed_number(tmp_path, picture_bytes):
    path = tmp_path / "a.png"
    path.write_bytes(picture_bytes(size=(10, 10)))
    pictures, _ = _inspect(path, max_pixels=100)
    assert len(pictures) == 1
    _, (dropped,) = _inspect(path, max_pixels=99)
    assert dropped.reason == "larger than --max_pixels=99: 10 x 10"


def test_max_pixels_may_be_above_pillows_own_bound(hostile_folder):
    path = hostile_folder.folder / "cats" / "small_bomb.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures, _ = _inspect(path, max_pixels=10**9)
    assert [p.width for p in pictures] == [16_000]


def test_order_is_that_of_the_examples(tmp_path, picture_bytes):
    paths = [tmp_path / f"{n}.png" for n in range(2100)]
    content = picture_bytes()
    for path in paths:
        path.write_bytes(content)
    pictures, _ = _inspect(*reversed(paths))
    assert [p.path for p in pictures] == [str(p) for p in reversed(paths)]


def test_file_that_vanished_is_dropped(tmp_path):
    pictures, (dropped,) = _inspect(tmp_path / "gone.jpg")
    assert pictures == ()
    assert "No such file" in dropped.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_dropped(tmp_path, picture_bytes):
    path = tmp_path / "a.jpg"
    path.write_bytes(picture_bytes())
    path.chmod(0)
    _, (dropped,) = _inspect(path)
    assert "ermission" in dropped.reason


def test_nothing_in_this_half_of_the_room_imports_tensorflow():
    modules = [
        "tf_finetune.data.scan",
        "tf_finetune.data.arrays",
        "tf_finetune.data.sources.csv_file",
        "tf_finetune.data.sources.digits",
        "tf_finetune.data.sources.image_folder",
        "tf_finetune.data.sources.tfds_dataset",
    ]
    code = (
        f"import sys, {', '.join(modules)}; "
        "print({'tensorflow', 'tensorflow_datasets', 'sklearn'} "
        "& set(sys.modules))"
    )
    root = pathlib.Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.stdout.strip() == "set()"


def _declaring(form: str, side: int, encoded) -> bytes:
    """Returns a small file whose header claims a square of so many pixels."""
    data = bytearray(encoded(0, form))
    if form == "PNG":
        struct.pack_into(">II", data, 16, side, side)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    elif form == "JPEG":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, side, side)
    elif form == "GIF":
        struct.pack_into("<HH", data, 6, side, side)
    elif form == "BMP":
        struct.pack_into("<ii", data, 18, side, side)
    else:  # WebP of the lossy kind: 14 bits for each side.
        begin = data.index(b"\x9d\x01\x2a") + 3
        struct.pack_into("<HH", data, begin, side, side)
    return bytes(data)


@pytest.mark.parametrize(
    ("form", "side"),
    [
        ("PNG", 60_000),
        ("JPEG", 65_500),
        ("GIF", 65_535),
        ("BMP", 60_000),
        ("WEBP", 16_383),
    ],
)
def test_a_bomb_of_any_kind_is_dropped_unopened(
    tmp_path, picture_bytes, form, side
):
    path = tmp_path / "bomb"
    path.write_bytes(_declaring(form, side, picture_bytes))
    listed = [examples.Example(path=str(path), label="a")]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pictures, (dropped,) = inspection.inspect_files(
        listed, max_pixels=178_956_970
    )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert pictures == ()
    assert grown < 50_000  # kB; the pixels would take 268 MB and more.
    words = ("larger than", "more pixels", f"damaged {form}", "damaged WebP")
    assert dropped.reason.startswith(words)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, kind):
    path = str(tmp_path / "a.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            server.bind(path)
        else:
            path = "/dev/zero"
        listed = [examples.Example(path=path, label="a")]
        _, (dropped,) = inspection.inspect_files(listed, max_pixels=10)
    assert dropped.reason == "not a regular file"


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
    inspection.check_unchanged(pictures)
    with inspection.verify_unchanged(pictures):
        pass


def test_a_replaced_picture_is_named(pictures, picture_bytes):
    with (
        pytest.raises(errors.RunError, match=r"1 pict.*1\.png has differ"),
        inspection.verify_unchanged(pictures),
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
        inspection.check_unchanged(pictures)


def test_a_removed_picture_is_the_cause_of_what_fails_by_it(pictures):
    with (
        pytest.raises(errors.RunError, match=r"2\.png no longer") as caught,
        inspection.verify_unchanged(pictures),
    ):
        os.remove(pictures[2].path)
        raise KeyError("what a graph says")
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_fails_for_another_reason_stays_what_it_is(pictures):
    with pytest.raises(KeyError), inspection.verify_unchanged(pictures):
        raise KeyError("another reason")


def test_a_folder_in_the_place_of_a_picture_is_noticed(pictures):
    os.remove(pictures[0].path)
    os.mkdir(pictures[0].path)
    with pytest.raises(
        errors.RunError, match=r"not a regular file but a folder\. The"
    ):
        inspection.check_unchanged(pictures)


def test_equal_bytes_written_again_are_no_change(pictures):
    path = pictures[0].path
    shutil.copy(path, path + ".copy")
    os.replace(path + ".copy", path)
    os.chmod(path, 0o600)
    inspection.check_unchanged(pictures)


def test_many_changes_are_counted_and_some_named(pictures):
    many = pictures * 4
    for picture in pictures:
        os.remove(picture.path)
    with pytest.raises(errors.RunError, match="12 pictures.*and 7 more"):
        inspection.check_unchanged(many)
