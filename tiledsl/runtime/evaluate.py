"""The value of a scalar at launch, where every dim, parameter and element is known."""

from collections.abc import Mapping
from typing import assert_never

import numpy as np

from tiledsl import scalar as sc
from tiledsl.ops import OPS, bitcast, convert, wrap
from tiledsl.ops.registry import Array
from tiledsl.types import DType

Number = int | float | bool


class Unknown(Exception):  # noqa: N818  not an error: a dim that is still to be solved
    """The scalar needs a dim that is not known yet."""


def evaluate(
    scalar: sc.Scalar,
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    arrays: Mapping[str, Array],
) -> Number:
    """Return the number that ``scalar`` is; raise `Unknown` where a dim is missing.

    Integers are Python's, so that a size that overflows is seen and not wrapped. As in the op
    table, a division of integers by zero gives 0, and its remainder the dividend.
    """
    match scalar:
        case sc.Literal(value=value):
            return value
        case sc.Dim(name=name):
            if name not in dims:
                raise Unknown(name)
            return dims[name]
        case sc.ParamValue(name=name):
            if name not in scalars:
                raise Unknown(name)
            return scalars[name]
        case sc.Element():
            return _element(scalar, dims, scalars, arrays)
        case sc.Apply(op="where", args=(condition, then, other)):
            # Only the chosen side: the other may read outside its tensor.
            chosen = then if evaluate(condition, dims, scalars, arrays) else other
            return evaluate(chosen, dims, scalars, arrays)
        case sc.Apply(op=op, args=args, dtype=dtype):
            numbers = [evaluate(a, dims, scalars, arrays) for a in args]
            return _apply(op, numbers, dtype, args[0].dtype)
        case sc.TileSize() | sc.Position() | sc.Start() | sc.End() | sc.Local():
            raise AssertionError(f"{sc.show(scalar)} is not known at launch")
        case _:
            assert_never(scalar)


def _element(
    scalar: sc.Element,
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    arrays: Mapping[str, Array],
) -> Number:
    array = arrays[scalar.tensor.name]
    index = [int(evaluate(i, dims, scalars, arrays)) for i in scalar.index]
    inside = all(0 <= i < size for i, size in zip(index, array.shape, strict=True))
    if not inside:
        if scalar.default is None:
            raise Unknown(scalar.tensor.name)
        return evaluate(scalar.default, dims, scalars, arrays)
    value: Number = array[tuple(index)].item()
    return value


def _apply(op: str, args: list[Number], dtype: DType, source: DType) -> Number:
    """Return ``op`` of ``args``, of which the first is of type ``source``."""
    if op in ("floordiv", "mod") and dtype.is_integer and args[1] == 0:
        return 0 if op == "floordiv" else args[0]
    folded = sc.apply(op, *(sc.Literal(a) for a in args), dtype=dtype)
    if isinstance(folded, sc.Literal):
        return folded.value
    operands = tuple(np.asarray(a) for a in args)
    match op:
        case "cast":
            return _number(convert(operands[0], dtype))
        case "wrap":
            return _number(wrap(operands[0], dtype))
        case "bitcast":
            return _number(bitcast(convert(operands[0], source), dtype))
        case "popcount":
            return _number(OPS[op].evaluate((convert(operands[0], source),), dtype))
        case _:
            return _number(OPS[op].evaluate(operands, dtype))


def _number(array: Array) -> Number:
    value = np.asarray(array).item()
    return value if isinstance(value, int) else float(value)
