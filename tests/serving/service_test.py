"""Tests of tf_finetune/serving/service.py on a small SavedModel."""

import asyncio
import base64
import concurrent.futures
import contextlib
import io
import json
import threading
import time

import numpy as np
import pytest
from PIL import Image

from tf_finetune.serving import (
    batching,
    failures,
    served_model,
    service,
    service_lookup,
    tensor_info,
)
from tf_finetune.serving.web import rest_api


def test_the_empty_name_is_the_default_signature(served):
    text = np.array([b"abc"], dtype=object)
    outputs = served.predict("", {"text": text})
    np.testing.assert_array_equal(outputs["length"], [3])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "takes the inputs a, b, got none"),
        ({"a": np.zeros([1, 2], "f4")}, "got a"),
        (
            {"a": np.zeros([1, 2]), "b": np.zeros([1, 2], "f4")},
            "'a' must be float32, got float64",
        ),
        (
            {"a": np.zeros([1, 3], "f4"), "b": np.zeros([1, 2], "f4")},
            r"shape \[\?, 2\], got \[1, 3\]",
        ),
        (
            {"a": np.zeros([2, 2], "f4"), "b": np.zeros([1, 2], "f4")},
            "differ in their number of rows",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(served, inputs, words):
    with pytest.raises(failures.RequestError, match=words) as error:
        served.predict("sums", inputs)
    assert error.value.status == 400


def test_more_rows_than_a_batch_come_back_in_order(served):
    rows = np.arange(40, dtype="float32").reshape(20, 2)
    outputs = served.predict("sums", {"a": rows, "b": rows})
    np.testing.assert_array_equal(outputs["sum"], 2 * rows)


def test_no_rows_are_answered_with_none(served):
    outputs = served.predict("", {"text": np.empty([0], object)})
    assert outputs["length"].shape == (0,)


def test_pictures_too_large_together_are_computed_in_turn(served, monkeypatch):
    rows = []
    run = served._batcher._run
    monkeypatch.setattr(
        served._batcher,
        "_run",
        lambda name, inputs: (
            rows.append(len(inputs["text"])) or run(name, inputs)
        ),
    )
    text = np.array([_picture(20, 20), b"abc", _picture(25, 25)], dtype=object)
    outputs = served.predict("", {"text": text})
    np.testing.assert_array_equal(outputs["length"], [*map(len, text)])
    assert rows == [2, 1]  # 400 pixels, and 625; 1000 are allowed.


def _picture(width, height):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "png")
    return stream.getvalue()


def test_another_model_or_version_is_a_404(served):
    for version in (None, 3):
        found = service_lookup.find_service([served], "small", version)
        assert found is served
    for name, version in (("large", None), ("small", 2)):
        with pytest.raises(failures.RequestError, match="not found") as error:
            service_lookup.find_service([served], name, version)
        assert error.value.status == 404


class Masks:
    """A model that fills masks up to the largest picture, as exports do."""

    name, version, labels, columns = "masks", 1, (), {}

    def __init__(self):
        self.shapes = []
        self.entered, self.allowed = threading.Event(), threading.Event()
        self.allowed.set()
        texts = tensor_info.TensorInfo("image_bytes", np.dtype(object), (None,))
        masks = tensor_info.TensorInfo(
            "masks", np.dtype("int32"), (None, None, None)
        )
        pixels = tensor_info.TensorInfo(
            "pixels", np.dtype("float32"), (None, 64, 64, 4)
        )
        self._signatures = {
            name: served_model.Signature(name, (texts,), (outputs,))
            for name, outputs in (
                ("serving_default", masks),
                ("pixels", pixels),
            )
        }

    def signature(self, name):
        return self._signatures[name]

    def get_definitions_json(self):
        return {}

    def run(self, name, inputs):
        self.entered.set()
        assert self.allowed.wait(30)
        rows = len(inputs["image_bytes"])
        if name == "pixels":
            return {"pixels": np.zeros([rows, 64, 64, 4], "float32")}
        sizes = [Image.open(io.BytesIO(e)).size for e in inputs["image_bytes"]]
        width, height = np.max(sizes, axis=0)
        self.shapes.append((rows, height, width))
        return {"masks": np.zeros([rows, height, width], "int32")}


@pytest.fixture
def filling():
    """A service of such a model; an answer may have 1 MB."""
    limits = batching.BatchLimits(
        max_batch_size=32,
        max_delay_seconds=0.0,
        max_queued_rows=256,
        max_batch_weight=10**6,
    )
    made = service.Service(
        Masks(), limits, max_pixels=10**6, max_answer_bytes=1 << 20
    )
    yield made
    made.close()


def _pictures(*sizes):
    rows = np.empty(len(sizes), object)
    rows[:] = [_picture(*size) for size in sizes]
    return {"image_bytes": rows}


@pytest.mark.parametrize(
    "sizes",
    [
        # 8 kB of request, 41 MB of masks.
        [(8, 8)] * 40 + [(500, 500)],
        # Hardly a pixel each, and together 16 million.
        [(2000, 1), (1, 2000)],
        # They may stand once they are upright.
        [(2000, 1), (2000, 1)],
        [(600, 600)],
    ],
)
def test_a_small_request_for_a_huge_answer_is_refused(filling, sizes):
    with pytest.raises(failures.RequestError, match="--max_answer_m") as error:
        filling.predict("", _pictures(*sizes))
    assert error.value.status == 413
    assert filling.model.shapes == []


def test_what_fits_is_answered(filling):
    for sizes in ([(512, 512)], [(2000, 100)], [(8, 8)] * 40 + [(70, 79)]):
        found = filling.predict("", _pictures(*sizes))["masks"]
        assert len(found) == len(sizes)
    assert filling.model.shapes[:2] == [(1, 512, 512), (1, 100, 2000)]


def test_nobodys_masks_are_filled_up_to_somebody_elses_picture(filling):
    filling.model.allowed.clear()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(filling.predict, "", _pictures((1, 1)))]
        assert filling.model.entered.wait(30)
        for size in ((8, 8), (300, 200)):
            futures.append(pool.submit(filling.predict, "", _pictures(size)))
        until = time.monotonic() + 30
        while len(filling._batcher._waiting) < 2:
            assert time.monotonic() < until
        filling.model.allowed.set()
    assert futures[1].result()["masks"].shape == (1, 8, 8)
    assert futures[2].result()["masks"].shape == (1, 200, 300)


def test_many_tiny_pictures_may_not_ask_for_all_pixels_of_the_model(filling):
    # 16,384 numbers of 4 bytes each.
    assert len(filling.predict("pixels", _pictures(*[(1, 1)] * 16))["pixels"])
    with pytest.raises(failures.RequestError, match="1114112 bytes"):
        filling.predict("pixels", _pictures(*[(1, 1)] * 17))


def test_answers_count_until_they_have_gone(filling):
    large = _pictures((512, 512))
    with contextlib.ExitStack() as ends:
        for _ in range(4):
            filling.predict("", large, ends)
        with pytest.raises(failures.RequestError, match="at once") as error:
            filling.predict("", large)
        assert error.value.status == 503
    for _ in range(6):
        filling.predict("", large)


async def _send(response):
    async def send(message):
        pass

    await response({"type": "http"}, None, send)


def test_an_answer_over_rest_counts_until_it_was_sent(filling):
    api = rest_api.RestApi([filling])
    content = base64.b64encode(_picture(512, 512)).decode()
    body = json.dumps({"instances": [{"b64": content}]}).encode()
    asked = ("POST", "/v1/models/masks:predict", body)
    unsent = [api.answer(*asked) for _ in range(4)]
    assert [each.status_code for each in unsent] == [200] * 4
    assert api.answer(*asked).status_code == 503
    asyncio.run(_send(unsent[0]))
    assert api.answer(*asked).status_code == 200
