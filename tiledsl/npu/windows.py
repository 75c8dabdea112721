"""Windows: affine tiles that may lie partly outside their tensor, of which the inside is copied.

Where each dim that may be left moves along one range at most, what is inside is a rectangle of
lanes: for each such range the first lane inside, and how many. The rest of the tile is filled with
the default before the copy.

Before: ``x[p * 2 + r - 1, c else 0]``, ``p`` in the first tile of 8, ``r`` = 0.
After: ``p_skip = 1; p_inside = 7; fill(tile, 0); copy(tile + p_skip rows, p_inside rows)``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tiledsl import ir
from tiledsl.npu.frame import Frame
from tiledsl.scalar import (
    ONE,
    ZERO,
    Apply,
    Axis,
    Literal,
    Scalar,
    add,
    apply,
    ceil_div,
    maximum,
    minimum,
    mul,
    sub,
)
from tiledsl.types import DType


@dataclass(frozen=True)
class Inside:
    """The part of a tile that is inside: of some ranges the first lane and the number of lanes.

    ``partly`` tells whether anything is outside.
    """

    ranges: Mapping[Axis, tuple[Scalar, Scalar]] = field(default_factory=dict)
    partly: Scalar = field(default_factory=lambda: Literal(False, DType.BOOL))

    def skip(self, axis: Axis) -> Scalar:
        """Return how many lanes of ``axis`` are outside before the first that is inside."""
        return self.ranges[axis][0] if axis in self.ranges else ZERO

    def count(self, axis: Axis, size: Scalar) -> Scalar:
        """Return how many of the ``size`` lanes of ``axis`` are inside."""
        return self.ranges[axis][1] if axis in self.ranges else size


MOST_APART = 16  # elements: where those of a row are further apart, copying all between is waste


def _row(statement: ir.Load) -> int:
    """Return the last dim along which a range runs, or -1."""
    return max((n for n, i in enumerate(statement.index) if i.terms), default=-1)


def apart(statement: ir.Load) -> int:
    """Return how far the elements of a row are apart in global memory; 0 where it is not known."""
    row = _row(statement)
    if row < 0:
        return 0
    step = 1
    for factor in (statement.index[row].terms[-1][1], *statement.tensor.shape[row + 1 :]):
        if not isinstance(factor, Literal):
            return 0
        step *= int(factor.value)
    return step


def is_window(statement: ir.Load, facts: Sequence[ir.Fact], most_apart: int = 1) -> bool:
    """Whether what is inside is a rectangle of rows, along the last dim with a range.

    The elements of a row may be ``most_apart`` apart.
    """
    index, guards = statement.index, statement.guards or (False,) * len(statement.index)
    if statement.tensor.role == "table" or any(i.gather is not None for i in index):
        return False
    if isinstance(statement.default, ir.Value) or statement.tensor.dtype.size == 8:
        return False
    if not 1 <= apart(statement) <= most_apart:
        return False
    several = len(index[_row(statement)].terms) > 1
    if apart(statement) > 1 and (several or statement.tensor.dtype.size == 1):
        return False
    axes = [axis for i in index for axis, _ in i.terms]
    if axes.count(axes[-1]) > 1 or len(set(axes)) < len(axes):
        return False
    for position, guard in zip(index, guards, strict=True):
        if guard and len(position.terms) > 1:
            return False
        if guard and position.terms and not _positive(position.terms[0][1], facts):
            return False
    return True


def may_shift(statement: ir.Load) -> bool:
    """Whether a row of a window may begin outside."""
    return bool(statement.guards) and statement.guards[_row(statement)]


def _positive(mult: Scalar, facts: Sequence[ir.Fact]) -> bool:
    """Whether a step from lane to lane is known to be 1 or more."""
    if isinstance(mult, Literal):
        return mult.value >= 1
    return any(_says_positive(fact.condition, mult) for fact in facts)


def _says_positive(condition: Scalar, mult: Scalar) -> bool:
    match condition:
        case Apply(op="and", args=(a, b)):
            return _says_positive(a, mult) or _says_positive(b, mult)
        case Apply(op="ge", args=(a, Literal(value=least))):
            return a == mult and least >= 1
        case Apply(op="gt", args=(a, Literal(value=least))):
            return a == mult and least >= 0
        case _:
            return False


def inside_of(
    frame: Frame, statement: ir.Load, place: Callable[[Axis], tuple[Scalar, Scalar]]
) -> Inside:
    """Define which lanes of a window are inside; ``place`` gives a range's start and size here."""
    ranges: dict[Axis, tuple[Scalar, Scalar]] = {}
    partly: Scalar = Literal(False, DType.BOOL)
    there: Scalar = ONE
    guards = statement.guards or (False,) * len(statement.index)
    for position, dim, guard in zip(statement.index, statement.tensor.shape, guards, strict=True):
        if not guard:
            continue
        at, size = frame.scalar(position.offset), frame.scalar(dim)
        if not position.terms:
            at = frame.let(frame.fresh("at"), at)
            within = apply("and", apply("ge", at, ZERO), apply("lt", at, size))
            there = mul(there, apply("where", within, ONE, ZERO, dtype=DType.I32))
            continue
        ((axis, mult),) = position.terms
        step, (start, lanes) = frame.scalar(mult), place(axis)
        at = frame.let(frame.fresh("at"), add(at, mul(step, start)))
        first = minimum(maximum(ceil_div(sub(ZERO, at), step), ZERO), lanes)
        skip = frame.let(frame.fresh(f"{axis.name}_skip"), first)
        end = minimum(ceil_div(sub(size, at), step), lanes)
        count = frame.let(frame.fresh(f"{axis.name}_inside"), maximum(sub(end, skip), ZERO))
        ranges[axis] = skip, count
        partly = apply("or", partly, apply("ne", count, lanes))
    if there != ONE:
        last = statement.index[_row(statement)].terms[-1][0]
        name = frame.fresh("there")
        here = frame.let(name, there)
        first, length = ranges.get(last, (ZERO, place(last)[1]))
        ranges[last] = first, frame.let(frame.fresh(f"{last.name}_inside"), mul(length, here))
        partly = apply("or", partly, apply("ne", here, ONE))
    return Inside(ranges, partly)
