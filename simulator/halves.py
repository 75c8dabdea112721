"""f16 kept as the f32 of the same value: NumPy converts element by element, this by vectors."""

from functools import lru_cache
from typing import Any

import numpy as np

from tiledsl.ops.registry import Array

_FEW = 1 << 10  # elements that NumPy converts as fast
_SIGN = np.int32(-0x80000000)
_EXPONENT = np.int32(0x7F800000)
_BIAS = np.float32(2.0**112)  # f32 counts exponents from 127, f16 from 15
_BEYOND = np.float32(65520)  # from here on f16 rounds to infinity
_LEAST = np.float32(2.0**-14)  # below, the steps of f16 get no smaller
_PUSH = np.float32(1.5 * 2.0**13)  # see `round_into`


def widen(halves: Array) -> Array:
    """Return an array of f16 as f32, contiguous; exact, with infinities and NaNs."""
    found = np.empty(halves.shape, np.float32)
    widen_into(halves, found)
    return found


def widen_into(halves: Array, out: Array) -> None:
    """Write f16 as f32."""
    if halves.size < _FEW:
        out[...] = halves
        return
    # The bits in their new places; the multiplication also makes numbers of subnormals.
    wide = out.view(np.int32)
    wide[...] = halves.view(np.int16)
    np.left_shift(wide, 13, out=wide)
    np.bitwise_and(wide, ~0x70000000, out=wide)
    np.multiply(out, _BIAS, out=out)
    if not (out.min() > -65536 and out.max() < 65536):  # the exponent of infinities and NaNs
        out[...] = halves


def round_into(x: Array, out: Array) -> None:
    """Write f32 rounded to f16, ties to even, as f32.

    A number with exponent ``e`` keeps the bits from ``2 ** (e - 10)`` up: adding ``1.5 * 2 ** (e +
    13)`` makes f32 round there, and taking it away again is exact.
    """
    if x.size < _FEW:
        out[...] = x.astype(np.float16)
        return
    least = x.min()
    if not (least > -_BEYOND and x.max() < _BEYOND):  # infinities, and numbers that become some
        out[...] = x.astype(np.float16)
        return
    push: Array = np.empty(x.shape, np.float32)
    bits: Array = push.view(np.int32)
    signs = None if least > 0 else np.bitwise_and(x.view(np.int32), _SIGN)
    np.bitwise_and(x.view(np.int32), _EXPONENT, out=bits)
    np.maximum(push, _row(x.shape[-1]), out=push)
    np.multiply(push, _PUSH, out=push)
    np.add(x, push, out=out)
    np.subtract(out, push, out=out)
    if signs is not None:  # of what has become 0
        np.bitwise_or(out.view(np.int32), signs, out=out.view(np.int32))


@lru_cache(maxsize=64)
def _row(count: int) -> Array:
    """Return ``_LEAST`` so often; NumPy's `maximum` with one number goes one by one."""
    return np.full(count, _LEAST)


def narrow_into(x: Array, out: Array) -> None:
    """Write f32 as f16, rounded to the nearest, ties to even."""
    if x.size < _FEW:
        out[...] = x
        return
    near: Array = np.empty(x.shape, np.float32)
    round_into(x, near)
    if not (near.min() > -_BEYOND and near.max() < _BEYOND):
        out[...] = x
        return
    bits: Any = near.view(np.int32)
    signs = np.right_shift(bits, 16)
    np.bitwise_and(signs, 0x8000, out=signs)
    np.multiply(near, 1 / _BIAS, out=near)
    np.right_shift(bits, 13, out=bits)
    np.bitwise_or(bits, signs, out=bits)
    np.copyto(out.view(np.uint16), bits, casting="unsafe")
