"""Fetching, from servers on this machine only."""

import contextlib
import hashlib
import http.server
import socket
import threading
import time

import pytest

from tf_finetune import errors
from tf_finetune.backbones import backbone, catalog
from tf_finetune.weights import imagenet_weights

_CONTENT = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 4000
_MD5 = hashlib.md5(_CONTENT).hexdigest()
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()


def _spec(url, **facts):
    return backbone.BackboneSpec(
        name=facts.pop("name", "tiny"),
        builder="none:none",
        image_size=16,
        min_image_size=8,
        preprocessing="in_graph",
        weights_url=url,
        **facts,
    )


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of Keras, and no proxy on the way to this machine."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "keras" / "models"


@contextlib.contextmanager
def _serving(content, *, declared=None, status=200):
    """Serves `content` under every path; yields the address and the hits."""
    hits = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hits.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(declared or len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a/tiny.h5", hits
    finally:
        server.shutdown()
        server.server_close()


def _fetch(spec):
    return imagenet_weights.fetch_weights(spec, alpha=None, image_size=16)


@pytest.mark.parametrize("expected", [None, _MD5[:8], _SHA256[:8].upper()])
def test_download_goes_into_the_cache_once(cache, expected):
    with _serving(_CONTENT) as (url, hits):
        spec = _spec(url, weights_hash=expected)
        first = _fetch(spec)
        second = _fetch(spec)
    assert first == second == cache / "tiny.h5"
    assert first.read_bytes() == _CONTENT
    assert hits == ["/a/tiny.h5"]
    assert [each.name for each in cache.iterdir()] == ["tiny.h5"]


def test_damaged_file_in_the_cache_is_fetched_again(cache):
    cache.mkdir(parents=True)
    (cache / "tiny.h5").write_bytes(_CONTENT[:-1])
    with _serving(_CONTENT) as (url, hits):
        path = _fetch(_spec(url, weights_hash=_MD5[:8]))
    assert path.read_bytes() == _CONTENT
    assert len(hits) == 1


@pytest.mark.parametrize(
    ("server", "expected", "words"),
    [
        ({"content": b"<html>log in</html>"}, None, "not an HDF5 file"),
        ({"content": _CONTENT}, "00000000", "not 00000000"),
        ({"content": _CONTENT, "declared": 1 << 22}, None, "ended after"),
        ({"content": b"", "status": 404}, None, "Not Found"),
    ],
)
def test_bad_download_leaves_nothing_behind(cache, server, expected, words):
    with (
        _serving(**server) as (url, _),
        pytest.raises(errors.RunError, match=words),
    ):
        _fetch(_spec(url, weights_hash=expected))
    assert list(cache.iterdir()) == []


def test_unreachable_server_says_what_to_do(cache):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a/tiny.h5"
    with pytest.raises(errors.RunError) as caught:
        _fetch(_spec(url, weights_hash="abcd1234"))
    message = str(caught.value)
    assert url in message
    assert str(cache / "tiny.h5") in message
    assert "begins with abcd1234" in message
    assert "--weights=PATH" in message
    assert "--weights=none" in message


def test_name_server_that_hangs_is_given_up(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(imagenet_weights, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: released.wait(30) and []
    )
    begun = time.monotonic()
    try:
        with pytest.raises(errors.RunError, match="no answer within"):
            _fetch(_spec("http://weights.invalid/tiny.h5"))
    finally:
        released.set()
    assert time.monotonic() - begun < 5


def test_limits_keep_the_promise_of_thirty_seconds():
    assert imagenet_weights.CONNECT_SECONDS <= 25


def test_server_that_falls_silent_is_given_up(cache, monkeypatch):
    monkeypatch.setattr(imagenet_weights, "STALL_SECONDS", 0.3)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                connection.recv(4096)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n\x89HDF"
                )
                time.sleep(3)
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/tiny.h5"
        with pytest.raises(errors.RunError, match="timed out"):
            _fetch(_spec(url))
    assert list(cache.iterdir()) == []


def test_unwritable_cache(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(errors.RunError, match="could not be downloaded"):
        _fetch(_spec("http://127.0.0.1:9/tiny.h5"))


def test_nothing_published():
    with pytest.raises(errors.UsageError, match="no ImageNet weights"):
        _fetch(_spec(None))


@pytest.mark.parametrize(
    ("name", "size", "file"),
    [
        ("mobilenet@0.25", 224, "mobilenet_2_5_224_tf_no_top.h5"),
        ("mobilenet", 128, "mobilenet_1_0_128_tf_no_top.h5"),
        ("mobilenet@0.5", 96, "mobilenet_5_0_224_tf_no_top.h5"),
        (
            "mobilenet_v2@1.4",
            96,
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_96_no_top.h5",
        ),
        (
            "mobilenet_v2",
            300,
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        ),
        (
            "resnet50",
            64,
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ),
    ],
)
def test_address_is_that_of_keras(name, size, file):
    spec, alpha = catalog.find_spec(name)
    url = imagenet_weights.build_url(spec, alpha=alpha, image_size=size)
    assert url.rpartition("/")[2] == file
    assert "{" not in url


def test_file_that_keras_stores_under_another_name_is_found(cache):
    cache.mkdir(parents=True)
    (cache / "nasnet_mobile_no_top.h5").write_bytes(_CONTENT)
    spec = _spec(
        "http://127.0.0.1:9/nasnet/NASNet-mobile-no-top.h5", weights_hash=_MD5
    )
    assert _fetch(spec) == cache / "nasnet_mobile_no_top.h5"
