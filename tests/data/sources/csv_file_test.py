"""Which rows of a CSV file become examples."""

import csv
import io
import os
import re
import socket

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples
from tf_finetune.data.sources import csv_file
from tf_finetune.tasks.classification import labels as classes
from tf_finetune.tasks.multilabel import labels as several


@pytest.fixture
def read(tmp_path):
    """Reads a CSV of the given text beside the files a.jpg and b.jpg."""
    for name in ("a.jpg", "b.jpg", "c d,é.jpg"):
        (tmp_path / name).write_bytes(b"x")

    def listing(text, name="labels.csv", encoding="utf-8", **settings):
        path = tmp_path / name
        content = text if isinstance(text, bytes) else text.encode(encoding)
        path.write_bytes(content)
        options = data_options.DataOptions(data=str(path), **settings)
        return csv_file.SOURCE.list_examples(options, classes.LABELS, tmp_path)

    return listing


def test_rows_become_examples_with_paths_relative_to_the_table(read, tmp_path):
    listing = read(
        "image,label,split,group\na.jpg,cat,train,p1\nb.jpg,dog,Testing,\n"
    )
    assert listing.examples == (
        examples.Example(
            path=str(tmp_path / "a.jpg"),
            label="cat",
            split="train",
            group="p1",
        ),
        examples.Example(
            path=str(tmp_path / "b.jpg"), label="dog", split="test"
        ),
    )
    assert listing.dropped == ()


@pytest.mark.parametrize(
    "text",
    [
        "image,label\na.jpg,cat\n",
        "image,label\r\na.jpg,cat\r\n\r\n",
        "image;label\na.jpg;cat\n",
        "image\tlabel\na.jpg\tcat",
        "image|label\na.jpg|cat\n",
        '"image", "label", "price"\n"a.jpg", "cat", "1,5"\n',
        "\ufeffimage,label\na.jpg, cat \n",
    ],
)
def test_usual_dialects_are_read(read, text):
    (example,) = read(text).examples
    assert (example.path[-5:], example.label) == ("a.jpg", "cat")
    assert (example.split, example.group) == (None, None)


def test_utf16_as_excel_saves_it_is_read(read):
    listing = read('image\tlabel\n"c d,é.jpg"\tKätzchen\n', encoding="utf-16")
    assert [e.label for e in listing.examples] == ["Kätzchen"]


def test_names_that_are_no_utf8_are_found(read, tmp_path):
    with open(bytes(tmp_path) + b"/\xe9.jpg", "wb"):
        pass
    (example,) = read(b"image,label\n\xe9.jpg,cat\n").examples
    assert example.path.endswith("\udce9.jpg")


def test_columns_can_be_renamed(read):
    listing = read(
        "file,genre,fold,site\na.jpg,cat,val,s\n",
        image_column=("file",),
        label_column=("genre",),
        split_column="fold",
        group_column="site",
    )
    (example,) = listing.examples
    assert (example.label, example.split, example.group) == (
        "cat",
        "validation",
        "s",
    )


def test_missing_column_names_those_that_exist(read):
    with pytest.raises(
        errors.DataError, match="'label'; its columns: image, class.*--label_c"
    ):
        read("image,class\na.jpg,cat\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\na.jpg,cat\nb.jpg,\n", "line 3 has no label"),
        ("image,label\na.jpg,cat\nb.jpg\n", "line 3 has no label"),
        ("image,label\n,cat\n", "line 2 has no image"),
        ("image,label\na.jpg,cat,extra\n", "line 2 has more cells"),
        (
            "image,label,split\na.jpg,cat,dev\n",
            "line 2 has the unknown split 'dev'; possible: train",
        ),
        ("image,label,image\na.jpg,cat,b.jpg\n", "two columns named 'image'"),
        ("", "the file is empty"),
        ("image,label\n", "has a header but no rows"),
        (
            "image,label\na.jpg,cat\nb.jpg,cat\n./a.jpg,dog\n",
            "a.jpg two values of label: 'cat' in line 2, 'dog' in line 4",
        ),
        (
            "image,label,split\na.jpg,cat,train\na.jpg,cat,test\n",
            "two values of split",
        ),
    ],
)
def test_faulty_tables_are_refused_with_the_line(read, text, message):
    with pytest.raises(errors.DataError, match=message):
        read(text)


def test_splits_under_another_name_are_told(read, caplog):
    text = "image;label;Set\na.jpg;cat;Train\nb.jpg;dog;valid\n"
    assert {e.split for e in read(text).examples} == {None}
    assert "the column 'Set' holds splits and is not used" in caplog.text
    assert "--split_column=Set makes it decide them" in caplog.text
    caplog.clear()
    found = read(text, split_column="Set").examples
    assert {e.split for e in found} == {"train", "validation"}
    read(text.replace("Train", "x"))
    read(text, split_column=None)
    assert "holds splits" not in caplog.text


def test_a_row_for_each_label_is_told_with_what_to_write(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    path = tmp_path / "labels.csv"

    def label(text):
        path.write_text(f"image,label\n{text}")
        options = data_options.DataOptions(data=str(path))
        return csv_file.SOURCE.list_examples(options, several.LABELS, tmp_path)

    with pytest.raises(errors.DataError, match="in one row, such as a.b"):
        label("a.jpg,disc\na.jpg,frame\n")
    (found,) = label("a.jpg,disc|frame\n").examples
    assert found.label == ("disc", "frame")


def test_missing_and_repeated_pictures_are_dropped(read):
    listing = read(
        "image,label\na.jpg,cat\ngone.jpg,cat\na.jpg,cat\nb.jpg,dog\n"
    )
    assert [e.label for e in listing.examples] == ["cat", "dog"]
    assert [d.reason for d in listing.dropped] == [
        "file not found",
        "listed twice: in line 2 and in line 4",
    ]


def test_missing_table_is_refused(tmp_path):
    options = data_options.DataOptions(data=str(tmp_path / "no.csv"))
    with pytest.raises(errors.DataError, match="cannot be read: No such file"):
        csv_file.SOURCE.list_examples(options, classes.LABELS, tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_a_table_that_is_no_regular_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "labels.csv"
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            server.bind(str(path))
        else:
            path = "/dev/zero"
        options = data_options.DataOptions(data=str(path), data_format="csv")
        with pytest.raises(errors.DataError, match="not a regular file"):
            csv_file.SOURCE.list_examples(options, classes.LABELS, tmp_path)


def test_names_may_hold_blanks_breaks_commas_quotes_and_dashes(read, tmp_path):
    names = ["-rf.jpg", " b.jpg", "line\nbreak.jpg", 'a,"b".jpg', "--data=x"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([["image", "label"], *([n, "cat"] for n in names)])
    found = [os.path.basename(e.path) for e in read(text.getvalue()).examples]
    assert found == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('image,label\n"a.jpg,cat\nb.jpg,dog\n', "line 2 opens double"),
        ("image^label\na.jpg^cat\n", "'image^label', is in one piece"),
        ("image,label\n" + 200_000 * "a", "line 2 is not CSV"),
    ],
)
def test_what_is_hardly_a_table_is_refused(read, text, message):
    with pytest.raises(errors.DataError, match=re.escape(message)):
        read(text)


def test_pictures_of_a_row_are_a_group_with_the_rows_label(read):
    listing = read(
        "front,back,label\na.jpg,b.jpg,x\n", image_column=("front", "back")
    )
    first, second = listing.examples
    assert (first.label, first.group) == (second.label, second.group)
    assert (first.label, first.group) == ("x", "line 2")


def test_rows_may_share_a_picture_among_several(read):
    listing = read(
        "front,back,label\na.jpg,b.jpg,x\n'c d.jpg',b.jpg,x\n".replace(
            "'c d.jpg'", '"c d,é.jpg"'
        ),
        image_column=("front", "back"),
    )
    assert len(listing.examples) == 3
    assert "listed twice" in listing.dropped[0].reason


def test_each_picture_of_a_row_must_be_named(read):
    with pytest.raises(errors.DataError, match="line 2 has no image.*'back'"):
        read("front,back,label\na.jpg,,x\n", image_column=("front", "back"))


def _lines(caplog):
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "null", "NA", "-", "?"])
def test_rows_whose_label_is_a_word_for_nothing_are_left_out(
    read, caplog, word
):
    text = f"image,label\na.jpg,cat\nb.jpg,{word}\n"
    listing = read(text)
    assert [e.label for e in listing.examples] == ["cat"]
    assert [d.reason for d in listing.dropped] == ["no label in line 3"]
    (warning,) = _lines(caplog)
    assert f"1 of 2 rows have no label but '{word}' (line 3)" in warning
    kept = read(text, missing_label="keep")
    assert [e.label for e in kept.examples] == ["cat", word]


def test_a_picture_without_label_may_be_listed_with_one_elsewhere(read):
    listing = read("image,label\na.jpg,nan\na.jpg,cat\n")
    assert [e.label for e in listing.examples] == ["cat"]


def test_none_in_small_letters_is_a_name(read):
    listing = read("image,label\na.jpg,none\nb.jpg,na\n")
    assert [e.label for e in listing.examples] == ["none", "na"]


def test_columns_that_decide_without_being_named_are_told(read, caplog):
    caplog.set_level("INFO")
    text = "image,label,Split,Group\na.jpg,cat,train,p\nb.jpg,dog,test,q\n"
    read(text)
    lines = " ".join(_lines(caplog))
    assert "'split' decides the splits: test 1, train 1" in lines
    assert "2 groups of 2 pictures (--group_column=none ignores it)" in lines
    caplog.clear()
    listing = read(text, group_column=None, split_column=None)
    assert {(e.split, e.group) for e in listing.examples} == {(None, None)}
    assert not _lines(caplog)


def test_a_column_that_is_named_must_be_there(read):
    with pytest.raises(errors.DataError, match="no column 'fold'.*split_colu"):
        read("image,label\na.jpg,cat\n", split_column="fold")
    with pytest.raises(errors.DataError, match="no column 'site'.*group_colu"):
        read("image,label\na.jpg,cat\n", group_column="site")


def test_names_start_from_the_image_root(read, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.jpg").write_bytes(b"x")
    text = "image,label\nc.jpg,cat\n"
    with pytest.raises(errors.DataError, match=r"deep/c.jpg exists: with --im"):
        read(text)
    listing = read(text, image_root=str(tmp_path / "deep"))
    (example,) = listing.examples
    assert example.path == str(tmp_path / "deep" / "c.jpg")


def test_some_missing_pictures_are_counted_and_advised_about(read, caplog):
    read("image,label\na.jpg,cat\nb.jpg,dog\ngone.jpg,cat\n")
    (warning,) = _lines(caplog)
    assert "1 of 3 pictures are not found, e.g. 'gone.jpg'" in warning


def test_a_class_of_which_no_picture_is_found_is_named(read):
    with pytest.raises(
        errors.DataError, match="2 pictures of the class 'dog'.*none is"
    ):
        read("image,label\na.jpg,cat\nx.jpg,dog\ny.jpg,dog\n")


def test_addresses_are_dropped_as_what_they_are(read):
    listing = read("image,label\na.jpg,cat\nhttps://x.org/b.jpg,cat\n")
    assert "download it first" in listing.dropped[0].reason
    with pytest.raises(errors.DataError, match="are URLs.*download them"):
        read("image,label\nhttps://x.org/b.jpg,dog\ns3://x/y.jpg,cat\n")


def test_two_spellings_of_one_file_are_one_picture(read):
    listing = read("image,label\na.jpg,cat\nA.JPG,cat\n.\\a.jpg,cat\n")
    assert len(listing.examples) == 1
    assert all("listed twice" in d.reason for d in listing.dropped)


def test_pictures_of_a_table_can_be_listed_without_labels(tmp_path, caplog):
    (tmp_path / "a.jpg").touch()
    table = tmp_path / "t.csv"
    table.write_text("Image,more\na.jpg,1\na.jpg ,2\ngone.jpg,3\n,4\n")
    options = data_options.DataOptions(data=str(table))
    found = csv_file.list_paths(options)
    assert found == [str(tmp_path / "a.jpg"), str(tmp_path / "gone.jpg")]
    assert "1 of 4 rows name no picture, first in line 5" in caplog.text
    table.write_text("image\n")
    with pytest.raises(errors.DataError, match="names no picture"):
        csv_file.list_paths(options)
