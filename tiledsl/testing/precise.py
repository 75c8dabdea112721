"""A kernel or an op as the tile IR reads, on f64 arrays in place of its narrower floats."""

from collections.abc import Iterator, Mapping

import numpy as np

from tiledsl.ir import Kernel, OpGraph, Tensor
from tiledsl.ops import convert
from tiledsl.ops.registry import Array
from tiledsl.runtime.arrays import as_array, poisoned
from tiledsl.runtime.kernel import steps
from tiledsl.runtime.launch import Launch, expected, prepare
from tiledsl.testing.interpreter import interpret
from tiledsl.types import DType


def run_in_f64(
    graph: Kernel | OpGraph, given: Mapping[str, object], dims: Mapping[str, int]
) -> dict[str, Array]:
    """Return the outputs, every float of them f64, and the arrays that were updated in place.

    Arguments whose element type is a float may be f64, whatever the kernel says.
    """
    tensors = [p for p in graph.params if isinstance(p, Tensor)]
    came = {t.name: as_array(t.name, given[t.name], expected(t)) for t in tensors}
    narrow = {t.name: _narrowed(t, came[t.name]) for t in tensors}
    launch = prepare(graph, {**given, **narrow}, dims)
    wide = {t.name: _widened(t, launch, came.get(t.name)) for t in (*tensors, *graph.outputs)}
    for kernel, inner, arrays in _parts(graph, launch, wide):
        interpret(kernel, arrays, inner.dims, inner.scalars, precise=True)
    found = {t.name: wide[t.name].reshape(launch.outputs[t.name].shape) for t in graph.outputs}
    for tensor in tensors:
        if tensor.role == "inout":
            array = came[tensor.name]
            array[...] = wide[tensor.name].reshape(array.shape)
            found[tensor.name] = array
    return found


def _parts(
    graph: Kernel | OpGraph, launch: Launch, wide: dict[str, Array]
) -> Iterator[tuple[Kernel, Launch, dict[str, Array]]]:
    """Yield each kernel with its launch and its arrays in f64."""
    if isinstance(graph, Kernel):
        yield graph, launch, wide
        return
    for step, (kernel, inner) in zip(graph.steps, steps(graph, launch), strict=True):
        for temp in graph.temps:
            if temp.name not in wide:
                wide[temp.name] = _widened(temp, launch, None)
        arrays: dict[str, Array] = {}
        outer = (*step.args, *step.outputs)
        for mine, theirs in zip((*kernel.params, *kernel.outputs), outer, strict=True):
            if isinstance(mine, Tensor) and isinstance(theirs, Tensor):
                array = wide[theirs.name].reshape(inner.arrays[mine.name].shape)
                if mine.initial is not None and mine.dtype.is_float:
                    array[...] = inner.arrays[mine.name].astype(np.float64)
                arrays[mine.name] = array
        yield kernel, inner, arrays


def _narrowed(tensor: Tensor, array: Array) -> Array:
    """Return ``array`` in the type that the kernel wants of it."""
    if tensor.dtype.is_float and array.dtype == np.float64:
        with np.errstate(all="ignore"):
            return convert(array, tensor.dtype)
    return array


def _widened(tensor: Tensor, launch: Launch, came: Array | None) -> Array:
    """Return the array of ``tensor`` in f64, if it is one of floats, with its axes in the launch.

    An output starts poisoned, or as its header says.
    """
    ours = launch.arrays[tensor.name]
    if not tensor.dtype.is_float:
        return ours
    if came is not None:
        return came.astype(np.float64).reshape(ours.shape)
    if tensor.initial is not None:
        return ours.astype(np.float64)
    return poisoned(ours.shape, DType.F64)
