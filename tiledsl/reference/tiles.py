"""Whole tensors with named axes: the values of a reference."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tiledsl.ops import REDUCTIONS, SCANS
from tiledsl.ops.registry import Array
from tiledsl.types import DType


@dataclass(frozen=True, slots=True)
class Range:
    """The positions ``lo <= p < lo + size`` under a name."""

    name: str
    lo: int
    size: int


@dataclass(frozen=True, slots=True)
class Tile:
    """An array of f64, i64 or bool with one name an axis.

    ``dtype`` is the type in memory of what was loaded or cast, for `bitcast`.
    """

    array: Array
    axes: tuple[str, ...] = ()
    dtype: DType | None = field(default=None, compare=False)

    @property
    def is_float(self) -> bool:
        """Whether it is of f64."""
        return self.array.dtype.kind == "f"


def tile(value: int | float | bool) -> Tile:
    """Return the tile without axes that holds ``value``."""
    kind = np.bool_ if isinstance(value, bool) else np.int64 if isinstance(value, int) else None
    return Tile(np.asarray(value, kind or np.float64))


def widened(array: Array) -> Array:
    """Return ``array`` as f64, i64 or bool."""
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind in "iu" or "int" in array.dtype.name:
        return array.astype(np.int64)
    return array.astype(np.float64)


def numeric(value: Tile) -> Tile:
    """Return ``value`` with truth values as 0 and 1."""
    if value.array.dtype.kind == "b":
        return Tile(value.array.astype(np.int64), value.axes)
    return value


def union(tiles: Sequence[Tile]) -> tuple[str, ...]:
    """Return the axes of all, in the order in which they are first seen."""
    return tuple(dict.fromkeys(axis for t in tiles for axis in t.axes))


def aligned(value: Tile, axes: Sequence[str]) -> Array:
    """Return the array with its axes in the order of ``axes``, those that it lacks of size 1."""
    order = [value.axes.index(axis) for axis in axes if axis in value.axes]
    array = value.array.transpose(order)
    sizes = iter(array.shape)
    return array.reshape([next(sizes) if axis in value.axes else 1 for axis in axes])


def spread(value: Tile, axes: Sequence[str], ranges: Mapping[str, Range]) -> Array:
    """Return the array with exactly ``axes``, repeated along those that it lacks."""
    return np.broadcast_to(aligned(value, axes), [ranges[axis].size for axis in axes])


def reduce(name: str, value: Tile, over: Sequence[str], ranges: Mapping[str, Range]) -> Tile:
    """Return ``sum max min prod mean any all argmax argmin`` of ``value`` over axes."""
    keep = tuple(axis for axis in value.axes if axis not in over)
    missing = tuple(axis for axis in over if axis not in value.axes)
    whole = Tile(spread(value, value.axes + missing, ranges), value.axes + missing)
    ordered = whole.array.transpose([whole.axes.index(a) for a in (*keep, *over)])
    kept = ordered.shape[: len(keep)]
    flat = ordered.reshape(*kept, math.prod(ordered.shape[len(keep) :]))
    if name == "mean":
        total = flat.astype(np.float64).sum(-1)
        with np.errstate(all="ignore"):
            return Tile(np.asarray(total / flat.shape[-1]), keep)
    if name in ("sum", "prod") and flat.dtype.kind == "b":
        flat = flat.astype(np.int64)
    if name in ("any", "all"):
        flat = flat.astype(np.bool_)
    row = REDUCTIONS[name]
    if flat.shape[-1] == 0:
        kind = DType.F64 if flat.dtype.kind == "f" else DType.I32
        return Tile(np.full(flat.shape[:-1], row.identity(kind), flat.dtype), keep)
    result = np.asarray(row.numpy(flat, (flat.ndim - 1,)))
    if name in ("argmax", "argmin"):
        result = result.astype(np.int64) + ranges[over[0]].lo
    return Tile(result, keep)


def scan(name: str, value: Tile, over: str, ranges: Mapping[str, Range]) -> Tile:
    """Return ``cumsum cumprod cummax cummin`` of ``value`` along an axis."""
    axes = value.axes if over in value.axes else (*value.axes, over)
    array = spread(numeric(value), axes, ranges)
    row = SCANS[name].numpy_scan
    assert row is not None, name
    return Tile(np.asarray(row(array, axes.index(over))), axes)


def contract(factors: Sequence[Tile], over: Sequence[str], ranges: Mapping[str, Range]) -> Tile:
    """Return the sum over ``over`` of the product of ``factors``."""
    factors = [numeric(f) for f in factors]
    missing = [axis for axis in over if all(axis not in f.axes for f in factors)]
    factors += [Tile(np.ones(ranges[axis].size, np.int64), (axis,)) for axis in missing]
    axes = union(factors)
    letter = {axis: chr(ord("a") + i) for i, axis in enumerate(axes)}
    keep = tuple(axis for axis in axes if axis not in over)
    kind = np.float64 if any(f.is_float for f in factors) else np.int64
    inputs = ",".join("".join(letter[a] for a in f.axes) for f in factors)
    formula = f"{inputs}->{''.join(letter[a] for a in keep)}"
    arrays = [f.array.astype(kind) for f in factors]
    return Tile(np.asarray(np.einsum(formula, *arrays, optimize=len(factors) > 1)), keep)
