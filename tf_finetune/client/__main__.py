r"""Sends pictures to a served model, over REST and over gRPC.

    python -m tf_finetune.client picture.jpg --model=flowers --method=classify
    python -m tf_finetune.client street.jpg --model=roads \
        --signature=serve_png --output=answers --rest=none --grpc=127.0.0.1:8500

Works with `python -m tf_finetune.serve` and with TensorFlow Serving alike.
Addresses are HOST:PORT, with or without http://, or the address that the server
prints, which includes the model's name. gRPC needs TensorFlow and the official
stubs:
pip install grpcio && pip install --no-deps tensorflow-serving-api==2.21.0

`--method=classify` and `regress` send tf.train.Examples with the picture as
`image_bytes`. Of outputs whose names end in `_bytes`, the sizes
are printed; `--output=FOLDER` writes them as files.
"""

import argparse
import json
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

from tf_finetune import console_output
from tf_finetune.client import grpc_client, rest_client
from tf_finetune.untrusted import picture_signatures

_SIGNATURES = {
    "predict": "serving_default",
    "classify": "classify",
    "regress": "regress",
}
_SENDERS = {"rest": rest_client.send_images, "grpc": grpc_client.send_images}
# Suffix of an output's file by its first bytes.
_SUFFIXES = (
    (picture_signatures.FIRST_BYTES["PNG"], ".png"),
    (picture_signatures.FIRST_BYTES["JPEG"], ".jpg"),
)
_MODEL_ADDRESS = re.compile(r"^(.*?)/v1/models/([^/:]+).*$")


def replace_bytes(value: Any, stem: str, folder: pathlib.Path | None) -> Any:
    """Replaces bytes in a value by file paths or sizes, for printing as JSON.

    Args:
        value: An output of the model: bytes, lists and dictionaries of them,
            and other values, which stay.
        stem: The first part of file names.
        folder: Folder to which the bytes are written, created if needed; None:
            nothing is written, and "N bytes" stands in their place.

    Returns:
        A new value; empty bytes become "0 bytes" in any case.
    """
    if isinstance(value, list):
        return [
            replace_bytes(each, f"{stem}_{number}", folder)
            for number, each in enumerate(value)
        ]
    if isinstance(value, dict):
        # The server chose the names: they must not lead out of the folder.
        ends = {
            name: re.sub(r"[^\w.-]", "_", name.removesuffix("_bytes"))
            for name in value
        }
        return {
            name: replace_bytes(each, f"{stem}_{ends[name]}", folder)
            for name, each in value.items()
        }
    if not isinstance(value, bytes):
        return value
    if not value or folder is None:
        return f"{len(value)} bytes"
    suffix = [each for start, each in _SUFFIXES if value.startswith(start)]
    path = folder / f"{stem}{(suffix or ['.bin'])[0]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value)
    return str(path)


def make_stems(paths: Sequence[pathlib.Path]) -> list[str]:
    """Makes a unique first part of file names for each picture.

    Args:
        paths: Picture files.

    Returns:
        Their stems; if two are equal, all of them numbered from 0.
    """
    # Numbers only if needed: pictures of several folders may share a name.
    own = [path.stem for path in paths]
    if len(set(own)) == len(own):
        return own
    return [f"{number}_{each}" for number, each in enumerate(own)]


def _read_file(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        sys.exit(f"Error: {path} cannot be read: {error.strerror}")


def parse_address(address: str, protocol: str) -> tuple[str, str | None]:
    """Splits an address into that of the server and the model's name.

    Args:
        address: HOST:PORT or http://HOST:PORT, with /v1/models/NAME or not.
        protocol: "rest" or "grpc".

    Returns:
        The server's address, with a scheme for "rest" and without one for
        "grpc"; and the model's name, None if the address has none.
    """
    # gRPC takes no scheme, and urllib needs one.
    found = _MODEL_ADDRESS.match(address)
    root, model = found.groups() if found else (address, None)
    root = root.rstrip("/")
    scheme, divided, rest = root.rpartition("://")
    if protocol == "grpc":
        return rest, model
    return (root if divided and scheme else f"http://{root}"), model


def _parse_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tf_finetune.client",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pictures", nargs="+", type=pathlib.Path)
    parser.add_argument(
        "--rest", default="127.0.0.1:8501", help="HOST:PORT, or none"
    )
    parser.add_argument("--grpc", default="none", help="HOST:PORT, or none")
    parser.add_argument(
        "--model",
        help="name of the model, as the server prints it; required unless an "
        "address ends in /v1/models/NAME",
    )
    parser.add_argument("--method", choices=_SIGNATURES, default="predict")
    parser.add_argument(
        "--signature",
        help="default: "
        + ", ".join(f"{name} for {of}" for of, name in _SIGNATURES.items()),
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        help="folder for outputs whose names end in _bytes",
    )
    arguments = parser.parse_args(given)
    addresses = {"rest": arguments.rest, "grpc": arguments.grpc}
    arguments.places = {
        protocol: parse_address(address, protocol)
        for protocol, address in addresses.items()
        if address != "none"
    }
    # Asked for before files are read, so a mistake shows at once.
    if not arguments.model and None in [
        m for _, m in arguments.places.values()
    ]:
        parser.error(
            "--model=NAME is required: the name that the server prints after "
            "/v1/models/."
        )
    return arguments


def main(given: Sequence[str] | None = None) -> None:
    """Sends pictures to servers; prints a line of JSON for each and protocol.

    Args:
        given: Command-line arguments; None: those of the process.
    """
    arguments = _parse_arguments(given)
    contents = [_read_file(path) for path in arguments.pictures]
    for protocol, (address, named) in arguments.places.items():
        model = arguments.model or named
        rows = _SENDERS[protocol](
            contents,
            address=address,
            model=model,
            method=arguments.method,
            signature=arguments.signature or _SIGNATURES[arguments.method],
        )
        paths = arguments.pictures
        for path, stem, row in zip(paths, make_stems(paths), rows, strict=True):
            said = replace_bytes(row, f"{stem}_{protocol}", arguments.output)
            line = {"picture": str(path), "protocol": protocol, "answer": said}
            console_output.show(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    console_output.prepare_streams()
    main()
