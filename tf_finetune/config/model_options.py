"""Options for the network of a run."""

import dataclasses
from typing import Literal

from tf_finetune import errors
from tf_finetune.config import (
    conditions,
    option_types,
    options,
    picture_options,
)
from tf_finetune.synonyms import value_synonyms as synonyms


@dataclasses.dataclass(frozen=True, kw_only=True)
class SurgeryOptions:
    """Changes of the network itself; see docs/surgery.md.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    cut_at: str | None = options.option(
        None,
        "Drop the layers above this one: a stage (stage4), a layer's name, or "
        "a pattern that one layer alone matches.",
    )
    head_layers: tuple[str, ...] = options.option(
        (),
        "Layers between the pooled features and the last one, e.g. "
        "512,relu,dropout:0.3: numbers are dense layers; batch_norm, "
        "layer_norm, or an activation by name.",
        used_by={"head": ("linear", "mlp")},
    )
    norm: Literal["keep", "instance", "group"] = options.option(
        "keep",
        "Normalization in place of the backbone's batch norms, which keeps "
        "their scale and shift.",
    )
    input_channels: int = options.option(
        3, "3: color; 1: the network gets the luminance of every picture only."
    )

    def __post_init__(self) -> None:
        if self.input_channels not in (1, 3):
            raise errors.UsageError(
                "--input_channels must be 1 (gray) or 3 (RGB), got "
                f"{self.input_channels}: picture files are decoded to RGB. For "
                "arrays of more channels see docs/surgery.md."
            )

    @property
    def changes_backbone(self) -> bool:
        """Whether any option but `head_layers`, which is the head's, is set."""
        return self != SurgeryOptions(head_layers=self.head_layers)


AdapterPrecision = Literal["float32", "float16"]

DEFAULT_LAYER_DECAY = 0.9
"""The layer decay of `--layer_decay=auto` where all layers move."""

DECODERS = ("deeplab_v3_plus", "fcn_16s", "fcn_32s", "fcn_8s", "unet")
"""Heads that output one vector of logits a pixel."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Backbone, weights, head, and the layers that train.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    task: str = options.option(
        "classification",
        "The kind of label: classification, multilabel, regression or "
        "segmentation.",
        names_part=True,
    )
    backbone: str = options.option(
        "mobilenet_v2",
        "The pretrained network, e.g. resnet50, efficientnet_b0, "
        "mobilenet@0.25; `python -m tf_finetune backbones` lists them.",
        names_part=True,
        used_by=conditions.EVERY_RUN,
    )
    weights: str = options.option(
        "imagenet",
        "imagenet, none (random), or a path: a no-top .h5, a .weights.h5, a "
        ".keras file, a PyTorch .pth or .safetensors, a folder of one with its "
        "config.json, an adapter.h5, or the workdir of an earlier run; "
        "FILE::NAME for one of several networks in a file.",
        used_by=conditions.EVERY_RUN,
    )
    preprocessing: Literal["auto", "caffe", "lite", "tf", "torch"] = (
        options.option(
            "auto",
            "How pictures are scaled for the weights of a PyTorch file, which "
            "does not tell it: torch (ImageNet's mean and deviation), tf "
            "(-1..1), caffe (blue first, minus the mean) or lite ((x - 127) / "
            "128); auto: as a config.json beside it says, else as the "
            "backbone's published files.",
            used_by=conditions.EVERY_RUN,
        )
    )
    init_from: str | None = options.option(
        None,
        "A wider or deeper network of the backbone's family that the backbone "
        "is filled from, in place of --weights: mobilenet@0.5 (its ImageNet "
        "weights), NAME=FILE, or the workdir of an earlier run.",
    )
    keep_classifier: bool = options.option(
        False,
        "Keep the classifier of the weights file, with its classes, and train "
        "nothing. --data may be left out; if given, it names pictures, "
        "without labels, on which exports are checked.",
        used_by=conditions.EVERY_RUN,
    )
    classes: Literal["new", "keep", "keep_present"] = options.option(
        "new",
        "keep: all classes of the earlier run that --weights names stay, with "
        "their weights in its head, also those without pictures, and only the "
        "others are solved; keep_present: those with pictures alone stay; new: "
        "the whole head is solved.",
        used_by={"task": ("classification",)},
    )
    class_map: tuple[str, ...] = options.option(
        (),
        "Classes of the earlier run under other names: NEW:OLD renames, "
        "NEW:OLD+OLD merges, :OLD drops.",
        used_by={"classes": ("keep", "keep_present")},
    )
    class_names: str | None = options.option(
        None,
        "The text file of the kept classifier's class names, one a line; none: "
        "those of ImageNet's 1,000 classes.",
        used_by={**conditions.EVERY_RUN, "keep_classifier": conditions.GIVEN},
    )
    image_size: int | None = options.option(
        None,
        "Side of the square input in pixels; none: the backbone's own.",
        used_by=conditions.EVERY_RUN,
    )
    resize: picture_options.Resize = options.option(
        "squash",
        "How a picture becomes square: squash ignores its shape, crop keeps "
        "the middle, pad adds black.",
        used_by=conditions.EVERY_RUN,
    )
    head: str = options.option(
        "auto",
        "The new head: linear or mlp; for segmentation fcn_32s, fcn_16s, "
        "fcn_8s, deeplab_v3_plus or unet; auto: linear or deeplab_v3_plus.",
        names_part=True,
        known_parts=("linear", "mlp", *DECODERS),
    )
    head_units: int = options.option(
        256,
        "Width of the mlp head's layer, or of a decoder's widest layers.",
        used_by={"head": ("mlp", *DECODERS)},
    )
    output_stride: int = options.option(
        16,
        "The backbone's last feature map has this stride at "
        "most (8, 16 or 32); smaller is finer and slower.",
        used_by={"head": ("deeplab_v3_plus",)},
    )
    dropout: float = options.option(0.0, "Dropout before the last layer.")
    l2: float = options.option(
        0.0, "L2 penalty on the head's kernels while fine-tuning."
    )
    target_range: tuple[float, ...] = options.option(
        (),
        "LOW,HIGH that bound every prediction, e.g. 0,100 or "
        "0,inf; a target outside is an error.",
        used_by={"task": ("regression",)},
    )
    adaptation: str = options.option(
        "freeze",
        "How fine-tuning changes the backbone: freeze trains the layers of "
        "--trainable and keeps the others as pretrained; lora, norm, bias and "
        "scale_shift train a few new numbers instead, e.g. lora+norm. With "
        "--stages it is the method of the stages called adapter.",
        used_by=conditions.FINE_TUNING,
        names_part=True,
        known_parts=("freeze", "lora", "norm", "bias", "scale_shift"),
    )
    adapter_rank: int = options.option(
        4,
        "Rank of the change of a kernel; 2 at most for depthwise kernels.",
        used_by={**conditions.FINE_TUNING, "adaptation": ("lora",)},
    )
    adapter_layers: tuple[str, ...] = options.option(
        ("auto",),
        "Kernels within --trainable that lora changes: auto (all), 1x1 (with "
        "dense layers), depthwise, or layer patterns (comma-separated).",
        used_by={**conditions.FINE_TUNING, "adaptation": ("lora",)},
    )
    adapter_precision: AdapterPrecision = options.option(
        "float32",
        "Numbers in adapter.h5: float16 halves the file and rounds them.",
        used_by={
            **conditions.FINE_TUNING,
            "adaptation": ("lora", "norm", "bias", "scale_shift"),
        },
    )
    trainable: tuple[str, ...] = options.option(
        ("top",),
        "Layers that fine-tuning trains or adapts: head, top (the last stage), "
        "all, or layer patterns such as conv5* (comma-separated; the head "
        "always trains).",
        used_by={**conditions.FINE_TUNING, "stages": conditions.NOT_GIVEN},
        in_recipe=True,
    )
    layer_decay: float | Literal["auto"] = options.option(
        "auto",
        "Learning rate of the backbone's layers by depth: it falls towards the "
        "input by this factor per layer of a network of 27 layers, so that the "
        "first layer of any network has this to the power 27 (0.9: 0.058). "
        "1: one rate; auto: 0.9 with --trainable=all and in stages of all, "
        "except with --weights=none, else 1.",
        used_by={**conditions.FINE_TUNING, "adaptation": ("freeze",)},
        in_recipe=True,
    )
    freeze_batch_norm: bool = options.option(
        True,
        "Keep batch-norm layers of the backbone as they were pretrained.",
        used_by={**conditions.FINE_TUNING, "adaptation": ("freeze",)},
    )
    pixels: picture_options.PixelOptions = options.group(
        picture_options.PixelOptions, "pixels"
    )
    surgery: SurgeryOptions = options.group(SurgeryOptions, "surgery")

    def __post_init__(self) -> None:
        option_types.require_range(self, "image_size", at_least=8)
        option_types.require_range(self, "head_units", at_least=1)
        if (stride := self.output_stride) not in (8, 16, 32):
            raise errors.UsageError(
                f"--output_stride must be 8, 16 or 32, got {stride}."
            )
        option_types.require_range(self, "dropout", at_least=0, below=1)
        option_types.require_range(self, "l2", at_least=0)
        option_types.require_range(self, "adapter_rank", at_least=1)
        option_types.require_value(
            self, "adapter_layers", "auto, 1x1, depthwise or layer patterns."
        )
        option_types.require_range(self, "layer_decay", above=0, at_most=1)
        _check_target_range(self.target_range)
        option_types.require_value(
            self, "trainable", "head, top, all or layer patterns."
        )
        _check_trainable(self.trainable)

    def make_square(self, image_size: int) -> picture_options.Square:
        """Returns the square of this side that pictures are decoded into."""
        return picture_options.Square(image_size, self.resize, self.pixels)

    @property
    def trains_head_only(self) -> bool:
        """Whether fine-tuning trains the head only (`--trainable=head`)."""
        return self.adaptation == "freeze" and set(self.trainable) == {"head"}

    @property
    def keeps_classes(self) -> bool:
        """Whether the head takes over classes of an earlier run."""
        return self.classes != "new"

    @property
    def moves_all_layers(self) -> bool:
        """Whether fine-tuning trains all layers themselves, not adapters."""
        return self.adaptation == "freeze" and "all" in self.trainable

    @property
    def effective_layer_decay(self) -> float:
        """The layer decay in effect; "auto" becomes 0.9 or 1."""
        if self.layer_decay != "auto":
            return self.layer_decay
        # Random weights have no early layers that are worth keeping.
        decays = self.moves_all_layers and self.weights != "none"
        return DEFAULT_LAYER_DECAY if decays else 1.0


def _check_trainable(patterns: tuple[str, ...]) -> None:
    """Raises `UsageError` for a word that other packages use."""
    for each in patterns:
        if each in ("head", "top", "all"):
            continue
        if advice := synonyms.find_advice("trainable", each):
            raise errors.UsageError(f"Unknown --trainable={each}. {advice}")


def _check_target_range(bounds: tuple[float, ...]) -> None:
    if bounds and not (len(bounds) == 2 and bounds[0] < bounds[1]):
        shown = ",".join(f"{each:g}" for each in bounds)
        raise errors.UsageError(
            f"--target_range must be LOW,HIGH with LOW below HIGH, got {shown}."
        )
