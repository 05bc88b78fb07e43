"""Optimizer state that one fit stage hands to the next one.

A variable that goes on moving keeps its state, such as Adam's moments, and the
number of its steps; one that begins to move starts as in a new optimizer. So
their step counts differ, which Keras' optimizers do not provide for: they
correct the bias of moments (Kingma & Ba 2015, "Adam", algorithm 1) by the steps
of the whole optimizer.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_finetune.model import assembly

_AVERAGES = "_model_variables_moving_average"
# A stage has its own: its schedule begins anew.
_OWN = ("_iterations", "_learning_rate")
# Lists of the optimizer itself, not of state per variable.
_LISTS = ("_variables", "_trainable_variables")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VariableState:
    """Optimizer state of one trained variable.

    Attributes:
        variable: The trained variable.
        slots: Values of its state by name, such as both moments of Adam.
        steps: Number of steps in which it was trained so far.
    """

    variable: keras.Variable
    slots: Mapping[str, np.ndarray]
    steps: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CarriedState:
    """Optimizer state of a finished fit stage, a copy of its values.

    Attributes:
        variables: State of each trained variable.
        shared: Values that all variables share, by name, such as the scale of
            the loss; iterations and learning rate are not among them.
    """

    variables: Sequence[VariableState]
    shared: Mapping[str, np.ndarray]


class _StepsByVariable:
    """Optimizer whose `iterations` are those of the variable being updated."""

    earlier_steps: tuple[int, ...] = ()
    _offset = 0

    def set_earlier_steps(self, steps: Sequence[int]) -> None:
        """Sets the steps before this stage, one number a trainable variable."""
        self.earlier_steps = tuple(steps)
        self._offset = max(self.earlier_steps, default=0)

    @property
    def iterations(self) -> Any:
        """Steps of the variable being updated; outside, of the oldest one."""
        # Schedules read `_iterations`, the steps of the stage.
        own = super().iterations
        return own + self._offset if self._offset else own

    def update_step(
        self, gradient: Any, variable: Any, learning_rate: Any
    ) -> None:
        """Updates a variable with the steps that it was trained for."""
        outside = self._offset
        if self.earlier_steps:
            self._offset = self.earlier_steps[
                self._get_variable_index(variable)
            ]
        try:
            super().update_step(gradient, variable, learning_rate)
        finally:
            self._offset = outside


def count_steps_by_variable(
    optimizer_class: type[keras.optimizers.Optimizer],
) -> type[keras.optimizers.Optimizer]:
    """Returns a subclass of an optimizer that counts steps for each variable.

    Args:
        optimizer_class: The optimizer class.
    """
    return type(
        optimizer_class.__name__, (_StepsByVariable, optimizer_class), {}
    )


def capture_state(model: keras.Model) -> CarriedState:
    """Copies the optimizer state of a trained model.

    Args:
        model: Compiled model; its optimizer is built.

    Returns:
        A copy that later training does not change.
    """
    plain = _unwrap(model.optimizer)
    slots, trained = _list_slots(plain), plain._trainable_variables
    earlier = getattr(plain, "earlier_steps", ()) or [0] * len(trained)
    steps = int(np.asarray(plain._iterations))
    return CarriedState(
        variables=[
            VariableState(
                variable=variable,
                slots={
                    name: np.array(each[index])
                    for name, each in slots.items()
                    if each[index] is not None
                },
                steps=before + steps,
            )
            for index, (variable, before) in enumerate(
                zip(trained, earlier, strict=True)
            )
        ],
        shared={
            name: np.array(each)
            for name, each in _list_shared(model.optimizer).items()
        },
    )


def carry_over(model: keras.Model, carried: CarriedState) -> int:
    """Assigns the state of an earlier stage to the optimizer of a model.

    Only variables that the earlier stage trained get a state; moving averages
    of weights (EMA) begin at the present weights, which are those averages.

    Args:
        model: Model, compiled with an optimizer whose class comes from
            `count_steps_by_variable`; its optimizer is built here.
        carried: State of the earlier stage, of an optimizer of the same kind.

    Returns:
        Number of trained variables that keep their state.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    plain = _unwrap(model.optimizer)
    slots = _list_slots(plain)
    known = {id(each.variable): each for each in carried.variables}
    pairs: list[tuple[keras.Variable, np.ndarray]] = []
    steps = []
    for index, variable in enumerate(plain._trainable_variables):
        state = known.get(id(variable))
        steps.append(state.steps if state else 0)
        for name, each in slots.items():
            if each[index] is None:
                continue
            if name == _AVERAGES:
                pairs.append((each[index], np.array(variable)))
            elif state and name in state.slots:
                pairs.append((each[index], state.slots[name]))
    shared = _list_shared(model.optimizer)
    pairs += [(shared[name], carried.shared[name]) for name in shared]
    assembly.assign_values(
        [variable for variable, _ in pairs], [value for _, value in pairs]
    )
    plain.set_earlier_steps(steps)
    return sum(step > 0 for step in steps)


def _unwrap(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    # Loss scaling wraps the optimizer that holds the state.
    return getattr(optimizer, "inner_optimizer", optimizer)


def _list_slots(
    plain: keras.optimizers.Optimizer,
) -> dict[str, Sequence[keras.Variable | None]]:
    """Lists the state that an optimizer keeps for each variable, by name.

    Keras' optimizers keep each kind of state in a list in the order of the
    trained variables.
    """
    count = len(plain._trainable_variables)
    return {
        name: each
        for name, each in sorted(vars(plain).items())
        if name not in _LISTS
        and isinstance(each, (list, tuple))
        and len(each) == count
        and all(e is None or isinstance(e, keras.Variable) for e in each)
    }


def _list_shared(
    optimizer: keras.optimizers.Optimizer,
) -> dict[str, keras.Variable]:
    """Lists the state that all variables share, by name."""
    holders = {"": optimizer, "inner/": _unwrap(optimizer)}
    if holders[""] is holders["inner/"]:
        del holders["inner/"]
    return {
        f"{place}{name}": each
        for place, holder in holders.items()
        for name, each in vars(holder).items()
        if isinstance(each, keras.Variable) and name not in _OWN
    }
