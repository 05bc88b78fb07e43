"""Learning rates and decay of single variables within one Keras optimizer.

The update of a variable is scaled, not its gradient: adaptive methods such as
Adam divide by the size of the gradient, so that a scaled one changes nothing.
"""

import dataclasses
from collections.abc import Collection, Mapping

import keras

from tf_finetune.adaptation import method


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdateRules:
    """Deviations of single variables from the optimizer's common settings.

    Attributes:
        rate_factors: Factor of the learning rate, by `id` of a variable; 1 for
            variables that are missing.
        pulled: `id` of each variable that decays towards its value at the start
            of training, in place of 0.
        l2_sp: Strength of that decay.
    """

    rate_factors: Mapping[int, float]
    pulled: Collection[int]
    l2_sp: float


def make_rules(adapted: method.Adapted, l2_sp: float) -> UpdateRules:
    """Makes the rules of the variables that an adaptation trains.

    The variables of the head are not among them: they have the optimizer's
    common rate and weight decay.

    Args:
        adapted: The trained variables and the rate factors of their layers.
        l2_sp: Strength of the decay of all of them towards their start; 0: they
            have the optimizer's weight decay.
    """
    factors = {
        id(variable): adapted.learning_rate_factors.get(name, 1.0)
        for name, variables in adapted.trained.items()
        for variable in variables
    }
    return UpdateRules(
        rate_factors=factors, pulled={*factors} if l2_sp else (), l2_sp=l2_sp
    )


def apply_rules(
    optimizer_class: type[keras.optimizers.Optimizer], rules: UpdateRules
) -> type[keras.optimizers.Optimizer]:
    """Returns a subclass of a Keras optimizer that follows rules of variables.

    A variable with rate factor f and gradient g is updated as by the optimizer
    with the learning rate f·η. Its weight decay is f·η·λ·w, or, for a variable
    that is pulled towards its start w₀, f·η·λ·(w - w₀), both before the update,
    as in Keras. The w₀ are variables of the optimizer, so that checkpoints hold
    them.

    Args:
        optimizer_class: The class, of which any rate may be a schedule.
        rules: Rules of the variables that the optimizer will be built with.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization",
    algorithm 2, line 12; Li et al. 2018, "Explicit Inductive Bias for Transfer
    Learning with Convolutional Networks", equation 2 (for plain SGD the
    decoupled form is the gradient of the loss plus λ/2·‖w - w₀‖²).
    """
    body = {"rules": rules}
    return type(optimizer_class.__name__, (_PerVariable, optimizer_class), body)


class _PerVariable:
    """The methods that such a subclass overrides; `rules` is set there."""

    rules: UpdateRules

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._factors = [
            self.rules.rate_factors.get(id(each), 1.0) for each in variables
        ]
        self._decays = [self._find_decay(each) for each in variables]
        self._starts = [
            self._add_start(each) if id(each) in self.rules.pulled else None
            for each in variables
        ]

    def update_step(self, gradient, variable, learning_rate) -> None:
        index = self._get_variable_index(variable)
        factor = self._factors[index]
        rate = learning_rate * factor if factor != 1 else learning_rate
        self._decay(variable, index, keras.ops.cast(rate, variable.dtype))
        super().update_step(gradient, variable, rate)

    def _apply_weight_decay(self, variables: list[keras.Variable]) -> None:
        """Does nothing: `update_step` decays each variable before its update.

        Only there the variable of one device is at hand, with its rate.
        """

    def _decay(self, variable, index: int, rate) -> None:
        start, strength = self._starts[index], self._decays[index]
        if start is not None:
            # f·η·λ·(w - w₀)
            distance = keras.ops.subtract(variable, start)
            self.assign_sub(variable, distance * (rate * self.rules.l2_sp))
        elif strength:
            # f·η·λ·w
            self.assign_sub(variable, variable * (rate * strength))

    def _find_decay(self, variable: keras.Variable) -> float | None:
        """Returns the weight decay of a variable without a start of its own."""
        if self.weight_decay is None and not hasattr(self, "adam_weight_decay"):
            return None
        if not self._use_weight_decay(variable):
            return None
        # Muon updates all but matrices as AdamW does, with another decay.
        if hasattr(self, "adam_weight_decay") and self._should_use_adamw(
            variable
        ):
            return self.adam_weight_decay
        return self.weight_decay

    def _add_start(self, variable: keras.Variable) -> keras.Variable:
        start = self.add_variable_from_reference(variable, name="start")
        self.assign(start, keras.ops.convert_to_tensor(variable))
        return start
