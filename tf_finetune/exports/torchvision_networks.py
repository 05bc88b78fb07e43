"""Networks of torchvision that a run's network can be exported to.

Source: github.com/pytorch/vision, torchvision/models (0.28).
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import catalog, torch_rules
from tf_finetune.config import model_options

Activation = Literal["none", "relu", "hard_swish"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """Network of torchvision that computes the features of a backbone.

    Attributes:
        name: Name for `torchvision.models.get_model`.
        arguments: Its further arguments beside the number of classes.
        dense: Names of the classifier's dense modules in the state dict, such
            as "classifier.0", in order; all but the last are hidden.
        hidden_units: Width of the hidden dense layers; 0 without any.
        activation: Activation behind each hidden dense layer; "none" without
            such layers.
        grid: The feature map is average-pooled to [grid, grid] in front of the
            classifier.
        epsilon: Epsilon of its batch norms; None: that of the backbone.
    """

    name: str
    dense: tuple[str, ...]
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    hidden_units: int = 0
    activation: Activation = "none"
    grid: int = 1
    epsilon: float | None = None


# Auxiliary classifiers exist in training only, and have no weights here.
_WITHOUT_AUXILIARY = {"aux_logits": False, "init_weights": False}
_TABLE: tuple[tuple[str, dict[str, Any]], ...] = (
    (r"resnet(?:18|34|50|101|152)", {"dense": ("fc",)}),
    (
        r"googlenet|inception_v3",
        {"dense": ("fc",), "arguments": _WITHOUT_AUXILIARY},
    ),
    (r"densenet(?:121|169|201)", {"dense": ("classifier",)}),
    (r"mobilenet_v2|efficientnet_b[0-7]", {"dense": ("classifier.1",)}),
    (
        r"mobilenet_v3_small",
        {
            "dense": ("classifier.0", "classifier.3"),
            "hidden_units": 1024,
            "activation": "hard_swish",
        },
    ),
    (
        r"mobilenet_v3_large",
        {
            "dense": ("classifier.0", "classifier.3"),
            "hidden_units": 1280,
            "activation": "hard_swish",
        },
    ),
    (
        r"vgg1[69]",
        {
            "dense": ("classifier.0", "classifier.3", "classifier.6"),
            "hidden_units": 4096,
            "activation": "relu",
            "grid": 7,
        },
    ),
    (
        r"alexnet",
        {
            "dense": ("classifier.1", "classifier.4", "classifier.6"),
            "hidden_units": 4096,
            "activation": "relu",
            "grid": 6,
        },
    ),
)
_INSTEAD = "Use --format=onnx or --format=keras."


def find_network(options: model_options.ModelOptions, head: str) -> Network:
    """Finds the network of torchvision that equals a run's network.

    Args:
        options: Options that the run's network was built from.
        head: Name of its head; `options.head` may be "auto".

    Returns:
        The network, whose backbone has the same graph.

    Raises:
        UsageError: torchvision has no such network, or none with this graph,
            head or surgery.
    """
    _check_changes(options, head)
    spec, _ = catalog.find_spec(options.backbone)
    base = spec.name.partition("+")[0]
    if spec.normalizes_pooled:
        raise errors.UsageError(
            f"--format=torch: {spec.name} normalizes its feature map and then "
            "pools it, as Keras does; torchvision's network pools first, which "
            f"is another function. {_INSTEAD}"
        )
    for pattern, facts in _TABLE:
        if re.fullmatch(pattern, base):
            epsilon = _check_graph(spec, base)
            return Network(name=base, epsilon=epsilon, **facts)
    raise errors.UsageError(
        f"--format=torch: torchvision has no network {spec.name!r}. {_INSTEAD}"
    )


def _check_graph(spec: backbones.BackboneSpec, base: str) -> float | None:
    """Returns an epsilon that differs; raises `UsageError` for other graphs."""
    rules = torch_rules.RULES.get(base)
    if spec.torch_rules is not None or rules is None:
        return None
    plain = dataclasses.replace(
        rules, preprocessing="torch", momentum=0.9, keeps_layers=False
    )
    # Another epsilon alone can be made up for by the variances (DenseNet).
    if dataclasses.replace(plain, epsilon=None) != backbones.TorchRules():
        raise errors.UsageError(
            f"--format=torch: the graph of {spec.name} is Keras' own, and "
            "torchvision's network of that name computes something else with "
            f"the same weights. Runs of --backbone={base}+torch, which start "
            f"from PyTorch weights, can be exported to torch. {_INSTEAD}"
        )
    return rules.epsilon


def _check_changes(options: model_options.ModelOptions, head: str) -> None:
    """Raises `UsageError` for layers that torchvision's networks lack."""
    usual, surgery = model_options.SurgeryOptions(), options.surgery
    changed = [
        f"--{field.name}"
        for field in dataclasses.fields(surgery)
        if getattr(surgery, field.name) != getattr(usual, field.name)
    ]
    if options.backbone.endswith("+se"):
        changed.append(f"--backbone={options.backbone}")
    if head != "linear":
        changed.append(f"--head={head}")
    if changed:
        raise errors.UsageError(
            f"--format=torch: the run has {', '.join(changed)}, and "
            "torchvision's networks have no such layers; they take a linear "
            f"head on the pooled features. {_INSTEAD}"
        )
