"""Network in a PyTorch checkpoint: nested dicts, prefixes of tensor names."""

from typing import Any

from tf_finetune import errors
from tf_finetune.weights.torch import tensors

# Under these names training programs save a network.
_NETWORKS = (
    "state_dict",
    "model_state_dict",
    "model",
    "model_ema",
    "net",
    "network",
    "state_dict_ema",
    "ema_state_dict",
    "module",
)
# Put in front by DataParallel, torch.compile, and by programs that wrap the
# network.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")
# AveragedModel counts its updates beside the network's arrays.
_COUNTERS = ("n_averaged",)
_SHOWN = 8

Views = dict[str, tensors.TensorView]


def find_network(root: Any, part: str = "") -> Views:
    """Finds the tensors of a network in a saved checkpoint.

    Args:
        root: Object of the file: a state dict, or a dict of several.
        part: Key of the network in a dict of several, e.g. "model_ema"; "": the
            only one.

    Returns:
        The tensors by name, prefixes included.

    Raises:
        UsageError: The checkpoint holds no network, not the named one, or
            several and none was named.
    """
    if not isinstance(root, dict):
        raise errors.UsageError(
            f"It holds a {_name_kind(root)}, no state dict. Save the weights "
            "with torch.save(net.state_dict(), 'weights.pth')."
        )
    networks = {
        name: views
        for name, value in root.items()
        if isinstance(name, str) and (views := _list_tensors(value))
    }
    if part:
        return _choose_network(networks, part)
    # Tensors at the top are the network itself, whatever dicts lie beside it.
    if own := _list_tensors(root):
        return own
    # A checkpoint may hold other dicts of tensors beside the network.
    usual = {name: networks[name] for name in _NETWORKS if name in networks}
    found = usual or networks
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise errors.UsageError(_describe_absence(root))
    raise errors.UsageError(
        f"It holds several networks: {', '.join(found)}. Name one of them, "
        f"e.g. --weights=FILE::{next(iter(found))}."
    )


def strip_prefixes(views: Views) -> tuple[Views, str]:
    """Removes prefixes such as "module." that all tensor names share.

    Args:
        views: Tensors by name; it is not changed. The update counter of
            torch's AveragedModel is left out of the result.

    Returns:
        The tensors by their shorter names, and all prefixes that were removed,
        joined; "" if there were none.
    """
    views = {n: each for n, each in views.items() if n not in _COUNTERS}
    removed = ""
    while prefix := _find_prefix(views):
        views = {n.removeprefix(prefix): each for n, each in views.items()}
        removed += prefix
    return views, removed


def _find_prefix(views: Views) -> str:
    for prefix in _PREFIXES:
        if views and all(name.startswith(prefix) for name in views):
            return prefix
    return ""


def _list_tensors(value: Any) -> Views:
    if not isinstance(value, dict):
        return {}
    return {
        name: each
        for name, each in value.items()
        if isinstance(name, str) and isinstance(each, tensors.TensorView)
    }


def _choose_network(networks: dict[str, Views], part: str) -> Views:
    if part in networks:
        return networks[part]
    known = ", ".join([*networks][:_SHOWN]) or "none"
    raise errors.UsageError(
        f"The file has no network named {part!r}. It has: {known}."
    )


def _describe_absence(root: dict[Any, Any]) -> str:
    keys = [str(each) for each in root][:_SHOWN]
    if any("optim" in each for each in keys) or "param_groups" in keys:
        return (
            "It holds the state of an optimizer and no network (its keys: "
            f"{', '.join(keys)}). Give the file with the network's weights."
        )
    return (
        f"It holds no tensors by name; its keys: {', '.join(keys) or 'none'}."
    )


def _name_kind(value: Any) -> str:
    if isinstance(value, tensors.TensorView):
        return f"tensor of shape {list(value.shape)}"
    return type(value).__name__
