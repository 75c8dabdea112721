"""Philox 4x32-10 on the vector unit, in 32-bit words that lie in i32 tiles.

The unit multiplies i32 and keeps the low word. The high word of ``x * m`` comes from products of
16-bit halves, each of which fits a word together with what is added to it:

    t = xl * ml;  u = xh * ml + (t >> 16);  v = xl * mh + (u & 0xffff)
    high = xh * mh + (u >> 16) + (v >> 16)
"""

from dataclasses import replace

from tiledsl.npu import program as npu
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.vector import Source
from tiledsl.npu.words import Words, in_pieces, whole
from tiledsl.scalar import ONE, ZERO, Literal, apply, integer
from tiledsl.types import DType

F32, I32, I64, U32 = DType.F32, DType.I32, DType.I64, DType.U32
ROUNDS = 10
# Salmon, Moraes, Dror and Shaw 2011, section 4.2: the multipliers, and what keys grow by.
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
INCREMENTS = 0x9E3779B9, 0xBB67AE85


def random(frame: Frame, seed: Source, offset: Source, function: str, dst: Tile) -> None:
    """Emit ``rand`` or ``bits`` of a key and a counter into ``dst``."""
    for source in (seed, offset):
        if isinstance(source, Tile) and source.dtype is I64:
            raise frame.cannot(frame.span, f"random numbers by tiles of {source.dtype}")
    key, counter = (whole(frame, x, dst.axes) for x in (seed, offset))
    in_pieces(frame, dst, lambda words: _mix(words, key, counter, function, dst))


def _mix(words: Words, seed: Source, offset: Source, function: str, dst: Tile) -> None:
    frame = words.frame
    k0, k1 = _split(words, "key", seed)
    c0, c1 = _split(words, "counter", offset)
    c2, c3 = words.filled("counter", 0), words.filled("counter", 0)
    halves = words.filled("halves", 0xFFFF)
    with frame.block() as body:
        first, second = words.tile("high"), words.tile("high")
        _high(words, c0, MULTIPLIERS[0], halves, first)
        _high(words, c2, MULTIPLIERS[1], halves, second)
        words.xor(second, c1, second)
        words.with_scalar("mul", c2, MULTIPLIERS[1], c1)
        words.xor(first, c3, first)
        words.xor(first, k1, c2)
        words.with_scalar("mul", c0, MULTIPLIERS[0], c3)
        words.xor(second, k0, c0)
        words.with_scalar("add", k0, INCREMENTS[0], k0)
        words.with_scalar("add", k1, INCREMENTS[1], k1)
    name, rounds = frame.fresh("round"), integer(ROUNDS)
    frame.emit(npu.For(name, ZERO, rounds, ONE, tuple(body), "Philox rounds", span=frame.span))
    to = words.part(dst)
    if function == "bits":
        words.with_scalar("add", c0, 0, replace(to, dtype=I32))
        return
    words.shift(c0, 8, c0)
    words.emit(npu.Convert(to, c0, "rint", words.count))
    words.emit(npu.WithScalar("mul", to, to, Literal(2.0**-24, F32), words.count))


def _split(words: Words, name: str, source: Source) -> tuple[npu.Ref, npu.Ref]:
    """Return the low and the high word of an integer of 64 bits, in tiles of their own."""
    if not isinstance(source, Tile):
        wide = source.dtype is I64
        above = apply("shr", source, Literal(32 if wide else 31, source.dtype))
        if not source.dtype.is_signed:
            above = ZERO
        elif wide:
            source, above = (apply("wrap", x, dtype=I32) for x in (source, above))
        return words.filled(name, source), words.filled(name, above)
    low = words.copy(source, name)
    if source.dtype is U32:
        return low, words.filled(name, 0)
    high = words.tile(name)
    words.with_scalar("shr", low, 31, high)
    return low, high


def _high(words: Words, x: npu.Ref, by: int, halves: npu.Ref, dst: npu.Ref) -> None:
    """Write the high word of ``x * by``."""
    low, middle, carry = (words.tile("half") for _ in range(3))
    words.bits("and", x, halves, low)
    words.shift(x, 16, dst)
    words.with_scalar("mul", low, by & 0xFFFF, carry)
    words.shift(carry, 16, carry)
    words.with_scalar("mul", dst, by & 0xFFFF, middle)
    words.binary("add", middle, carry, middle)
    words.bits("and", middle, halves, carry)
    words.with_scalar("mul", low, by >> 16, low)
    words.binary("add", low, carry, low)
    words.with_scalar("mul", dst, by >> 16, dst)
    for part in (middle, low):
        words.shift(part, 16, part)
        words.binary("add", dst, part, dst)
