"""Tests of tf_finetune/training/features.py."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from tf_finetune import files
from tf_finetune.backbones import build
from tf_finetune.data import examples, pipeline
from tf_finetune.training import feature_store, features

_SIZE = {"image_size": 16, "resize": "squash"}

_KEY = (
    "import keras\n"
    "from tf_finetune.backbones import build\n"
    "from tf_finetune.training import features\n"
    "{before}"
    "keras.utils.set_random_seed(0)\n"
    "model = build.build('mobilenet_v3_small', image_size=32).model\n"
    "print(features.key(model, image_size=32, resize='squash'))\n"
)


def _extractor(seed: int = 0, rate: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    base = build.build("small_cnn", image_size=16).model
    pooled = keras.layers.GlobalAveragePooling2D()(base.outputs[0])
    return keras.Model(base.inputs[0], keras.layers.Dropout(rate)(pooled))


@pytest.fixture
def pictures(tmp_path) -> list[examples.Picture]:
    found = []
    for number in range(7):
        path = tmp_path / f"{number}.png"
        colour = (30 * (number % 6), 100, 200)
        Image.new("RGB", (20, 16), colour).save(path)
        found.append(
            examples.Picture(
                path=str(path),
                label="x",
                sha256=files.sha256(path),
                width=20,
                height=16,
            )
        )
    return found


def _extract(extractor, pictures, store, batch_size=2) -> np.ndarray:
    return features.extract(
        extractor, pictures, batch_size=batch_size, store=store, **_SIZE
    )


def test_features_are_the_models_in_the_order_of_the_pictures(
    pictures, tmp_path
):
    extractor = _extractor()
    store = feature_store.Store(tmp_path / "s", width=96)
    found = _extract(extractor, pictures, store)
    images = np.stack(
        [
            np.asarray(Image.open(p.path).resize((16, 16)), "float32")
            for p in pictures
        ]
    )
    expected = extractor.predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[0], found[6])  # The same colour.


def test_only_unknown_contents_are_computed_each_once(
    pictures, tmp_path, monkeypatch
):
    asked = []
    real = pipeline.evaluation_images

    def spy(paths, **keywords):
        asked.append(list(paths))
        return real(paths, **keywords)

    monkeypatch.setattr(pipeline, "evaluation_images", spy)
    store = feature_store.Store(tmp_path / "s", width=96)
    first = _extract(_extractor(), pictures[:3], store)
    again = _extract(_extractor(), [*pictures, pictures[1]], store)
    assert [len(paths) for paths in asked] == [3, 3]
    np.testing.assert_array_equal(again[:3], first)
    np.testing.assert_array_equal(again[7], first[1])
    _extract(_extractor(), pictures, store)
    assert len(asked) == 2


def test_a_killed_pass_goes_on_where_it_stopped(
    pictures, tmp_path, monkeypatch
):
    monkeypatch.setattr(features, "_BATCHES_PER_SHARD", 1)
    real = pipeline.evaluation_images
    seen = []

    def dies(paths, **keywords):
        for number, batch in enumerate(real(paths, **keywords)):
            if number == 2:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(pipeline, "evaluation_images", dies)
    store = feature_store.Store(tmp_path / "s", width=96)
    with pytest.raises(KeyboardInterrupt):
        _extract(_extractor(), pictures[:6], store)

    def counts(paths, **keywords):
        seen.extend(paths)
        return real(paths, **keywords)

    monkeypatch.setattr(pipeline, "evaluation_images", counts)
    found = _extract(_extractor(), pictures[:6], store)
    assert seen == [p.path for p in pictures[4:6]]
    other = feature_store.Store(tmp_path / "t", width=96)
    np.testing.assert_allclose(
        found, _extract(_extractor(), pictures[:6], other), rtol=1e-5
    )


def test_the_key_is_the_same_for_the_same_network_anywhere():
    keys = set()
    for before in ("", "build.build('mobilenet_v3_small', image_size=32)\n"):
        done = subprocess.run(
            [sys.executable, "-c", _KEY.format(before=before)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        keys.add(done.stdout)
    assert len(keys) == 1


def test_the_key_differs_for_whatever_changes_features():
    keys = [
        features.key(_extractor(), **_SIZE),
        features.key(_extractor(seed=1), **_SIZE),
        features.key(_extractor(rate=0.1), **_SIZE),
        features.key(_extractor(), image_size=17, resize="squash"),
        features.key(_extractor(), image_size=16, resize="crop"),
    ]
    changed = _extractor()
    kernel = changed.get_layer("stem_conv").kernel
    value = np.array(kernel)
    value[0, 0, 0, 0] += 1e-6
    kernel.assign(value)
    keys.append(features.key(changed, **_SIZE))
    assert len(set(keys)) == len(keys)
    assert features.key(_extractor(), **_SIZE) == keys[0]
