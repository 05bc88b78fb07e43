"""The functions of the package without their reports."""

import functools

import tf_finetune


def _say_nothing(text: str) -> None:
    pass


evaluate, export, fine_tune, predict, recommend = (
    functools.partial(each, report=_say_nothing)
    for each in (
        tf_finetune.evaluate,
        tf_finetune.export,
        tf_finetune.fine_tune,
        tf_finetune.predict,
        tf_finetune.recommend,
    )
)
