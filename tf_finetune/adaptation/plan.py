"""The plan: a table of trainable parameters, saved before training."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import keras

from tf_finetune.adaptation import method
from tf_finetune.model.assembly import Assembly


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the plan: a stage of the backbone, or the head.

    Attributes:
        group: A stage of the backbone, or "head".
        layers: The first and the last of its layers that have weights.
        parameters: Their count, batch-norm statistics included.
        trainable: How many are trained, those that the method adds included.
        learning_rate_factor: Times the run's learning rate; 0 where nothing is
            trained.
    """

    group: str
    layers: str
    parameters: int
    trainable: int
    learning_rate_factor: float


def make_rows(assembly: Assembly, adapted: method.Adapted) -> list[Row]:
    """Returns a row for each stage of the backbone and one for the head."""
    backbone = assembly.backbone
    table = [
        _make_row(
            stage.name,
            [backbone.model.get_layer(name) for name in stage.layer_names],
            adapted.trained,
        )
        for stage in backbone.stages
    ]
    head = [assembly.head.get_layer(name) for name in assembly.head_layers]
    trained = {layer.name: layer.trainable_variables for layer in head}
    return [*table, _make_row("head", head, trained)]


def format_table(table: list[Row]) -> str:
    """Returns the table as plain text, at most 80 columns wide."""
    heading = (
        f"{'group':<8} {'layers':<35} {'parameters':>12} "
        f"{'trainable':>11} {'rate':>5}"
    )
    lines = [heading, "-" * len(heading)]
    for row in table:
        lines.append(
            f"{row.group:<8} {_shorten(row.layers, 35):<35} "
            f"{row.parameters:>12,} {row.trainable:>11,} "
            f"{f'×{row.learning_rate_factor:g}':>5}"
        )
    lines.append("-" * len(heading))
    lines.append(
        f"{'all':<8} {'':<35} {sum(r.parameters for r in table):>12,} "
        f"{sum(r.trainable for r in table):>11,}"
    )
    return "\n".join(lines)


def _make_row(
    group: str,
    layers: list[keras.Layer],
    trained: Mapping[str, Sequence[keras.Variable]],
) -> Row:
    weighted = [layer for layer in layers if layer.weights]
    # First and last layer; a dash for a stage without weights.
    ends = [weighted[0].name, weighted[-1].name] if weighted else ["–"]
    trainable = sum(
        math.prod(variable.shape)
        for layer in layers
        for variable in trained.get(layer.name, ())
    )
    return Row(
        group=group,
        layers=" … ".join(dict.fromkeys(ends)),
        parameters=sum(layer.count_params() for layer in weighted),
        trainable=trainable,
        learning_rate_factor=1.0 if trainable else 0.0,
    )


def _shorten(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"
