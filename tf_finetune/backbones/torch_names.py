"""Names of backbones in torchvision's graph: "resnet50+torch"."""

from tf_finetune import errors
from tf_finetune.backbones import catalog, torch_rules


def find_torch_name(name: str) -> str | None:
    """Finds the name of a backbone that has torchvision's graph.

    Args:
        name: Name as `--backbone` takes it, e.g. "resnet50" or "resnet50+se".

    Returns:
        Name such as "resnet50+torch" or "resnet50+torch+se"; `name` itself if
        it contains "+torch"; None where torchvision has no such network, or its
        graph is the backbone's own.

    Raises:
        UsageError: The backbone is unknown, or torchvision lacks its width.
    """
    spec, alpha = catalog.find_spec(name)
    if spec.torch_rules:
        return name
    if spec.name not in torch_rules.RULES:
        return None
    if alpha not in (None, 1.0):
        raise errors.UsageError(
            f"--backbone={name}: PyTorch weights can be read for the width 1 "
            f"only, --backbone={spec.name}."
        )
    # "+torch" goes in front of other additions, as `catalog.find_spec` reads.
    _, *additions = name.split("+")
    return "+".join([spec.name, "torch", *additions])
