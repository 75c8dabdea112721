"""Powers of integers on the vector unit: by squares, one bit of the exponent after the other."""

from tiledsl.npu import program as npu
from tiledsl.npu.frame import Tile
from tiledsl.npu.vector import Source, Vectors
from tiledsl.scalar import ONE, ZERO, Literal, integer
from tiledsl.types import DType

I32, BOOL = DType.I32, DType.BOOL


def power(vectors: Vectors, base: Source, exponent: Source, dst: Tile) -> None:
    """Write ``base ** exponent``, which wraps; under a negative exponent 0, or ±1 for a base of ±1.

    With ``bit`` 0 or 1 the factor ``(base - 1) * bit + 1`` is 1 or the base.
    """
    frame = vectors.frame
    square, rest, result = (_like(vectors, name, dst) for name in ("square", "exponent", "power"))
    vectors.copy(base, square)
    vectors.copy(exponent, rest)
    vectors.fill(result, ONE)
    outside = _vanishes(vectors, square, rest)
    bit, factor = (_like(vectors, name, dst) for name in ("bit", "factor"))
    one = vectors.filled(ONE, dst)
    with frame.block() as body:
        vectors.bits("bitand", [rest, one], bit)
        vectors.binary("add", square, Literal(-1), factor)
        vectors.binary("mul", factor, bit, factor)
        vectors.binary("add", factor, ONE, factor)
        vectors.binary("mul", result, factor, result)
        vectors.binary("mul", square, square, square)
        count = vectors.count(rest, rest)
        vectors.emit(npu.WithScalar("shr", rest.ref, rest.ref, ONE, count))
    name, bits = frame.fresh("bit_of"), integer(31)
    frame.emit(npu.For(name, ZERO, bits, ONE, tuple(body), "bits of the exponent", span=frame.span))
    vectors.select(outside, vectors.filled(ZERO, dst), result, dst)


def _like(vectors: Vectors, name: str, dst: Tile) -> Tile:
    return vectors.frame.tile(name, dst.axes, I32)


def _vanishes(vectors: Vectors, base: Tile, exponent: Tile) -> Tile:
    """Return where the exponent is negative, and the base neither 1 nor -1."""
    tiles = [vectors.frame.tile("mask", base.axes, BOOL) for _ in range(3)]
    negative, apart, opposite = tiles
    vectors.compare("lt", exponent, ZERO, negative)
    vectors.compare("ne", base, ONE, apart)
    vectors.compare("ne", base, Literal(-1), opposite)
    vectors.mask_op("and", negative, apart, negative)
    vectors.mask_op("and", negative, opposite, negative)
    return negative
