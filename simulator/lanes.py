"""Memories of a class of programs: each array has one row for each program."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator.places import Area, GlobalArea, Place, Spot, Value, View, same
from tiledsl.types import DType

if TYPE_CHECKING:
    from tiledsl.simulator.tiles import Tile

POISON = 0x5A  # what memory holds before it is written; as f32 1.5e16, as bf16 and f16 odd too


class OutOfPlaceError(IndexError):
    """An instruction reaches beyond its buffer, or beyond a tensor."""


def round_up(value: int, unit: int) -> int:
    """Return ``value`` rounded up to a multiple of ``unit``."""
    return -(-value // unit) * unit


class Lanes:
    """The on-chip buffers of ``count`` programs, and windows of them.

    Each buffer is an array of its own, so that NumPy sees that operands do not overlap. That two
    buffers share bytes is seen by `tiledsl.simulator.hazards`, which works with addresses.
    """

    keeps_tiles = True

    def __init__(self, count: int, kept: "Lanes | None" = None) -> None:
        self.count = count
        self.arrays: dict[str, Array] = kept.arrays if kept else {}
        # See `tiledsl.simulator.tiles`: matrices by buffer and first byte, and tensors as f32.
        self.tiles: dict[str, dict[int, Tile]] = {}
        self.wide: dict[str, GlobalArea | None] = kept.wide if kept else {}

    def open(self, area: Area) -> None:
        """Make room for a buffer; what a chunk before had there is used again."""
        size = area.size * area.slots
        old = self.arrays.get(area.name)
        if old is None or old.shape[0] < self.count:
            # 64 bytes more keep rows off one cache set where sizes are powers of two.
            self.arrays[area.name] = np.full((self.count, size + 64), POISON, np.uint8)

    def flat(self, place: Place, count: Value) -> Array:
        """Return ``count`` elements of each program."""
        return self.window(place, (same(count),), (1,))

    def grid(self, view: View, rows: int, cols: int) -> Array:
        """Return a view's elements, rows by columns, of each program."""
        block = 32 // view.place.dtype.size
        strides = {"full": (view.stride, 1), "row": (0, 1), "col": (block, 0), "one": (0, 0)}
        return self.window(view.place, (rows, cols), strides[view.kind])

    def window(self, place: Place, shape: Sequence[int], strides: Sequence[int]) -> Array:
        """Return elements by shape and strides (in elements), of each program."""
        area, dtype, start, end = place
        if area.name in self.tiles:
            self.write_tiles(area.name)
        size = dtype.size
        reach = size
        for n, stride in zip(shape, strides, strict=True):
            reach += (n - 1) * stride * size
        if 0 not in shape and (start + reach > end or start < area.offset):
            raise OutOfPlaceError(
                f"bytes {start} to {start + reach} of {area.memory} are not all of `{area.name}`, "
                f"whose slot ends at {end}"
            )
        array = self.arrays[area.name]
        return np.ndarray(
            (self.count, *shape), dtype.numpy, array, start - area.offset,
            (array.strides[0], *(s * size for s in strides)),
        )  # fmt: skip

    def write_tiles(self, name: str) -> None:
        """Write the bytes for which matrices stand in a buffer."""
        for tile in self.tiles.pop(name).values():
            tile.write()


def windows(
    spot: Spot, dtype: DType, count: int, shape: Sequence[int], strides: Sequence[int], apart: bool
) -> Iterator[tuple[slice, Array]]:
    """Yield windows of global memory with the programs whose they are.

    Programs at equal distances come in one window. With ``apart`` these never overlap.
    """
    place, size = spot.place, dtype.size
    reach = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    starts = _starts(spot, count)
    for first, last, step in _runs(starts, reach if apart else 0):
        low, high = min(starts[first], starts[last - 1]), max(starts[first], starts[last - 1])
        if low < 0 or (high + reach) * size > place.bytes.size:
            at = low if low < 0 else high + reach - 1
            raise OutOfPlaceError(
                f"element {at} is not in `{place.name}`, which has {place.bytes.size // size}"
            )
        yield (
            slice(first, last),
            np.ndarray(
                (last - first, *shape), dtype.numpy, place.bytes, starts[first] * size,
                (step * size, *(s * size for s in strides)),
            ),
        )  # fmt: skip


def _starts(spot: Spot, count: int) -> list[int]:
    """Return the first element of each program."""
    place, offset, slot = spot
    if place.slots:
        stride = place.slots * place.elements
        offset = offset + slot * place.elements + np.arange(count) * stride
    if isinstance(offset, np.ndarray):
        whole: list[int] = offset.tolist()
        return whole
    return [offset] * count


def _runs(starts: list[int], apart: int) -> Iterator[tuple[int, int, int]]:
    """Split into runs of equal distances; those closer than ``apart`` stay alone."""
    first, count = 0, len(starts)
    while first < count:
        last = first + 1
        step = 0
        if last < count:
            step = starts[last] - starts[first]
            if abs(step) < apart:
                yield first, last, 0
                first = last
                continue
            while last < count and starts[last] - starts[last - 1] == step:
                last += 1
        yield first, last, step
        first = last


def typed(value: Value, dtype: DType, axes: int) -> Any:
    """Return a number, or one for each program, as ``dtype`` to meet arrays with ``axes`` axes."""
    wide = np.asarray(value)
    if dtype.is_integer and wide.dtype.kind in "iub":
        wide = wide.astype(np.int64)
    cast = wide.astype(dtype.numpy)
    return cast.reshape((-1,) + (1,) * axes) if cast.ndim else cast
