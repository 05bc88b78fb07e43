"""Registry of adaptation methods by name (`method.Method`), and their sums."""

from tf_finetune import errors, registry
from tf_finetune.config import model_options
from tf_finetune.weights import weights_source

METHODS = registry.Registry(
    "adaptation method",
    {
        "freeze": "tf_finetune.adaptation.freeze:adapt",
        "lora": "tf_finetune.adaptation.adapters:adapt",
        "norm": "tf_finetune.adaptation.adapters:adapt",
        "bias": "tf_finetune.adaptation.adapters:adapt",
        "scale_shift": "tf_finetune.adaptation.adapters:adapt",
    },
)

ADAPTERS = registry.Registry(
    "adapter",
    {
        "lora": "tf_finetune.adaptation.lora:adapt_layer",
        "norm": "tf_finetune.adaptation.norm:adapt_layer",
        "bias": "tf_finetune.adaptation.bias:adapt_layer",
        "scale_shift": "tf_finetune.adaptation.scale_shift:adapt_layer",
    },
)
"""Adapters, which `+` joins, in the order in which `list_adapters` has them."""

# Of these one may be chosen: they say the same about a normalization layer.
_OF_NORMS = ("norm", "bias", "scale_shift")

# Peak learning rate as a multiple of an optimizer's default for pretrained
# weights: 2e-3 and 3e-3 with Adam's 1e-3. Adapters begin at no change at all.
_RATE_FACTORS = {"lora": 2.0, "norm": 3.0, "bias": 3.0, "scale_shift": 3.0}


def list_adapters(adaptation: str) -> tuple[str, ...]:
    """Lists the adapters of a value of `--adaptation`.

    Args:
        adaptation: The value, such as "lora+norm".

    Returns:
        Names in the order in which they are applied, `lora` first; empty for
        `freeze` and a method of the user's own.
    """
    named = adaptation.split("+")
    if any(each not in ADAPTERS.names() for each in named):
        return ()
    order = ("lora", *_OF_NORMS)
    return tuple(sorted({*named}, key=order.index))


def find_rate_factor(adaptation: str) -> float:
    """Returns the factor that multiplies the optimizer's default rate.

    Args:
        adaptation: Value of `--adaptation`. Of adapters joined by "+" the
            smallest factor counts; `freeze`, and a method of the user's own,
            have 1.
    """
    found = list_adapters(adaptation)
    return min((_RATE_FACTORS[each] for each in found), default=1.0)


def check_options(options: model_options.ModelOptions) -> None:
    """Checks `--adaptation` and the layers for it, without importing Keras.

    Raises:
        UsageError: A name is unknown, adapters cannot be joined, no layer of
            the backbone is left to adapt, or an adapter of `--weights` cannot
            be used.
        RunError: That file is damaged.
    """
    named = options.adaptation.split("+")
    if len(named) > 1 and ":" not in options.adaptation:
        _check_sum(options.adaptation, named)
    else:
        METHODS.check(options.adaptation)
    if weights_source.is_adapter(options.backbone, options.weights):
        from tf_finetune.adaptation import adapter_file  # Reads HDF5 files.

        adapter_file.check_weights(options)
    if list_adapters(options.adaptation) and {*options.trainable} == {"head"}:
        raise errors.UsageError(
            f"--adaptation={options.adaptation} adapts layers of the backbone, "
            "and --trainable=head names none. Choose --trainable=top, all or "
            "layer patterns, or leave --adaptation out."
        )


def _check_sum(adaptation: str, named: list[str]) -> None:
    for each in named:
        if each == "freeze":
            raise errors.UsageError(
                f"--adaptation={adaptation}: freeze trains the layers "
                "themselves and is not joined with adapters. Possible are "
                f"{', '.join(ADAPTERS.names())}."
            )
        ADAPTERS.check(each)
    if len({*named}) < len(named):
        raise errors.UsageError(
            f"--adaptation={adaptation} names an adapter twice. Name each once."
        )
    twice = [each for each in named if each in _OF_NORMS]
    if len(twice) > 1:
        raise errors.UsageError(
            f"--adaptation={adaptation}: {' and '.join(twice)} change the same "
            "weights of a normalization layer. Choose one of them, with lora "
            "or without."
        )
