"""Whether an output is near enough to what its reference says."""

from dataclasses import dataclass

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.types import DType

# The error that is allowed in units of the element and of the largest element around it: a few
# roundings of the type, and for f32 those of a long sum.
DEFAULT = {
    DType.F64: 1e-10,
    DType.F32: 2e-5,
    DType.F16: 3e-3,
    DType.BF16: 2e-2,
    DType.F8E4M3: 0.13,
    DType.F8E5M2: 0.26,
}
# What is allowed in any case: the last bit of the type's smallest numbers, and for f32 a rounding
# of numbers near 1 that cancel.
FLOOR = {DType.F32: 1.2e-7, DType.F16: 6e-8, DType.F8E4M3: 2e-3, DType.F8E5M2: 2e-5}

ROW = 16  # elements, at least, of which the largest is an element's yardstick


@dataclass(frozen=True, slots=True)
class Difference:
    """How far an output is off; ``text`` says where, and is empty if all is well."""

    worst: float
    text: str = ""


def compare(
    got: Array, want: Array, dtype: DType, tolerance: tuple[float, ...] = (), *, exact: bool = False
) -> Difference:
    """Compare an output with its reference, both of ``dtype``.

    ``tolerance`` is one number, relative to the element and the largest of its row (of several
    rows, where rows are short), or two: relative to the element, and absolute. Integers, and
    everything under ``exact``, agree.
    """
    if got.shape != want.shape:
        return Difference(np.inf, f"shape {list(got.shape)}, expected {list(want.shape)}")
    if got.size == 0:
        return Difference(0.0)
    if exact or not dtype.is_float:
        same = got == want
        if dtype.is_float:
            same |= np.isnan(_f64(got)) & np.isnan(_f64(want))
        with np.errstate(invalid="ignore"):  # infinity less infinity
            off = np.abs(_f64(got) - _f64(want))
        worst = float(np.max(off, where=~same, initial=0.0))
        return Difference(worst, _first(got, want, ~same))
    a, b = _f64(got), _f64(want)
    finite = np.isfinite(a) & np.isfinite(b)
    size = np.where(np.isfinite(b), np.abs(b), 0.0)
    row = size.max(axis=_row(size.shape), keepdims=True) if size.ndim else size
    match tolerance:
        case (relative, absolute):
            limit = relative * size + absolute
        case _:
            relative = tolerance[0] if tolerance else DEFAULT[dtype]
            limit = relative * (size + row) / 2 + FLOOR.get(dtype, 1e-37)
    error = np.where(finite, np.abs(np.where(finite, a, 0) - np.where(finite, b, 0)), 0.0)
    special = ~finite & ~((a == b) | (np.isnan(a) & np.isnan(b)))
    worst = float(np.max(error / np.maximum(row, 1e-30)))
    return Difference(
        np.inf if special.any() else worst, _first(got, want, special | (error > limit))
    )


def _row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the innermost axes that have `ROW` elements together, or all."""
    axes, count = [], 1
    for axis in reversed(range(len(shape))):
        axes.append(axis)
        count *= shape[axis]
        if count >= ROW:
            break
    return tuple(axes)


def _f64(array: Array) -> Array:
    return array.astype(np.float64)


def _first(got: Array, want: Array, bad: Array) -> str:
    count = int(bad.sum())
    if not count:
        return ""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    where = f"[{', '.join(map(str, at))}]"
    values = f"got {got[at]}, expected {want[at]}"
    return f"{count} of {bad.size} elements differ, the first at {where}: {values}"
