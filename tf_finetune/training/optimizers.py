"""Optimizers by name, with a learning rate that suits fine-tuning."""

import dataclasses
import inspect
from typing import TYPE_CHECKING, Literal

from tf_finetune import errors
from tf_finetune.config import training_options

if TYPE_CHECKING:
    import keras

# Gradient descent under the names of textbooks: Keras' class, its arguments.
_SGD_VARIANTS = {
    # Full batch: see `choose_batch_size`.
    "gd": ("SGD", {}),
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
}

REFERENCE_BATCH_SIZE = 32
"""Batch size for which the default learning rates are meant."""

# Peak learning rates for moving pretrained weights. Adaptive methods move each
# weight by about the rate itself in a step, so theirs are about a tenth of
# Keras' defaults for training from scratch; sign-based Lion takes a third of
# AdamW's (Chen et al. 2023, section 5); SGD's are those of the classic
# fine-tuning recipes.
_LEARNING_RATES = {
    "gd": 1e-2,
    "sgd": 1e-2,
    "momentum": 1e-3,
    "adam": 1e-4,
    "adamw": 1e-4,
    "adamax": 1e-4,
    "nadam": 1e-4,
    "rmsprop": 1e-4,
    "lamb": 1e-3,
    "lion": 3e-5,
    "adagrad": 1e-3,
    "adadelta": 1.0,
    "adafactor": 1e-4,
    "ftrl": 1e-3,
    "muon": 1e-3,
    "schedulefreeadamw": 1e-3,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning rate over the steps of a stage.

    Attributes:
        peak: The highest learning rate.
        kind: Course after the warm-up: "cosine" falls to 0, "constant" stays.
        steps: Steps of the whole stage, warm-up included.
        warmup_steps: Steps in which the rate rises linearly from 0 to `peak`.
    """

    peak: float
    kind: str
    steps: int
    warmup_steps: int


def check_name(name: str) -> None:
    """Checks the name of an optimizer, without importing Keras.

    A name with ":" passes; `build_optimizer` checks it.

    Raises:
        UsageError: The name is unknown; the message lists similar ones.
    """
    if name.lower() not in _LEARNING_RATES and ":" not in name:
        raise errors.make_unknown_error("optimizer", name, _LEARNING_RATES)


def choose_learning_rate(
    options: training_options.TrainingOptions, *, factor: float = 1.0
) -> float:
    """Returns the peak learning rate for batches of `--batch_size`.

    It is `--learning_rate` if that was given, else a default of the optimizer
    that suits fine-tuning.

    Args:
        options: The optimizer, and the user's rate if any.
        factor: Multiplies the default, for an adaptation method that wants
            another one.
    """
    if options.learning_rate is not None:
        return options.learning_rate
    return _LEARNING_RATES.get(options.optimizer.lower(), 1e-4) * factor


def scale_learning_rate(
    options: training_options.TrainingOptions,
    batch_size: int,
    *,
    factor: float = 1.0,
) -> float:
    """Returns the peak rate for a batch size found by `--batch_size=auto`.

    The user's own rate stays as it is. The optimizer's default is meant for 32
    pictures a step: plain gradient descent scales it in proportion to the batch
    size, other methods with its square root.

    Args:
        options: The optimizer, and the user's rate if any.
        batch_size: Pictures per step, over all replicas.
        factor: As in `choose_learning_rate`.

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.1;
    Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient
    Algorithms", section 5 (and Krizhevsky 2014, "One weird trick", section 5).
    """
    if options.learning_rate is not None:
        return options.learning_rate
    # Linear scaling rule for SGD, square-root rule for adaptive methods.
    times = batch_size / REFERENCE_BATCH_SIZE
    if choose_scaling_rule(options) == "as its square root":
        times = times**0.5
    return choose_learning_rate(options, factor=factor) * times


def choose_scaling_rule(
    options: training_options.TrainingOptions,
) -> Literal["in proportion", "as its square root"]:
    """Returns how a default learning rate scales with the batch size.

    Plain gradient descent ("gd", "sgd", "momentum") scales in proportion.
    """
    is_plain = options.optimizer.lower() in _SGD_VARIANTS
    return "in proportion" if is_plain else "as its square root"


def choose_batch_size(
    options: training_options.TrainingOptions, num_examples: int
) -> int:
    """Returns the pictures per step, at most `num_examples`.

    The optimizer "gd" (full-batch gradient descent) takes all of them.
    """
    if options.optimizer.lower() == "gd":
        return num_examples
    return min(options.batch_size, num_examples)


def make_schedule(
    options: training_options.TrainingOptions,
    *,
    steps_per_epoch: int,
    factor: float = 1.0,
) -> Schedule:
    """Returns the learning-rate schedule of a stage of `options.epochs` epochs.

    Args:
        options: Learning rate, schedule, epochs and warm-up.
        steps_per_epoch: Batches per epoch.
        factor: As in `choose_learning_rate`.
    """
    steps = options.epochs * steps_per_epoch
    return Schedule(
        peak=choose_learning_rate(options, factor=factor),
        kind=options.schedule,
        steps=steps,
        warmup_steps=round(options.warmup_fraction * steps),
    )


def build_optimizer(
    options: training_options.TrainingOptions,
    plan: Schedule,
    *,
    sums: bool = False,
) -> "keras.optimizers.Optimizer":
    """Builds the Keras optimizer that the options name.

    Args:
        options: Its name, weight decay, clipping and EMA.
        plan: Its learning rate.
        sums: Whether the gradients passed to it are already summed over
            replicas.

    Raises:
        UsageError: Keras has no optimizer of this name.

    Source: Loshchilov & Hutter 2017, "SGDR", equation 5 (cosine); Goyal et al.
    2017, "Accurate, Large Minibatch SGD", section 2.2 (warm-up).
    """
    class_name, keywords = _find_class(options.optimizer.lower())
    keywords = dict(keywords)
    for name, value in (
        ("weight_decay", options.weight_decay),
        ("global_clipnorm", options.clip_norm),
        ("clipnorm", options.clip_variable_norm),
        ("ema_momentum", options.ema_momentum),
    ):
        if value is not None:
            keywords[name] = value
    if options.ema_momentum is not None:
        keywords["use_ema"] = True
    made = skip_gradient_sum(class_name) if sums else class_name
    return made(learning_rate=_make_keras_schedule(plan), **keywords)


def skip_gradient_sum(
    name: type["keras.optimizers.Optimizer"],
) -> type["keras.optimizers.Optimizer"]:
    """Returns a subclass of an optimizer that does not sum over replicas.

    Keras clips first and then sums the gradients of all replicas; here they
    arrive summed, so that the whole batch's gradient is clipped.

    Args:
        name: The optimizer class.
    """
    body = {"_all_reduce_sum_gradients": lambda self, pairs: [*pairs]}
    return type(name.__name__, (name,), body)


def _find_class(
    name: str,
) -> tuple[type["keras.optimizers.Optimizer"], dict[str, float]]:
    import keras

    known = {
        each.lower(): value
        for each, value in vars(keras.optimizers).items()
        if inspect.isclass(value)
        and issubclass(value, keras.optimizers.Optimizer)
    }
    keras_name, keywords = _SGD_VARIANTS.get(name, (name, {}))
    if keras_name.lower() not in known:
        raise errors.make_unknown_error(
            "optimizer", name, {*known, *_SGD_VARIANTS}
        )
    return known[keras_name.lower()], keywords


def _make_keras_schedule(
    plan: Schedule,
) -> "float | keras.optimizers.schedules.LearningRateSchedule":
    import keras

    if plan.kind == "constant" and not plan.warmup_steps:
        return plan.peak
    # SGDR, equation 5: rate(t) = peak · (alpha + (1 - alpha) ·
    # (1 + cos(π t / steps)) / 2), after a linear warm-up; alpha 1 is constant.
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if plan.warmup_steps else plan.peak,
        warmup_target=plan.peak if plan.warmup_steps else None,
        warmup_steps=plan.warmup_steps,
        # At least 1, for Keras divides by it: all steps may be warm-up.
        decay_steps=max(plan.steps - plan.warmup_steps, 1),
        alpha=1.0 if plan.kind == "constant" else 0.0,
    )
