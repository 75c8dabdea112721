"""Where the operands of a running program are: places on the chip, and in global memory."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.types import DType

Number = int | float | bool
Value = Any  # a scalar of a running program: one number, or a vector with one for each program


class NotUniformError(Exception):
    """A size or trip count differs among programs that run together: it is ``values``."""

    def __init__(self, text: str, values: Array) -> None:
        super().__init__(text)
        self.values = values


def same(value: Value) -> Any:
    """Return the one number that ``value`` is for every program of the class."""
    if not isinstance(value, np.ndarray):
        return value
    first = value.flat[0]
    if value.size > 1 and not (value == first).all():
        raise NotUniformError(f"programs of one class disagree: {np.unique(value)[:4]} …", value)
    return first.item()


class Place(NamedTuple):
    """Elements of ``dtype`` from byte ``start`` of a memory; their slot ends at byte ``end``."""

    area: "Area"
    dtype: DType
    start: int
    end: int


class View(NamedTuple):
    """A source of a two-dimensional instruction, as `tiledsl.npu.program.View`."""

    place: Place
    kind: Literal["full", "row", "col", "one"]
    stride: int


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """A buffer of a core; called with a type, an offset and a slot it gives a `Place`."""

    name: str
    memory: str
    offset: int
    size: int
    slots: int

    def __call__(self, dtype: DType, offset: Value = 0, slot: Value = 0) -> Place:
        """Return the place ``offset`` elements into ``slot``."""
        if isinstance(slot, np.ndarray):
            slot = same(slot)
        if isinstance(offset, np.ndarray):
            offset = same(offset)
        base = self.offset + slot * self.size
        return Place(self, dtype, base + offset * dtype.size, base + self.size)


class Spot(NamedTuple):
    """Elements in global memory, from ``offset`` of ``slot`` on."""

    place: "GlobalArea"
    offset: Value
    slot: Value


@dataclass(frozen=True, slots=True, eq=False)
class GlobalArea:
    """A tensor, or a workspace of ``slots`` times ``elements``; called, it gives a `Spot`.

    ``bytes`` are those of its elements; a workspace has them once for each program that runs.
    """

    name: str
    dtype: DType
    bytes: Array
    slots: int = 0
    elements: int = 0

    def __call__(self, offset: Value = 0, slot: Value = 0) -> Spot:
        """Return the spot ``offset`` elements into ``slot``."""
        return Spot(self, offset, slot)


def full(place: Place, stride: Value) -> View:
    """Return a view with a stride from row to row."""
    return View(place, "full", same(stride))


def row(place: Place) -> View:
    """Return a view of one row for all."""
    return View(place, "row", 0)


def col(place: Place) -> View:
    """Return a view of a 32-byte block for each row."""
    return View(place, "col", 0)


def one(place: Place) -> View:
    """Return a view of one 32-byte block for all."""
    return View(place, "one", 0)
