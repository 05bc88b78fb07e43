"""A backbone whose last feature map is finer, with the same weights.

Where the network would go on at a coarser stride it stays, and the kernels
after that reach as far as before: their pixels lie apart (atrous convolution).
At the places where the original network has values it computes the same.

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
class _Place:
    """Where a layer stands.

    Attributes:
        loses_stride: Whether its stride becomes 1.
        rate: Pixels between neighbours of its input, as pretrained.
    """

    loses_stride: bool
    rate: int


def dilated(
    backbone: backbones.Backbone, output_stride: int
) -> backbones.Backbone:
    """Builds the backbone again, with no stride beyond `output_stride`.

    Args:
        backbone: As built; it stays as it is.
        output_stride: Of the last feature map, a power of two.

    Returns:
        A backbone of the same layers by name, with the same weights. Its
        stages hold the same layers; those that were coarser have this stride.
        The backbone itself if it is not coarser.

    Raises:
        UsageError: A layer on the way does not allow it.
    """
    if max(backbone.feature_maps) <= output_stride:
        return backbone
    places = _places(backbone.model, output_stride)
    _check(backbone, places, output_stride)
    model = _rebuilt(backbone.model, places)
    _check_sizes(backbone, model, output_stride)
    return dataclasses.replace(
        backbone,
        model=model,
        feature_maps=topology.feature_maps(model),
        stages=tuple(
            dataclasses.replace(each, stride=min(each.stride, output_stride))
            for each in backbone.stages
        ),
    )


def _places(model: keras.Model, output_stride: int) -> dict[str, _Place]:
    """Returns where each operation stands, by its name."""
    strides: dict[int, int] = {}
    rates: dict[int, int] = {}
    places = {}
    for operation in model.operations:
        before = [id(each) for each in topology.inputs_of(operation)]
        stride = max((strides[each] for each in before), default=1)
        rate = max((rates[each] for each in before), default=1)
        factor = topology.factor(operation)
        loses = factor > 1 and stride * factor > output_stride
        places[operation.name] = _Place(loses_stride=loses, rate=rate)
        made = id(operation.output)
        strides[made] = stride if loses else stride * factor
        rates[made] = rate * factor if loses else rate
    return places


def _check(
    backbone: backbones.Backbone,
    places: Mapping[str, _Place],
    output_stride: int,
) -> None:
    for layer in backbone.model.layers:
        place = places[layer.name]
        is_pooling = isinstance(layer, _POOLINGS)
        if is_pooling and place.rate > 1 and max(layer.pool_size) > 1:
            raise _impossible(
                backbone,
                output_stride,
                f"its layer {layer.name} pools {layer.pool_size[0]} "
                "neighbours, which Keras cannot do over gaps",
            )


def _check_sizes(
    backbone: backbones.Backbone, model: keras.Model, output_stride: int
) -> None:
    """Checks that the map is as large as the one it stands beside."""
    side = backbone.feature_maps[output_stride].shape[1]
    if abs(model.output_shape[1] - side) > 1:
        raise _impossible(
            backbone,
            output_stride,
            f"its last map would have {model.output_shape[1]} pixels a side "
            f"instead of {side}",
        )


def _impossible(
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


def _rebuilt(model: keras.Model, places: Mapping[str, _Place]) -> keras.Model:
    consumers = _consumers(model)

    def rebuild(layer: keras.Layer) -> keras.Layer:
        place = places[layer.name]
        if isinstance(layer, keras.layers.ZeroPadding2D):
            return _padding(layer, consumers.get(layer.name, []), places)
        return _changed(layer, place)

    made = keras.models.clone_model(model, clone_function=rebuild)
    made.set_weights(model.get_weights())
    return made


def _consumers(model: keras.Model) -> dict[str, list[keras.Operation]]:
    """Returns which operations take in what each operation makes."""
    makers = {id(each.output): each.name for each in model.operations}
    found: dict[str, list[keras.Operation]] = {}
    for operation in model.operations:
        for tensor in topology.inputs_of(operation):
            found.setdefault(makers[id(tensor)], []).append(operation)
    return found


def _changed(layer: keras.Layer, place: _Place) -> keras.Layer:
    """Returns a new layer, without stride or with wider gaps."""
    config = layer.get_config()
    if isinstance(layer, keras.Model):
        return _changed_sequence(layer, place)
    if isinstance(layer, _CONVOLUTIONS):
        if place.loses_stride:
            config["strides"] = (1, 1)
            # Windows of an even side (ConvNeXt) have no middle to pad about.
            if max(layer.kernel_size) % 2 == 0:
                config["padding"] = "same"
        config["dilation_rate"] = tuple(
            each * place.rate for each in layer.dilation_rate
        )
    elif isinstance(layer, _POOLINGS) and place.loses_stride:
        config["strides"] = (1, 1)
        if max(layer.pool_size) % 2 == 0:
            config["padding"] = "same"
    return type(layer).from_config(config)


def _changed_sequence(model: keras.Model, place: _Place) -> keras.Model:
    """Changes the layers of a nested chain (ConvNeXt's downsamplings)."""

    layers = []
    for layer in model.layers:
        loses_stride = place.loses_stride and topology.factor(layer) > 1
        layers.append(
            _changed(layer, _Place(loses_stride=loses_stride, rate=place.rate))
        )
    return keras.Sequential(layers, name=model.name)


def _padding(
    layer: keras.layers.ZeroPadding2D,
    consumers: list[keras.Operation],
    places: Mapping[str, _Place],
) -> keras.Layer:
    """Returns padding that keeps the map's size with what lies behind it."""
    config = layer.get_config()
    for consumer in consumers:
        place = places[consumer.name]
        if not isinstance(consumer, (*_CONVOLUTIONS, *_POOLINGS)):
            continue
        if place.loses_stride:
            # It may have been uneven (0 before, 1 after) for the stride.
            sides = [place.rate * (side - 1) // 2 for side in _window(consumer)]
            config["padding"] = tuple((side, side) for side in sides)
        elif place.rate > 1:
            config["padding"] = tuple(
                tuple(place.rate * each for each in side)
                for side in layer.padding
            )
    return type(layer).from_config(config)


def _window(layer: keras.Layer) -> tuple[int, ...]:
    if isinstance(layer, _POOLINGS):
        return layer.pool_size
    return layer.kernel_size
