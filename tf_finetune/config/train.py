"""What a training run is: every option, with its default and its reason."""

import dataclasses
import pathlib
from typing import Literal

from tf_finetune import errors
from tf_finetune.config import checks, interruption, options

Augmentation = Literal["none", "light", "medium", "strong"]
Resize = Literal["squash", "crop", "pad"]
Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]
Strategy = Literal[
    "auto", "one_device", "mirrored", "multi_worker", "tpu", "parameter_server"
]
Loss = Literal["cross_entropy", "focal", "mean_squared_error"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which pictures, and how they are cleaned and divided."""

    data: str = options.option(
        "",
        "The pictures: a folder with one folder per class, or with train/, "
        "validation/ and test/ of such folders; a CSV file; tfds:NAME; "
        "digits:FIRST-LAST for scikit-learn's handwritten digits.",
    )
    data_format: str = options.option(
        "auto",
        "How --data is read: auto, folder, csv, tfds, digits, or "
        "package.module:attribute of a source of your own.",
    )
    image_column: str = options.option(
        "image", "CSV: the column of picture paths, relative to the CSV."
    )
    label_column: str = options.option("label", "CSV: the column of classes.")
    split_column: str = options.option(
        "split", "CSV: the column of train|validation|test; may be absent."
    )
    group_column: str = options.option(
        "group",
        "CSV: the column of groups (patients, sites …) that must not be "
        "divided between splits; may be absent.",
    )
    tfds_data_dir: str | None = options.option(
        None, "Where TFDS keeps prepared data sets; none: TFDS' own default."
    )
    validation_fraction: float = options.option(
        0.15, "Share held out for choosing, where the data brings no split."
    )
    test_fraction: float | None = options.option(
        None,
        "Share held out for the last word; none: 0.15 where the data brings "
        "no split of its own, else 0.",
    )
    max_train_per_class: int | None = options.option(
        None, "Train on at most this many pictures per class; none: all."
    )
    max_pixels: int = options.option(
        178_956_970,
        "Drop pictures of more pixels than this (the default is Pillow's "
        "bound against decompression bombs).",
    )
    bad_data: Literal["drop", "error"] = options.option(
        "drop", "Pictures that cannot be used: drop and report, or stop."
    )

    def __post_init__(self) -> None:
        checks.in_range(self, "validation_fraction", above=0, below=1)
        checks.in_range(self, "test_fraction", at_least=0, below=1)
        checks.in_range(self, "max_train_per_class", at_least=1)
        checks.in_range(self, "max_pixels", at_least=1)
        if self.validation_fraction + (self.test_fraction or 0) >= 1:
            raise errors.UsageError(
                "--validation_fraction and --test_fraction leave nothing to "
                f"train on: {self.validation_fraction} + "
                f"{self.test_fraction} is not below 1."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network, its weights, and which of them move."""

    task: str = options.option("classification", "What is learnt.")
    backbone: str = options.option(
        "mobilenet_v2",
        "The pretrained network, e.g. resnet50, efficientnet_b0, "
        "mobilenet@0.25; `python -m tf_finetune backbones` lists them.",
    )
    weights: str = options.option(
        "imagenet",
        "imagenet, none (random), or a path: a no-top .h5, a .weights.h5, a "
        ".keras file, or the workdir of an earlier run.",
    )
    image_size: int | None = options.option(
        None, "Side of the square input in pixels; none: the backbone's own."
    )
    resize: Resize = options.option(
        "squash",
        "How a picture becomes square: squash ignores its shape, crop keeps "
        "the middle, pad adds black.",
    )
    head: str = options.option("linear", "The new top: linear or mlp.")
    head_units: int = options.option(256, "Width of the mlp head's layer.")
    dropout: float = options.option(0.0, "Dropout before the last layer.")
    l2: float = options.option(
        0.0, "L2 penalty on the head's kernels while fine-tuning."
    )
    trainable: tuple[str, ...] = options.option(
        ("top",),
        "What fine-tuning moves: head, top (the last stage), all, or layer "
        "patterns such as conv5* (comma-separated; the head always moves).",
    )
    freeze_batch_norm: bool = options.option(
        True, "Keep batch-norm layers of the backbone as they were pretrained."
    )

    def __post_init__(self) -> None:
        checks.in_range(self, "image_size", at_least=8)
        checks.in_range(self, "head_units", at_least=1)
        checks.in_range(self, "dropout", at_least=0, below=1)
        checks.in_range(self, "l2", at_least=0)
        checks.given(self, "trainable", "head, top, all or layer patterns.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How the weights are learnt."""

    epochs: int = options.option(
        10, "Passes of the fine-tuning stage at most; 0: the probe alone."
    )
    batch_size: int | Literal["auto"] = options.option(
        32,
        "Pictures per step, all replicas; auto: the largest power of two up "
        "to 256 that fits into memory, found by trying, and a default "
        "learning rate is scaled with it.",
    )
    head_init: Literal["probe", "random"] = options.option(
        "probe",
        "Fine-tuning starts from the solved head (Kumar et al. 2022) or, as "
        "the classic recipes do, from a random one.",
    )
    optimizer: str = options.option(
        "adamw",
        "A Keras optimizer by name, or sgd, momentum (0.9), gd (full batch).",
    )
    learning_rate: float | None = options.option(
        None, "Peak learning rate; none: the optimizer's default here."
    )
    schedule: Literal["cosine", "constant"] = options.option(
        "cosine", "Learning rate after the warm-up."
    )
    warmup_fraction: float = options.option(
        0.1, "Share of the steps in which the learning rate rises from 0."
    )
    weight_decay: float | None = options.option(
        None, "Decoupled weight decay; none: the optimizer's default."
    )
    loss: Loss = options.option(
        "cross_entropy",
        "What training lowers; all are computed in float32 on the logits.",
    )
    label_smoothing: float = options.option(0.0, "For cross_entropy and focal.")
    class_weight: Literal["none", "balanced"] = options.option(
        "none", "balanced weighs classes inversely to their frequency."
    )
    augmentation: Augmentation = options.option(
        "light", "Strength of the random changes to training pictures."
    )
    augmentation_views: int = options.option(
        4,
        "With the cache: this many fixed views of each training picture, the "
        "first as it is, take turns; without it, each epoch changes it anew.",
    )
    patience: int = options.option(
        5,
        "Stop after this many epochs without a better validation result "
        "(accuracy, ties by loss).",
    )
    strategy: Strategy = options.option(
        "auto", "The tf.distribute strategy; see docs/distributed.md."
    )
    tpu: str = options.option("", "Name or address of the TPU; none: local.")
    gradient_accumulation_steps: int = options.option(
        1,
        "Micro-batches that a replica's batch is computed in, to save memory.",
    )
    clip_norm: float | None = options.option(
        None, "Largest norm of the gradient of all weights together."
    )
    clip_variable_norm: float | None = options.option(
        None, "Largest norm of the gradient of each variable."
    )
    ema_momentum: float | None = options.option(
        None, "Judge and save moving averages of the weights, e.g. 0.99."
    )
    sync_batch_norm: bool = options.option(
        False, "Trained batch norms see the batches of all replicas as one."
    )
    deterministic: bool = options.option(
        False,
        "Use only operations that give the same bits each time, on a GPU too "
        "(slower; on a CPU runs are equal without it).",
    )
    precision: Precision = options.option(
        "auto",
        "What the backbone computes in while it trains; auto: float32 on "
        "CPUs, mixed_float16 on GPUs with units for it, mixed_bfloat16 on "
        "TPUs. Losses and everything saved are float32.",
    )

    def __post_init__(self) -> None:
        checks.in_range(self, "epochs", at_least=0)
        checks.in_range(self, "batch_size", at_least=1)
        checks.in_range(self, "learning_rate", above=0)
        checks.in_range(self, "warmup_fraction", at_least=0, below=1)
        checks.in_range(self, "weight_decay", at_least=0)
        checks.in_range(self, "label_smoothing", at_least=0, below=1)
        checks.in_range(self, "augmentation_views", at_least=1)
        checks.in_range(self, "patience", at_least=1)
        checks.in_range(self, "gradient_accumulation_steps", at_least=1)
        checks.in_range(self, "clip_norm", above=0)
        checks.in_range(self, "clip_variable_norm", above=0)
        checks.in_range(self, "ema_momentum", above=0, below=1)

    @property
    def num_views(self) -> int:
        """How many views of a training picture the cache holds."""
        return 1 if self.augmentation == "none" else self.augmentation_views


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where results go, and what they must reach."""

    workdir: str = options.option(
        "", "Folder of the results; an unfinished run in it is continued."
    )
    cache_dir: str = options.option(
        "~/.cache/tf_finetune", "Folder of features shared between runs."
    )
    cache: Literal["auto", "on", "off"] = options.option(
        "auto",
        "Compute what lies below the first layer that trains once, not in "
        "every epoch; auto measures both ways and takes the cheaper one.",
    )
    cache_gb: float = options.option(
        20.0,
        "What the features of all runs may take on disk, GB; the longest "
        "unused are removed first.",
    )
    overwrite: bool = options.option(
        False, "Replace the run that --workdir holds."
    )
    tensorboard: bool = options.option(
        False, "Also write TensorBoard events (needs the extra [tensorboard])."
    )
    plan: bool = options.option(
        False, "Stop after printing what would be done, and its cost."
    )
    fail_below: tuple[str, ...] = options.option(
        (),
        "Exit with status 3 unless METRIC:VALUE is reached, e.g. "
        "accuracy:0.9 (on test where it exists, else on validation).",
    )
    fail_if_not_better_than: str | None = options.option(
        None,
        "Exit with status 3 unless the result beats probe, or the run in "
        "another workdir.",
    )

    def __post_init__(self) -> None:
        checks.in_range(self, "cache_gb", above=0)

    @property
    def cache_folder(self) -> pathlib.Path:
        """`cache_dir` as a path, "~" resolved."""
        return pathlib.Path(self.cache_dir).expanduser()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that `python -m tf_finetune.train` can be told."""

    data: DataOptions = options.group(DataOptions, "data")
    model: ModelOptions = options.group(ModelOptions, "model")
    training: TrainingOptions = options.group(TrainingOptions, "training")
    output: OutputOptions = options.group(OutputOptions, "output")
    interruptions: interruption.InterruptionOptions = options.group(
        interruption.InterruptionOptions, "interruptions"
    )
    seed: int = options.option(0, "Start of every random draw.")

    def __post_init__(self) -> None:
        checks.in_range(self, "seed", at_least=0, below=2**31)
