"""Sine and cosine of large angles, after Payne and Hanek 1983: modulo 2 pi by whole numbers.

An f32 is ``m * 2**e`` with 24 bits of ``m``; of ``1 / (2 pi)`` only the 80 bits from bit ``e`` on
matter, for what is before them gives whole turns. Their product with ``m``, without whole turns, is
the angle in 80 bits, which lie in limbs of 16.

That takes some two hundred instructions, done only where a tile has such an angle.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tiledsl.npu import program as npu
from tiledsl.npu.frame import Tile
from tiledsl.npu.reduce import fold
from tiledsl.npu.vector import Source, Vectors
from tiledsl.npu.words import Words, in_pieces
from tiledsl.ops import REDUCTIONS
from tiledsl.scalar import Literal, Local, Scalar, apply, integer
from tiledsl.types import DType

F32, I32, BOOL = DType.F32, DType.I32, DType.BOOL
LARGE = 1.0e4  # up to here the multiples of pi are subtracted in parts
PIECE = 256  # words at once: some thirty tiles of them
LIMBS, HALF = 5, 0xFFFF
FIRST = 140  # the exponent, as an f32 has it, of the smallest large angle
# 2**-10 / (2 pi), sixteen bits after the other: an angle of exponent `FIRST` is m * 2**-10.
INVERSE = (
    0x000A, 0x2F98, 0x36E4, 0xE441, 0x529F, 0xC275, 0x7D1F, 0x534D, 0xDC0D, 0xB629, 0x5993, 0xC439,
    0x041F,
)  # fmt: skip
PI = 3.141592653589793
# Of `tiledsl.ops.expansions`: the sine on [-pi/2, pi/2].
SINE = (2.60277625e-06, -1.98083055e-04, 8.33304952e-03, -1.66666589e-01)


def replace_far(vectors: Vectors, op: str, angle: Source, near: Tile, dst: Tile) -> None:
    """Write ``near``, and where ``angle`` is large the ``op`` of it: sin or cos."""
    frame = vectors.frame
    vectors.copy(near, dst)
    x = angle if isinstance(angle, Tile) and angle.axes == dst.axes else None
    if x is None:
        x = frame.tile("angle", dst.axes, F32)
        vectors.copy(angle, x)
    size = frame.tile("size", dst.axes, F32)
    far, finite = (frame.tile("far", dst.axes, BOOL) for _ in range(2))
    vectors.emit(npu.Unary("abs", size.ref, x.ref, vectors.count(size, x)))
    vectors.compare("gt", size, Literal(LARGE, F32), far)
    vectors.compare("lt", size, Literal(float("inf"), F32), finite)
    vectors.mask_op("and", far, finite, far)
    source = x
    with frame.block() as body:
        value = frame.tile("turned", dst.axes, F32)
        in_pieces(frame, value, lambda w: _far(w, op, source, w.part(value)), PIECE)
        vectors.select(far, value, dst, dst)
    frame.emit(npu.If(_any(vectors, far), tuple(body), rare=True, span=frame.span))


def _any(vectors: Vectors, mask: Tile) -> Scalar:
    """Return whether a mask holds anywhere in a tile."""
    frame = vectors.frame
    zero = Literal(0.0, F32)
    ones, most = frame.tile("ones", mask.axes, F32), frame.tile("most", (), F32)
    vectors.select(mask, Literal(1.0, F32), zero, ones)
    fold(frame, REDUCTIONS["max"], ones, mask.axes, most, zero)  # of what lies between rows nothing
    name = frame.fresh("has_far")
    frame.emit(npu.ReadScalar(name, most.ref, span=frame.span))
    return apply("gt", Local(name, F32), zero)


def _far(words: Words, op: str, angle: Tile, dst: npu.Ref) -> None:
    """Write the sine or cosine of large angles; of others anything."""
    bits = words.copy(Tile(replace(angle.ref, dtype=I32), angle.axes, I32), "bits")
    exponent, rest = words.tile("exponent"), words.tile("rest")
    words.shift(bits, 23, exponent)
    words.bits("and", exponent, words.filled("byte", 0xFF), exponent)
    words.with_scalar("add", exponent, -FIRST, exponent)
    words.bits("and", exponent, words.filled("low", 15), rest)
    words.shift(exponent, 4, exponent)
    limbs = _times_mantissa(words, _window(words, exponent, rest), bits)
    if op == "cos":  # a quarter turn on
        words.with_scalar("add", limbs[0], 0x4000, limbs[0])
    odd = words.tile("odd")
    top = _turns(words, limbs, odd)
    if op == "sin":  # of an angle below 0 the other sign; the limbs are those of its size
        negative = words.tile("negative")
        words.shift(bits, 31, negative)
        words.binary("add", odd, negative, odd)
    _sine(words, top, odd, dst)


def _window(words: Words, skipped: npu.Ref, shift: npu.Ref) -> list[npu.Ref]:
    """Return limbs of `INVERSE` from bit ``16 * skipped + shift`` on, of each element its own."""
    half = words.filled("half", HALF)
    values: Sequence[npu.Ref | int] = INVERSE
    for bit in (2, 1, 0):
        step, chosen = 1 << bit, words.tile("chosen")
        words.shift(skipped, bit, chosen)
        words.bits("and", chosen, words.filled("one", 1), chosen)
        kept = LIMBS + 1 + (step - 1)
        values = [_either(words, chosen, values[j], values[j + step]) for j in range(kept)]
    power = words.tile("power")  # 2 ** shift: the bits of a float with that exponent
    words.with_scalar("add", shift, 127, power)
    words.emit(npu.WithScalar("shl", power, power, integer(23), words.count))
    words.emit(npu.Convert(power, replace(power, dtype=F32), "rint", words.count))
    moved: list[npu.Ref] = []
    for value in values:
        assert isinstance(value, npu.Ref)
        words.binary("mul", value, power, value)
        moved.append(value)
    found: list[npu.Ref] = []
    for this, following in pairwise(moved):
        limb, carry = words.tile("limb"), words.tile("carry")
        words.bits("and", this, half, limb)
        words.shift(following, 16, carry)
        words.binary("add", limb, carry, limb)
        found.append(limb)
    return found


def _either(words: Words, chosen: npu.Ref, a: npu.Ref | int, b: npu.Ref | int) -> npu.Ref:
    """Return ``b`` where ``chosen`` is 1, ``a`` where it is 0."""
    out = words.tile("piece")
    if isinstance(a, int):
        assert isinstance(b, int)
        words.with_scalar("mul", chosen, b - a, out)
        words.with_scalar("add", out, a, out)
        return out
    assert isinstance(b, npu.Ref)
    words.binary("sub", b, a, out)
    words.binary("mul", out, chosen, out)
    words.binary("add", out, a, out)
    return out


def _times_mantissa(words: Words, window: list[npu.Ref], bits: npu.Ref) -> list[npu.Ref]:
    """Return the product of limbs with the 24 bits of an f32, without what is above the limbs."""
    low, high = words.tile("low"), words.tile("high")
    words.bits("and", bits, words.filled("mantissa", 0xFFF), low)
    words.shift(bits, 12, high)
    words.bits("and", high, words.filled("upper", 0x7FF), high)
    words.with_scalar("add", high, 0x800, high)
    half = words.filled("half", HALF)
    lower, upper = (_scaled(words, window, factor, half) for factor in (low, high))
    result: list[npu.Ref] = [*lower]
    carry: npu.Ref | None = None
    for place in reversed(range(LIMBS)):  # the upper product is 12 bits further up
        part, below = words.tile("part"), words.tile("below")
        words.with_scalar("mul", upper[place], 1 << 12, part)
        words.bits("and", part, half, part)
        words.binary("add", part, lower[place], part)
        if place + 1 < LIMBS:
            words.shift(upper[place + 1], 4, below)
            words.binary("add", part, below, part)
        if carry is not None:
            words.binary("add", part, carry, part)
        carry, result[place] = words.tile("carry"), part
        words.shift(part, 16, carry)
        words.bits("and", part, half, part)
    return result


def _scaled(words: Words, limbs: list[npu.Ref], factor: npu.Ref, half: npu.Ref) -> list[npu.Ref]:
    """Return limbs times a factor of 12 bits, as limbs."""
    found: list[npu.Ref] = []
    carry: npu.Ref | None = None
    for limb in reversed(limbs):
        product = words.tile("product")
        words.binary("mul", limb, factor, product)
        if carry is not None:
            words.binary("add", product, carry, product)
        carry = words.tile("carry")
        words.shift(product, 16, carry)
        words.bits("and", product, half, product)
        found.append(product)
    return found[::-1]


def _turns(words: Words, limbs: list[npu.Ref], odd: npu.Ref) -> npu.Ref:
    """Return what is left of an angle after whole halves of a turn, in these; note if they are odd.

    The limbs are a fraction of a turn. Its first bit is a half turn; with the second the next half
    turn is nearer, and what is left is less than 0.
    """
    half, one = words.filled("half", HALF), words.filled("one", 1)
    first, minus = words.tile("first"), words.tile("minus")
    words.shift(limbs[0], 15, first)
    words.bits("and", first, one, first)
    words.shift(limbs[0], 14, minus)
    words.bits("and", minus, one, minus)
    words.binary("add", first, minus, odd)
    total: npu.Ref | None = None
    for place in reversed(range(LIMBS - 1)):
        limb, other = words.tile("limb"), words.tile("other")
        words.with_scalar("mul", limbs[place], 2, limb)
        words.shift(limbs[place + 1], 15, other)
        words.bits("and", limb, half, limb)
        words.binary("add", limb, other, limb)
        words.with_scalar("mul", limb, -2, other)  # where it is less than 0, each bit the other way
        words.with_scalar("add", other, HALF, other)
        words.binary("mul", other, minus, other)
        words.binary("add", limb, other, limb)
        value = replace(words.tile("value"), dtype=F32)
        words.emit(npu.Convert(value, limb, "rint", words.count))
        scale = Literal(2.0 ** (-16 * (place + 1)), F32)
        words.emit(npu.WithScalar("mul", value, value, scale, words.count))
        if total is not None:
            words.binary("add", value, total, value)
        total = value
    assert total is not None
    sign = words.tile("sign")
    words.with_scalar("mul", minus, -2, sign)
    words.with_scalar("add", sign, 1, sign)
    signed = replace(words.tile("signed"), dtype=F32)
    words.emit(npu.Convert(signed, sign, "rint", words.count))
    words.binary("mul", total, signed, total)
    return total


def _sine(words: Words, halves: npu.Ref, odd: npu.Ref, dst: npu.Ref) -> None:
    """Write the sine of ``pi * halves``, with the other sign where ``odd`` is."""

    def scaled(op: str, src: npu.Ref, number: float, to: npu.Ref) -> None:
        words.emit(npu.WithScalar(op, to, src, Literal(number, F32), words.count))

    angle, square, poly = (replace(words.tile(n), dtype=F32) for n in ("angle", "square", "poly"))
    scaled("mul", halves, PI, angle)
    words.binary("mul", angle, angle, square)
    scaled("mul", square, SINE[0], poly)
    for number in SINE[1:3]:
        scaled("add", poly, number, poly)
        words.binary("mul", poly, square, poly)
    scaled("add", poly, SINE[3], poly)
    words.binary("mul", poly, square, poly)
    words.binary("mul", poly, angle, poly)
    words.binary("add", poly, angle, poly)
    sign = words.tile("sign")
    words.bits("and", odd, words.filled("one", 1), sign)
    words.with_scalar("mul", sign, -2, sign)
    words.with_scalar("add", sign, 1, sign)
    signed = replace(words.tile("signed"), dtype=F32)
    words.emit(npu.Convert(signed, sign, "rint", words.count))
    words.binary("mul", poly, signed, dst)
