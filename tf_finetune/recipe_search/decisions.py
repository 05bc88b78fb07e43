"""Decisions of a recipe, and the rules that make them."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tf_finetune.recipe_search import candidates
from tf_finetune.recipe_search import facts as fact_types


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """Value that a rule chose for an option.

    Attributes:
        flag: The option.
        value: Its value.
        rule: Name of the function that chose it; "given" for the user's value.
        because: The reason, a clause without a capital and a period.
        source: Publication or measurement that the rule stands on.
        given: Whether the user gave the value, which is kept.
        compared: Trials that were compared for it.
    """

    flag: str
    value: Any
    rule: str
    because: str
    source: str
    given: bool = False
    compared: tuple[candidates.Trial, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """Value of an option, the reason, and the trials that were compared."""

    value: Any
    because: str
    compared: tuple[candidates.Trial, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Rule of a recipe.

    Attributes:
        flag: The option that it chooses.
        choose: Returns value and reason, and the trials that were compared;
            None: the default stays.
        source: Publication or measurement that it stands on.
    """

    flag: str
    choose: Callable[[fact_types.Facts], Choice | None]
    source: str
