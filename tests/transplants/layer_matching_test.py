"""Tests of the pairing of layers of networks of different depth."""

import dataclasses

import keras
import pytest

from tf_finetune import errors
from tf_finetune.transplants import layer_matching


@dataclasses.dataclass(frozen=True)
class _Spec:
    name: str = "toy"

    def name_width(self, alpha):
        return self.name


@dataclasses.dataclass(frozen=True)
class _Backbone:
    """The parts of a backbone that matching looks at."""

    model: keras.Model
    alpha: float | None = None
    spec: _Spec = _Spec()

    @property
    def feature_maps(self):
        return {32: self.model.outputs[0]}


def _build(blocks: int, *, size: int = 3) -> _Backbone:
    """A stem, residual blocks with ReLU behind their sums, and an end."""
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1, name="stem")(images)
    for number in range(blocks):
        y = keras.layers.Conv2D(4, size, padding="same", name=f"b{number}")(x)
        x = keras.layers.ReLU()(keras.layers.Add(name=f"sum{number}")([x, y]))
    return _Backbone(
        keras.Model(images, keras.layers.Conv2D(4, 1, name="end")(x))
    )


def _names(pairs) -> dict[str, str]:
    return {
        mine.name: theirs.name
        for mine, theirs in pairs.items()
        if getattr(mine, "weights", None)
    }


def test_a_segment_is_a_block_with_its_activation():
    segments = layer_matching.split_segments(_build(2).model)
    assert [[each.name for each in s][0] for s in segments] == [
        "stem", "b0", "b1", "end",
    ]  # fmt: skip
    assert layer_matching.find_shortcut(segments[1]).name == "sum0"
    assert layer_matching.find_shortcut(segments[0]) is None


def test_blocks_that_change_their_input_least_are_left_out():
    deep = _build(4)
    cosines = {"sum0": 0.5, "sum1": 0.9, "sum2": 0.8, "sum3": 0.1}
    found = layer_matching.match_layers(
        _build(2),
        deep,
        {deep.model.get_layer(name): c for name, c in cosines.items()},
    )
    assert _names(found.source_of) == {
        "stem": "stem", "b0": "b0", "b1": "b3", "end": "end",
    }  # fmt: skip
    assert [segment[0].name for segment in found.dropped] == ["b1", "b2"]


@pytest.mark.parametrize("relative", [_build(1), _build(2, size=5)])
def test_a_network_that_is_less_deep_or_of_other_kernels_is_refused(relative):
    similarities = {
        layer: 0.5
        for layer in relative.model.layers
        if isinstance(layer, keras.layers.Add)
    }
    with pytest.raises(errors.UsageError, match="same family"):
        layer_matching.match_layers(_build(2), relative, similarities)
