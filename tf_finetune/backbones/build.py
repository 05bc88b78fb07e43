"""Builds a backbone: preprocessing, network, declared feature maps."""

import keras

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import catalog, topology
from tf_finetune.registry import Registry

# ImageNet's mean, in the order that each kind of preprocessing uses, and for
# "torch" its standard deviation; both of RGB in 0..1 there.
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_STDDEV = (0.229, 0.224, 0.225)

_BUILDERS = Registry("backbone builder", {})


def build(name: str, *, image_size: int | None) -> backbones.Backbone:
    """Builds a backbone with random weights.

    Args:
        name: As `--backbone` takes it.
        image_size: Side of the square input, pixels; None: the backbone's own.

    Returns:
        The backbone; its model's graph is flat and takes RGB 0..255.

    Raises:
        UsageError: The name is unknown or the image too small.
    """
    spec, alpha = catalog.find(name)
    size = image_size or spec.image_size
    if size < spec.min_image_size:
        raise errors.UsageError(
            f"--image_size={size} is too small for {name}, which needs "
            f"{spec.min_image_size} at least."
        )
    images = keras.Input([size, size, 3], dtype="float32", name="images")
    builder = _BUILDERS.get(spec.builder)
    keywords = {"alpha": alpha} if spec.alphas else {}
    inner = builder(
        image_tensor=preprocessed(images, spec.preprocessing), **keywords
    )
    model = keras.Model(images, inner.outputs[0], name=spec.name)
    maps = topology.feature_maps(model)
    return backbones.Backbone(
        spec=spec,
        alpha=alpha,
        image_size=size,
        model=model,
        feature_maps=maps,
        stages=topology.stages(model, maps),
    )


def preprocessed(
    images: keras.KerasTensor, kind: backbones.Preprocessing
) -> keras.KerasTensor:
    """Puts a network's preprocessing behind RGB 0..255, in the graph.

    Args:
        images: [batch, size, size, 3] float32.
        kind: "caffe": BGR minus the mean; "tf": [-1, 1]; "torch": 0..1,
            standardised; "in_graph": the network does it itself.

    Returns:
        A tensor of the same shape. Standard Keras layers and operations only,
        so that plain Keras reads the saved model.

    Source: keras.applications.imagenet_utils.preprocess_input.
    """
    if kind == "tf":
        return keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocess")(
            images
        )
    if kind == "torch":
        scale = [1 / (255 * each) for each in _TORCH_STDDEV]
        offset = [
            -mean / stddev
            for mean, stddev in zip(_TORCH_MEAN, _TORCH_STDDEV, strict=True)
        ]
        return keras.layers.Rescaling(scale, offset, name="preprocess")(images)
    if kind == "caffe":
        offset = [-mean for mean in _CAFFE_MEAN_BGR]
        reversed_channels = keras.ops.flip(images, axis=-1)
        return keras.layers.Rescaling(1.0, offset, name="preprocess")(
            reversed_channels
        )
    return images
