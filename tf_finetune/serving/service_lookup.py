"""Choice of the served model that a request names, for REST and gRPC."""

from collections.abc import Sequence

from tf_finetune.serving import failures, service


def find_service(
    services: Sequence[service.Service],
    name: str,
    version: int | None,
    label: str = "",
) -> service.Service:
    """Finds the model that a request is for.

    Args:
        services: The models of the server, at least one.
        name: The model's name.
        version: Its number; None: the served one.
        label: A version label; empty: none. This server has no labels.

    Raises:
        RequestError: 404, no such model or version is served; 400, `label` is
            not empty.
    """
    if label:
        raise failures.RequestError(
            400,
            f"Unrecognized servable version label: {label}. This server "
            "has no labels; give a version's number, or none.",
        )
    for each in services:
        model = each.model
        if name == model.name and version in (None, model.version):
            return each
    asked = (
        f"Latest({name})" if version is None else f"Specific({name}, {version})"
    )
    served = "; ".join(
        f"{each.model.name}, version {each.model.version}" for each in services
    )
    # As TensorFlow Serving words it.
    raise failures.RequestError(
        404,
        f"Servable not found for request: {asked}. This server has {served}.",
    )
