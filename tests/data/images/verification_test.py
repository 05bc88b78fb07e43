import contextlib
import hashlib
import json
import os
import pathlib
import threading

import numpy as np
import pytest
import sample_pictures

from tf_finetune.config import picture_options
from tf_finetune.data import examples
from tf_finetune.data.images import decoding, verification


def recorded(path: pathlib.Path | str) -> examples.Picture:
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return sample_pictures.make_picture(path, "cat", digest)


@pytest.fixture
def pictures(tmp_path, picture_bytes):
    """Four files: two good ones, a truncated one and a file of text."""
    contents = {
        "good.png": picture_bytes(1),
        "good.jpg": picture_bytes(2, "JPEG"),
        "cut.jpg": picture_bytes(3, "JPEG", size=(99, 99))[:-30],
        "text.png": b"no picture",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [recorded(tmp_path / name) for name in contents]


@pytest.fixture
def decoded(monkeypatch):
    """The pictures that were decoded."""
    contents = []
    original = decoding.load_bytes

    def counting(content, square):
        contents.append(content)
        return original(content, square)

    monkeypatch.setattr(decoding, "load_bytes", counting)
    return contents


def problems(pictures, *, cache_dir, use=None, finish=lambda: None):
    return verification.decode_pictures(
        pictures,
        cache_dir=cache_dir,
        square=picture_options.Square(24),
        use=use,
        finish=finish,
    )


def names(found: dict[str, str]) -> dict[str, str]:
    return {pathlib.Path(path).name: why for path, why in found.items()}


def test_each_bad_picture_is_named_with_a_readable_reason(pictures, tmp_path):
    found = problems(pictures, cache_dir=tmp_path / "cache")
    assert names(found) == {
        "cut.jpg": "does not decode: a truncated or damaged JPEG",
        "text.png": "does not decode: it is plain text",
    }


def test_hostile_folder_loses_exactly_what_does_not_decode(
    hostile_folder, tmp_path
):
    both = hostile_folder.good | hostile_folder.bad_at_decoding
    found = problems(
        [recorded(path) for path in sorted(both)], cache_dir=tmp_path / "cache"
    )
    assert set(found) == hostile_folder.bad_at_decoding
    for path, reason in found.items():
        assert hostile_folder.bad[path] in reason


def test_odd_kinds_are_explained(tmp_path, picture_bytes):
    (tmp_path / "bits.bmp").write_bytes(picture_bytes(1, "BMP", "1"))
    (tmp_path / "moving.webp").write_bytes(
        # A header that claims an animation is enough.
        b"RIFF\x2a\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\0\0\0\0\0\0ANIM\x06\0\0\0"
        + bytes(6)
    )
    found = names(
        problems(
            [recorded(tmp_path / n) for n in ("bits.bmp", "moving.webp")],
            cache_dir=tmp_path / "cache",
        )
    )
    assert "BMP of an unusual kind" in found["bits.bmp"]
    assert "WebP" in found["moving.webp"]


def test_a_second_run_decodes_nothing(pictures, tmp_path, decoded):
    first = problems(pictures, cache_dir=tmp_path / "cache")
    assert decoded
    decoded.clear()
    second = problems(pictures, cache_dir=tmp_path / "cache")
    assert not decoded
    assert second == first


def test_equal_content_elsewhere_needs_no_decoding(pictures, tmp_path, decoded):
    problems(pictures, cache_dir=tmp_path / "cache")
    decoded.clear()
    copy = tmp_path / "copy.jpg"
    copy.write_bytes((tmp_path / "cut.jpg").read_bytes())
    found = problems([recorded(copy)], cache_dir=tmp_path / "cache")
    assert not decoded
    assert list(found) == [str(copy)]


def test_another_decoder_looks_again(pictures, tmp_path, decoded, monkeypatch):
    problems(pictures, cache_dir=tmp_path / "cache")
    decoded.clear()
    monkeypatch.setattr(decoding, "VERSION", decoding.VERSION + 1)
    problems(pictures, cache_dir=tmp_path / "cache")
    assert decoded


@pytest.mark.parametrize("known", [False, True])
def test_a_vanished_picture_is_a_reason(pictures, tmp_path, known):
    if known:
        problems(pictures, cache_dir=tmp_path / "cache")
    os.remove(pictures[0].path)
    found = problems(pictures, cache_dir=tmp_path / "cache")
    assert found[pictures[0].path].startswith("cannot be read")


def test_a_changed_picture_is_a_reason_and_leaves_no_verdict(
    pictures, tmp_path
):
    good, other = (pathlib.Path(p.path) for p in pictures[:2])
    content = good.read_bytes()
    good.write_bytes(b"something else")
    found = problems(pictures, cache_dir=tmp_path / "cache")
    assert "changed" in found[str(good)]
    assert str(other) not in found
    good.write_bytes(content)
    again = problems(pictures, cache_dir=tmp_path / "cache")
    assert str(good) not in again


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"a": 1}', b"\xff"])
def test_a_damaged_cache_is_ignored_and_replaced(pictures, tmp_path, content):
    problems(pictures, cache_dir=tmp_path / "cache")
    (store,) = (tmp_path / "cache" / "verdicts").iterdir()
    store.write_bytes(content)
    found = problems(pictures, cache_dir=tmp_path / "cache")
    assert len(found) == 2
    assert set(json.loads(store.read_text())) == {p.sha256 for p in pictures}


def test_a_cache_that_cannot_be_written_costs_time_only(pictures, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    found = problems(pictures, cache_dir=tmp_path / "cache")
    assert len(found) == 2


def test_runs_at_the_same_time_leave_a_sound_cache(pictures, tmp_path):
    cache = tmp_path / "cache"
    runs = [
        threading.Thread(
            target=problems,
            args=([picture],),
            kwargs={"cache_dir": cache},
        )
        for picture in pictures
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    (store,) = (cache / "verdicts").iterdir()
    known = json.loads(store.read_text())
    assert known.keys() <= {picture.sha256 for picture in pictures}
    assert len(problems(pictures, cache_dir=cache)) == 2


def test_no_pictures_are_no_problem(tmp_path):
    assert problems([], cache_dir=tmp_path) == {}


def test_what_was_decoded_is_handed_on_in_order(pictures, tmp_path):
    used = []
    cache = tmp_path / "cache"
    problems(pictures, cache_dir=cache, use=lambda *pair: used.append(pair))
    good = [picture for picture in pictures if "good" in picture.path]
    assert [name for name, _ in used] == [each.sha256 for each in good]
    for (_, image), picture in zip(used, good, strict=True):
        expected = decoding.load_file(picture.path, picture_options.Square(24))
        np.testing.assert_array_equal(image, expected)
    used.clear()
    problems(pictures, cache_dir=cache, use=lambda *pair: used.append(pair))
    assert not used


def test_an_interrupted_scan_hands_on_the_same_pictures_again(
    pictures, tmp_path
):
    used = []

    def interrupted():
        raise KeyboardInterrupt

    for finish in (interrupted, lambda: None):
        used.clear()
        with contextlib.suppress(KeyboardInterrupt):
            problems(
                pictures,
                cache_dir=tmp_path / "cache",
                use=lambda name, image: used.append(name),
                finish=finish,
            )
        assert used == [p.sha256 for p in pictures if "good" in p.path]
