"""Options that change the backbone itself."""

import dataclasses
from typing import Literal

from tf_finetune import errors
from tf_finetune.config import options


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
        """Whether layers of the backbone are removed or replaced."""
        return self != SurgeryOptions(head_layers=self.head_layers)
