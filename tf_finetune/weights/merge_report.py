"""Reports on merging a file's weights into a model."""

import dataclasses
from collections.abc import Mapping, Sequence

from tf_finetune.weights import layer_matching

_SHOWN = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mismatch:
    """Layer of the same name in model and file, with other shapes.

    Attributes:
        name: The layer's name.
        model: Shapes of the model's variables.
        file: Shapes of the file's arrays.
    """

    name: str
    model: layer_matching.Shapes
    file: layer_matching.Shapes

    def __str__(self) -> str:
        for model, file in zip(self.model, self.file, strict=False):
            if model != file:
                return f"{self.name} (model {model}, file {file})"
        return (
            f"{self.name} (model {len(self.model)} arrays, file "
            f"{len(self.file)})"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MergeReport:
    """Result of a merge of a file's weights into a model.

    Attributes:
        matched: Layers of the model that took their weights from the file.
        by_order: Layers in `matched` that were found by order, not by name.
        missing: Layers of the model that the file does not hold.
        unused: Layers of the file that the model does not have.
        mismatched: Layers whose shapes differ; they keep the model's values.
        prefix: The part of the file that matches the model; "" for all of it.
        share: Matched share of the parameters in the model's kernels, 0..1;
            None where the model has no kernels.
        deeper: Layers in `unused` with kernels larger than 1x1. A classifier's
            top has none: the file is probably that of a deeper network, and
            its weights do not belong here.
        notes: Conversions that make the model compute the same as the file's
            network, as whole sentences.
        paths: Path in the file by name of the model's layer, if matched.
    """

    matched: tuple[str, ...]
    by_order: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    prefix: str
    share: float | None = None
    deeper: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    paths: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every layer of the model took its weights from the file."""
        return not (self.missing or self.mismatched)

    @property
    def clean(self) -> bool:
        """Whether the merge is complete and `deeper` is empty."""
        return self.complete and not self.deeper

    def summary(self) -> str:
        """Describes the merge in one line for the log.

        Returns:
            Numbers of layers for each attribute, with the first names.
        """
        total = len(self.matched) + len(self.missing) + len(self.mismatched)
        first = f"{len(self.matched)} of {total} layers took their weights"
        if self.share is not None:
            first += f" ({format_share(self.share)} of the kernels' parameters)"
        if self.by_order:
            first += f", {len(self.by_order)} of them by order"
        if self.prefix not in ("", "layers"):
            first += f", from {self.prefix!r} in the file"
        lines = [first]
        for words, names in (
            ("not in the file", self.missing),
            ("other shapes", [str(each) for each in self.mismatched]),
            ("without a place in the network", self.unused),
        ):
            if names:
                lines.append(f"{words} ({len(names)}): {join_names(names)}")
        if self.deeper:
            lines.append(
                f"{self.deeper[0]} is not part of a top: is the file that of a "
                "deeper network?"
            )
        return "; ".join(lines)


def format_share(share: float) -> str:
    """Formats a share in 0..1 as percent; only 1 becomes "100 %"."""
    percent = 100 * share
    if 99.5 <= percent < 100:
        return f"{min(percent, 99.9):.1f} %"
    return f"{percent:.0f} %"


def join_names(names: Sequence[object], *, shown: int = _SHOWN) -> str:
    """Joins names with commas: "a, b and 3 more".

    Args:
        names: Objects whose text is joined.
        shown: The number of names before "and … more".
    """
    text = ", ".join(str(name) for name in names[:shown])
    more = len(names) - shown
    return f"{text} and {more} more" if more > 0 else text
