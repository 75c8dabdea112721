"""Where the tile of each program lies in a tensor that one launch leaves to the next."""

from collections.abc import Iterable
from dataclasses import dataclass

from tiledsl import ir
from tiledsl.passes.mentions import domain_ranges, varying
from tiledsl.scalar import (
    ONE,
    ZERO,
    Apply,
    Axis,
    Dim,
    Literal,
    ParamValue,
    Position,
    Scalar,
    Start,
    TileSize,
    apply,
    ceil_div,
    maximum,
    sub,
    walk,
)
from tiledsl.types import DType


class NoHomeError(Exception):
    """A tile has no place that both launches know; the text says why."""


@dataclass(frozen=True, slots=True)
class Home:
    """The shape of a tensor, the index of one program's tile in it, and who stores it.

    ``once`` are grid ranges along which all programs have the same tile: the first stores it.
    ``ranges`` are the grid ranges on which the index hangs. Where no program may store some
    element, for the tensor is larger than its tiles are together, or nobody is first, it starts
    with ``initial``.
    """

    shape: tuple[Scalar, ...]
    index: tuple[ir.Index, ...]
    once: tuple[Axis, ...] = ()
    ranges: frozenset[Axis] = frozenset()
    initial: Scalar | None = None

    def store(self, statement: ir.Store) -> ir.Stmt:
        """Return ``statement`` at this index."""
        whole = ir.Store(statement.span, statement.tensor, self.index, statement.value,
                         guards=(False,) * len(self.index))  # fmt: skip
        if not self.once:
            return whole
        first = [apply("eq", Start(axis), axis.lo) for axis in self.once]
        condition = first[0]
        for other in first[1:]:
            condition = apply("and", condition, other)
        return ir.If(statement.span, condition, (whole,), ())

    def load(self, statement: ir.Load) -> ir.Load:
        """Return ``statement`` at this index."""
        guards = (False,) * len(self.index)
        return ir.Load(statement.span, statement.result, statement.tensor, self.index, None, guards)


def home_of(
    item: ir.Value | ir.Var, name: str, body: tuple[ir.Stmt, ...], grid: Iterable[Axis]
) -> Home:
    """Return where the tile ``item`` of a kernel with this ``body`` lies.

    First come the ranges of the grid that the tile lacks, then its own, in the order in which a
    store of the kernel has them.
    """
    dtype, axes = item.type.dtype, _ordered(item.type.axes, body)
    if dtype.bits < 8:
        raise NoHomeError(f"`{name}` has elements of 4 bits, two to a byte")
    shape: list[Scalar] = []
    index: list[ir.Index] = []
    once: list[Axis] = []
    initial: Scalar | None = None
    for axis in grid:
        if axis in axes:
            continue
        if axis.is_scalar:
            shape.append(_extent(axis))
            index.append(ir.Index((), sub(Position(axis), axis.lo)))
        elif item not in varying(body, axis):
            once.append(axis)
            initial = _zero(dtype)  # if the range is empty, there is no first
        elif isinstance(axis.tile, Literal):
            shape.append(ceil_div(_extent(axis), axis.tile))
            offset = apply("floordiv", sub(Start(axis), axis.lo), axis.tile)
            index.append(ir.Index((), offset))
        else:
            raise NoHomeError(
                f"`{name}` is of a whole tile of `{axis.name}`, whose size each launch chooses"
            )
    for axis in axes:
        if axis.kind == "span" and not _known(_length(axis)):
            shape.append(_bound(axis))
            initial = _zero(dtype)
        else:
            shape.append(_extent(axis))
        index.append(ir.Index(((axis, ONE),), sub(ZERO, axis.lo)))
    if not shape:
        shape, index = [ONE], [ir.Index((), ZERO)]
    used = {axis for axis in grid if axis not in once}
    return Home(tuple(shape), tuple(index), tuple(once), frozenset(used), initial)


def _ordered(axes: tuple[Axis, ...], body: tuple[ir.Stmt, ...]) -> tuple[Axis, ...]:
    for s in ir.statements(body):
        if isinstance(s, ir.Store):
            stored = [axis for position in s.index for axis, _ in position.terms]
            if set(axes) <= set(stored):
                return tuple(sorted(axes, key=stored.index))
    return axes


def _length(axis: Axis) -> Scalar:
    length = sub(axis.hi, axis.lo)
    plain = axis.lo == ZERO and isinstance(axis.hi, Dim | Literal)
    return length if plain else maximum(length, ZERO)


def _known(scalar: Scalar) -> bool:
    """Return whether the host knows ``scalar`` before the launch."""
    return all(isinstance(part, Literal | Dim | ParamValue | Apply) for part in walk(scalar))


def _extent(axis: Axis) -> Scalar:
    length = _length(axis)
    if not _known(length):
        raise NoHomeError(f"the range `{axis.name}` has a length that only the device knows")
    return length


def _bound(axis: Axis) -> Scalar:
    """Return the most elements of a span whose ends differ from program to program."""
    sized = [a for a in (*domain_ranges(axis), axis) if isinstance(a.tile, TileSize)]
    if axis.limit is None or sized:
        raise NoHomeError(f"the range `{axis.name}` is part of a tile, whose size a launch chooses")
    return Literal(axis.limit)


def _zero(dtype: DType) -> Literal:
    if dtype is DType.BOOL:
        return Literal(False, dtype)
    return Literal(0.0 if dtype.is_float else 0, dtype)

