"""Supervised training on labeled pictures alone."""

from tf_finetune.runs.objectives import objective_protocol


def learn(given: objective_protocol.ObjectiveInputs) -> None:
    """Learns nothing from unlabeled pictures."""
    del given
