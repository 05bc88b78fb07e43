import pytest

from tf_finetune import errors
from tf_finetune.weights import classifier_names


def test_imagenet_has_a_thousand_different_names_in_its_order():
    names = classifier_names.list_imagenet_names()
    assert len(names) == 1000  # Of the ImageNet challenge (ILSVRC 2012)
    assert len({name.casefold() for name in names}) == len(names)
    # As the classifiers of every framework count them.
    known = {0: "tench", 1: "goldfish", 309: "bee", 310: "ant", 985: "daisy"}
    assert {index: names[index] for index in known} == known
    # Two classes share their first synonym: the dog and the garment.
    assert names[264] == "Cardigan, Cardigan Welsh corgi"
    assert names[474] == "cardigan"


def test_names_of_a_file_are_its_lines(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("cat\ndog \nélan\n", encoding="utf-8")
    assert classifier_names.read_names(path) == ("cat", "dog", "élan")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat\ndog\ncat\n", "'cat' occurs twice"),
        ("", "it is empty"),
        ("cat\n\ndog\n", "is empty or holds a line break"),
    ],
)
def test_a_name_for_every_class(tmp_path, text, message):
    path = tmp_path / "names.txt"
    path.write_text(text)
    with pytest.raises(errors.DataError, match=message):
        classifier_names.read_names(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(errors.UsageError, match="--class_names=.*no_file"):
        classifier_names.read_names(tmp_path / "no_file")
