"""Kernels of layers, seen as matrices from inputs to outputs."""

import dataclasses
import math
from typing import Any, Literal

import keras

Kind = Literal["1x1", "kxk", "depthwise"]

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel, and its axes as a matrix M ∈ ℝ^{n×m}.

    Attributes:
        variable: The variable of its layer.
        name: Its name there: "kernel", "depthwise_kernel", "pointwise_kernel".
        kind: "1x1" also for dense and einsum layers, which have no window.
        rows: Axes of the inputs; n is the product of their sizes.
        columns: Axes of the outputs; m is the product of their sizes.
    """

    variable: keras.Variable
    name: str
    kind: Kind
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def num_rows(self) -> int:
        """n: numbers that one output reads."""
        return math.prod(self.variable.shape[axis] for axis in self.rows)

    @property
    def column_shape(self) -> tuple[int, ...]:
        """Sizes of the axes of the outputs."""
        return tuple(self.variable.shape[axis] for axis in self.columns)

    @property
    def num_columns(self) -> int:
        """m: number of outputs."""
        return math.prod(self.column_shape)

    def from_matrix(self, matrix: Any) -> Any:
        """Reshapes [num_rows, num_columns] to the kernel's own axes."""
        order = (*self.rows, *self.columns)
        shape = [self.variable.shape[axis] for axis in order]
        unordered = keras.ops.reshape(matrix, shape)
        # Axis i of the kernel is where `order` has i.
        back = [order.index(axis) for axis in range(len(order))]
        return keras.ops.transpose(unordered, back)

    def align_columns(self, values: Any) -> Any:
        """Reshapes m values, one an output, to broadcast to the kernel."""
        shape = [
            size if axis in self.columns else 1
            for axis, size in enumerate(self.variable.shape)
        ]
        return keras.ops.reshape(values, shape)


def list_kernels(layer: keras.Layer) -> list[Kernel]:
    """Lists the kernels of a convolution, dense or einsum layer.

    Args:
        layer: Any layer, built; those within it are not looked at.

    Returns:
        One kernel; two of a separable convolution; none for other layers.
    """
    if isinstance(layer, _SEPARABLE):
        return [
            _make_depthwise(layer.depthwise_kernel, "depthwise_kernel"),
            _make_plain(layer.pointwise_kernel, "pointwise_kernel"),
        ]
    if isinstance(layer, _DEPTHWISE):
        return [_make_depthwise(layer.kernel, "kernel")]
    if isinstance(layer, keras.layers.EinsumDense):
        return _make_einsum(layer)
    if isinstance(layer, (*_CONVOLUTIONS, keras.layers.Dense)):
        return [_make_plain(layer.kernel, "kernel")]
    return []


def _make_plain(variable: keras.Variable, name: str) -> Kernel:
    # [*window, inputs, outputs]; with groups the inputs of one group.
    last = len(variable.shape) - 1
    has_window = math.prod(variable.shape[:-2]) > 1
    return Kernel(
        variable=variable,
        name=name,
        kind="kxk" if has_window else "1x1",
        rows=tuple(range(last)),
        columns=(last,),
    )


def _make_depthwise(variable: keras.Variable, name: str) -> Kernel:
    # [*window, channels, multiplier]: each output reads one channel, so only
    # the window is an axis of inputs.
    window = len(variable.shape) - 2
    return Kernel(
        variable=variable,
        name=name,
        kind="depthwise",
        rows=tuple(range(window)),
        columns=(window, window + 1),
    )


def _make_einsum(layer: keras.layers.EinsumDense) -> list[Kernel]:
    # "abc,cde->abde": c is summed over, d and e are the outputs.
    inputs, _, rest = layer.equation.replace(" ", "").partition(",")
    letters = rest.partition("->")[0]
    rows = tuple(i for i, letter in enumerate(letters) if letter in inputs)
    columns = tuple(i for i in range(len(letters)) if i not in rows)
    if not rows or not columns:
        return []
    return [
        Kernel(
            variable=layer.kernel,
            name="kernel",
            kind="1x1",
            rows=rows,
            columns=columns,
        )
    ]
