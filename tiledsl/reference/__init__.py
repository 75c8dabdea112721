"""``reference`` items: the mathematics of a kernel, evaluated in NumPy over whole tensors."""

from collections.abc import Mapping

import numpy as np

from tiledsl.check import Module
from tiledsl.ir import Kernel, OpGraph, Tensor
from tiledsl.ops import convert
from tiledsl.ops.registry import Array
from tiledsl.reference.evaluator import Evaluator, TensorValue
from tiledsl.reference.ranges import free_ranges
from tiledsl.reference.tiles import tile, widened
from tiledsl.runtime.evaluate import Number, evaluate
from tiledsl.types import DType

__all__ = ["evaluate_reference"]


def evaluate_reference(
    module: Module,
    graph: Kernel | OpGraph,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
) -> dict[str, Array]:
    """Return what the reference of ``graph`` gives for each output and ``inout`` tensor.

    ``arrays`` are the inputs with one axis a dim. Floats are f64, integers exact; the results are
    rounded to the types of the outputs. Elements that the reference leaves out are NaN, or 0.
    """
    body = module.references[graph.name].body
    tensors = {t.name: t for t in (*graph.params, *graph.outputs) if isinstance(t, Tensor)}

    def size(scalar: object) -> int:
        return int(evaluate(scalar, dims, scalars, arrays))  # type: ignore[arg-type]

    values: dict[str, TensorValue] = {}
    for name, tensor in tensors.items():
        shape = tuple(map(size, tensor.shape))
        if tensor.role == "out":
            values[name] = TensorValue(_start(tensor, shape, dims, scalars), tensor.dtype)
        else:
            values[name] = TensorValue(widened(arrays[name]).copy(), tensor.dtype)
    names = {name: tile(value) for name, value in dict(graph.binding.consts).items()}
    names |= {name: tile(value) for name, value in scalars.items()}
    names |= {name: tile(value) for name, value in dims.items()}
    names |= {name: tile(value) for name, value in graph.binding.pinned}
    bound = frozenset(names) | frozenset(tensors) | frozenset(module.consts)
    ranges = free_ranges(body, tensors, bound, size)
    types = dict(graph.binding.types)
    evaluator = Evaluator(module, body, tensors, values, names, ranges, types, graph.binding.absent)
    with np.errstate(all="ignore"):
        evaluator.run(body)
    return {
        name: convert(values[name].array, tensor.dtype)
        for name, tensor in tensors.items()
        if tensor.role != "in"
    }


def _start(
    tensor: Tensor, shape: tuple[int, ...], dims: Mapping[str, int], scalars: Mapping[str, Number]
) -> Array:
    kind = "f8" if tensor.dtype.is_float else "?" if tensor.dtype is DType.BOOL else "i8"
    start: Number = np.nan if tensor.dtype.is_float else 0
    if tensor.initial is not None:
        start = evaluate(tensor.initial, dims, scalars, {})
    return np.full(shape, start, kind)
