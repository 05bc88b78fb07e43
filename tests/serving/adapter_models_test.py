"""Two adapters on one backbone, served: their answers and their memory."""

import base64
import io
import json
import urllib.request

import numpy as np
import pytest
from adaptation import adapter_cases as cases
from PIL import Image

import tf_finetune
from tf_finetune import errors
from tf_finetune.adaptation import adapter_file, composition
from tf_finetune.serving import adapter_files, adapter_models

_SIGNATURES = {"serving_default", "serve_array", "embed", "classify"}


@pytest.fixture(scope="module")
def saved():
    """Adapters of other words, numbers and classes."""
    first, second = cases.draw_adapter(0), cases.draw_adapter(1)
    names = {**second.facts, "class_names": ["x", "y", "z"]}
    return {
        "first": first,
        "second": adapter_file.SavedAdapter(
            facts=names, numbers=second.numbers, head=second.head
        ),
        "third": cases.draw_adapter(2, adaptation="bias", trainable="top"),
    }


@pytest.fixture(scope="module")
def models(saved):
    found = adapter_files.AdapterSet(saved=saved, weights="none")
    return adapter_models.build_models(found)


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, [2, 16, 16, 3]).astype("float32")


def _merge(saved):
    built = composition.build_adapted(saved, "none")
    composition.load_numbers(saved, built).merge()
    return built


def test_each_model_gives_the_answers_of_its_merged_network(
    models, saved, images
):
    for model in models:
        assert {*model.signatures} == _SIGNATURES
        assert list(model.labels) == saved[model.name].facts["class_names"]
        found = model.run("serve_array", {"images": images})
        expected = np.asarray(_merge(saved[model.name]).model(images))
        np.testing.assert_allclose(
            found["probabilities"], expected, rtol=0, atol=1e-5
        )
    first, second, _ = models
    one, other = (
        each.run("serve_array", {"images": images})["probabilities"]
        for each in (first, second)
    )
    assert np.abs(one - other).max() > 0.01


def test_the_weights_of_the_backbone_are_held_once(models, saved):
    built = cases.build_network(cases.choose_options())
    backbone = sum(4 * np.size(each) for each in built.backbone.model.weights)
    added = {
        name: sum(4 * each.size for each in [*one.numbers.values(), *one.head])
        for name, one in saved.items()
    }
    whole = adapter_models.count_bytes(models)
    assert whole == backbone + sum(added.values())
    for model in models:
        alone = adapter_models.count_bytes([model])
        assert alone == backbone + added[model.name]


def test_other_weights_than_those_of_the_base_are_refused(saved):
    found = adapter_files.AdapterSet(
        saved={"first": saved["first"]}, weights="digits"
    )
    with pytest.raises(errors.RunError, match="its base has the fingerprint"):
        adapter_models.build_models(found)


def test_a_decision_that_is_none_of_the_task_is_one_sentence(saved):
    facts = {**saved["first"].facts, "decision": {"thresholds": 3}}
    facts["model"] = {**facts["model"], "task": "multilabel"}
    broken = adapter_file.SavedAdapter(
        facts=facts, numbers=saved["first"].numbers, head=saved["first"].head
    )
    found = adapter_files.AdapterSet(saved={"a": broken}, weights="none")
    with pytest.raises(errors.RunError, match="a cannot be served as multi"):
        adapter_models.build_models(found)


@pytest.fixture(scope="module")
def address(saved, tmp_path_factory):
    """A server of the first two, from their files."""
    folder = tmp_path_factory.mktemp("served")
    for name in ("first", "second"):
        adapter_file.write(folder / f"{name}.h5", saved[name], "float32")
    with tf_finetune.start_server(
        adapters=[str(folder / "first.h5"), f"b={folder / 'second.h5'}"],
        port=0,
        grpc_port=None,
        max_queue=8,
        report=lambda text: None,
    ) as server:
        assert server.address.endswith("/v1/models/first")
        yield server.address.partition("/v1/")[0]


def _get(url: str, body=None):
    """Returns the status and the text of an answer."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _encode(image) -> dict[str, str]:
    stream = io.BytesIO()
    Image.fromarray(image.astype("uint8")).save(stream, "png")
    return {"b64": base64.b64encode(stream.getvalue()).decode()}


def test_models_have_addresses_labels_and_pages_of_their_own(
    address, saved, images
):
    images = np.floor(images)
    for name, key in (("first", "first"), ("b", "second")):
        status, text = _get(
            f"{address}/v1/models/{name}:predict",
            {"instances": [_encode(each) for each in images]},
        )
        assert status == 200, text
        rows = json.loads(text)["predictions"]
        expected = np.asarray(_merge(saved[key]).model(images))
        np.testing.assert_allclose(
            [each["probabilities"] for each in rows], expected, atol=1e-5
        )
        labels = saved[key].facts["class_names"]
        best = [labels[i] for i in expected.argmax(axis=1)]
        assert [each["classes"] for each in rows] == best
        _, text = _get(f"{address}/models/{name}/labels")
        assert json.loads(text) == labels
        _, text = _get(f"{address}/v1/models/{name}")
        assert json.loads(text)["model_version_status"][0]["version"] == "1"
        _, text = _get(f"{address}/v1/models/{name}/metadata")
        described = json.loads(text)
        assert described["model_spec"]["name"] == name
        signatures = described["metadata"]["signature_def"]["signature_def"]
        assert {*signatures} == _SIGNATURES
        assert signatures["classify"]["method_name"].endswith("classify")
        _, page = _get(f"{address}/models/{name}")
        assert f'<meta name="model" content="{name}">' in page
        assert f'content="/models/{name}/labels"' in page
    _, page = _get(address + "/")
    assert '<a href="/models/first">' in page
    assert '<a href="/models/b">' in page


def test_unknown_models_and_large_requests_are_refused(address, images):
    status, text = _get(f"{address}/v1/models/second")
    assert status == 404
    assert "This server has first, version 1; b, version 1." in text
    many = {"instances": [_encode(images[0])] * 9}
    status, text = _get(f"{address}/v1/models/b:predict", many)
    assert status == 413
    assert "8 instances at most" in text
