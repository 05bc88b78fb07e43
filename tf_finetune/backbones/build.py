"""Builds a backbone: preprocessing, network, declared feature maps."""

import dataclasses
from collections.abc import Callable

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import catalog, topology, torch_graphs
from tf_finetune.registry import Registry

# ImageNet's mean, in the order that each kind of preprocessing uses, and for
# "torch" its standard deviation; both of RGB in 0..1 there.
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_STDDEV = (0.229, 0.224, 0.225)
_BUILDERS = Registry("backbone builder", {})


def build(
    name: str, *, image_size: int | None, preprocessing: str = "auto"
) -> backbones.Backbone:
    """Builds a backbone with random weights.

    Args:
        name: Value of `--backbone`, e.g. "resnet50" or "mobilenet_v2@0.5".
        image_size: Side of the square input, pixels; None: the size it was
            pretrained with.
        preprocessing: Scaling of its pictures in place of the spec's; "auto":
            that of the spec.

    Returns:
        A new backbone; its model takes RGB 0..255 and its graph is flat.
        Squeeze-and-excitation ("+se") is not inserted yet.

    Raises:
        UsageError: The name is unknown or the image too small.
    """
    spec, alpha = catalog.find_spec(name)
    if preprocessing != "auto":
        spec = dataclasses.replace(spec, preprocessing=preprocessing)
    return build_spec(spec, alpha=alpha, image_size=image_size)


def build_spec(
    spec: backbones.BackboneSpec, *, alpha: float | None, image_size: int | None
) -> backbones.Backbone:
    """Builds a backbone with random weights from its spec.

    Args:
        spec: Of the backbone.
        alpha: Its width; None where width is fixed.
        image_size: As for `build`.

    Raises:
        UsageError: The image is too small.
    """
    size = spec.image_size if image_size is None else image_size
    spec.check_image_size(size, spec.name_width(alpha))
    images = keras.Input([size, size, 3], dtype="float32", name="images")
    # A new model from the outer input: the graph stays flat, without a nested
    # model.
    inner = _build_network(
        spec, add_preprocessing(images, spec.preprocessing), alpha
    )
    # TensorFlow's scopes have no "+".
    name, _, _ = spec.name.partition("+")
    model = keras.Model(images, inner.outputs[0], name=name)
    if spec.torch_rules and not spec.torch_rules.keeps_layers:
        model = torch_graphs.convert_graph(model, spec.torch_rules)
    maps = topology.find_feature_maps(model)
    return backbones.Backbone(
        spec=spec,
        alpha=alpha,
        image_size=size,
        model=model,
        feature_maps=maps,
        stages=topology.find_stages(model, maps),
    )


def add_preprocessing(
    images: keras.KerasTensor, kind: backbones.Preprocessing
) -> keras.KerasTensor:
    """Adds a network's preprocessing of RGB 0..255 to a functional graph.

    Args:
        images: [batch, size, size, 3] float32.
        kind: "caffe": BGR minus the ImageNet mean; "lite": (x - 127) / 128;
            "tf": scaled to -1..1; "torch": scaled to 0..1, then standardized
            with ImageNet's mean and deviation; "in_graph": nothing, the network
            does it itself.

    Returns:
        A tensor of the same shape. Standard Keras layers and operations only,
        so that plain Keras reads the saved model.

    Source: keras.applications.imagenet_utils.preprocess_input; "lite":
        github.com/tensorflow/tpu, efficientnet/lite, MEAN_RGB and STDDEV_RGB.
    """
    if kind == "in_graph":
        return images
    if kind == "tf":
        return _rescale(images, 1 / 127.5, -1.0)
    if kind == "lite":
        return _rescale(images, 1 / 128, -127 / 128)
    if kind == "torch":
        # (x / 255 - mean) / stddev = x · scale + offset.
        scale = [1 / (255 * each) for each in _TORCH_STDDEV]
        offset = [
            -mean / stddev
            for mean, stddev in zip(_TORCH_MEAN, _TORCH_STDDEV, strict=True)
        ]
        return _rescale(images, scale, offset)
    reversed_channels = keras.ops.flip(images, axis=-1)
    return _rescale(reversed_channels, 1.0, [-mean for mean in _CAFFE_MEAN_BGR])


def _rescale(
    images: keras.KerasTensor,
    scale: float | list[float],
    offset: float | list[float],
) -> keras.KerasTensor:
    # In float32 under mixed precision too: float16 has 11 significant bits.
    return keras.layers.Rescaling(
        scale, offset, dtype="float32", name="preprocess"
    )(images)


def _build_network(
    spec: backbones.BackboneSpec,
    image_tensor: keras.KerasTensor,
    alpha: float | None,
) -> keras.Model:
    builder = _BUILDERS.get(spec.builder)
    if spec.builder.startswith("keras.applications:"):
        return _build_without_top(builder, image_tensor, alpha=alpha)
    # Builders of this package and of users.
    keywords = {"alpha": alpha} if spec.alphas else {}
    return builder(image_tensor=image_tensor, **keywords)


def _build_without_top(
    constructor: Callable[..., keras.Model],
    image_tensor: keras.KerasTensor,
    *,
    alpha: float | None,
) -> keras.Model:
    """Builds a network of keras.applications without its classifier.

    Networks that scale their own input (ConvNeXt, EfficientNet, MobileNetV3)
    do so here too, which is their default.

    Args:
        constructor: E.g. `keras.applications.ResNet50`.
        image_tensor: [batch, size, size, 3], preprocessed as it needs.
        alpha: The width; None for networks of one width.

    Returns:
        A model with random weights, from the input behind `image_tensor` to
        the last feature map [batch, height, width, channels].
    """
    keywords = {} if alpha is None else {"alpha": alpha}
    return constructor(
        include_top=False,
        weights=None,
        input_tensor=image_tensor,
        input_shape=image_tensor.shape[1:],
        **keywords,
    )
