"""The quickstart's backbone and the weights that lie beside it."""

import importlib.resources

import numpy as np
import pytest

from tf_finetune.backbones import build, catalog


@pytest.mark.parametrize("size", [16, 32, 45])
def test_any_size_from_16_on(size):
    backbone = build.build("small_cnn", image_size=size)
    assert list(backbone.feature_maps) == [2, 4, 8]
    assert backbone.model.output.shape == (
        None,
        -(-size // 8),
        -(-size // 8),
        96,
    )


def test_it_is_small():
    # Kernels of k * k * in * out and 4 numbers a channel of batch norm; a
    # block has two convolutions of 3x3 and a projection of 1x1.
    stem = 9 * 3 * 24 + 4 * 24
    blocks = [
        (9 + 1) * before * after + 9 * after * after + 3 * 4 * after
        for before, after in [(24, 24), (24, 48), (48, 96)]
    ]
    model = build.build("small_cnn", image_size=32).model
    assert model.count_params() == stem + sum(blocks) < 200_000


def test_the_bundled_weights_fit():
    spec, _ = catalog.find_spec("small_cnn")
    file = dict(spec.bundled_weights)["digits"]
    folder = importlib.resources.files("tf_finetune.backbones") / "assets"
    model = build.build("small_cnn", image_size=32).model
    before = model.get_weights()
    with importlib.resources.as_file(folder / file) as path:
        assert path.stat().st_size < 1_000_000
        model.load_weights(path)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.all(np.isfinite(new))
        assert not np.array_equal(old, new)
