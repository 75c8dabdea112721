"""Where a tape keeps values: storage of each program, and strided parts of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tiledsl.ops.registry import Array

Dims = tuple[tuple[int, int], ...]  # counts with strides in bytes, outermost first


class UnplannedError(Exception):
    """The program does what no tape holds."""


@dataclass(slots=True, eq=False)
class Root:
    """Storage of each program: ``size`` bytes of scratch, or global memory.

    In global memory program ``i`` has its part ``starts[i]`` bytes after that of the first one, in
    the tensor ``tensor``; where that is ``wide`` it is f16 made f32. ``whole`` tells that all
    values are whole numbers (or no numbers at all), ``low`` and ``high`` what they are between.
    """

    size: int
    tensor: str = ""
    starts: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    wide: bool = False
    whole: bool = False
    low: float = -np.inf
    high: float = np.inf
    even: bool = field(init=False)

    def __post_init__(self) -> None:
        """Note whether all programs are at equal distances."""
        starts = self.starts
        self.even = len(starts) < 3 or bool((np.diff(starts) == starts[1]).all())



class Ref(NamedTuple):
    """Elements of a root, of each program."""

    root: Root
    offset: int
    dims: Dims
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many elements there are along each axis."""
        return tuple(n for n, _ in self.dims)

    @property
    def dense(self) -> bool:
        """Whether these are all bytes of the root, in order."""
        step, full = self.dtype.itemsize, self.root.size
        for n, stride in reversed(self.dims):
            if n > 1 and stride != step:
                return False
            step *= n
        return self.offset == 0 and step == full


@dataclass(frozen=True, slots=True, eq=False)
class Each:
    """A number for each program, to meet arrays of any number of axes."""

    values: Array


Operand = Ref | Each | Array  # an array without axes is one number for all


@dataclass(slots=True, eq=False)
class Step:
    """One call ``function(*sources, out=out)``; ``inplace``: a source may be where ``out`` is."""

    function: Callable[..., Any]
    sources: list[Operand]
    out: Ref
    inplace: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """An axis to be taken as two, the inner one so long."""

    axis: int
    inner: int


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What some bytes of a buffer are: elements of a root.

    ``dims`` are counts with the strides in the buffer and in the root; the innermost is that of
    elements, ``item`` bytes each in the buffer. With ``half`` these are f16 kept as f32.
    """

    start: int
    end: int
    dims: tuple[tuple[int, int, int], ...]
    item: int
    root: Root
    offset: int
    half: bool = False

    def find(
        self, start: int, dims: Dims, item: int, dtype: np.dtype[Any]
    ) -> Ref | Split | None:
        """Return elements by their first byte and strides in the buffer, if all are in here."""
        mine, unit = self.dims, item
        n, step, inner = mine[-1]
        if step == inner and step == self.item and not self.half:
            mine, unit = (*mine[:-1], (n * step, 1, 1)), 1
        elif item != self.item:
            return None
        at, rest, reach = self.offset, start - self.start, []
        if rest < 0:
            return None
        for _, step, inner in mine:
            count, rest = divmod(rest, step)
            at += count * inner
            reach.append(count)
        firsts = list(reach)
        reach[-1] += item // unit - 1
        found: list[tuple[int, int]] = []
        for count, stride in dims:
            left, mapped = stride if count > 1 else 0, 0
            for k, (_, step, inner) in enumerate(mine):
                times, left = divmod(left, step)
                mapped += times * inner
                reach[k] += (count - 1) * times
            rest = rest or left
            found.append((count, mapped))
        if rest:
            return None
        if all(r < n for r, (n, _, _) in zip(reach, mine, strict=True)):
            return Ref(self.root, at, tuple(found), dtype)
        return self._split(dims, mine, firsts, item, unit)

    def _split(
        self, dims: Dims, mine: Sequence[tuple[int, int, int]], firsts: list[int], item: int,
        unit: int,
    ) -> Split | None:  # fmt: skip
        """Return how rows that follow each other in the buffer, not in the root, may be taken."""
        if len(mine) < 2 or firsts[-1] or not dims or dims[-1][1] != item:
            return None
        width = mine[-1][0] * unit // item
        count = dims[-1][0]
        joined = mine[-2][1] == mine[-1][0] * mine[-1][1]
        if joined and count > width and count % width == 0:
            return Split(len(dims) - 1, width)
        return None


def joined(dims: Sequence[tuple[int, int, int]], item: int) -> tuple[tuple[int, int, int], ...]:
    """Return counts and strides with as few axes as can be, the longest stride first."""
    kept = sorted((d for d in dims if d[0] > 1), key=lambda d: -d[1])
    found: list[tuple[int, int, int]] = []
    for n, step, inner in kept:
        if found and found[-1][1] == n * step and found[-1][2] == n * inner:
            found[-1] = found[-1][0] * n, step, inner
        else:
            found.append((n, step, inner))
    return tuple(found) or ((1, item, item),)


def moved(there: Ref, here: Ref) -> Piece:
    """Return what stands in all of a dense root: what is elsewhere, in the same order."""
    item = there.dtype.itemsize
    dims = [(n, s, to) for (n, s), (_, to) in zip(there.dims, here.dims, strict=True)]
    return Piece(0, there.root.size, joined(dims, item), item, here.root, here.offset)


def packed(shape: Sequence[int], size: int) -> Dims:
    """Return counts with the strides of elements that follow each other."""
    found: list[tuple[int, int]] = []
    for n in reversed(shape):
        found.append((n, size))
        size *= n
    return tuple(reversed(found))


def split(dims: Dims, how: Split) -> Dims:
    """Return counts and strides with one axis taken as two."""
    n, stride = dims[how.axis]
    two = (n // how.inner, stride * how.inner), (how.inner, stride)
    return (*dims[: how.axis], *two, *dims[how.axis + 1 :])
