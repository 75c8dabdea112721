"""Tiles of i64: casts and copies on the vector unit, everything else on the scalar unit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tiledsl.npu import program as npu
from tiledsl.npu import scalar_unit
from tiledsl.npu.frame import Tile
from tiledsl.scalar import ZERO, Literal, Scalar, integer, mul
from tiledsl.types import DType

if TYPE_CHECKING:
    from tiledsl.npu.vector import Vectors

I32, I64, F32, BOOL = DType.I32, DType.I64, DType.F32, DType.BOOL


def compute(
    vectors: "Vectors", op: str, operands: Sequence[Tile | Scalar], dst: Tile
) -> None:  # fmt: skip
    """Emit one op of the table that has i64 among its types."""
    frame = vectors.frame
    numbers = [_number(vectors, x) for x in operands]
    if dst.dtype is not BOOL:
        inside = any(isinstance(x, Tile) and x.ref.buffer is dst.ref.buffer for x in numbers)
        if not inside:  # else the padding is that of an operand
            blank(vectors, dst)
        scalar_unit.compute(frame, op, numbers, dst)
        return
    truth = frame.tile("truth", dst.axes, I32)
    blank(vectors, truth)
    scalar_unit.compute(frame, op, numbers, truth)
    vectors.compare("ne", truth, Literal(0), dst)


def _number(vectors: "Vectors", operand: Tile | Scalar) -> Tile | Scalar:
    """Return a mask as numbers."""
    if not isinstance(operand, Tile) or operand.dtype is not BOOL:
        return operand
    number = vectors.frame.tile("number", operand.axes, I32)
    vectors.cast(operand, number)
    return number


def blank(vectors: "Vectors", tile: Tile) -> None:
    """Write the padding of rows, of which the scalar unit writes only elements."""
    if len(tile.axes) > 1:
        words = mul(vectors.frame.extent(tile.axes), integer(tile.dtype.size // 4))
        vectors.emit(npu.Fill(replace(tile.ref, dtype=I32), ZERO, words))


def fill(vectors: "Vectors", dst: Tile, value: Scalar) -> None:
    """Write a number everywhere; padding included, where it is one of i32."""
    small = isinstance(value, Literal) and -(2**31) <= int(value.value) < 2**31
    if small and not vectors.frame.unified:
        narrow = vectors.frame.tile("filled", dst.axes, I32)
        vectors.fill(narrow, replace(value, dtype=I32))
        cast(vectors, narrow, dst)
        return
    blank(vectors, dst)
    scalar_unit.compute(vectors.frame, "", [value], dst)


def expand(vectors: "Vectors", src: Tile, dst: Tile) -> None:
    """Write ``src`` along axes that it lacks."""
    blank(vectors, dst)
    scalar_unit.compute(vectors.frame, "", [src], dst)


def cast(vectors: "Vectors", src: Tile, dst: Tile) -> None:
    """Cast to or from i64, by way of i32 or f32 where the unit has no cast."""
    frame, other = vectors.frame, dst.dtype if src.dtype is I64 else src.dtype
    if BOOL in (src.dtype, dst.dtype):
        number = frame.tile("number", src.axes, I32)
        if dst.dtype is BOOL:
            compute(vectors, "ne", [src, Literal(0, I64)], dst)
        else:
            vectors.cast(src, number)
            cast(vectors, number, dst)
    elif frame.unified and other in (I32, F32):
        compute(vectors, "cast", [src], dst)
    elif other is I32 or other is F32:
        modes = {I32: ("none", "none"), F32: ("rint", "trunc")}
        vectors.hop(src, dst, modes[other][dst.dtype is I64])
    else:
        middle = frame.tile("wide", src.axes, F32 if other.is_float else I32)
        vectors.cast(src, middle)
        vectors.cast(middle, dst)
