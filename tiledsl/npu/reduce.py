"""Reductions on the vector unit, axis by axis."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu import scalar_unit
from tiledsl.npu.casts import COMPUTED_IN
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.i64 import blank
from tiledsl.npu.scan import turn
from tiledsl.npu.sort import OUT, from_start, positions_of
from tiledsl.npu.vector import Vectors, as_type
from tiledsl.ops import REDUCTIONS, Reduction
from tiledsl.scalar import ONE, ZERO, Axis, Literal, Local, Scalar, add, mul
from tiledsl.types import DType

F16, F32, I32, BOOL = DType.F16, DType.F32, DType.I32, DType.BOOL


def reduce(frame: Frame, statement: ir.Reduce, source: Tile, dst: Tile) -> None:
    """Emit ``dst = reduction(source over axes)``; ``dst`` has the axes that are left."""
    row, vectors = statement.reduction, Vectors(frame)
    if row.name in ("argmax", "argmin") and source.dtype is DType.I64:
        blank(vectors, dst)
        scalar_unit.best_position(frame, statement, source, dst)
        return
    if source.dtype is DType.I64:
        blank(vectors, dst)
        scalar_unit.fold(frame, row, source, statement.axes, dst)
        return
    if row.name in ("argmax", "argmin"):
        _best_place(frame, statement, source, dst)
        return
    if row.name in ("any", "all"):
        _truth(frame, statement, source, dst)
        return
    kind = COMPUTED_IN.get(source.dtype)
    if kind is None:
        raise frame.cannot(statement.span, f"`{row.name}` of {source.dtype}")
    if kind is F16 and row.name == "sum":
        kind = F32
    if source.dtype is not kind:
        wide = frame.tile("wide", source.axes, kind)
        vectors.cast(source, wide)
        source = wide
    if dst.dtype is kind:
        fold(frame, row, source, statement.axes, dst)
        return
    out = frame.tile("wide", dst.axes, kind)
    fold(frame, row, source, statement.axes, out)
    vectors.cast(out, dst)


def _truth(frame: Frame, statement: ir.Reduce, source: Tile, dst: Tile) -> None:
    """``any`` is the maximum of 0 and 1, ``all`` the minimum."""
    vectors = Vectors(frame)
    numbers, folded = frame.tile("number", source.axes, F32), frame.tile("number", dst.axes, F32)
    vectors.select(source, Literal(1.0, F32), Literal(0.0, F32), numbers)
    row = REDUCTIONS["max" if statement.reduction.name == "any" else "min"]
    fold(frame, row, numbers, statement.axes, folded, Literal(float(row.name == "min"), F32))
    vectors.compare("ne", folded, Literal(0.0, F32), dst)


def _best_place(frame: Frame, statement: ir.Reduce, source: Tile, dst: Tile) -> None:
    """``argmax`` is the least of the places at which the maximum stands; 0 where there is nothing.

    A NaN is the maximum, and equals nothing: then it is the NaN that is looked for.
    """
    row, vectors = REDUCTIONS[statement.reduction.name.removeprefix("arg")], Vectors(frame)
    kind = COMPUTED_IN.get(source.dtype)
    if kind is None or (kind.size != 4 and not kind.is_float):
        raise frame.cannot(statement.span, f"`{statement.reduction.name}` of {source.dtype}")
    kind = F32 if kind is F16 else kind
    if source.dtype is not kind:
        wide = frame.tile("wide", source.axes, kind)
        vectors.cast(source, wide)
        source = wide
    best = frame.tile("best", dst.axes, kind)
    fold(frame, row, source, statement.axes, best)
    mask, found = frame.tile("mask", source.axes, BOOL), frame.tile("found", source.axes, F32)
    vectors.compare("eq", source, best, mask)
    if kind is F32:
        odd = frame.tile("odd", source.axes, BOOL)
        vectors.compare("ne", source, source, odd)
        vectors.mask_op("or", mask, odd, mask)
    (axis,) = statement.axes
    vectors.select(mask, positions_of(frame, axis, source.axes), Literal(OUT, F32), found)
    at, place = frame.tile("best_at", dst.axes, F32), frame.tile("place", dst.axes, F32)
    fold(frame, REDUCTIONS["min"], found, statement.axes, at, Literal(OUT, F32))
    there = frame.tile("mask", dst.axes, BOOL)
    vectors.compare("lt", at, Literal(OUT, F32), there)
    vectors.select(there, at, Literal(0.0, F32), place)
    vectors.cast(place, dst)
    from_start(frame, axis, dst)


def fold(
    frame: Frame,
    row: Reduction,
    source: Tile,
    axes: tuple[Axis, ...],
    dst: Tile,
    empty: Scalar | None = None,
) -> None:
    """Emit ``dst = row(source over axes)`` in the source's type; of nothing it is ``empty``."""
    identity = (
        empty if empty is not None else as_type(Literal(row.identity(source.dtype)), source.dtype)
    )
    left = tuple(a for a in source.axes if a not in axes)
    gone = tuple(a for a in source.axes if a in axes)
    if not gone:
        Vectors(frame).copy(source, dst)
        return
    block = (source.axes[-1],) if source.axes[-1] in gone else _run(source.axes, gone)
    rest = tuple(a for a in source.axes if a not in block)
    target = dst if rest == left else frame.tile("partial", rest, source.dtype)
    if source.axes[-1] in block:
        _along_rows(frame, row, source, target, identity)
    else:
        _along_columns(frame, row, source, block, target, identity)
    if target is not dst:
        fold(frame, row, target, tuple(a for a in gone if a not in block), dst, empty)


def _run(axes: tuple[Axis, ...], gone: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Return the last run of neighbouring axes among those to go."""
    last = max(axes.index(a) for a in gone)
    first = last
    while first > 0 and axes[first - 1] in gone:
        first -= 1
    return axes[first : last + 1]


def _along_rows(frame: Frame, row: Reduction, source: Tile, dst: Tile, identity: Scalar) -> None:
    """Reduce the innermost axis; a result of several axes row block by row block."""
    vectors = Vectors(frame)
    inner = source.axes[-1]
    outer = source.axes[:-1]
    most = frame.limit(outer[-1]) if outer else 1
    partial = frame.elements(source.axes[-1:]) // 32 + 256
    blocks = source.dtype is F32 and len(outer) == 1 and most >= 8
    width = 288 if blocks else 256  # bytes for a row
    scratch = frame.buffer("scratch", npu.Memory.UB, width * most + partial * source.dtype.size)
    room = npu.Ref(scratch.buffer, source.dtype)
    dst.padded = False

    turned = source.dtype is I32 or row.name == "prod"

    def rows(src: npu.Ref, out: npu.Ref, count: Scalar) -> npu.Step:
        if turned:  # no row instruction: columns of the transposed tile
            bounds = most, frame.limit(inner)
            back, pitch = turn(frame, src, count, frame.size(inner), frame.pitch(inner), bounds)
            view = npu.View(back, "full", pitch)
            return npu.ColReduce(row.combine, out, view, frame.size(inner), count, identity)  # type: ignore[arg-type]
        view = npu.View(src, "full", frame.pitch(inner))
        return npu.RowReduce(
            row.name, out, view, room, count, frame.size(inner), identity, blocks  # type: ignore[arg-type]
        )  # fmt: skip

    if len(outer) <= 1:
        count: Scalar = frame.size(outer[0]) if outer else ONE
        vectors.emit(rows(source.ref, dst.ref, count))
        return
    vectors.emit(npu.Fill(dst.ref, as_type(ZERO, dst.dtype), frame.extent(dst.axes)))
    dst.padded = True
    block = frame.extent(source.axes[-2:])
    _blocks(
        frame, outer[:-1],
        lambda at: vectors.emit(
            rows(
                replace(source.ref, offset=add(source.ref.offset, mul(at, block))),
                replace(dst.ref, offset=add(dst.ref.offset, mul(at, frame.pitch(outer[-1])))),
                frame.size(outer[-1]),
            )
        ),
    )  # fmt: skip


def _along_columns(
    frame: Frame, row: Reduction, source: Tile, block: tuple[Axis, ...], dst: Tile, identity: Scalar
) -> None:
    """Reduce neighbouring axes that are not innermost: row upon row, for each block further out."""
    vectors = Vectors(frame)
    first = source.axes.index(block[0])
    inner = source.axes[first + len(block) :]
    cols = frame.extent(inner)
    rows: Scalar = ONE
    for axis in block:
        rows = mul(rows, frame.size(axis))
    if len(inner) == 1 and not source.padded:
        cols = frame.size(inner[0])
    op = row.combine

    def fold(at: Scalar) -> None:
        src = replace(source.ref, offset=add(source.ref.offset, mul(at, mul(rows, cols))))
        out = replace(dst.ref, offset=add(dst.ref.offset, mul(at, cols)))
        view = npu.View(src, "full", cols)
        vectors.emit(npu.ColReduce(op, out, view, rows, cols, identity))  # type: ignore[arg-type]

    _blocks(frame, source.axes[:first], fold)


def _blocks(frame: Frame, axes: tuple[Axis, ...], emit: object) -> None:
    """Call ``emit`` with the number of the block, in a loop over all blocks of ``axes``."""
    assert callable(emit)
    if not axes:
        emit(ZERO)
        return
    count: Scalar = ONE
    for axis in axes:
        count = mul(count, frame.size(axis))
    name = frame.fresh(f"{axes[-1].name}_row")
    with frame.block() as body:
        emit(Local(name))
    frame.emit(npu.For(name, ZERO, count, ONE, tuple(body), span=frame.span))
