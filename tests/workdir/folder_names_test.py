"""Tests of tf_finetune/workdir/folder_names.py."""

from tf_finetune.workdir import folder_names


def test_folders_are_named_after_data_within_the_limit_of_bytes():
    name = folder_names.name_folder
    assert str(name("a/my flowers/", after="net")) == "runs/my-flowers-net"
    assert str(name("x.csv", before="recipe")) == "runs/recipe-x"
    found = name("ü" * 300, before="recommend").name
    assert found.startswith("recommend-ü") and len(found.encode()) <= 200
