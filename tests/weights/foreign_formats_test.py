import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.backbones import catalog
from tf_finetune.weights import foreign_formats, weights_file, weights_source


def test_byte_order_mark_and_blanks_before_a_page_do_not_hide_it():
    start = b"\xef\xbb\xbf\n  <HTML><head>"
    assert "web page" in foreign_formats.describe_file(
        pathlib.Path("x.h5"), start
    )


def test_packed_file_is_to_be_unpacked():
    words = foreign_formats.describe_file(
        pathlib.Path("x.h5.gz"), b"\x1f\x8b\x08"
    )
    assert "unpack" in words


def test_folder_of_checkpoints(tmp_path):
    (tmp_path / "ckpt-1.index").touch()
    (tmp_path / "ckpt-1.data-00000-of-00001").touch()
    assert "checkpoints" in foreign_formats.describe_folder(tmp_path)


def test_empty_folder(tmp_path):
    assert foreign_formats.describe_folder(tmp_path) == (
        "is a folder with nothing in it"
    )


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        (["ckpt.index", "ckpt.data-00000-of-00001"], "ckpt"),
        (["ckpt.data-00000-of-00001"], "ckpt"),
        (["ckpt.data-00001-of-00002"], "ckpt.data-00001-of-00002"),
        (["cp-0007.ckpt.index"], "cp-0007.ckpt"),
        (
            ["saved_model.pb", "variables/variables.index"],
            "variables/variables",
        ),
    ],
)
def test_parts_of_a_checkpoint_are_named_by_any_name(tmp_path, files, weights):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x00\x01\x02")
    with pytest.raises(
        errors.UsageError, match="is a part of a TensorFlow checkpoint"
    ):
        weights_file.detect_kind(tmp_path / weights)


def test_a_checkpoint_in_the_current_folder_is_no_unknown_word(
    tmp_path, monkeypatch
):
    (tmp_path / "ckpt.index").touch()
    monkeypatch.chdir(tmp_path)
    spec = catalog.find_spec("mobilenet")[0]
    with pytest.raises(errors.UsageError, match="TensorFlow checkpoint"):
        weights_source.check_weights(spec, "ckpt")


def test_a_name_without_its_ending_is_answered_with_the_file(tmp_path):
    (tmp_path / "best.weights.h5").touch()
    with pytest.raises(
        errors.UsageError, match=r"there is .*best\.weights\.h5"
    ):
        weights_file.detect_kind(tmp_path / "best")


def test_an_unknown_path_is_no_file(tmp_path):
    with pytest.raises(errors.UsageError, match="no such file or folder"):
        weights_file.detect_kind(tmp_path / "nothing.h5")
