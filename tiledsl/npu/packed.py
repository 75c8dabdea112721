"""Tensors of 4 bits: two elements to a byte along the last dim, each row from a byte of its own.

In the program such a tensor is one of bytes. A load reads the bytes of a row along an axis of
pairs, which `unpack` turns into f16 elements; `pack` goes the other way.

Before: ``w[k, n]`` of i4. After: ``%raw = load w[k, n_pairs]; %w = rename %raw, n_pairs to n``.
"""

from dataclasses import replace
from functools import lru_cache

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.frame import Frame, Tile, paired
from tiledsl.npu.memory import renamed, turned
from tiledsl.npu.vector import Vectors
from tiledsl.scalar import (
    Apply,
    Axis,
    End,
    Literal,
    Scalar,
    Start,
    Tensor,
    apply,
    ceil_div,
    integer,
)
from tiledsl.schedule import tile_of
from tiledsl.types import DType

F16, I32, U8 = DType.F16, DType.I32, DType.U8
# f16 of 1024 + n has the bits 0x6400 + n. A number less than 0 gets its low four bits by 16 more.
BITS, BASE = 0x6400, 1024.0


@lru_cache(maxsize=256)
def in_bytes(tensor: Tensor) -> Tensor:
    """Return the tensor of bytes that stands for one of 4 bits; any other as it is."""
    if tensor.dtype.bits >= 8:
        return tensor
    *outer, last = tensor.shape
    shape = (*outer, ceil_div(last, 2))
    return Tensor(tensor.name, U8, shape, tensor.role, tensor.star, span=tensor.span)


def pairs(axis: Axis) -> Axis:
    """Return the axis of the pairs that a tile of ``axis`` touches."""
    lo = apply("floordiv", Start(axis), integer(2))
    hi = ceil_div(End(axis), 2)
    return Axis(f"{axis.name}_pairs", "span", lo, hi, source=axis, span=axis.span)


def rename(frame: Frame, statement: ir.Rename, tile: Tile) -> Tile:
    """Emit a copy under another range, or the way from bytes along pairs to elements, or back."""
    order = frame.order(statement.result.type.axes)
    if paired(statement.old) is statement.new:
        return unpack(frame, tile, statement.new, order)
    if paired(statement.new) is statement.old:
        return pack(frame, tile, statement.old, order)
    return renamed(frame, tile, statement.old, statement.new)


def unpack(frame: Frame, raw: Tile, axis: Axis, order: tuple[Axis, ...]) -> Tile:
    """Return the elements of bytes in f16, signed where ``raw`` is; their axes are in ``order``."""
    vectors, signed = Vectors(frame), raw.dtype.is_signed
    _even(frame, axis)
    if paired(raw.axes[-1]) is not axis:
        raise frame.cannot(frame.span, "a 4-bit tile of more than two ranges that is turned")
    raw = Tile(replace(raw.ref, dtype=U8), raw.axes, U8, raw.padded)
    words, moved = (_room(frame, "pairs", raw.axes, I32) for _ in range(2))
    vectors.cast(raw, words)
    _with_scalar(vectors, "shl", words, 12, moved)
    vectors.bits("bitor", [words, moved], words)
    if signed:  # 8 more, and later 8 less
        _with_scalar(vectors, "add", words, 0x00080008, words)
    vectors.bits("bitand", [words, vectors.filled(Literal(0x000F000F), words)], words)
    _with_scalar(vectors, "add", words, BITS << 16 | BITS, words)
    axes = tuple(axis if paired(a) is axis else a for a in raw.axes)
    numbers = Tile(replace(words.ref, dtype=F16), axes, F16)
    out = _room(frame, "unpacked", axes, F16)
    base = Literal(-BASE - 8.0 if signed else -BASE, F16)
    vectors.emit(npu.WithScalar("add", out.ref, numbers.ref, base, frame.extent(axes)))
    return out if axes == order else turned(frame, out, order)


def pack(frame: Frame, source: Tile, axis: Axis, order: tuple[Axis, ...]) -> Tile:
    """Return f16 elements as bytes, whose axes are in ``order``."""
    vectors = Vectors(frame)
    _even(frame, axis)
    axes = tuple(axis if paired(a) is axis else a for a in order)
    if axes[-1] is not axis:
        raise frame.cannot(frame.span, "a 4-bit tile of more than two ranges that is turned")
    if source.axes != axes:
        source = turned(frame, source, axes)
    shifted = _room(frame, "packed", axes, F16)
    count = frame.extent(axes)
    vectors.emit(npu.WithScalar("add", shifted.ref, source.ref, Literal(BASE + 16.0, F16), count))
    words = Tile(replace(shifted.ref, dtype=I32), order, I32)
    low, high = (_room(frame, "pairs", order, I32) for _ in range(2))
    vectors.bits("bitand", [words, vectors.filled(Literal(15), low)], low)
    _with_scalar(vectors, "shr", words, 12, high)
    vectors.bits("bitand", [high, vectors.filled(Literal(0xF0), high)], high)
    vectors.bits("bitor", [low, high], low)
    out = _room(frame, "bytes", order, U8)
    vectors.cast(low, out)
    return out


def whole_bytes(frame: Frame, store: ir.Store) -> None:
    """Raise the error that two tiles of a 4-bit tensor would share a byte."""
    for index in store.index:
        for axis, _ in index.terms:
            elements = paired(axis)
            if elements is not None:
                _even(frame, elements)


def _with_scalar(vectors: Vectors, op: str, src: Tile, number: int, dst: Tile) -> None:
    count = vectors.frame.extent(dst.axes)
    vectors.emit(npu.WithScalar(op, dst.ref, src.ref, Literal(number), count))


def _even(frame: Frame, axis: Axis) -> None:
    """Raise the error that a tile may begin in the middle of a byte."""
    if not _starts_even(frame, axis):
        raise frame.cannot(
            frame.span,
            f"a tile along `{axis.name}` that may begin at an odd element of a 4-bit tensor",
            "let the range begin at an even position and its tiles be of even size",
        )


def _starts_even(frame: Frame, axis: Axis) -> bool:
    """Whether every tile of ``axis`` begins at an even position."""
    if axis.source is not None:
        return _starts_even(frame, axis.source)
    tile = tile_of(axis, frame.tiles) or 0
    half = frame.limit(axis) if axis is frame.split else 0
    return not axis.is_scalar and is_even(axis.lo) and tile % 2 == 0 and half % 2 == 0


def is_even(scalar: Scalar) -> bool:
    """Whether an integer is known to be even."""
    match scalar:
        case Literal(value=int() as value):
            return value % 2 == 0
        case Apply(op="add" | "sub", args=args):
            return all(map(is_even, args))
        case Apply(op="mul", args=args):
            return any(map(is_even, args))
        case _:
            return False


def _room(frame: Frame, name: str, axes: tuple[Axis, ...], dtype: DType) -> Tile:
    """Return a new tile with its axes as they stand."""
    size = frame.elements(axes) * dtype.size
    shape = f"{dtype}[{', '.join(a.name for a in axes)}]"
    base = frame.buffer(name, npu.Memory.UB, size, shape, shape=shape)
    return Tile(npu.Ref(base.buffer, dtype), axes, dtype)
