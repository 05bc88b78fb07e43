"""The labelled pictures alone."""

from tf_finetune.runs.objectives import objective


def learn(given: objective.Given) -> None:
    """Learns nothing from pictures without labels."""
    del given
