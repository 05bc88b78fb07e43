"""Optimizers by name, with a learning rate that suits fine-tuning."""

import dataclasses
import inspect
from typing import TYPE_CHECKING, Literal

from tf_finetune import errors
from tf_finetune.config import train_config, training_options

if TYPE_CHECKING:
    import keras

    from tf_finetune.adaptation import method

# Gradient descent under the names of textbooks: Keras' class, its arguments.
_SGD_VARIANTS = {
    # Full batch: see `choose_batch_size`.
    "gd": ("SGD", {}),
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
}

REFERENCE_BATCH_SIZE = 32
"""Batch size for which the default learning rates are meant."""

# Peak learning rates for moving pretrained weights from a solved head, in some
# tens to hundreds of steps. For AdamW 1e-4 is too low for so few (measured in
# docs/recipe.md); the others follow from how long their steps are beside its:
_LEARNING_RATES = {
    # A step is the rate times the gradient: those of classic recipes. Momentum
    # 0.9 adds up ten gradients, and has a tenth of the rate.
    "gd": 1e-2,
    "sgd": 1e-2,
    "momentum": 1e-3,
    # A weight moves by about the rate in a step, as under AdamW.
    "adamw": 1e-3,
    "adam": 1e-3,
    "adamax": 1e-3,
    "nadam": 1e-3,
    "schedulefreeadamw": 1e-3,
    # Scaled in Keras to the size of AdamW's steps (Liu et al. 2025, section
    # 2.2); what is no matrix is moved by AdamW itself.
    "muon": 1e-3,
    # Without bias correction the first steps of a new average are up to
    # 1/sqrt(1 - rho) = 3 times as long as AdamW's.
    "rmsprop": 3e-4,
    # The sign alone: every weight moves by the full rate (Chen et al. 2023,
    # section 5: 3 to 10 times smaller than AdamW's). 1e-4 was too low.
    "lion": 3e-4,
    # The step is the rate times a share of the weight's own size.
    "lamb": 1e-3,
    "adafactor": 1e-3,
    # Steps shrink with the sum of all squared gradients so far.
    "adagrad": 1e-3,
    "ftrl": 1e-3,
    # Its steps have a scale of their own (Zeiler 2012).
    "adadelta": 1.0,
}

# Of an optimizer that the user names as "module:class".
_OTHER_LEARNING_RATE = 1e-4

# Where all layers move: as in AutoGluon's recipe for fine-tuning.
_CLIP_NORM = 1.0


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


def choose_learning_rate(options: training_options.TrainingOptions) -> float:
    """Returns the peak learning rate for batches of `--batch_size`.

    It is `--learning_rate` if that was given, else a default of the optimizer
    that suits fine-tuning.
    """
    if options.learning_rate is not None:
        return options.learning_rate
    return _LEARNING_RATES.get(options.optimizer.lower(), _OTHER_LEARNING_RATE)


def scale_learning_rate(
    options: training_options.TrainingOptions, batch_size: int
) -> float:
    """Returns the peak rate for a batch size found by `--batch_size=auto`.

    The user's own rate stays as it is. The optimizer's default is meant for 32
    pictures a step: plain gradient descent scales it in proportion to the batch
    size, other methods with its square root.

    Args:
        options: The optimizer, and the user's rate if any.
        batch_size: Pictures per step, over all replicas.

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
    return choose_learning_rate(options) * times


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
    """Returns pictures per step: `options.batch_size`, `num_examples` at most.

    The optimizer "gd" (full-batch gradient descent) takes all of them.
    """
    if options.optimizer.lower() == "gd":
        return num_examples
    return min(options.batch_size, num_examples)


def resolve_options(
    config: train_config.TrainConfig,
) -> training_options.TrainingOptions:
    """Returns a run's training options with `--clip_norm=auto` resolved.

    It is 1 where all layers move and `--clip_variable_norm` is not given, else
    None: gradients are not clipped. With adapters the default learning rate
    becomes theirs.
    """
    options = config.training
    if config.model.adaptation != "freeze":
        from tf_finetune.training import adapter_rates  # Only for adapters.

        options = adapter_rates.scale_rate(options, config.model.adaptation)
    if options.clip_norm != "auto":
        return options
    clips = config.model.moves_all_layers and not options.clip_variable_norm
    return dataclasses.replace(options, clip_norm=_CLIP_NORM if clips else None)


def make_schedule(
    options: training_options.TrainingOptions, *, steps_per_epoch: int
) -> Schedule:
    """Returns the learning-rate schedule of a stage of `options.epochs` epochs.

    Args:
        options: Learning rate, schedule, epochs and warm-up.
        steps_per_epoch: Batches per epoch.
    """
    steps = options.epochs * steps_per_epoch
    return Schedule(
        peak=choose_learning_rate(options),
        kind=options.schedule,
        steps=steps,
        warmup_steps=round(options.warmup_fraction * steps),
    )


def build_optimizer(
    options: training_options.TrainingOptions,
    plan: Schedule,
    *,
    sums: bool = False,
    adapted: "method.Adapted | None" = None,
    continues: bool = False,
) -> "keras.optimizers.Optimizer":
    """Builds the Keras optimizer that the options name.

    Args:
        options: Its name, weight decay, `l2_sp`, clipping and EMA; with
            `clip_norm` "auto" the gradient of all weights is not clipped.
        plan: Its learning rate.
        sums: Whether the gradients passed to it are already summed over
            replicas.
        adapted: Adaptation that sets the learning rates of layers, and whose
            variables `l2_sp` pulls to their start; None: all variables are
            treated alike. Where they are, the optimizer is Keras' own class.
        continues: Whether it will go on from the state of another one
            (`optimizer_state.carry_over`).

    Raises:
        UsageError: Keras has no optimizer of this name.

    Source: Loshchilov & Hutter 2017, "SGDR", equation 5 (cosine); Goyal et al.
    2017, "Accurate, Large Minibatch SGD", section 2.2 (warm-up).
    """
    class_name, keywords = _find_class(options.optimizer.lower())
    keywords = dict(keywords)
    clip_norm = None if options.clip_norm == "auto" else options.clip_norm
    for name, value in (
        ("weight_decay", options.weight_decay),
        ("global_clipnorm", clip_norm),
        ("clipnorm", options.clip_variable_norm),
        ("ema_momentum", options.ema_momentum),
    ):
        if value is not None:
            keywords[name] = value
    if options.ema_momentum is not None:
        keywords["use_ema"] = True
    made = skip_gradient_sum(class_name) if sums else class_name
    if adapted and (adapted.learning_rate_factors or options.l2_sp):
        # Not loaded where all variables are treated alike.
        from tf_finetune.training import variable_updates

        rules = variable_updates.make_rules(adapted, options.l2_sp)
        made = variable_updates.apply_rules(made, rules)
    if continues:
        # Loaded only here: a run of one stage needs none of it.
        from tf_finetune.training import optimizer_state

        made = optimizer_state.count_steps_by_variable(made)
    return made(learning_rate=_make_keras_schedule(plan), **keywords)


def skip_gradient_sum(
    optimizer_class: type["keras.optimizers.Optimizer"],
) -> type["keras.optimizers.Optimizer"]:
    """Returns a subclass of an optimizer that does not sum over replicas.

    Keras clips first and then sums the gradients of all replicas; here they
    arrive summed, so that the whole batch's gradient is clipped.

    Args:
        optimizer_class: A Keras optimizer.
    """
    body = {"_all_reduce_sum_gradients": lambda self, pairs: [*pairs]}
    return type(optimizer_class.__name__, (optimizer_class,), body)


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
