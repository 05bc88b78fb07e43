"""Dilation: a finer last feature map from the same weights.

Strides beyond the output stride become 1, and later kernels are dilated (atrous
convolution) to keep their receptive field. Where the original network has
values, the dilated one computes the same.

Source: Chen et al. 2018, "DeepLab: Semantic Image Segmentation with Deep
Convolutional Nets, Atrous Convolution, and Fully Connected CRFs", section 3.1.
"""

import dataclasses
from collections.abc import Mapping

import keras

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import topology

_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _LayerChange:
    """Change of one layer: its stride and its dilation rate.

    Attributes:
        loses_stride: Whether its stride becomes 1.
        rate: Pixels of its input between pretrained neighbors.
    """

    loses_stride: bool
    rate: int


def dilate_backbone(
    backbone: backbones.Backbone, output_stride: int
) -> backbones.Backbone:
    """Builds a copy of a backbone with a finer last feature map.

    Strides beyond `output_stride` become 1 and later kernels are dilated.

    Args:
        backbone: The backbone, with its weights; it is left unchanged.
        output_stride: Input pixels per pixel of the new last feature map, a
            power of two.

    Returns:
        A backbone with layers of the same names and weights, whose stages hold
        the same layers; `backbone` itself if its stride is no larger.

    Raises:
        UsageError: A layer cannot be dilated.
    """
    if max(backbone.feature_maps) <= output_stride:
        return backbone
    places = _find_changes(backbone.model, output_stride)
    _check_poolings(backbone, places, output_stride)
    model = _rebuild_model(backbone.model, places)
    _check_sizes(backbone, model, output_stride)
    return dataclasses.replace(
        backbone,
        model=model,
        feature_maps=topology.find_feature_maps(model),
        stages=tuple(
            dataclasses.replace(each, stride=min(each.stride, output_stride))
            for each in backbone.stages
        ),
    )


def _find_changes(
    model: keras.Model, output_stride: int
) -> dict[str, _LayerChange]:
    """Computes the change of each operation, by its name."""
    strides: dict[int, int] = {}
    rates: dict[int, int] = {}
    places = {}
    for operation in model.operations:
        before = [id(each) for each in topology.list_inputs(operation)]
        stride = max((strides[each] for each in before), default=1)
        rate = max((rates[each] for each in before), default=1)
        factor = topology.get_stride_factor(operation)
        loses = factor > 1 and stride * factor > output_stride
        places[operation.name] = _LayerChange(loses_stride=loses, rate=rate)
        made = id(operation.output)
        # A stride that is dropped multiplies the dilation of all later layers.
        strides[made] = stride if loses else stride * factor
        rates[made] = rate * factor if loses else rate
    return places


def _check_poolings(
    backbone: backbones.Backbone,
    places: Mapping[str, _LayerChange],
    output_stride: int,
) -> None:
    for layer in backbone.model.layers:
        place = places[layer.name]
        is_pooling = isinstance(layer, _POOLINGS)
        if is_pooling and place.rate > 1 and max(layer.pool_size) > 1:
            raise _make_error(
                backbone,
                output_stride,
                f"its layer {layer.name} pools {layer.pool_size[0]} "
                "neighbors, which Keras cannot do over gaps",
            )


def _check_sizes(
    backbone: backbones.Backbone, model: keras.Model, output_stride: int
) -> None:
    """Checks that the last map is as large as the original of its stride."""
    side = backbone.feature_maps[output_stride].shape[1]
    # One pixel of difference comes from rounding at odd sizes.
    if abs(model.output_shape[1] - side) > 1:
        raise _make_error(
            backbone,
            output_stride,
            f"its last map would have {model.output_shape[1]} pixels a side "
            f"instead of {side}",
        )


def _make_error(
    backbone: backbones.Backbone, output_stride: int, why: str
) -> errors.UsageError:
    finest = max(backbone.feature_maps)
    return errors.UsageError(
        f"--output_stride={output_stride} is not possible with "
        f"{backbone.spec.name}: {why}. Try a larger one (its own is "
        f"{finest}), another backbone (resnet50, mobilenet_v2 and "
        "efficientnet_b0 take 8 and 16), or a head that needs no dilation "
        "(fcn_8s, unet)."
    )


def _rebuild_model(
    model: keras.Model, places: Mapping[str, _LayerChange]
) -> keras.Model:
    consumers = _find_consumers(model)

    def rebuild(layer: keras.Layer) -> keras.Layer:
        place = places[layer.name]
        if isinstance(layer, keras.layers.ZeroPadding2D):
            return _adapt_padding(layer, consumers.get(layer.name, []), places)
        return _change_layer(layer, place)

    made = keras.models.clone_model(model, clone_function=rebuild)
    made.set_weights(model.get_weights())
    return made


def _find_consumers(model: keras.Model) -> dict[str, list[keras.Operation]]:
    """Maps each operation's name to the operations that take its output."""
    makers = {id(each.output): each.name for each in model.operations}
    found: dict[str, list[keras.Operation]] = {}
    for operation in model.operations:
        for tensor in topology.list_inputs(operation):
            found.setdefault(makers[id(tensor)], []).append(operation)
    return found


def _change_layer(layer: keras.Layer, place: _LayerChange) -> keras.Layer:
    """Copies a layer, without its stride or with a larger dilation rate."""
    config = layer.get_config()
    if isinstance(layer, keras.Model):
        return _change_sequence(layer, place)
    if isinstance(layer, _CONVOLUTIONS):
        if place.loses_stride:
            config["strides"] = (1, 1)
            # Kernels of even size (ConvNeXt) have no center: Keras pads them.
            if max(layer.kernel_size) % 2 == 0:
                config["padding"] = "same"
        # Atrous convolution: y[i] = Σ x[i + rate · k] · w[k] (Chen et al.,
        # equation 1).
        config["dilation_rate"] = tuple(
            each * place.rate for each in layer.dilation_rate
        )
    elif isinstance(layer, _POOLINGS) and place.loses_stride:
        config["strides"] = (1, 1)
        # Windows of even size have no center either.
        if max(layer.pool_size) % 2 == 0:
            config["padding"] = "same"
    return type(layer).from_config(config)


def _change_sequence(model: keras.Model, place: _LayerChange) -> keras.Model:
    """Changes the layers of a nested chain (ConvNeXt's downsamplings)."""
    layers = []
    for layer in model.layers:
        loses_stride = (
            place.loses_stride and topology.get_stride_factor(layer) > 1
        )
        layers.append(
            _change_layer(
                layer, _LayerChange(loses_stride=loses_stride, rate=place.rate)
            )
        )
    return keras.Sequential(layers, name=model.name)


def _adapt_padding(
    layer: keras.layers.ZeroPadding2D,
    consumers: list[keras.Operation],
    places: Mapping[str, _LayerChange],
) -> keras.Layer:
    """Adapts zero padding to the changed layer that follows it."""
    config = layer.get_config()
    for consumer in consumers:
        place = places[consumer.name]
        if not isinstance(consumer, (*_CONVOLUTIONS, *_POOLINGS)):
            continue
        if place.loses_stride:
            # Uneven padding (0 before, 1 after) belongs to the stride: without
            # it "same" padding is rate · (kernel - 1) / 2 on both sides.
            sides = [
                place.rate * (side - 1) // 2 for side in _get_window(consumer)
            ]
            config["padding"] = tuple((side, side) for side in sides)
        elif place.rate > 1:
            config["padding"] = tuple(
                tuple(place.rate * each for each in side)
                for side in layer.padding
            )
    return type(layer).from_config(config)


def _get_window(layer: keras.Layer) -> tuple[int, ...]:
    if isinstance(layer, _POOLINGS):
        return layer.pool_size
    return layer.kernel_size
