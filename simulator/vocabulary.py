"""The words of generated modules: arithmetic on one number, or on one for each program."""

from math import inf, nan
from typing import Any

import numpy as np

from tiledsl.ops import OPS, bitcast, convert, wrap
from tiledsl.simulator.places import Value, col, full, one, row
from tiledsl.types import DType

BOOL, I4, I8, I16, I32, I64 = (
    DType.BOOL, DType.I4, DType.I8, DType.I16, DType.I32, DType.I64,
)  # fmt: skip
U4, U8, U16, U32 = DType.U4, DType.U8, DType.U16, DType.U32
F16, BF16, F32, F64 = DType.F16, DType.BF16, DType.F32, DType.F64
F8E4M3, F8E5M2 = DType.F8E4M3, DType.F8E5M2

__all__ = [
    "BF16", "BOOL", "F8E4M3", "F8E5M2", "F16", "F32", "F64", "I4", "I8", "I16", "I32", "I64", "U4",
    "U8", "U16", "U32", "apply", "bits_of", "both", "cast", "chosen", "col", "either", "full",
    "greatest", "inf", "least", "nan", "negated", "one", "quotient", "remainder", "rounded", "row",
]  # fmt: skip


def least(a: Value, b: Value) -> Value:
    """Return the smaller."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.minimum(a, b)
    return a if a <= b else b


def greatest(a: Value, b: Value) -> Value:
    """Return the larger."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.maximum(a, b)
    return a if a >= b else b


def quotient(a: Value, b: Value) -> Value:
    """Return ``a // b`` of integers; 0 where ``b`` is 0."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return OPS["floordiv"].numpy(np.asarray(a), np.asarray(b))
    return a // b if b else 0


def remainder(a: Value, b: Value) -> Value:
    """Return ``a`` less ``b * (a // b)``; ``a`` where ``b`` is 0."""
    return a - b * quotient(a, b)


def both(a: Value, b: Value) -> Value:
    """Return whether both hold."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.logical_and(a, b)
    return a and b


def either(a: Value, b: Value) -> Value:
    """Return whether one holds."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.logical_or(a, b)
    return a or b


def negated(a: Value) -> Value:
    """Return whether it does not hold."""
    return np.logical_not(a) if isinstance(a, np.ndarray) else not a


def chosen(condition: Value, then: Value, other: Value) -> Value:
    """Return ``then`` where the condition holds, else ``other``."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, then, other)
    return then if condition else other


def rounded(value: Value, dtype: DType) -> Value:
    """Return a float rounded to ``dtype``."""
    if isinstance(value, np.ndarray):
        return value.astype(dtype.numpy)
    return _number(np.asarray(value).astype(dtype.numpy))


def cast(value: Value, dtype: DType) -> Value:
    """Return ``value`` cast as by the op ``cast``; integers stay wide."""
    result = convert(np.asarray(value), dtype)
    if not isinstance(value, np.ndarray):
        return _number(result)
    return result.astype(np.int64) if dtype.is_integer else result


def bits_of(value: Value, dtype: DType) -> Value:
    """Return ``value`` in its own type, whose width an op of bits needs to know."""
    return convert(np.asarray(value), dtype)[()]


def apply(op: str, dtype: DType, *operands: Value) -> Value:
    """Return any op of the table."""
    arrays = tuple(np.asarray(x) for x in operands)
    match op:
        case "wrap":
            result = wrap(arrays[0], dtype)
        case "bitcast":
            result = bitcast(arrays[0], dtype)
        case _:
            result = OPS[op].evaluate(arrays, dtype)
    if not any(isinstance(x, np.ndarray) for x in operands):
        return _number(result)
    return result.astype(np.int64) if dtype.is_integer else result


def _number(array: Any) -> Value:
    value = np.asarray(array).item()
    return value if isinstance(value, int | bool) else float(value)
