"""Warnings about the data that the pretrained features give reason for."""

import math

from tf_finetune.recipe_search import facts as fact_types


def list_warnings(facts: fact_types.Facts) -> list[str]:
    """Lists warnings about data that the probe hints at.

    Args:
        facts: With the figures of the probe.

    Returns:
        Sentences; empty without a probe.
    """
    probe, found = facts.probe, []
    if probe is None or probe.accuracy is None:
        return found
    # About two standard errors of a share of n pictures.
    margin = 2 * math.sqrt(0.25 / facts.training_pictures)
    if probe.accuracy <= probe.majority + margin / 2:
        found.append(
            f"The probe is hardly better than the most frequent class "
            f"(cross-validated accuracy {probe.accuracy:.3f} against "
            f"{probe.majority:.3f}): check the labels and --weights."
        )
    if probe.knn > probe.accuracy + margin:
        found.append(
            f"Nearest neighbors are right more often than the probe "
            f"({probe.knn:.3f} against {probe.accuracy:.3f}): there may be "
            "near-duplicates of pictures; give those of one origin a group."
        )
    return found
