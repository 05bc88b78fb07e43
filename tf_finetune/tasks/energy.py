"""How far a picture is from those that were learnt, from its logits.

Energies are any numbers, and the higher the further away. Only comparisons mean
something; a threshold is to be found on pictures of both kinds.
"""

import tensorflow as tf


def free(logits: tf.Tensor) -> tf.Tensor:
    """Returns the free energy -log(sum(exp(logits))) of one softmax.

    Args:
        logits: [batch, …, classes], as trained.

    Returns:
        [batch, …].

    Source: Liu et al. 2020, "Energy-based Out-of-distribution Detection",
    equation 4, with a temperature of 1.
    """
    return -tf.reduce_logsumexp(logits, axis=-1)


def joint(logits: tf.Tensor) -> tf.Tensor:
    """Returns the free energies of independent labels, added up.

    Each label's is -log(1 + exp(logit)), that of its being there or not. What
    the paper calls JointEnergy is the same with the other sign.

    Args:
        logits: [batch, labels], as trained.

    Returns:
        [batch].

    Source: Wang et al. 2021, "Can multi-label classification networks know
    what they don't know?", section 3.
    """
    return -tf.reduce_sum(tf.nn.softplus(logits), axis=-1)
