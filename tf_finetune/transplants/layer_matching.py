"""Pairs the layers of a network with those of a wider or deeper relative."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import topology

Segment = tuple[keras.Operation, ...]

# Settings that two layers must share, besides their class.
_SETTINGS = ("kernel_size", "strides", "pool_size", "dilation_rate", "groups")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matching:
    """Layers of a network with their counterparts in another one.

    Attributes:
        source_of: The other network's operation, by one of the network.
        dropped: Segments of the other network, such as residual blocks, without
            a counterpart.
    """

    source_of: dict[keras.Operation, keras.Operation]
    dropped: tuple[Segment, ...]


def split_segments(model: keras.Model) -> list[Segment]:
    """Splits a network at the tensors that all information passes through.

    Operations without weights belong to the segment before them, so that a
    residual block includes the activation behind its sum.

    Args:
        model: Flat graph of one input and one output.

    Returns:
        Segments in order, each a tuple of operations; together all operations
        but the input.
    """
    ends = set(topology.find_bottlenecks(model))
    found: list[list[keras.Operation]] = []
    current: list[keras.Operation] = []
    for operation in model.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        current.append(operation)
        if operation in ends:
            has_weights = any(getattr(e, "weights", None) for e in current)
            # Activations behind a sum belong to the block before them.
            if found and not has_weights:
                found[-1] += current
            else:
                found.append(current)
            current = []
    return [tuple(each) for each in found]


def find_shortcut(segment: Segment) -> keras.Operation | None:
    """Finds the sum that adds a segment's own input to its result.

    Returns:
        The operation; None if the segment is no residual block with an identity
        shortcut, so that the network would not work without it.
    """
    inside = {id(operation.output) for operation in segment}
    # Tensors that come from outside; the first is the segment's input.
    entering = [
        tensor
        for operation in segment
        for tensor in topology.list_inputs(operation)
        if id(tensor) not in inside
    ]
    for operation in segment:
        if isinstance(operation, keras.layers.Add) and any(
            tensor is entering[0] for tensor in topology.list_inputs(operation)
        ):
            return operation
    return None


def match_layers(
    target: backbones.Backbone,
    source: backbones.Backbone,
    similarities: Mapping[keras.Operation, float],
) -> Matching:
    """Pairs the layers of a network with those of a relative, in order.

    Of several ways to leave out residual blocks of the relative, the one is
    taken that leaves out those that change their input least. A block that
    ends in one of its feature maps is never left out.

    Args:
        target: The network whose layers get counterparts.
        source: The relative; as deep or deeper.
        similarities: Cosine of input and output of the residual blocks of
            `source`, by the sum at their end.

    Raises:
        UsageError: The networks are not of one family, or `source` is less
            deep.
    """
    ours, theirs = split_segments(target.model), split_segments(source.model)
    maps = {id(tensor) for tensor in source.feature_maps.values()}
    losses = [_compute_loss(each, maps, similarities) for each in theirs]
    chosen = _align(
        [_sign(each) for each in ours], [_sign(each) for each in theirs], losses
    )
    if chosen is None:
        names = [e.spec.name_width(e.alpha) for e in (source, target)]
        raise errors.UsageError(
            f"--init_from: the layers of {names[0]} cannot be those of "
            f"{names[1]}. Name a network of the same family that is as deep or "
            "deeper, and as wide or wider."
        )
    pairs = [
        pair
        for mine, place in zip(ours, chosen, strict=True)
        for pair in zip(mine, theirs[place], strict=True)
    ]
    kept = set(chosen)
    return Matching(
        source_of=dict(pairs),
        dropped=tuple(
            each for place, each in enumerate(theirs) if place not in kept
        ),
    )


def _sign(segment: Segment) -> tuple:
    """Returns the classes and settings that counterparts share."""
    return tuple(
        (type(each), *(getattr(each, name, None) for name in _SETTINGS))
        for each in segment
    )


def _compute_loss(
    segment: Segment,
    maps: set[int],
    similarities: Mapping[keras.Operation, float],
) -> float | None:
    """Returns how much leaving a segment out changes; None: it must stay."""
    shortcut = find_shortcut(segment)
    # A block without a shortcut changes shapes; a feature map is read by
    # heads.
    if shortcut is None or id(segment[-1].output) in maps:
        return None
    return 1.0 - similarities[shortcut]


def _align(
    ours: Sequence[tuple], theirs: Sequence[tuple], losses: Sequence
) -> list[int] | None:
    """Chooses a counterpart for each of `ours`, in order, at the least loss.

    Returns:
        Places in `theirs`; None if there is no way.
    """
    # best[i]: (loss, places) of the ways in which `theirs` up to here covers
    # the first i of `ours`; the usual recurrence of sequence alignment.
    best: list[tuple[float, list[int]] | None] = [(0.0, [])]
    best += [None] * len(ours)
    for place, (sign, loss) in enumerate(zip(theirs, losses, strict=True)):
        before = best
        best = [None] * len(before)
        for covered, state in enumerate(before):
            if state is None:
                continue
            # Leave this segment out, or pair it with the next of ours.
            if loss is not None:
                _keep_better(best, covered, (state[0] + loss, state[1]))
            if covered < len(ours) and ours[covered] == sign:
                _keep_better(best, covered + 1, (state[0], [*state[1], place]))
    return None if best[-1] is None else best[-1][1]


def _keep_better(
    best: list, place: int, state: tuple[float, list[int]]
) -> None:
    if best[place] is None or state[0] < best[place][0]:
        best[place] = state
