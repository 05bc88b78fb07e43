"""Pictures that are no files become files once."""

import os
import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.data import examples
from tf_finetune.data.sources import picture_cache


def _encoded(content, label="a", split=None):
    return picture_cache.EncodedPicture(
        content=content, label=label, split=split
    )


def test_files_are_named_by_content_and_kind(tmp_path, picture_bytes):
    contents = {
        ".png": picture_bytes(0, "PNG"),
        ".jpg": picture_bytes(0, "JPEG"),
        ".bin": b"something else",
    }
    listing = picture_cache.list_pictures(
        tmp_path / "x",
        lambda: [_encoded(c, split="train") for c in contents.values()],
        class_names=("a",),
    )
    found = {
        pathlib.Path(e.path).suffix: pathlib.Path(e.path).read_bytes()
        for e in listing.examples
    }
    assert found == contents
    assert {e.split for e in listing.examples} == {"train"}


def test_unlabeled_pictures_and_empty_classes_are_reported(
    tmp_path, picture_bytes
):
    listing = picture_cache.list_pictures(
        tmp_path,
        lambda: [_encoded(picture_bytes(0)), _encoded(picture_bytes(1), None)],
        class_names=("a", "b"),
    )
    assert len(listing.examples) == 1
    assert [d.reason for d in listing.dropped] == [
        "without a label",
        "a class without pictures",
    ]
    assert listing.dropped[1] == examples.DroppedFile(
        path="b", reason="a class without pictures"
    )


def test_interrupted_writing_is_done_again(tmp_path, picture_bytes):
    def interrupted():
        yield _encoded(picture_bytes(0))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        picture_cache.list_pictures(tmp_path, interrupted, class_names="a")
    listing = picture_cache.list_pictures(
        tmp_path,
        lambda: [_encoded(picture_bytes(k)) for k in range(3)],
        class_names="a",
    )
    assert len(listing.examples) == 3
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_unwritable_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(errors.RunError, match="--cache_dir names another"):
        picture_cache.list_pictures(
            tmp_path / "file" / "x",
            lambda: [_encoded(b"x")],
            class_names="a",
        )


@pytest.mark.parametrize(
    "content",
    ["", "[[", "7", "[5]", '[["../../secret.png", "a", null]]',
     '[["a/b.png", "a", null]]', "[[1, 2, 3]]", '{"a": 1}',
     "[" * 100_000],
)  # fmt: skip
def test_an_index_of_somebody_else_is_written_again(tmp_path, content):
    def produce():
        yield picture_cache.EncodedPicture(content=b"x", label="a", split=None)

    (tmp_path / "index.json").write_text(content)
    found = picture_cache.list_pictures(tmp_path, produce, class_names=("a",))
    (example,) = found.examples
    assert pathlib.Path(example.path).parent == tmp_path
    assert picture_cache._read_index(tmp_path, pictures=1) is not None


def test_a_pipe_in_the_place_of_a_picture_is_replaced(tmp_path):
    def produce():
        yield picture_cache.EncodedPicture(content=b"x", label="a", split=None)

    picture_cache.list_pictures(tmp_path, produce, class_names=("a",))
    (path,) = tmp_path.glob("*.bin")
    path.unlink()
    os.mkfifo(path)
    picture_cache.list_pictures(tmp_path, produce, class_names=("a",))
    assert path.read_bytes() == b"x"
