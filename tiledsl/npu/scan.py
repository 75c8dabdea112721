"""Scans, and reductions without a row instruction: turned, then row by row."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu import scalar_unit
from tiledsl.npu.casts import COMPUTED_IN
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.i64 import blank
from tiledsl.npu.vector import Vectors
from tiledsl.scalar import ONE, ZERO, Literal, Local, Scalar, add, mul, round_up, sub
from tiledsl.types import DType

BLOCK = 16  # a transposition goes in blocks of 16 x 16


def turn(
    frame: Frame, src: npu.Ref, rows: Scalar, cols: Scalar, stride: Scalar, most: tuple[int, int]
) -> tuple[npu.Ref, Scalar]:
    """Emit the transposition of ``rows`` x ``cols`` elements; return it and its row stride.

    ``most`` bounds rows and cols; ``stride``, of 16-element granules, is the source's.
    """
    vectors, size = Vectors(frame), src.dtype.size
    high, wide = (-(-m // max(BLOCK, frame.granule)) * max(BLOCK, frame.granule) for m in most)
    staged = frame.buffer("staged", npu.Memory.UB, high * wide * size)
    turned = frame.buffer("turned", npu.Memory.UB, high * wide * size)
    kind = DType.I16 if size == 2 else DType.I32
    whole, out = npu.Ref(staged.buffer, src.dtype), npu.Ref(turned.buffer, src.dtype)
    raw = (replace(whole, dtype=kind), replace(src, dtype=kind))
    zero = Literal(0, kind)
    vectors.emit(npu.WithScalar("add", raw[0], raw[1], zero, mul(rows, stride)))
    pitch = round_up(rows, BLOCK)
    views = npu.View(out, "full", pitch), npu.View(whole, "full", stride)
    vectors.emit(npu.Transpose(views[0], views[1], rows, cols))
    return out, pitch


def scan(frame: Frame, statement: ir.Scan, source: Tile, dst: Tile) -> None:
    """Emit a scan, one row of the axis upon the other."""
    if source.dtype is DType.I64:
        blank(Vectors(frame), dst)
        scalar_unit.scan(frame, statement, source, dst)
        return
    vectors, op = Vectors(frame), statement.reduction.combine
    computed = COMPUTED_IN.get(dst.dtype)
    if computed is None:
        raise frame.cannot(statement.span, f"`{statement.reduction.scan}` of {dst.dtype}")
    if computed is not dst.dtype:
        out = frame.tile("wide", dst.axes, computed)
        scan(frame, statement, source, out)
        vectors.cast(out, dst)
        return
    if source.dtype is not dst.dtype:
        wide = frame.tile("wide", source.axes, dst.dtype)
        vectors.cast(source, wide)
        source = wide
    axis = statement.axis
    at = source.axes.index(axis)
    if axis is not source.axes[-1]:
        vectors.copy(source, dst)
        blocks: Scalar = ONE
        for outer in source.axes[:at]:
            blocks = mul(blocks, frame.size(outer))
        _upon(frame, op, dst.ref, blocks, frame.size(axis), frame.extent(source.axes[at + 1 :]))
        return
    rows: Scalar = ONE
    most = 1
    for outer in source.axes[:-1]:
        rows, most = mul(rows, frame.size(outer)), most * frame.limit(outer)
    cols = frame.size(axis)
    bounds = most, frame.limit(axis)
    turned, pitch = turn(frame, source.ref, rows, cols, frame.pitch(axis), bounds)
    _upon(frame, op, turned, ONE, cols, pitch)
    back, _ = turn_back(frame, turned, dst, rows, cols, pitch, bounds)
    kind = DType.I16 if dst.dtype.size == 2 else DType.I32
    count = mul(rows, frame.pitch(axis))
    to, from_ = replace(dst.ref, dtype=kind), replace(back, dtype=kind)
    vectors.emit(npu.WithScalar("add", to, from_, Literal(0, kind), count))


def turn_back(
    frame: Frame,
    turned: npu.Ref,
    dst: Tile,
    rows: Scalar,
    cols: Scalar,
    pitch: Scalar,
    most: tuple[int, int],
) -> tuple[npu.Ref, Scalar]:
    """Emit the way back of `turn`, with the row stride of ``dst``."""
    size = turned.dtype.size
    high, wide = (-(-m // max(BLOCK, frame.granule)) * max(BLOCK, frame.granule) for m in most)
    room = frame.buffer("staged", npu.Memory.UB, high * wide * size)
    out, stride = npu.Ref(room.buffer, turned.dtype), frame.pitch(dst.axes[-1])
    views = npu.View(out, "full", stride), npu.View(turned, "full", pitch)
    Vectors(frame).emit(npu.Transpose(views[0], views[1], cols, rows))
    return out, stride


def _upon(
    frame: Frame, op: str, ref: npu.Ref, blocks: Scalar, rows: Scalar, stride: Scalar
) -> None:
    """Emit ``row[j] = row[j - 1] op row[j]`` for each row but the first of each block."""
    vectors = Vectors(frame)
    row, block = frame.fresh("row"), frame.fresh("block_row")
    base = mul(Local(block), mul(rows, stride)) if blocks != ONE else ONE
    with frame.block() as inner:
        here = mul(Local(row), stride)
        before = mul(sub(Local(row), 1), stride)
        if blocks != ONE:
            here, before = add(here, base), add(before, base)
        now = npu.View(replace(ref, offset=add(ref.offset, here)), "full", stride)
        last = npu.View(replace(ref, offset=add(ref.offset, before)), "full", stride)
        vectors.emit(npu.Binary(op, now, last, now, ONE, stride))
    loop = npu.For(row, ONE, rows, ONE, tuple(inner), span=frame.span)
    if blocks != ONE:
        loop = npu.For(block, ZERO, blocks, ONE, (loop,), span=frame.span)
    frame.emit(loop)
