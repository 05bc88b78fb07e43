"""Energy scores for out-of-distribution detection, computed from logits.

An energy has no fixed range; a higher one means that a picture is less like the
training pictures. Choose a threshold on pictures of both kinds.
"""

import tensorflow as tf


def free_energy(logits: tf.Tensor) -> tf.Tensor:
    """Computes the free energy -log(sum(exp(logits))) of one softmax.

    Args:
        logits: [batch, …, classes], as trained.

    Returns:
        [batch, …].

    Source: Liu et al. 2020, "Energy-based Out-of-distribution Detection",
    equation 4, with a temperature of 1.
    """
    return -tf.reduce_logsumexp(logits, axis=-1)


def joint_energy(logits: tf.Tensor) -> tf.Tensor:
    """Computes the sum of the free energies of independent labels.

    Each label's is -log(1 + exp(logit)), over its two states, present and
    absent. The paper's JointEnergy is the same with the other sign.

    Args:
        logits: [batch, labels], as trained.

    Returns:
        [batch].

    Source: Wang et al. 2021, "Can multi-label classification networks know
    what they don't know?", section 3.
    """
    # softplus(z) = log(1 + exp(z)), without overflow for a large z.
    return -tf.reduce_sum(tf.nn.softplus(logits), axis=-1)
