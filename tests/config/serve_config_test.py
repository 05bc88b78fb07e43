"""Tests of tf_finetune/config/serve_config.py."""

import pytest

from tf_finetune import errors
from tf_finetune.config import options, serve_config


def test_the_defaults_answer_this_machine_alone():
    config = serve_config.ServeConfig(workdir="w")
    assert (config.host, config.port) == ("127.0.0.1", 8501)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({}, "--workdir is needed"),
        ({"port": 65536}, "--port must be at least 0 and at most 65535"),
        ({"port": 8500, "grpc_port": 8500}, "cannot both be 8500"),
        ({"grpc_port": "yes"}, "--grpc_port must be"),
        ({"model_name": "a/b"}, "letters, digits"),
        ({"model_name": "a<b"}, "letters, digits"),
        ({"max_batch_size": 0}, "--max_batch_size must be at least 1"),
        ({"max_request_megabytes": 4096}, "at most 2047"),
        ({"timeout_seconds": 0.0}, "--timeout_seconds must be above 0"),
        ({"timeout_seconds": float("inf")}, "at most 86400"),
        ({"timeout_seconds": float("nan")}, "--timeout_seconds must be"),
        ({"max_delay_milliseconds": -1.0}, "at least 0"),
    ],
)
def test_a_mistake_is_named_by_its_flag(keywords, words):
    given = {"workdir": "w", **keywords} if keywords else {}
    with pytest.raises(errors.UsageError, match=words):
        options.from_keywords(serve_config.ServeConfig, given)


def test_exports_alone_are_enough():
    assert serve_config.ServeConfig(exports="folder").workdir == ""


def test_a_run_whose_exports_are_not_served_is_refused():
    with pytest.raises(errors.UsageError, match="give one of them"):
        serve_config.ServeConfig(exports="folder", workdir="run")
