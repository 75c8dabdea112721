"""The meanings of ops for which NumPy has no one function, exact on every element type."""

import math
from collections.abc import Callable

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.types import DType


def erf(x: Array) -> Array:
    """Return the error function, computed in f64 (`math.erf`)."""
    values = np.asarray(x, np.float64)
    return np.fromiter(map(math.erf, values.ravel()), np.float64, values.size).reshape(values.shape)


def sigmoid(x: Array) -> Array:
    """Return ``1 / (1 + exp(-x))``; no NaN at the infinities."""
    return 1 / (1 + np.exp(-x))


def rounding(of_floats: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Return a way to round that leaves integers alone: as floats, large ones would change."""
    return lambda x: x if np.asarray(x).dtype.kind in "iu" else of_floats(x)


def clamp(x: Array, low: Array, high: Array) -> Array:
    """Return ``min(max(x, low), high)``; NaN passes."""
    return np.minimum(np.maximum(x, low), high)


def floordiv(a: Array, b: Array) -> Array:
    """Return the quotient rounded down; 0 where an integer is divided by 0."""
    if np.asarray(a).dtype.kind in "iu":
        safe = np.where(b == 0, np.ones_like(b), b)
        return np.where(b == 0, np.zeros_like(a), np.floor_divide(a, safe))
    return np.floor(np.asarray(a / b))


def mod(a: Array, b: Array) -> Array:
    """Return ``a - b * (a // b)``; ``a`` where an integer is divided by 0."""
    return np.asarray(a - b * floordiv(a, b))


def power(a: Array, b: Array) -> Array:
    """Return ``a ** b``; for integers a negative exponent gives 0, or ±1 for bases of ±1."""
    if np.asarray(a).dtype.kind in "iu" and np.asarray(b).dtype.kind in "iu":
        base, exponent = np.broadcast_arrays(np.asarray(a), np.asarray(b))
        positive = np.power(base, np.maximum(exponent, 0).astype(base.dtype))
        one = np.where(base == 1, 1, np.where(base == -1, np.where(exponent % 2 == 0, 1, -1), 0))
        return np.where(exponent < 0, one, positive).astype(base.dtype)
    return np.asarray(np.power(a, b))


def shift_left(a: Array, b: Array) -> Array:
    """Return ``a << b``; bits that leave are lost; a shift by the width or more gives 0."""
    width = np.asarray(a).dtype.itemsize * 8
    return np.where((b < 0) | (b >= width), 0, np.left_shift(a, np.clip(b, 0, width - 1)))


def shift_right(a: Array, b: Array) -> Array:
    """Return ``a >> b``, with the sign; a shift by the width or more leaves the sign."""
    width = np.asarray(a).dtype.itemsize * 8
    return np.asarray(np.right_shift(a, np.clip(b, 0, width - 1)))


def popcount(a: Array) -> Array:
    """Return the number of set bits of the two's complement."""
    width = np.asarray(a).dtype.itemsize * 8
    bits = np.asarray(a).view(np.dtype(f"u{width // 8}"))
    return np.asarray(np.bitwise_count(bits)).astype(np.int32)


def convert(x: Array, dtype: DType) -> Array:
    """Cast: to float with round to nearest even; to integers and f8 by truncation, saturating.

    NaN becomes 0 in an integer. From bool: 0 and 1. To bool: whether it is not zero.
    """
    source = np.asarray(x)
    if dtype is DType.BOOL:
        return np.asarray(source != 0)
    low, high = dtype.limits
    with np.errstate(all="ignore"):
        if dtype.is_float:
            if dtype in (DType.F8E4M3, DType.F8E5M2):
                top = 448.0 if dtype is DType.F8E4M3 else 57344.0
                source = np.clip(np.asarray(source, np.float32), -top, top)
            elif source.dtype.kind not in "fiub" and dtype not in (DType.F32, DType.F64):
                source = source.astype(np.float32)
            return source.astype(dtype.numpy)
        if source.dtype.kind in "iub":
            return np.clip(source.astype(np.int64), low, high).astype(dtype.numpy)
        wide = np.trunc(source.astype(np.float64))
        wide = np.where(np.isnan(wide), 0.0, wide)
        if dtype is DType.I64:  # 2**63 - 1 is no double: clip below, then saturate by hand
            whole = np.clip(wide, -(2.0**63), 2.0**63 - 1024).astype(np.int64)
            return np.where(wide >= 2.0**63, np.int64(2**63 - 1), whole)
        return np.clip(wide, low, high).astype(np.int64).astype(dtype.numpy)


def wrap(x: Array, dtype: DType) -> Array:
    """Cast an integer to a narrower one by dropping high bits; a float is truncated first."""
    source = np.asarray(x)
    whole = source if source.dtype.kind in "iu" else convert(source, DType.I64)
    if dtype in (DType.I4, DType.U4):
        low = whole.astype(np.int64) & 15
        signed = np.where(low > 7, low - 16, low) if dtype is DType.I4 else low
        return signed.astype(dtype.numpy)
    return whole.astype(np.int64).astype(dtype.numpy)


def bitcast(x: Array, dtype: DType) -> Array:
    """Return the same bits as another type of the same width."""
    return np.asarray(x, order="C").view(dtype.numpy)


def philox(seed: Array, offset: Array) -> Array:
    """Return the first word of Philox 4x32-10 for the key ``seed`` and the counter ``offset``.

    Both are integers of 64 bits; of 128 bits of counter the high half is 0.
    """
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    wide = (np.asarray(x).astype(np.int64).view(np.uint64) for x in (seed, offset))
    key, counter = np.broadcast_arrays(*wide)
    k0, k1, c0, c1 = key & low, key >> half, counter & low, counter >> half
    c2 = c3 = np.zeros_like(c0)
    for _ in range(10):
        first, second = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c2 = second >> half ^ c1 ^ k0, first >> half ^ c3 ^ k1
        c1, c3 = second & low, first & low
        k0, k1 = k0 + np.uint64(0x9E3779B9) & low, k1 + np.uint64(0xBB67AE85) & low
    return c0.astype(np.uint32)


def uniform(bits: Array) -> Array:
    """Return numbers in [0, 1) of words: their 24 high bits."""
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def lowest(dtype: DType) -> int | float:
    """Return the value over nothing of ``max``: ``-inf``, or the lowest integer."""
    return dtype.limits[0]


def highest(dtype: DType) -> int | float:
    """Return the value over nothing of ``min``."""
    return dtype.limits[1]
