import json

import pytest

from tf_finetune import errors
from tf_finetune.data.masks import class_lists


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.json", '["sky", "road"]'),
        ("classes.json", '{"1": "road", "0": "sky"}'),
        ("labels.txt", "sky\nroad\n\n"),
    ],
)
def test_names_are_read_beside_the_data(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert class_lists.read_class_names(tmp_path) == ("sky", "road")


def test_names_by_value_may_leave_values_out(tmp_path):
    text = '{"255": "road", "0": "sky", "38": "car"}'
    (tmp_path / "classes.json").write_text(text)
    found = class_lists.read_class_names(tmp_path)
    assert found == {0: "sky", 38: "car", 255: "road"}
    assert list(found) == [0, 38, 255]


def test_no_file_names_no_class(tmp_path):
    assert class_lists.read_class_names(tmp_path) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "list of class names"),
        ('{"0": "a", "b": "c"}', "names by value"),
        ('{"0": "a", "00": "b"}', "names by value"),
        ('["1", "2", "1.0"]', "'1' twice .also as '1.0'"),
        ("[", "not JSON"),
        ('["a", "a"]', "twice"),
        ('["a\\nb"]', "line break"),
    ],
)
def test_odd_files_of_names_are_refused(tmp_path, text, words):
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(errors.DataError, match=words):
        class_lists.read_class_names(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("colors.csv", "name,r,g,b\nsky,128,128,128\nroad,128,64,128\n"),
        ("colors.csv", "R, G, B, Name\n128,128,128,sky\n128,64,128,road\n"),
        (
            "colors.json",
            json.dumps({"sky": [128, 128, 128], "road": [128, 64, 128]}),
        ),
    ],
)
def test_colors_are_read_in_their_order(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert list(class_lists.read_color_map(tmp_path / name).items()) == [
        ("sky", (128, 128, 128)),
        ("road", (128, 64, 128)),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,r,g\nsky,1,2\n", "no column 'b'"),
        ("name,r,g,b\nsky,1,2,256\n", "line 2: a color is three"),
        ("name,r,g,b\nsky,1,2\n", "line 2"),
        ("name,r,g,b\na,1,2,3\na,4,5,6\n", "'a' twice"),
        ("name,r,g,b\na,1,2,3\nb,1,2,3\n", "two classes"),
        ("name,r,g,b\n", "no color"),
    ],
)
def test_odd_color_maps_are_refused(tmp_path, text, words):
    (tmp_path / "colors.csv").write_text(text)
    with pytest.raises(errors.DataError, match=words):
        class_lists.read_color_map(tmp_path / "colors.csv")


def test_a_missing_color_map_is_named(tmp_path):
    with pytest.raises(errors.DataError, match=r"none\.csv cannot be read"):
        class_lists.read_color_map(tmp_path / "none.csv")


def test_what_is_no_color_is_shown(tmp_path):
    path = tmp_path / "colors.json"
    path.write_text('{"sky": "#0000ff"}')
    with pytest.raises(errors.DataError, match="got #0000ff"):
        class_lists.read_color_map(path)
    path.write_text('{"sky": [0, 0, 255]}')
    assert class_lists.read_color_map(path) == {"sky": (0, 0, 255)}
