"""Tests of tf_finetune/client/__main__.py; a server answers it elsewhere."""

import pytest

from tf_finetune.client import __main__ as client


@pytest.mark.parametrize(
    ("given", "rest", "grpc", "model"),
    [
        ("127.0.0.1:8501", "http://127.0.0.1:8501", "127.0.0.1:8501", None),
        ("localhost:1", "http://localhost:1", "localhost:1", None),
        ("http://a:1/", "http://a:1", "a:1", None),
        ("https://a:1", "https://a:1", "a:1", None),
        ("[::1]:8501", "http://[::1]:8501", "[::1]:8501", None),
        ("http://a:1/v1/models/m", "http://a:1", "a:1", "m"),
        ("a:1/v1/models/m:predict", "http://a:1", "a:1", "m"),
        ("http://a/below/v1/models/m/", "http://a/below", "a/below", "m"),
    ],
)
def test_both_forms_of_an_address_are_taken(given, rest, grpc, model):
    assert client.parse_address(given, "rest") == (rest, model)
    assert client.parse_address(given, "grpc") == (grpc, model)


def test_a_model_that_nobody_names_is_asked_for_before_files_are_read(capsys):
    with pytest.raises(SystemExit) as ended:
        client.main(["not-there.jpg"])
    assert ended.value.code == 2
    assert "--model=NAME is required" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_said_in_a_sentence(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(SystemExit, match="no answer from http://127.0.0.1:9"):
        client.main(
            [str(tmp_path / "a.jpg"), "--model=m", "--rest=127.0.0.1:9"]
        )
