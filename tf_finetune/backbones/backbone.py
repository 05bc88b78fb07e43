"""Data classes of a backbone: its facts, its stages, and a built network."""

import dataclasses
from typing import TYPE_CHECKING, Literal

from tf_finetune import errors

if TYPE_CHECKING:
    import keras

Preprocessing = Literal["caffe", "lite", "tf", "torch", "in_graph"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightsPackage:
    """ImageNet weights that a Python package contains as a file.

    Attributes:
        distribution: Name of the package for pip.
        module: Its top-level module, which is found and never imported.
        file: Path of the weights file in the module's folder.
        sha256: SHA-256 of that file, hexadecimal.
    """

    distribution: str
    module: str
    file: str
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TorchRules:
    """Differences of torchvision's graph from that of keras.applications.

    Attributes:
        preprocessing: Scaling that torchvision's published weights need.
        epsilon: Of its batch norms; None: as in Keras.
        momentum: Of its batch norms, in Keras' sense: 1 minus PyTorch's.
        pads_both_sides: Strided convolutions pad k//2 on both sides.
        strides_in_3x3: The blocks of a ResNet stride in their 3x3 convolution.
        drops_biases: Convolutions have no biases.
        norms_scale: Batch norms have gamma.
        pools_padding: Average pooling counts the zeros that it pads with.
        keeps_layers: No layer differs, only the preprocessing.
    """

    preprocessing: Preprocessing = "torch"
    epsilon: float | None = None
    momentum: float = 0.9
    pads_both_sides: bool = False
    strides_in_3x3: bool = False
    drops_biases: bool = False
    norms_scale: bool = False
    pools_padding: bool = False
    keeps_layers: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """Description of a backbone, readable without importing TensorFlow.

    Attributes:
        name: Name in `--backbone`, e.g. "mobilenet_v2".
        builder: "package.module:function"; called with `image_tensor` (a
            float32 KerasTensor [batch, size, size, 3], preprocessed) and, if
            the spec has alphas, `alpha`; returns a `keras.Model` from the
            graph's input to the last feature map. A constructor of Keras' own,
            "keras.applications:ResNet50", is called in its own manner.
        image_size: Side of the square input it was pretrained with, pixels.
        min_image_size: The smallest side it can be built with, pixels.
        preprocessing: Scaling that is put before it so that it takes RGB 0..255
            (see `build.add_preprocessing`); "in_graph": none, it scales its
            input itself.
        alphas: Available width multipliers, e.g. (0.25, 0.5, 1.0) for
            "mobilenet@0.25"; empty where the width is fixed.
        weights_url: URL of the no-top ImageNet weights, with {alpha}, {tenths}
            or {size} where the file depends on them; None where none are
            published for Keras.
        weights_hash: First hexadecimal digits of that file's MD5 or SHA-256;
            None where no hash is published.
        weights_package: Package that contains its ImageNet weights, in place of
            a URL; None where there is no such package.
        bundled_weights: Pairs (name for `--weights`, file name in
            backbones/assets/).
        squeeze_excite: Whether squeeze-and-excitation blocks are requested
            ("resnet50+se"); surgery inserts them into the pretrained network.
        normalizes_pooled: Whether its own classifier normalizes the pooled last
            feature map before the dense layer, as ConvNeXt's does.
        torch_rules: Of the graph that torchvision has ("resnet50+torch"); None
            for the graph of the builder.
    """

    name: str
    builder: str
    image_size: int
    min_image_size: int
    preprocessing: Preprocessing
    alphas: tuple[float, ...] = ()
    weights_url: str | None = None
    weights_hash: str | None = None
    weights_package: WeightsPackage | None = None
    bundled_weights: tuple[tuple[str, str], ...] = ()
    squeeze_excite: bool = False
    normalizes_pooled: bool = False
    torch_rules: TorchRules | None = None

    @property
    def has_imagenet_weights(self) -> bool:
        """Whether `--weights=imagenet` is possible."""
        return self.weights_url is not None or self.weights_package is not None

    def name_width(self, alpha: float | None) -> str:
        """Returns the name as `--backbone` takes it, "mobilenet@0.25".

        Args:
            alpha: Width multiplier; None where the width is fixed.
        """
        return self.name if alpha is None else f"{self.name}@{alpha:g}"

    def check_image_size(self, size: int, name: str | None = None) -> None:
        """Raises `UsageError` for images that are too small for the network.

        Args:
            size: Side of the images, pixels.
            name: Name of the network in the message, with its width if it has
                one; None: `name` of the spec.
        """
        if size < self.min_image_size:
            raise errors.UsageError(
                f"--image_size={size} is too small for {name or self.name}, "
                f"which needs {self.min_image_size} at least."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """Consecutive layers of a backbone that end in one feature map.

    Attributes:
        name: "stage1" … "stage5", counted from the input.
        stride: Input pixels per pixel of the feature map at its end.
        layer_names: Names of its layers, in topological order.
    """

    name: str
    stride: int
    layer_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone:
    """Backbone as a Keras model, with its feature maps and stages.

    Attributes:
        spec: Its description.
        alpha: Width multiplier it was built with; None where width is fixed.
        image_size: Side of the input it was built with, pixels.
        model: [batch, image_size, image_size, 3] RGB 0..255 float32 → the last
            feature map [batch, height, width, channels] (3: unless surgery has
            made it take arrays of other channels). The graph is flat:
            preprocessing and every layer are layers of this one model.
        feature_maps: By stride, the feature map as a tensor of the graph.
        stages: The stages; every layer of `model` is in exactly one.
    """

    spec: BackboneSpec
    alpha: float | None
    image_size: int
    model: "keras.Model"
    feature_maps: dict[int, "keras.KerasTensor"]
    stages: tuple[Stage, ...]
