"""Options for training: epochs, optimizer, loss, augmentation, devices."""

import dataclasses
from typing import Literal

from tf_finetune.config import conditions, model_options, option_types, options

Augmentation = Literal["none", "light", "medium", "strong"]
ClassWeight = Literal["none", "balanced", "effective_number"]
Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]
Strategy = Literal[
    "auto", "one_device", "mirrored", "multi_worker", "tpu", "parameter_server"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Optimization of the weights, and the devices that do it.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    epochs: int = options.option(
        10,
        "Most passes of the fine-tuning stage; 0: the probe alone.",
        used_by={**conditions.FINE_TUNING, "stages": conditions.NOT_GIVEN},
        in_recipe=True,
    )
    stages: tuple[str, ...] = options.option(
        (),
        "Fine-tune in several stages, in place of --trainable and --epochs: "
        "head,top:3,all:7@1e-4 solves the head, trains the layers of top for 3 "
        "epochs, then all for 7 at that peak learning rate; + joins layers. An "
        "adapter in place of layers (adapter:8, the one of --adaptation or "
        "else lora; lora+norm:8; lora/top:8 in some layers) is merged when its "
        "stage ends.",
    )
    batch_size: int | Literal["auto"] = options.option(
        32,
        "Pictures per step, all replicas; auto: the largest power of two up "
        "to 256 that fits into memory, found by trying, and a default "
        "learning rate is scaled with it.",
    )
    head_epochs: int | None = options.option(
        None,
        "Passes over the frozen network's feature maps in which a decoder is "
        "trained before fine-tuning; other heads are solved. By default 20, "
        "more where those are less than 100 steps.",
        used_by={"head": model_options.DECODERS},
    )
    head_init: Literal["probe", "random"] = options.option(
        "probe",
        "Fine-tuning starts from the solved head (Kumar et al. 2022) or, as "
        "the classic recipes do, from a random one.",
        used_by=conditions.FINE_TUNING,
    )
    head_start_strength: float | Literal["auto", "probe"] = options.option(
        "auto",
        "Strength C (inverse L2 penalty) of the solved head that fine-tuning "
        "starts from; probe: that of the probe, chosen by cross-validation; "
        "auto: the same, but at most 6.7 / number of training pictures. The "
        "probe keeps its own.",
        used_by={
            "task": ("classification",),
            "head": ("linear",),
            "head_init": ("probe",),
            **conditions.FINE_TUNING,
        },
    )
    optimizer: str = options.option(
        "adamw",
        "A Keras optimizer by name, or sgd, momentum (0.9), gd (full batch).",
        names_part=True,
        used_by=conditions.FINE_TUNING,
    )
    learning_rate: float | None = options.option(
        None,
        "Peak learning rate; none: the optimizer's default here.",
        used_by=conditions.FINE_TUNING,
        in_recipe=True,
    )
    schedule: Literal["cosine", "constant"] = options.option(
        "cosine",
        "Learning rate after the warm-up.",
        used_by=conditions.FINE_TUNING,
    )
    warmup_fraction: float = options.option(
        0.1,
        "Share of the steps in which the learning rate rises from 0.",
        used_by=conditions.FINE_TUNING,
    )
    weight_decay: float | None = options.option(
        None,
        "Decoupled weight decay; none: the optimizer's default.",
        used_by=conditions.FINE_TUNING,
    )
    l2_sp: float = options.option(
        0.0,
        "Decay of the backbone's moving weights towards the values from which "
        "they began to move (L2-SP, Li et al. 2018), in place of "
        "--weight_decay; 0: none. These are the pretrained ones, or behind an "
        "adapter in --stages those with the adapter merged.",
        used_by={**conditions.FINE_TUNING, "adaptation": ("freeze",)},
    )
    loss: str = options.option(
        "auto",
        "The loss, in float32 on the logits; auto: the task's default. "
        "Classification: cross_entropy, focal, mean_squared_error; "
        "regression: mean_squared_error, mean_absolute_error, huber; "
        "multilabel: cross_entropy, focal, asymmetric; segmentation: "
        "cross_entropy, focal, dice, tversky, and sums such as "
        "cross_entropy+dice.",
        used_by=conditions.FINE_TUNING,
    )
    target_transform: Literal["none", "log", "auto"] = options.option(
        "auto",
        "Learn the targets, their logarithms, or the less skewed "
        "of the two; predictions are in the targets' units either way.",
        used_by={"task": ("regression",)},
    )
    label_smoothing: float = options.option(
        0.0,
        "Share of each label that is spread evenly over all classes.",
        used_by={
            "task": ("classification", "multilabel", "segmentation"),
            "loss": ("cross_entropy", "focal", "asymmetric"),
            **conditions.FINE_TUNING,
        },
    )
    class_weight: ClassWeight = options.option(
        "none",
        "balanced weighs classes inversely to their frequency (segmentation: "
        "by the median frequency), effective_number less so where there are "
        "many examples.",
        used_by={"task": ("classification", "multilabel", "segmentation")},
    )
    augmentation: Augmentation = options.option(
        "light",
        "Strength of the random changes to training pictures.",
        used_by=conditions.FINE_TUNING,
        in_recipe=True,
    )
    augmentation_views: int = options.option(
        4,
        "With the cache or a teacher: this many fixed views of each training "
        "picture, the first as it is, take turns; else each epoch changes it "
        "anew.",
        used_by={
            "augmentation": ("light", "medium", "strong"),
            "cache": ("auto", "on"),
            **conditions.FINE_TUNING,
        },
    )
    patience: int = options.option(
        5,
        "Stop after this many epochs without a better validation result "
        "(accuracy, ties by loss).",
        used_by={"keep_epoch": ("best",), **conditions.FINE_TUNING},
    )
    keep_epoch: Literal["best", "last"] = options.option(
        "best",
        "Epoch whose weights fine-tuning keeps: the best on validation, or the "
        "last, at the end of the schedule, which few validation pictures "
        "cannot mistake; then all epochs are trained.",
        used_by=conditions.FINE_TUNING,
        in_recipe=True,
    )
    interpolate: float = options.option(
        1.0,
        "Weights of the result of fine-tuning: this share of the way from "
        "those it starts from to those it ends with (WiSE-FT, Wortsman et al. "
        "2022), e.g. 0.75; 1: those it ends with.",
        used_by={
            **conditions.FINE_TUNING,
            "adaptation": ("freeze",),
            "head_init": ("probe",),
            "stages": conditions.NOT_GIVEN,
        },
        in_recipe=True,
    )
    strategy: Strategy = options.option(
        "auto", "The tf.distribute strategy; see docs/distributed.md."
    )
    tpu: str = options.option(
        "",
        "Name or address of the TPU; none: local.",
        used_by={"strategy": ("tpu",)},
    )
    gradient_accumulation_steps: int = options.option(
        1,
        "Micro-batches that a replica's batch is computed in, to save memory.",
        used_by=conditions.FINE_TUNING,
    )
    clip_norm: float | Literal["auto"] | None = options.option(
        "auto",
        "Clip the gradient of all weights together to this norm; auto: 1 with "
        "--trainable=all and in stages of all, else none.",
        used_by=conditions.FINE_TUNING,
    )
    clip_variable_norm: float | None = options.option(
        None,
        "Clip the gradient of each variable to this norm.",
        used_by=conditions.FINE_TUNING,
    )
    ema_momentum: float | None = options.option(
        None,
        "Evaluate and save moving averages of the weights with this momentum, "
        "e.g. 0.99.",
        used_by=conditions.FINE_TUNING,
    )
    sync_batch_norm: bool = options.option(
        False,
        "Batch norms that train take statistics over the batches of all "
        "replicas.",
        used_by={
            "strategy": ("auto", "mirrored", "multi_worker", "tpu"),
            **conditions.FINE_TUNING,
        },
    )
    deterministic: bool = options.option(
        False,
        "Use only operations that give the same bits each time, on a GPU too "
        "(slower; on a CPU runs are equal without it).",
    )
    precision: Precision = options.option(
        "auto",
        "Number format of the backbone while it trains; auto: float32 on "
        "CPUs, mixed_float16 on GPUs with units for it, mixed_bfloat16 on "
        "TPUs. Losses and everything saved are float32.",
        used_by=conditions.FINE_TUNING,
    )

    def __post_init__(self) -> None:
        option_types.require_range(self, "epochs", at_least=0)
        option_types.require_range(self, "batch_size", at_least=1)
        option_types.require_range(self, "head_epochs", at_least=1)
        option_types.require_range(self, "head_start_strength", above=0)
        option_types.require_range(self, "learning_rate", above=0)
        option_types.require_range(self, "warmup_fraction", at_least=0, below=1)
        option_types.require_range(self, "weight_decay", at_least=0)
        option_types.require_range(self, "l2_sp", at_least=0)
        option_types.require_range(self, "label_smoothing", at_least=0, below=1)
        # Each is an entry of the cache, and an epoch takes one.
        option_types.require_range(
            self, "augmentation_views", at_least=1, at_most=1000
        )
        option_types.require_range(self, "patience", at_least=1)
        option_types.require_range(self, "interpolate", above=0, at_most=1)
        # The parts stand one after another in the graph of a step.
        option_types.require_range(
            self, "gradient_accumulation_steps", at_least=1, at_most=1000
        )
        option_types.require_range(self, "clip_norm", above=0)
        option_types.require_range(self, "clip_variable_norm", above=0)
        option_types.require_range(self, "ema_momentum", above=0, below=1)

    @property
    def first_epochs(self) -> int:
        """Most epochs of fine-tuning, or of its first stage with `stages`."""
        if not self.stages:
            return self.epochs
        # Loaded only here: a run of one stage needs none of it.
        from tf_finetune.config import fit_stage_options

        return fit_stage_options.parse_stages(self.stages)[0].epochs

    @property
    def num_views(self) -> int:
        """Number of cached views of a training picture, view 0 included."""
        return 1 if self.augmentation == "none" else self.augmentation_views
