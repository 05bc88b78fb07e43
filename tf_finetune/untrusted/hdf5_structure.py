"""Lists the objects of an untrusted HDF5 file within limits.

Only headers are read. Links to other places, arrays that lie in other files,
and more objects, levels, names or bytes than any network has are refused with
an error message, before a reader that trusts the file meets them.
"""

import dataclasses
import math
from typing import NoReturn

import h5py

from tf_finetune import errors

# Groups and arrays; NASNetLarge with the state of its optimizer has some 8,000.
MAX_OBJECTS = 40_000
# Of nested groups; Keras uses two for each model in a model.
MAX_LEVELS = 64
MAX_NAME_BYTES = 1024
# Of one attribute; HDF5 itself keeps most below 64 KiB.
MAX_ATTRIBUTE_BYTES = 8 << 20
# Of all arrays together; less than this is never refused.
LARGE_BYTES = 1 << 28
# Compressed arrays of zeros declare far more than the file holds.
MAX_EXPANSION = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Structure:
    """Groups and arrays of an HDF5 file by their paths.

    A path is a tuple of names, ("layers", "conv2d", "vars", "0").

    Attributes:
        groups: Paths of the groups in the order of the file, without the root.
        arrays: Paths of the arrays (datasets) in the order of the file.
        declared_bytes: Size of all arrays together by their shapes and types,
            without reading them.
    """

    groups: tuple[tuple[str, ...], ...]
    arrays: tuple[tuple[str, ...], ...]
    declared_bytes: int


def list_objects(file: h5py.File) -> Structure:
    """Lists the groups and arrays of an HDF5 file without reading the arrays.

    Args:
        file: The open file.

    Raises:
        RunError: It holds links, or exceeds a limit (objects, levels, lengths
            of names, bytes), which the message names with the number found.
    """
    groups: list[tuple[str, ...]] = []
    arrays: list[tuple[str, ...]] = []
    seen, declared, count = {_object_address(file.id)}, 0, 0
    _check_attributes(file.id, ())
    # A stack instead of recursion: depth is limited by MAX_LEVELS, not by
    # Python.
    pending = [((), file["/"].id)]
    while pending:
        path, group = pending.pop()
        if path:
            groups.append(path)
        count += group.get_num_objs()
        if count > MAX_OBJECTS:
            refuse(f"it holds at least {count:,} objects", MAX_OBJECTS)
        below = []
        for name in _list_names(group, path):
            node = h5py.h5o.open(group, name)
            address = _object_address(node)
            # Hard links may give an object several names, or form a cycle.
            if address in seen:
                continue
            seen.add(address)
            inside = (*path, name.decode("utf-8", "surrogateescape"))
            _check_attributes(node, inside)
            if isinstance(node, h5py.h5g.GroupID):
                below.append((inside, node))
            elif isinstance(node, h5py.h5d.DatasetID):
                arrays.append(inside)
                declared += _count_declared_bytes(node, inside)
        # Reversed: the stack then yields groups in the order of the file.
        pending += reversed(below)
    allowed = max(LARGE_BYTES, MAX_EXPANSION * file.id.get_filesize())
    if declared > allowed:
        refuse(f"its arrays claim {declared:,} bytes", allowed)
    return Structure(
        groups=tuple(groups), arrays=tuple(arrays), declared_bytes=declared
    )


def refuse(what: str, limit: int) -> NoReturn:
    """Raises a `RunError` that names a number and the exceeded limit.

    Args:
        what: Clause with the number: "it holds 50,000 objects".
        limit: The limit.
    """
    raise errors.RunError(
        f"The file is refused: {what}, and {limit:,} is the limit."
    )


def _list_names(group: h5py.h5g.GroupID, path: tuple[str, ...]) -> list[bytes]:
    """Lists the names in a group; refuses links to other places."""
    # As bytes: a name need not be UTF-8.
    names: list[bytes] = []
    group.links.iterate(names.append)
    if names and len(path) >= MAX_LEVELS:
        refuse(f"it nests groups {len(path) + 1} levels deep", MAX_LEVELS)
    for name in names:
        if len(name) > MAX_NAME_BYTES:
            refuse(f"a name in it has {len(name):,} bytes", MAX_NAME_BYTES)
        if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            shown = name.decode("utf-8", "replace")
            raise errors.RunError(
                f"The file is refused: {shown!r} in it is a link to another "
                "place."
            )
    return names


def _check_attributes(node: h5py.h5g.GroupID, path: tuple[str, ...]) -> None:
    # The number of attributes has the limit of the bytes of a name, 1024.
    count = h5py.h5a.get_num_attrs(node)
    if count > MAX_NAME_BYTES:
        refuse(f"{_quote_path(path)} has {count:,} attributes", MAX_NAME_BYTES)
    for index in range(count):
        attribute = h5py.h5a.open(node, index=index)
        size = math.prod(attribute.shape or ()) * attribute.dtype.itemsize
        if size > MAX_ATTRIBUTE_BYTES:
            refuse(
                f"an attribute of {_quote_path(path)} has {size:,} bytes",
                MAX_ATTRIBUTE_BYTES,
            )


def _count_declared_bytes(
    array: h5py.h5d.DatasetID, path: tuple[str, ...]
) -> int:
    """Returns the bytes of an array, or of one of its chunks if that is larger.

    Raises:
        RunError: It lies in other files.
    """
    properties = array.get_create_plist()
    layout = properties.get_layout()
    if properties.get_external_count() or layout == h5py.h5d.VIRTUAL:
        raise errors.RunError(
            f"The file is refused: the array {_quote_path(path)} lies in "
            "another file."
        )
    item = array.get_type().get_size()
    size = math.prod(array.shape or ()) * item
    # A reader allocates whole chunks, also for an array smaller than one.
    if layout == h5py.h5d.CHUNKED:
        return max(size, math.prod(properties.get_chunk()) * item)
    return size


def _object_address(node: h5py.h5g.GroupID) -> tuple[int, int]:
    info = h5py.h5o.get_info(node)
    # Unique for an object among all open files.
    return info.fileno, info.addr


def _quote_path(path: tuple[str, ...]) -> str:
    return repr("/".join(path) or "/")
