"""What instructions compute, on arrays: shared by all that run them."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from tiledsl.ops import OPS, convert
from tiledsl.ops.registry import Array
from tiledsl.simulator.halves import round_into, widen
from tiledsl.types import DType

# Called with the operands and the array for the result.
UNARY: Mapping[str, Callable[..., Any]] = {
    "exp": np.exp, "ln": np.log, "sqrt": np.sqrt, "abs": np.absolute, "not": np.invert,
    "relu": lambda x, out: np.maximum(x, np.zeros((), x.dtype), out=out), "floor": np.floor,
    "ceil": np.ceil, "rint": np.rint, "trunc": np.trunc,
}  # fmt: skip
BINARY: Mapping[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
    "div": np.divide, "and": np.bitwise_and, "or": np.bitwise_or,
}  # fmt: skip
COMPARE: Mapping[str, np.ufunc] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}  # fmt: skip
_FOLDS: Mapping[str, np.ufunc] = {
    "sum": np.add, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum
}
_ROUND: Mapping[str, Callable[[Array], Array]] = {
    "rint": np.rint, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc
}
_PIECE = 64  # elements of f32 that one repeat of an instruction takes
# Where a narrower float, rounded to nearest, has gone beyond the number, and where to step back to.
_TOWARDS: Mapping[str, tuple[Callable[[Array, Array], Array], float]] = {
    "floor": (np.greater, -np.inf), "ceil": (np.less, np.inf),
    "trunc": (lambda near, x: np.abs(near) > np.abs(x), 0.0),
}  # fmt: skip


def put(number: Array, out: Array) -> None:
    """Set all elements to a number."""
    out[...] = number


def iota(first: Array, out: Array) -> None:
    """Set elements to consecutive numbers."""
    out[...] = first + np.arange(out.shape[-1])


def shift(op: str, x: Array, number: Array, out: Array) -> None:
    """Shift bits."""
    out[...] = OPS[op].numpy(x, number)


def unpack(mask: Array, out: Array) -> None:
    """Write the bits of a mask as bools."""
    bits = np.unpackbits(mask, axis=1, count=out.shape[1], bitorder="little")
    out[...] = bits.view(np.bool_)


def select(bits: Array, a: Array, b: Array, out: Array) -> None:
    """Choose ``a`` where a bit is set, else ``b``; NumPy's own choice goes one by one."""
    kind: Any = np.dtype(f"i{out.dtype.itemsize}")
    mask = np.subtract(0, bits.view(np.int8), dtype=kind)
    x, y = a.view(kind), b.view(kind)
    np.bitwise_and(mask, np.bitwise_xor(x, y), out=mask)
    np.bitwise_xor(mask, y, out=out.view(kind))


def gather(size: int, table: Array, places: Array, out: Array) -> None:
    """Pick elements of ``size`` bytes by byte offsets."""
    out[...] = np.take_along_axis(table, places.astype(np.int64) // size, 1)


def fold(op: str, axis: int, x: Array, out: Array) -> None:
    """Fold an axis of three, of f16 in f32 if it is a sum of rows."""
    if op == "sum" and x.dtype == np.float32:
        _sum_rows(x, out)
        return
    wide = np.float32 if op == "sum" and x.dtype == np.float16 else x.dtype
    if wide == out.dtype:
        _FOLDS[op].reduce(x, axis=axis, dtype=wide, out=out)
    else:
        out[...] = _FOLDS[op].reduce(x, axis=axis, dtype=wide)


def _sum_rows(x: Array, out: Array) -> None:
    """Sum rows of f32 in pieces as long as an instruction takes: errors grow as slowly as there."""
    whole = x.shape[2] // _PIECE * _PIECE
    if whole <= _PIECE:
        np.einsum("abc->ab", x, out=out)
        return
    pieces = x[:, :, :whole].reshape(*x.shape[:2], whole // _PIECE, _PIECE)
    np.einsum("abc->ab", np.einsum("abcd->abc", pieces), out=out)
    if whole < x.shape[2]:
        np.add(out, np.einsum("abc->ab", x[:, :, whole:]), out=out)


def fold_halves(op: str, axis: int, x: Array, out: Array) -> None:
    """Fold f16 kept as f32: sums of rows in f32, columns rounded row after row."""
    if axis == 2:
        fold(op, axis, x, out)
        round_into(out, out)
        return
    out[...] = x[:, 0]
    for row in range(1, x.shape[1]):
        _FOLDS[op](out, x[:, row], out=out)
        round_into(out, out)


def converted_into(src: DType, dst: DType, mode: str, x: Array, out: Array) -> None:
    """Convert; f16 may come and go as f32."""
    if src.is_float and x.dtype == np.float32 and dst in (DType.I8, DType.U8) and mode == "trunc":
        low, high = dst.limits
        least = x.min()
        if low <= least and x.max() <= high:  # no NaN either
            np.copyto(out, x, casting="unsafe")
            return
    out[...] = converted(x, src, dst, mode)


def cut_into(src: DType, dst: DType, x: Array, out: Array) -> None:
    """Convert floats to integers that have room for them, towards 0."""
    if _nan_is_zero(x.dtype, out.dtype) or not np.isnan(x.min(initial=0)):
        np.copyto(out, x, casting="unsafe")
    else:
        out[...] = converted(x, src, dst, "trunc")


@cache
def _nan_is_zero(src: np.dtype[Any], dst: np.dtype[Any]) -> bool:
    """Whether this processor makes 0 of NaN, as `convert` does: C leaves it open."""
    return not any(np.full(n, np.nan, src).astype(dst).any() for n in (1, 7, 1000))


def converted(x: Array, src: DType, dst: DType, mode: str) -> Array:
    """Return elements in another type; ``x`` may be f16 kept as f32."""
    x = widen(x) if x.dtype == np.float16 else x
    whole = not dst.is_float or dst is src
    if src.is_float and mode in _ROUND and whole:
        x = _ROUND[mode](x if src is not DType.BF16 else x.astype(np.float32))
    if not dst.is_float:
        return _whole(x, dst)
    found: Array = x.astype(dst.numpy)
    if mode in _TOWARDS and dst.size < src.size:
        beyond, to = _TOWARDS[mode]
        passed = beyond(found.astype(np.float32), x.astype(np.float32))
        np.copyto(found, np.nextafter(found, found.dtype.type(to)), where=passed)
    return found


def _whole(x: Array, dtype: DType) -> Array:
    """Return integers of ``dtype`` as `convert` does; narrow ones without a way through f64."""
    if x.dtype != np.float32 or dtype.bits not in (8, 16) or np.isnan(x).any():
        return convert(x, dtype)
    low, high = dtype.limits
    return np.clip(x, np.float32(low), np.float32(high)).astype(dtype.numpy)
