"""Tests of tf_finetune/feature_cache/keys.py."""

import keras
import numpy as np

from tf_finetune.backbones import build
from tf_finetune.config import model_options
from tf_finetune.feature_cache import keys

_SIZE = {"image_size": 16, "resize": "squash"}

_BLACK = model_options.PixelOptions(background="black")
_SCALED = model_options.PixelOptions(pixel_range=(0, 4095))

_KEY = (
    "import keras\n"
    "from tf_finetune.backbones import build\n"
    "from tf_finetune.feature_cache import keys\n"
    "{before}"
    "keras.utils.set_random_seed(0)\n"
    "model = build.build('mobilenet_v3_small', image_size=32).model\n"
    "print(keys.hash_network(model, image_size=32, resize='squash'))\n"
)


def _extractor(seed: int = 0, rate: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    base = build.build("small_cnn", image_size=16).model
    pooled = keras.layers.GlobalAveragePooling2D()(base.outputs[0])
    return keras.Model(base.inputs[0], keras.layers.Dropout(rate)(pooled))


def test_the_key_is_the_same_for_the_same_network_anywhere(start, tmp_path):
    found = set()
    for before in (
        "",
        "build.build('mobilenet_v3_small', image_size=32)\n",
    ):
        code = _KEY.format(before=before)
        done = start(["-c", code], tmp_path).wait(timeout=300)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


def test_the_key_differs_for_whatever_changes_what_comes_out(monkeypatch):
    model = _extractor()
    pooling = model.layers[-2]
    found = [
        keys.hash_network(model, **_SIZE),
        keys.hash_network(_extractor(seed=1), **_SIZE),
        keys.hash_network(_extractor(rate=0.1), **_SIZE),
        keys.hash_network(model, image_size=17, resize="squash"),
        keys.hash_network(model, image_size=16, resize="crop"),
        keys.hash_network(model, **_SIZE, pixels=_BLACK),
        keys.hash_network(model, **_SIZE, pixels=_SCALED),
        keys.hash_network(
            keras.Model(model.inputs[0], [model.outputs[0], pooling.output]),
            **_SIZE,
        ),
    ]
    changed = _extractor()
    kernel = changed.get_layer("stem_conv").kernel
    value = np.array(kernel)
    value[0, 0, 0, 0] += 1e-6
    kernel.assign(value)
    found.append(keys.hash_network(changed, **_SIZE))
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "other kernels")
    found.append(keys.hash_network(model, **_SIZE))
    monkeypatch.undo()
    assert len(set(found)) == len(found)
    assert keys.hash_network(_extractor(), **_SIZE) == found[0]
