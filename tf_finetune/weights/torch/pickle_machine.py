"""Stack machine of pickles that knows tensors, containers and plain values.

Of the names that a pickle may call only `_CALLS` are known, and of Python's
instructions those that PyTorch writes.
"""

from collections.abc import Callable
from typing import Any

from tf_finetune import errors
from tf_finetune.weights.torch import tensors

_MARK = object()
_MAX_NAME = 200


class Name(str):
    """Qualified name in a pickle, such as "torch.FloatStorage", as text only.

    Nothing is imported by it; its type tells it from a text of the file.
    """


class ForeignNameError(Exception):
    """Error for a class or function in a pickle that no tensor needs.

    Attributes:
        name: Its qualified name, such as "posix.system".
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Machine:
    """Stack machine that interprets the instructions of a pickle.

    Attributes:
        stack: Values, the result last.
        memo: Values that the pickle refers to again, by index.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        # A dict: an index of any size costs one entry.
        self.memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        """Runs one instruction, which changes stack and memo.

        Args:
            name: Name of the opcode as in `pickletools`, e.g. "BINPUT".
            argument: Its decoded argument; None if it has none.

        Raises:
            RunError: The instruction is none that PyTorch writes.
            ForeignNameError: It mentions a name that no tensor needs.
            IndexError, KeyError, TypeError, ValueError: The pickle is damaged.
        """
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _MEMO_WRITES:
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in _MEMO_READS:
            self.stack.append(self.memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._push_name(argument)
        elif name in _STEPS:
            _STEPS[name](self.stack)
        elif name not in ("PROTO", "FRAME"):
            raise errors.RunError(
                f"The pickle in the file is refused: the instruction {name} "
                "is not one that tensors need."
            )

    def _push_name(self, argument: str | None) -> None:
        # STACK_GLOBAL (protocol 4) takes both words from the stack.
        if argument is None:
            attribute, module = self.stack.pop(), self.stack.pop()
            if not isinstance(module, str) or not isinstance(attribute, str):
                raise ValueError("a name is no text")
            argument = f"{module} {attribute}"
        name = Name(argument.replace(" ", ".")[:_MAX_NAME])
        package, _, last = name.rpartition(".")
        is_storage = package == "torch" and tensors.find_storage_type(last)
        if name not in _CALLS and not is_storage:
            raise ForeignNameError(name)
        self.stack.append(name)


def _pop_mark(stack: list[Any]) -> list[Any]:
    """Removes the values above the last mark, and the mark."""
    place = len(stack) - 1
    while stack[place] is not _MARK:
        place -= 1
        if place < 0:
            raise ValueError("a mark is missing")
    values = stack[place + 1 :]
    del stack[place:]
    return values


def _push_tuple(stack: list[Any], count: int) -> None:
    if len(stack) < count:
        raise ValueError("a tuple is longer than the stack")
    values = tuple(stack[-count:])
    del stack[-count:]
    stack.append(values)


def _append_items(stack: list[Any], values: list[Any]) -> None:
    if type(stack[-1]) is not list:
        raise ValueError("items are appended to no list")
    stack[-1].extend(values)


def _set_items(stack: list[Any], values: list[Any]) -> None:
    if type(stack[-1]) is not dict:
        raise ValueError("items are set in no dict")
    for key, value in zip(values[::2], values[1::2], strict=True):
        # Hashing a deeply nested tuple would overflow the interpreter's stack.
        if not isinstance(key, str | int | float):
            raise ValueError("a key is neither text nor number")
        stack[-1][key] = value


def _set_state(stack: list[Any]) -> None:
    # An OrderedDict's attributes: in a state dict the versions of layers.
    stack.pop()


def _push_storage(stack: list[Any]) -> None:
    """Turns the persistent id of a storage into a `tensors.Storage`."""
    # ("storage", type, key, device, count), as persistent_id in
    # torch/serialization.py returns; old files add a view.
    word, kind, key, _, count, *view = stack.pop()
    if word != "storage" or type(count) is not int or count < 0:
        raise ValueError("a persistent id is no storage")
    if not isinstance(kind, Name) or not isinstance(key, str):
        raise ValueError("a storage has no type or no key")
    dtype = tensors.find_storage_type(kind.rpartition(".")[2])
    # Files of PyTorch 0.1 hold storages that are parts of others.
    if dtype is None or any(each is not None for each in view):
        raise ValueError("a storage is not a plain one")
    stack.append(tensors.Storage(key=key, dtype=dtype, count=count))


def _call(stack: list[Any]) -> None:
    arguments, name = stack.pop(), stack.pop()
    if not isinstance(name, Name) or name not in _CALLS:
        raise ValueError("something without a name is called")
    stack.append(_CALLS[name](*arguments))


# Both versions of torch: v2 adds requires_grad and hooks, which end in *_.
def _rebuild_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *_: Any
) -> tensors.TensorView:
    return tensors.make_view(storage, offset, shape, strides)


def _rebuild_parameter(tensor: Any, *_: Any) -> tensors.TensorView:
    return tensor


def _make_dict(items: Any = None) -> dict[Any, Any]:
    """Makes a dict; Python 2 gave its items to it as a list of pairs."""
    stack: list[Any] = [{}]
    if items is not None:
        if type(items) is not list or any(len(each) != 2 for each in items):
            raise ValueError("a dict is made of something else than pairs")
        for pair in items:
            _set_items(stack, list(pair))
        # Emptied: from one long list, many dicts would take any memory.
        items.clear()
    return stack[0]


def _make_size(sizes: Any = ()) -> tuple[int, ...]:
    return tensors.list_counts(sizes)


_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _make_dict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch.Size": _make_size,
}
# Instructions whose decoded argument is the value to push.
_VALUES = {
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINSTRING",
    "SHORT_BINSTRING",
    "BINBYTES",
    "SHORT_BINBYTES",
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    # A list: hashing items of an untrusted file could overflow the stack.
    "EMPTY_SET": list,
    "MARK": lambda: _MARK,
}
_MEMO_WRITES = {"BINPUT", "LONG_BINPUT"}
_MEMO_READS = {"BINGET", "LONG_BINGET"}
_STEPS: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE": lambda stack: stack.append(tuple(_pop_mark(stack))),
    "TUPLE1": lambda stack: _push_tuple(stack, 1),
    "TUPLE2": lambda stack: _push_tuple(stack, 2),
    "TUPLE3": lambda stack: _push_tuple(stack, 3),
    "APPEND": lambda stack: _append_items(stack, [stack.pop()]),
    "APPENDS": lambda stack: _append_items(stack, _pop_mark(stack)),
    "ADDITEMS": lambda stack: _append_items(stack, _pop_mark(stack)),
    # The key lies below the value.
    "SETITEM": lambda stack: _set_items(stack, [stack.pop(-2), stack.pop()]),
    "SETITEMS": lambda stack: _set_items(stack, _pop_mark(stack)),
    "BUILD": _set_state,
    "BINPERSID": _push_storage,
    "REDUCE": _call,
}
