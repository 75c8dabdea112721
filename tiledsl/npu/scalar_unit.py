"""Element by element on the scalar unit: i64, for which the vector unit has casts and no more.

Each element is read from UB, computed on, and written back: some hundred cycles. What is mere bits
(copies, loads, stores, padding) and the casts to and from i32 and f32 stay with the vector unit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.frame import Frame, Tile
from tiledsl.ops import Reduction
from tiledsl.scalar import ONE, ZERO, Apply, Axis, Literal, Local, Scalar, add, apply, mul
from tiledsl.types import DType

Place = Mapping[Axis, Scalar]


def over(
    frame: Frame, axes: Sequence[Axis], emit: Callable[[dict[Axis, Scalar]], None],
    *, apart: bool = False,
) -> None:  # fmt: skip
    """Emit loops over the lanes of ``axes``, the last innermost; ``apart`` as in `npu.For`."""

    def nest(level: int, place: dict[Axis, Scalar]) -> None:
        if level == len(axes):
            emit(place)
            return
        axis = axes[level]
        name = frame.fresh(f"{axis.name}_lane")
        with frame.block() as body:
            nest(level + 1, {**place, axis: Local(name)})
        loop = npu.For(name, ZERO, frame.size(axis), ONE, tuple(body), apart=apart, span=frame.span)
        frame.emit(loop)

    nest(0, {})


def lane(frame: Frame, axes: tuple[Axis, ...], place: Place) -> Scalar:
    """Return where a lane stands in a tile."""
    at: Scalar = ZERO
    for i, axis in enumerate(axes):
        at = add(at, mul(place[axis], frame.extent(axes[i + 1 :])))
    return at


def read(frame: Frame, tile: Tile, place: Place) -> Scalar:
    """Read one element of a tile into a variable."""
    name = frame.fresh("element")
    frame.emit(npu.ReadScalar(name, _element(frame, tile, place), span=frame.span))
    return Local(name, tile.dtype)


def write(frame: Frame, tile: Tile, place: Place, value: Scalar) -> None:
    """Write one element of a tile."""
    frame.emit(npu.WriteScalar(_element(frame, tile, place), value, span=frame.span))


def _element(frame: Frame, tile: Tile, place: Place) -> npu.Ref:
    at = add(tile.ref.offset, lane(frame, tile.axes, place))
    return replace(tile.ref, offset=at)


def compute(frame: Frame, op: str, operands: Sequence[Tile | Scalar], dst: Tile) -> None:
    """Emit one op of the table; truth values are numbers here."""
    dst.padded = len(dst.axes) != 1

    def element(place: dict[Axis, Scalar]) -> None:
        args = tuple(read(frame, x, place) if isinstance(x, Tile) else x for x in operands)
        if op == "where":
            args = (apply("ne", args[0], ZERO), *args[1:])
        if not op:  # a copy
            write(frame, dst, place, args[0])
            return
        truth = op in ("eq", "ne", "lt", "le", "gt", "ge")
        value = Apply(op, args, DType.BOOL if truth else dst.dtype)
        write(frame, dst, place, Apply("cast", (value,), dst.dtype) if truth else value)

    over(frame, dst.axes, element)


def fold(frame: Frame, row: Reduction, source: Tile, axes: Sequence[Axis], dst: Tile) -> None:
    """Emit a reduction in the order of the elements."""
    identity = Literal(int(row.identity(source.dtype)), dst.dtype)
    dst.padded = len(dst.axes) != 1

    def result(place: dict[Axis, Scalar]) -> None:
        total = frame.fresh("total")
        frame.emit(npu.Let(total, identity, span=frame.span))

        def element(inner: dict[Axis, Scalar]) -> None:
            new = read(frame, source, {**place, **inner})
            both = Apply(row.combine, (Local(total, dst.dtype), new), dst.dtype)
            frame.emit(npu.Assign(total, both, span=frame.span))

        over(frame, [a for a in source.axes if a in axes], element)
        write(frame, dst, place, Local(total, dst.dtype))

    over(frame, dst.axes, result)


def scan(frame: Frame, statement: ir.Scan, source: Tile, dst: Tile) -> None:
    """Emit a scan along its axis."""
    row, axis = statement.reduction, statement.axis
    start = Literal(int(row.identity(source.dtype)), dst.dtype)
    dst.padded = len(dst.axes) != 1

    def line(place: dict[Axis, Scalar]) -> None:
        total = frame.fresh("total")
        frame.emit(npu.Let(total, start, span=frame.span))

        def element(inner: dict[Axis, Scalar]) -> None:
            here = {**place, **inner}
            new = read(frame, source, here)
            both = Apply(row.combine, (Local(total, dst.dtype), new), dst.dtype)
            frame.emit(npu.Assign(total, both, span=frame.span))
            write(frame, dst, here, Local(total, dst.dtype))

        over(frame, [axis], element)

    over(frame, [a for a in dst.axes if a is not axis], line)


def best_position(frame: Frame, statement: ir.Reduce, source: Tile, dst: Tile) -> None:
    """Emit ``argmax`` or ``argmin``: the position of the first of the best; 0 over nothing."""
    (axis,), kind = statement.axes, source.dtype
    better = "gt" if statement.reduction.name == "argmax" else "lt"
    dst.padded = len(dst.axes) != 1

    def result(place: dict[Axis, Scalar]) -> None:
        best, at = frame.fresh("best"), frame.fresh("best_at")
        limit = kind.limits[0 if better == "gt" else 1]
        frame.emit(npu.Let(best, Literal(int(limit), kind), span=frame.span))
        frame.emit(npu.Let(at, ZERO, span=frame.span))

        def element(inner: dict[Axis, Scalar]) -> None:
            new = read(frame, source, {**place, **inner})
            wins = apply(better, new, Local(best, kind))
            chosen = Apply("where", (wins, inner[axis], Local(at)), DType.I32)
            frame.emit(npu.Assign(at, chosen, span=frame.span))
            value = Apply("where", (wins, new, Local(best, kind)), kind)
            frame.emit(npu.Assign(best, value, span=frame.span))

        over(frame, [axis], element)
        write(frame, dst, place, Local(at))

    over(frame, dst.axes, result)
