"""Adaptation method: the weights that fine-tuning trains, and their table."""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import keras

from tf_finetune.adaptation import catalog
from tf_finetune.config import model_options
from tf_finetune.model import assembly
from tf_finetune.model.assembly import Assembly
from tf_finetune.tasks import task as task_contract
from tf_finetune.weights import weights_source

if TYPE_CHECKING:
    from tf_finetune.adaptation import carrier


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapted:
    """Backbone that an adaptation method has prepared for fine-tuning.

    The head is trained with every method and is not part of it.

    Attributes:
        trained: Variables that fine-tuning trains, by the backbone layer that
            they change and in the order of the graph: the layer's own, or
            variables that the method adds. The freeze boundary lies below the
            first of these layers; empty where the backbone is frozen.
        learning_rate_factors: Factor of the learning rate of all variables of a
            layer of `trained`, by its name; layers that are missing have 1, as
            the head has.
        batch_norms: Names of those layers that update batch statistics.
        description: Line of the plan about this method.
        build_trainer: Builds the model that `fit` trains from a network of the
            assembly's layers: all of it, the part above the freeze boundary, or
            one with further outputs. Inputs and outputs are those of the
            network; the trainable variables are those of `trained` and the
            head's. Called before `compile`, in the scope of the strategy.
        merge: Writes the result of training into the network's own layers,
            after which added variables change nothing, as before training.
            Saved and exported models have plain Keras layers for this reason.
        adapter: Changes that a small file can hold beside the pretrained
            network; None where the network's own weights train.
    """

    trained: Mapping[str, Sequence[keras.Variable]]
    learning_rate_factors: Mapping[str, float] = dataclasses.field(
        default_factory=dict
    )
    batch_norms: Sequence[str] = ()
    description: str
    build_trainer: Callable[[keras.Model], keras.Model]
    merge: Callable[[], None]
    adapter: "carrier.Adapter | None" = None


class Method(Protocol):
    """Adaptation method: a function of network and options → `Adapted`.

    Methods are registered in `catalog.METHODS`.
    """

    def __call__(
        self, built: assembly.Assembly, options: model_options.ModelOptions
    ) -> Adapted:
        """Prepares a network for fine-tuning; its output stays the same.

        Args:
            built: The pretrained backbone under its head. Variables that the
                method adds are made here, in the scope of the strategy.
            options: Options of the model, those of the method among them.

        Returns:
            The variables that train, and functions to build and merge the
            model.

        Raises:
            UsageError: The options leave the method nothing to train.
        """


def get_method(adaptation: str) -> Method:
    """Imports and returns the method of a value of `--adaptation`.

    Args:
        adaptation: A name in `catalog.METHODS`, names of adapters joined by
            "+", which are one method, or "package.module:attribute".

    Raises:
        UsageError: The name is unknown.
    """
    is_sum = "+" in adaptation and ":" not in adaptation
    name = adaptation.partition("+")[0] if is_sum else adaptation
    return catalog.METHODS.get(name)


def build_model(
    options: model_options.ModelOptions,
    task: task_contract.Task,
    names: Sequence[str],
    seed: int,
    *,
    weights: str,
) -> assembly.Assembly:
    """Builds a network with pretrained weights or those that an adapter makes.

    Args:
        options: Options of the network.
        task: The task.
        names: Names of the model's outputs.
        seed: Seed of the random weights.
        weights: As `--weights` takes them; an adapter file only where it is
            that of `options`.

    Returns:
        A new assembly, whose head has random weights.

    Raises:
        UsageError: A name is unknown, or the weights are those of another
            network.
        RunError: The weights cannot be read or matched.
    """
    if weights_source.is_adapter(options.backbone, weights):
        from tf_finetune.adaptation import composition  # Only for adapters.

        return composition.build_model(options, task, names, seed)
    return assembly.build_model(options, task, names, seed, weights=weights)


def set_trainable(built: assembly.Assembly, names: Collection[str]) -> None:
    """Sets `trainable` of every layer of a network, in place.

    It takes effect at the next `compile`. A batch-norm layer with `trainable =
    False` runs in inference mode and its statistics stay; calling it with
    `training=False` alone would not keep them (Keras before 3.16 overwrites
    that argument in `fit`).

    Args:
        built: The network.
        names: Backbone layers whose own weights train; all others are frozen.
            The layers of the head always train.
    """
    moving = {*names, *built.head_layers}
    for layer in built.trainer.layers:
        layer.trainable = layer.name in moving


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanRow:
    """One line of the plan: a stage of the backbone, or the head.

    Attributes:
        group: Name of a stage, or "head".
        layers: Names of the first and the last of its layers with weights.
        parameters: Number of its weights, batch-norm statistics included.
        trainable: Number of weights that train, those that the method adds
            included.
        learning_rate_factor: Largest factor of the run's learning rate among
            its layers that train; 0 where nothing is trained.
        lowest_rate_factor: The smallest of these factors.
    """

    group: str
    layers: str
    parameters: int
    trainable: int
    learning_rate_factor: float
    lowest_rate_factor: float


def make_plan_rows(assembly: Assembly, adapted: Adapted) -> list[PlanRow]:
    """Counts the weights of each stage of the backbone and of the head.

    Args:
        assembly: The network.
        adapted: The layers that train.

    Returns:
        One line of the plan per stage, from the input on, then one for the
        head.
    """
    backbone = assembly.backbone
    table = [
        _make_row(
            stage.name,
            [backbone.model.get_layer(name) for name in stage.layer_names],
            adapted.trained,
            adapted.learning_rate_factors,
        )
        for stage in backbone.stages
    ]
    head = [assembly.head.get_layer(name) for name in assembly.head_layers]
    trained = {layer.name: layer.trainable_variables for layer in head}
    return [*table, _make_row("head", head, trained, {})]


def format_plan_table(table: list[PlanRow]) -> str:
    """Formats the plan's rows as plain text, at most 80 columns wide."""
    heading = (
        f"{'group':<8} {'layers':<33} {'parameters':>12} "
        f"{'trainable':>11} {'rate':>12}"
    )
    lines = [heading, "-" * len(heading)]
    for row in table:
        lines.append(
            f"{row.group:<8} {_shorten(row.layers, 33):<33} "
            f"{row.parameters:>12,} {row.trainable:>11,} "
            f"{_format_factors(row):>12}"
        )
    lines.append("-" * len(heading))
    lines.append(
        f"{'all':<8} {'':<33} {sum(r.parameters for r in table):>12,} "
        f"{sum(r.trainable for r in table):>11,}"
    )
    return "\n".join(lines)


def _make_row(
    group: str,
    layers: list[keras.Layer],
    trained: Mapping[str, Sequence[keras.Variable]],
    factors: Mapping[str, float],
) -> PlanRow:
    weighted = [layer for layer in layers if layer.weights]
    # First and last layer; a dash for a stage without weights.
    ends = [weighted[0].name, weighted[-1].name] if weighted else ["–"]
    trainable = sum(
        math.prod(variable.shape)
        for layer in layers
        for variable in trained.get(layer.name, ())
    )
    rates = [
        factors.get(layer.name, 1.0)
        for layer in layers
        if trained.get(layer.name)
    ]
    return PlanRow(
        group=group,
        layers=" … ".join(dict.fromkeys(ends)),
        parameters=sum(layer.count_params() for layer in weighted),
        trainable=trainable,
        learning_rate_factor=max(rates, default=0.0),
        lowest_rate_factor=min(rates, default=0.0),
    )


def _format_factors(row: PlanRow) -> str:
    """Formats the factors of a row, "×1" or "×0.058–0.12"."""
    low, high = (
        f"{row.lowest_rate_factor:.2g}",
        f"{row.learning_rate_factor:.2g}",
    )
    return f"×{high}" if low == high else f"×{low}–{high}"


def _shorten(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"
