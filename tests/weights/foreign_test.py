import pathlib

from tf_finetune.weights import foreign


def test_byte_order_mark_and_blanks_before_a_page_do_not_hide_it():
    start = b"\xef\xbb\xbf\n  <HTML><head>"
    assert "web page" in foreign.describe_file(pathlib.Path("x.h5"), start)


def test_packed_file_is_to_be_unpacked():
    words = foreign.describe_file(pathlib.Path("x.h5.gz"), b"\x1f\x8b\x08")
    assert "unpack" in words


def test_folder_of_checkpoints(tmp_path):
    (tmp_path / "ckpt-1.index").touch()
    (tmp_path / "ckpt-1.data-00000-of-00001").touch()
    assert "checkpoints" in foreign.describe_folder(tmp_path)


def test_empty_folder(tmp_path):
    assert foreign.describe_folder(tmp_path) == (
        "is a folder with nothing in it"
    )
