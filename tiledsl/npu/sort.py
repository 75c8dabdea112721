"""Sorting and top-k on the vector unit: pick the best that is left, again and again.

Each pick is a reduction, a comparison and two selections over the rows; what was picked is put out
of the race. It takes as many picks as results.
"""

from dataclasses import replace

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.scan import turn
from tiledsl.npu.vector import Vectors
from tiledsl.scalar import ONE, ZERO, Axis, Literal, Local, Scalar, apply, mul, round_up
from tiledsl.types import DType

F32, I32, BOOL = DType.F32, DType.I32, DType.BOOL
OUT = 1.0e9  # a position that no element has: dims of a tile stay far below it


def sort(frame: Frame, statement: ir.Sort, source: Tile, values: Tile, positions: Tile) -> None:
    """Emit a sort of ``source`` along its innermost range, or the top ones of it."""
    axis, into = statement.axis, statement.into or statement.axis
    outer = tuple(a for a in source.axes if a is not axis)
    if source.axes != (*outer, axis) or len(outer) > 1 or values.axes != (*outer, into):
        raise frame.cannot(statement.span, "sorting along a range that is not the innermost of two")
    if source.dtype.is_integer and source.dtype.size > 2:  # f32 does not hold them
        raise frame.cannot(statement.span, f"sorting {source.dtype}")
    vectors = Vectors(frame)
    fold, last = ("max", float("-inf")) if statement.into is not None else ("min", float("inf"))
    left = frame.tile("left", source.axes, F32)
    vectors.cast(source, left)
    place = positions_of(frame, axis, source.axes)
    rows: Scalar = frame.size(outer[0]) if outer else ONE
    pitch = round_up(rows, 16)
    most = (frame.limit(into), frame.limit(outer[0]) if outer else 1)
    picked = [_strip(frame, name, most) for name in ("picked", "picked_at")]
    turn_name = frame.fresh("pick")
    with frame.block() as body:
        best, at = (frame.tile(n, outer, F32) for n in ("best", "best_at"))
        _reduce(frame, fold, left, best, Literal(last, F32))
        first = _select(frame, left, best, place, OUT)
        _reduce(frame, "min", first, at, Literal(OUT, F32))
        for strip, tile in zip(picked, (best, at), strict=True):
            to = replace(strip, dtype=I32, offset=mul(Local(turn_name), pitch))
            vectors.emit(npu.WithScalar("add", to, replace(tile.ref, dtype=I32), Literal(0), rows))
        _drop(frame, place, at, left, last)
    count = frame.size(into)
    frame.emit(npu.For(turn_name, ZERO, count, ONE, tuple(body), span=frame.span))
    for strip, result in zip(picked, (values, positions), strict=True):
        _deliver(frame, strip, result, count, rows, pitch, most)
    from_start(frame, axis, positions)


def from_start(frame: Frame, axis: Axis, places: Tile) -> None:
    """Turn places along ``axis`` from 0 into positions; where there is nothing, 0 stays 0."""
    if axis.kind == "span" and axis.lo == ZERO:
        return
    some = apply("gt", frame.size(axis), ZERO, dtype=BOOL)
    shift = apply("where", some, frame.start(axis), ZERO)
    count = frame.extent(places.axes)
    Vectors(frame).emit(npu.WithScalar("add", places.ref, places.ref, shift, count))


def positions_of(frame: Frame, axis: Axis, axes: tuple[Axis, ...]) -> Tile:
    """Return the places along ``axis`` in f32, from 0, over all of ``axes``."""
    vectors = Vectors(frame)
    line = frame.tile("at", (axis,), F32)
    vectors.emit(npu.Iota(line.ref, Literal(0.0, F32), frame.pitch(axis)))
    place = frame.tile("place", axes, F32)
    vectors.copy(line, place)
    return place


def _strip(frame: Frame, name: str, most: tuple[int, int]) -> npu.Ref:
    """Return room for one row of picks after the other."""
    wide = -(-most[1] // 16) * 16
    unit = max(16, frame.granule)
    base = frame.buffer(name, npu.Memory.UB, -(-most[0] // unit) * unit * wide * 4)
    return npu.Ref(base.buffer, F32)


def _reduce(frame: Frame, op: str, source: Tile, dst: Tile, identity: Scalar) -> None:
    inner = source.axes[-1]
    rows: Scalar = frame.size(source.axes[0]) if len(source.axes) > 1 else ONE
    most = frame.limit(source.axes[0]) if len(source.axes) > 1 else 1
    room = frame.buffer("scratch", npu.Memory.UB, 256 * most + frame.limit(inner) // 8 + 1024)
    view = npu.View(source.ref, "full", frame.pitch(inner))
    scratch = npu.Ref(room.buffer, F32)
    dst.padded = False
    fold = npu.RowReduce(op, dst.ref, view, scratch, rows, frame.size(inner), identity)  # type: ignore[arg-type]
    Vectors(frame).emit(fold)


def _select(frame: Frame, left: Tile, best: Tile, place: Tile, other: float) -> Tile:
    """Return the positions where ``left`` is ``best``, else ``other``.

    Where the best is NaN, no element equals it: it is the NaN that is looked for.
    """
    vectors = Vectors(frame)
    mask, found = frame.tile("mask", left.axes, BOOL), frame.tile("found", left.axes, F32)
    odd = frame.tile("odd", left.axes, BOOL)
    vectors.compare("eq", left, best, mask)
    vectors.compare("ne", left, left, odd)
    vectors.mask_op("or", mask, odd, mask)
    vectors.select(mask, place, Literal(other, F32), found)
    return found


def _drop(frame: Frame, place: Tile, at: Tile, left: Tile, last: float) -> None:
    """Put the elements at ``at`` out of the race."""
    vectors = Vectors(frame)
    mask, keep = frame.tile("mask", left.axes, BOOL), frame.tile("mask", left.axes, BOOL)
    vectors.compare("eq", place, at, mask)
    vectors.logic("not", [mask], keep)
    vectors.select(keep, left, Literal(last, F32), left)
    vectors.select(keep, place, Literal(OUT, F32), place)


def _deliver(
    frame: Frame, strip: npu.Ref, dst: Tile, count: Scalar, rows: Scalar, pitch: Scalar,
    most: tuple[int, int],
) -> None:  # fmt: skip
    """Write the picks, one row a pick, as rows of results."""
    vectors = Vectors(frame)
    turned, stride = turn(frame, strip, count, rows, pitch, most)
    into = dst.axes[-1]
    assert stride == round_up(count, 16)
    lines = frame.tile("picks", dst.axes, F32)
    name = frame.fresh("row")
    source = replace(turned, offset=mul(Local(name), stride))
    target = replace(lines.ref, offset=mul(Local(name), frame.pitch(into)))
    copy = npu.WithScalar(
        "add",
        replace(target, dtype=I32),
        replace(source, dtype=I32),
        Literal(0),
        count,
        span=frame.span,
    )
    vectors.fill(lines, Literal(0.0, F32))
    frame.emit(npu.For(name, ZERO, rows, ONE, (copy,), span=frame.span))
    lines.padded = True
    vectors.cast(lines, dst)
