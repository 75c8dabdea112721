"""Tiles between global memory and UB, and their transposition on the way."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.conversions import RAW
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.scalar_unit import over, read, write
from tiledsl.npu.vector import Vectors, as_type, replace_dtype
from tiledsl.npu.windows import apart, inside_of
from tiledsl.scalar import (
    ONE,
    ZERO,
    Axis,
    Literal,
    Local,
    Scalar,
    add,
    apply,
    ceil_div,
    integer,
    maximum,
    mul,
    sub,
)
from tiledsl.types import DType


def load(frame: Frame, statement: ir.Load, name: str) -> Tile:
    """Emit the copy of a tile into a ring of buffers; return it in canonical order.

    Of a window what is inside its tensor is copied, the rest is the default.
    """
    offset, strides = frame.address(statement.tensor, statement.index)
    natural = _natural(statement.index, frame)
    dtype = statement.result.type.dtype
    stored = DType.U8 if dtype is DType.BOOL else statement.tensor.dtype
    order = frame.order(natural)
    tile = _landing(frame, name, natural, stored)
    source = npu.Global(statement.tensor, offset)
    if natural and apart(statement) > 1:
        _gather_rows(frame, tile, source, strides, statement)
    elif any(statement.guards):
        _copy_inside(frame, tile, source, strides, natural, statement)
    else:
        _copy_in(frame, tile, source, strides, natural)
    if dtype is not DType.BOOL:
        tile = replace_dtype(tile, dtype)  # the bits of types that the unit lacks
    if order != natural:
        tile = _transposed(frame, tile, order)
    if dtype is DType.BOOL:
        mask = frame.tile(name, order, DType.BOOL)
        Vectors(frame).cast(tile, mask)
        return mask
    return tile


def from_workspace(
    frame: Frame, place: npu.Workspace, slot: Scalar, rows: Axis, cols: Axis, stride: int
) -> Tile:
    """Emit the copy of a product from a workspace slot; rows are ``stride`` elements apart."""
    strides = {**frame.apart(rows, integer(stride)), **frame.apart(cols, ONE)}
    axes = frame.order(set(strides))
    tile = frame.tile(place.name.removesuffix("_handed"), axes, place.dtype, ring=True)
    _copy_in(frame, tile, npu.Global(place, share(frame, strides), slot), strides, axes)
    return tile


def share(frame: Frame, strides: dict[Axis, Scalar]) -> Scalar:
    """Return where in a slot this core's part of a whole tile begins."""
    if frame.split is None or frame.split not in strides:
        return ZERO
    skipped = sub(frame.start(frame.split), frame.whole(frame.split)[0])
    return mul(skipped, strides[frame.split])


def _natural(index: tuple[ir.Index, ...], frame: Frame) -> tuple[Axis, ...]:
    """Return the axes in the order of the tensor's dims; in the tile's where rows are the same."""
    found: dict[Axis, None] = {}
    for position in index:
        found.update(dict.fromkeys(axis for axis, _ in position.terms))
    natural, order = tuple(found), frame.order(tuple(found))
    return order if natural[-1:] == order[-1:] else natural


def _landing(frame: Frame, name: str, natural: tuple[Axis, ...], dtype: DType) -> Tile:
    """Return the tile into which a copy goes, in the tensor's own order."""
    tile = frame.tile(name, natural, dtype, ring=True)
    if tile.axes == natural:
        return tile
    _plane(frame, natural)
    extra = _transposable(frame, natural) * dtype.size
    buffer = replace(tile.ref.buffer, size=max(tile.ref.buffer.size, -(-extra // 256) * 256))
    frame.buffers[buffer.name] = buffer
    return Tile(replace(tile.ref, buffer=buffer), natural, dtype, ring=True)


def _plane(frame: Frame, axes: tuple[Axis, ...]) -> None:
    if len(axes) != 2:
        raise frame.cannot(frame.span, "a transposition of more than two axes")


def _transposable(frame: Frame, axes: tuple[Axis, ...]) -> int:
    """Elements of a tile of two axes whose rows are rounded up to 16 in both directions."""
    unit = max(16, frame.granule)
    return (-(-frame.limit(axes[0]) // 16) * 16) * (-(-frame.limit(axes[1]) // unit) * unit)


def turned(frame: Frame, tile: Tile, order: tuple[Axis, ...]) -> Tile:
    """Return ``tile`` with its two axes exchanged, whatever room it has."""
    return _transposed(frame, _roomy(frame, tile), order)


def _transposed(frame: Frame, tile: Tile, order: tuple[Axis, ...]) -> Tile:
    """Return ``tile`` with its two axes exchanged."""
    _plane(frame, order)
    vectors = Vectors(frame)
    if tile.dtype.size == 1:
        wide = _room(frame, tile.axes, DType.F16)
        _same_order(vectors, tile, wide)
        turned = _transposed(frame, wide, order)
        out = _room(frame, order, tile.dtype)
        vectors.hop(turned, out, "trunc")
        return out
    out = _room(frame, order, tile.dtype)
    if tile.dtype.size == 8:  # no instruction: element by element
        over(frame, order, lambda place: write(frame, out, place, read(frame, tile, place)))
        return out
    rows, cols = (frame.size(axis) for axis in tile.axes)
    to = npu.View(out.ref, "full", frame.pitch(order[-1]))
    source = npu.View(tile.ref, "full", frame.pitch(tile.axes[-1]))
    vectors.emit(npu.Transpose(to, source, rows, cols))
    return out


def _same_order(vectors: Vectors, src: Tile, dst: Tile) -> None:
    vectors.hop(src, dst, "none")


def _room(frame: Frame, axes: tuple[Axis, ...], dtype: DType) -> Tile:
    """Return a tile with room for whole blocks of 16 x 16, in the order given."""
    count = _transposable(frame, axes)
    shape = f"{dtype}[{', '.join(a.name for a in axes)}]"
    base = frame.buffer("turned", npu.Memory.UB, count * dtype.size, shape, shape=shape)
    return Tile(npu.Ref(base.buffer, dtype), axes, dtype)


def _copy_in(
    frame: Frame,
    tile: Tile,
    source: npu.Global,
    strides: dict[Axis, Scalar],
    axes: tuple[Axis, ...],
) -> None:
    vectors = Vectors(frame)
    if not axes:
        vectors.emit(npu.CopyIn(tile.ref, source, (), (), (), ONE, as_type(ZERO, tile.dtype)))
        return
    if strides[axes[-1]] != ONE:
        raise frame.cannot(
            frame.span,
            f"a tile whose innermost range `{axes[-1].name}` is not the tensor's last dim",
        )
    if tile.dtype.size * frame.granule > 32:  # a copy pads to 32 bytes, a row may go on further
        tail = apply("ne", frame.size(axes[-1]), frame.pitch(axes[-1]))
        ref, count = tile.ref, frame.extent(axes)
        if tile.dtype.size == 8:  # no instruction fills these: as words of 32 bits
            ref, count = replace(ref, dtype=DType.I32), mul(count, integer(2))
        zeros = fill(frame, ref, as_type(ZERO, RAW.get(ref.dtype, ref.dtype)), count)
        vectors.emit(npu.If(tail, (replace(zeros, span=frame.span),)))
    shape = tuple(frame.size(axis) for axis in axes[:-1])
    apart = tuple(strides[axis] for axis in axes[:-1])
    rows = tuple(frame.extent(axes[i + 1 :]) for i in range(len(axes) - 1))
    zero = as_type(ZERO, RAW.get(tile.dtype, tile.dtype))
    vectors.emit(npu.CopyIn(tile.ref, source, shape, apart, rows, frame.size(axes[-1]), zero))


def _copy_inside(
    frame: Frame, tile: Tile, source: npu.Global, strides: dict[Axis, Scalar],
    axes: tuple[Axis, ...], statement: ir.Load, step: int = 1,
) -> None:  # fmt: skip
    """Fill ``tile`` with the default where not all of it is inside, and copy what is.

    With ``step`` the rows of ``tile`` are so many times as long: all that lies between is copied.
    """
    inside = inside_of(frame, statement, lambda axis: (frame.start(axis), frame.size(axis)))
    default = statement.default if statement.default is not None else ZERO
    assert not isinstance(default, ir.Value)
    value = as_type(frame.scalar(default), RAW.get(tile.dtype, tile.dtype))
    condition = inside.partly
    if step == 1 and tile.dtype.size * frame.granule > 32:
        tail = apply("ne", frame.size(axes[-1]), frame.pitch(axes[-1]))
        condition = apply("or", condition, tail)
    rows = tuple(mul(frame.extent(axes[i + 1 :]), step) for i in range(len(axes) - 1))
    if condition != Literal(False, DType.BOOL):
        filling = fill(frame, tile.ref, value, mul(frame.extent(axes), step))
        frame.emit(npu.If(condition, (replace(filling, span=frame.span),), span=frame.span))
    offset, into = source.offset, tile.ref.offset
    for i, axis in enumerate(axes):
        skip = inside.skip(axis)
        offset = add(offset, mul(skip, strides[axis]))
        if axis is not axes[-1]:
            into = add(into, mul(skip, rows[i]))
    skip, unit = mul(inside.skip(axes[-1]), step), integer(32 // tile.dtype.size)
    left = apply("mod", skip, unit)
    into = add(into, sub(skip, left))
    shape = tuple(inside.count(axis, frame.size(axis)) for axis in axes[:-1])
    far = tuple(strides[axis] for axis in axes[:-1])
    length = inside.count(axes[-1], frame.size(axes[-1]))
    if step > 1:
        length = maximum(sub(mul(length, step), step - 1), ZERO)
    dst, src = replace(tile.ref, offset=into), replace(source, offset=offset)
    Vectors(frame).emit(npu.CopyIn(dst, src, shape, far, rows, length, value, left))


def _gather_rows(
    frame: Frame, tile: Tile, source: npu.Global, strides: dict[Axis, Scalar], statement: ir.Load
) -> None:
    """Copy rows with all that lies between their elements, and gather these from there."""
    step = apart(statement)
    count = frame.elements(tile.axes) * step
    shape = f"{tile.dtype}[{', '.join(a.name for a in tile.axes)}] and what is between"
    size = count * tile.dtype.size
    base = frame.buffer("between", npu.Memory.UB, size, shape, ring=True, shape=shape)
    dense = Tile(replace(base, dtype=tile.dtype), tile.axes, tile.dtype, ring=True)
    _copy_inside(frame, dense, source, strides, tile.axes, statement, step)
    offsets = _offsets(frame, step * tile.dtype.size, frame.elements(tile.axes))
    Vectors(frame).emit(npu.Gather(tile.ref, dense.ref, offsets, frame.extent(tile.axes)))


def _offsets(frame: Frame, step: int, count: int) -> npu.Ref:
    """Return a table of ``count`` offsets, ``step`` bytes apart, made before the first program."""
    key = step, count
    if key not in frame.constants:
        base = frame.buffer("offsets", npu.Memory.UB, count * 4, f"multiples of {step}")
        table = replace(base, dtype=DType.I32)
        frame.opening += [
            npu.Iota(table, ZERO, integer(count), span=frame.span),
            npu.WithScalar("mul", table, table, integer(step), integer(count), span=frame.span),
        ]
        frame.constants[key] = replace(base, dtype=DType.U32)
    return frame.constants[key]


def fill(frame: Frame, row: npu.Ref, value: Scalar, count: Scalar) -> npu.Step:
    """Return a fill; of bytes in pairs, for there is none of single ones, nor of 64 bits."""
    if row.dtype.size == 8:
        name = frame.fresh("at")
        target = replace(row, offset=add(row.offset, Local(name)))
        write = npu.WriteScalar(target, value, span=frame.span)
        return npu.For(name, ZERO, count, ONE, (write,))
    if row.dtype.size > 1:
        return npu.Fill(row, value, count)
    kind = DType.I16 if row.dtype.is_signed else DType.U16
    twice = apply("mul", value, Literal(257), dtype=DType.I32)
    if row.dtype.is_signed:
        less = apply("lt", value, ZERO, dtype=DType.BOOL)
        twice = add(twice, apply("where", less, Literal(256), ZERO, dtype=DType.I32))
    pairs = replace(row, dtype=kind, offset=apply("floordiv", row.offset, Literal(2)))
    return npu.Fill(pairs, as_type(twice, kind), ceil_div(count, 2))


def store(frame: Frame, statement: ir.Store, value: Tile | Scalar) -> None:
    """Emit the copy of ``value`` to global memory, broadcast along axes that it lacks."""
    offset, strides = frame.address(statement.tensor, statement.index)
    natural = _natural(statement.index, frame)
    order = frame.order(natural)
    tile = ready(frame, statement, value, order)
    if order != natural:
        tile = _transposed(frame, _roomy(frame, tile), natural)
    if statement.tensor.dtype is not DType.BOOL:
        tile = replace_dtype(tile, statement.tensor.dtype)
    copy_out(frame, tile, npu.Global(statement.tensor, offset), strides, natural, statement)


def copy_out(
    frame: Frame, tile: Tile, target: npu.Global, strides: dict[Axis, Scalar],
    axes: tuple[Axis, ...], statement: ir.Store | None = None,
) -> None:  # fmt: skip
    """Emit the copy of ``tile`` with the given strides of ``target``."""
    vectors = Vectors(frame)
    atomic = statement.atomic if statement is not None else ""
    if not axes:
        vectors.emit(npu.CopyOut(target, tile.ref, (), (), (), ONE, atomic))
        return
    if strides[axes[-1]] != ONE:
        raise frame.cannot(
            frame.span,
            f"a store whose innermost range `{axes[-1].name}` is not the tensor's last dim",
        )
    shape = tuple(frame.size(axis) for axis in axes[:-1])
    apart = tuple(strides[axis] for axis in axes[:-1])
    rows = tuple(frame.extent(axes[i + 1 :]) for i in range(len(axes) - 1))
    vectors.emit(npu.CopyOut(target, tile.ref, shape, apart, rows, frame.size(axes[-1]), atomic))


def ready(frame: Frame, statement: ir.Store, value: Tile | Scalar, order: tuple[Axis, ...]) -> Tile:
    """Return ``value`` with all the axes of the index and the tensor's type, not a mask."""
    vectors, dtype = Vectors(frame), statement.tensor.dtype
    if not isinstance(value, Tile):
        dtype = RAW.get(dtype, dtype)
        if dtype is DType.BOOL:
            value, dtype = apply("where", value, ONE, ZERO, dtype=DType.I32), DType.U8
        tile = frame.tile(statement.tensor.name, order, dtype)
        vectors.fill(tile, value)
        return tile
    if value.axes != order:
        tile = frame.tile(statement.tensor.name, order, value.dtype)
        vectors.expand(value, tile)
        value = tile
    if value.dtype is DType.BOOL:
        number = frame.tile(statement.tensor.name, order, DType.U8)
        vectors.cast(value, number)
        return number
    return value


def _roomy(frame: Frame, tile: Tile) -> Tile:
    """Return ``tile`` in a buffer that a transposition may read in whole blocks."""
    needed = _transposable(frame, tile.axes) * tile.dtype.size if len(tile.axes) == 2 else 0
    if tile.ref.buffer.size >= needed:
        return tile
    out = _room(frame, tile.axes, tile.dtype)
    Vectors(frame).copy(tile, out)
    return out


def renamed(frame: Frame, source: Tile, old: Axis, new: Axis) -> Tile:
    """Return a copy of ``source`` with ``old`` called ``new``, in the order that this brings."""
    vectors = Vectors(frame)
    axes = tuple(new if axis is old else axis for axis in source.axes)
    same = Tile(source.ref, axes, source.dtype, source.padded)
    order = frame.order(axes)
    if order == axes:
        tile = frame.tile("renamed", axes, source.dtype)
        vectors.copy(same, tile)
        return tile
    if source.dtype is not DType.BOOL:
        return turned(frame, same, order)
    ones = frame.tile("number", source.axes, DType.F32)
    vectors.select(source, Literal(1.0, DType.F32), Literal(0.0, DType.F32), ones)
    numbers = _room(frame, axes, DType.F32)
    every = integer(_transposable(frame, axes))  # rows beyond become bits within the same byte
    vectors.emit(npu.Fill(numbers.ref, Literal(0.0, DType.F32), every))
    vectors.copy(Tile(ones.ref, axes, DType.F32), numbers)
    mask = frame.tile("renamed", order, DType.BOOL)
    vectors.compare("ne", _transposed(frame, numbers, order), Literal(0.0, DType.F32), mask)
    return mask
