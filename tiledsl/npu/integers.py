"""Powers of integers on the vector unit: by squares, one bit of the exponent after the other."""

from dataclasses import replace

from tiledsl.npu import program as npu
from tiledsl.npu.frame import Tile
from tiledsl.npu.vector import Source, Vectors
from tiledsl.npu.words import Words, in_pieces, whole
from tiledsl.scalar import ONE, ZERO, integer
from tiledsl.types import DType

I32 = DType.I32
BITS = 31  # of an exponent without its sign


def power(vectors: Vectors, base: Source, exponent: Source, dst: Tile) -> None:
    """Write ``base ** exponent``, which wraps; under a negative exponent 0, or ±1 for a base of ±1.

    With ``bit`` 0 or 1 the factor ``(base - 1) * bit + 1`` is 1 or the base.
    """
    frame = vectors.frame
    a, b = (whole(frame, x, dst.axes) for x in (base, exponent))

    def piece(words: Words) -> None:
        square, rest = words.copy(a, "square"), words.copy(b, "exponent")
        kept = _kept(words, square, rest)
        result, one = words.filled("power", 1), words.filled("one", 1)
        bit, factor = words.tile("bit"), words.tile("factor")
        with frame.block() as body:
            words.bits("and", rest, one, bit)
            words.with_scalar("add", square, -1, factor)
            words.binary("mul", factor, bit, factor)
            words.with_scalar("add", factor, 1, factor)
            words.binary("mul", result, factor, result)
            words.binary("mul", square, square, square)
            words.shift(rest, 1, rest)
        name = frame.fresh("bit_of")
        loop = npu.For(name, ZERO, integer(BITS), ONE, tuple(body), "bits of the exponent")
        words.emit(loop)
        words.binary("mul", result, kept, replace(words.part(dst), dtype=I32))

    in_pieces(frame, dst, piece)


def _kept(words: Words, base: npu.Ref, exponent: npu.Ref) -> npu.Ref:
    """Return 0 where the exponent is negative and the base neither 1 nor -1, else 1.

    Of these two bases, one more is 2 or 0, and nothing else has only that bit.
    """
    apart, negative = words.tile("apart"), words.tile("negative")
    words.with_scalar("add", base, 1, apart)
    words.bits("and", apart, words.filled("others", ~2), apart)
    words.with_scalar("mul", apart, -1, negative)
    words.bits("or", apart, negative, apart)
    words.shift(apart, 31, apart)
    words.shift(exponent, 31, negative)
    words.binary("mul", apart, negative, apart)
    words.with_scalar("mul", apart, -1, apart)
    words.with_scalar("add", apart, 1, apart)
    return apart
