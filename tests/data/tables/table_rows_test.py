"""The rows of a table as text."""

import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.data.tables import table_rows


def _rows(tmp_path, text: str, needed=("image", "label"), optional=()):
    path = pathlib.Path(tmp_path) / "t.csv"
    path.write_text(text)
    flags = {f"{name}_column": (name,) for name in needed}
    return [row.cells for row in table_rows.read_rows(path, flags, optional)]


@pytest.mark.parametrize(
    "header", ["Image,Label", "IMAGE;LABEL", "image\tLabel", " Image , label "]
)
def test_a_header_is_read_whatever_its_capital_letters(tmp_path, header):
    line = "a.jpg,cat"
    for delimiter in ";\t":
        if delimiter in header:
            line = line.replace(",", delimiter)
    found = _rows(tmp_path, f"{header}\n{line}\n")
    assert found == [{"image": "a.jpg", "label": "cat"}]


def test_the_very_name_comes_before_other_capital_letters(tmp_path):
    found = _rows(tmp_path, "Label,label,image\nx,y,a\n")
    assert found == [{"image": "a", "label": "y"}]


def test_two_columns_that_could_be_meant_are_an_error(tmp_path):
    with pytest.raises(errors.DataError, match="'Label' and 'LABEL'.*rename"):
        _rows(tmp_path, "Label,LABEL,image\nx,y,a\n")


def test_columns_that_nobody_asks_for_may_be_called_alike(tmp_path):
    found = _rows(tmp_path, "image,label,,\na,x,,\n")
    assert found == [{"image": "a", "label": "x"}]


def test_an_optional_column_is_read_if_it_is_there(tmp_path):
    found = _rows(tmp_path, "image,label,Group\na,x,g\n", optional=["group"])
    assert found == [{"image": "a", "label": "x", "group": "g"}]
    assert _rows(tmp_path, "image,label\na,x\n", optional=["group"]) == [
        {"image": "a", "label": "x"}
    ]


def test_a_missing_column_names_the_like_one_and_few_others(tmp_path):
    many = ",".join(f"c{n}" for n in range(500))
    with pytest.raises(errors.DataError) as raised:
        _rows(tmp_path, f"image,lable,{many}\n")
    text = str(raised.value)
    assert "and 482 more" in text
    assert "Did you mean 'lable'?" in text
    assert len(text) < 600


def test_work_grows_with_the_cells_asked_for_not_with_the_columns(tmp_path):
    """Quadratic work over 200,000 columns would take minutes."""
    count = 200_000
    header = ",".join(f"c{n}" for n in range(count))
    lines = [f"image,label,{header}", *(f"{n}.png,a" for n in range(40))]
    found = _rows(tmp_path, "\n".join(lines))
    assert len(found) == 40
    assert all(len(cells) == 2 for cells in found)


def test_columns_behind_a_long_header_decide_the_delimiter_too(tmp_path):
    header = ";".join(f"column {n}" for n in range(20_000))
    found = _rows(tmp_path, f"{header};image;label\n{';' * 20_000}a;x\n")
    assert found == [{"image": "a", "label": "x"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_lacking_column_is_told_with_the_columns_that_are_there(
    tmp_path, delimiter
):
    text = "image,target\na.jpg,1\n".replace(",", delimiter)
    assert _rows(tmp_path, text, needed=["image", "target"]) == [
        {"image": "a.jpg", "target": "1"}
    ]
    with pytest.raises(errors.DataError, match="its columns: image, target"):
        _rows(tmp_path, text)


def test_the_line_that_declares_the_delimiter_is_no_header(tmp_path):
    text = "sep=;\r\nimage;label\r\na.jpg;cat\r\n"
    assert _rows(tmp_path, text) == [{"image": "a.jpg", "label": "cat"}]


def test_a_table_without_header_is_told_and_can_be_completed(tmp_path):
    text = "a.jpg,cat\nb.jpg,dog\n"
    with pytest.raises(errors.DataError, match="above it.*image,label"):
        _rows(tmp_path, text)
    assert len(_rows(tmp_path, f"image,label\n{text}")) == 2


def test_a_first_line_in_one_piece_is_shown(tmp_path):
    with pytest.raises(errors.DataError, match="'# mine', is in one piece"):
        _rows(tmp_path, "# mine\nimage,label\na.jpg,cat\n")
    with pytest.raises(errors.DataError, match="its columns: file. --image"):
        _rows(tmp_path, "file\na.jpg\n", needed=["image"])


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_quotes_that_nothing_closes_do_not_swallow_the_rest(tmp_path, end):
    text = f'image,label\na.jpg,"x\ny"\nb.jpg,"cat\nc.jpg,dog{end}'
    with pytest.raises(errors.DataError, match="line 4 opens double quotes"):
        _rows(tmp_path, text)
    found = _rows(tmp_path, text.replace('"cat', '5" cat'))
    assert [row["label"] for row in found] == ["x\ny", '5" cat', "dog"]


def test_empty_cells_behind_the_last_column_say_nothing(tmp_path):
    found = _rows(tmp_path, "image,label\na.jpg,cat,\nb.jpg,dog,, \n")
    assert [row["label"] for row in found] == ["cat", "dog"]
    with pytest.raises(errors.DataError, match="line 2 has more cells"):
        _rows(tmp_path, "image,label\na.jpg,cat,x\n")
