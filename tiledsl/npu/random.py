"""Philox 4x32-10 on the vector unit, in 32-bit words that lie in i32 tiles.

The unit multiplies i32 and keeps the low word. The high word of ``x * m`` comes from products of
16-bit halves, each of which fits a word together with what is added to it:

    t = xl * ml;  u = xh * ml + (t >> 16);  v = xl * mh + (u & 0xffff)
    high = xh * mh + (u >> 16) + (v >> 16)
"""

from dataclasses import dataclass, replace

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.vector import Source, Vectors
from tiledsl.scalar import ONE, ZERO, Axis, Literal, Scalar, apply, integer, mul
from tiledsl.types import DType

F32, I32, I64, U16, U32 = DType.F32, DType.I32, DType.I64, DType.U16, DType.U32
ROUNDS = 10
# Salmon, Moraes, Dror and Shaw 2011, section 4.2: the multipliers, and what keys grow by.
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
INCREMENTS = 0x9E3779B9, 0xBB67AE85


def random(frame: Frame, statement: ir.Random, seed: Source, offset: Source, dst: Tile) -> None:
    """Emit ``rand`` or ``bits`` of a key and a counter into ``dst``."""
    words = _Words(frame, dst.axes)
    k0, k1 = words.split("key", seed)
    c0, c1 = words.split("counter", offset)
    c2, c3 = words.filled("counter", 0), words.filled("counter", 0)
    halves = words.filled("halves", 0xFFFF)
    with frame.block() as body:
        first, second = words.tile("high"), words.tile("high")
        words.high(c0, MULTIPLIERS[0], halves, first)
        words.high(c2, MULTIPLIERS[1], halves, second)
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
    dst.padded = len(dst.axes) != 1
    if statement.function == "bits":
        words.with_scalar("add", c0, 0, replace(dst.ref, dtype=I32))
        return
    words.shift(c0, 8, c0)
    words.emit(npu.Convert(dst.ref, c0, "rint", words.count))
    words.emit(npu.WithScalar("mul", dst.ref, dst.ref, Literal(2.0**-24, F32), words.count))


@dataclass
class _Words:
    """Emits instructions on tiles of 32-bit words over ``axes``."""

    frame: Frame
    axes: tuple[Axis, ...]

    @property
    def count(self) -> Scalar:
        """How many words an instruction takes."""
        return self.frame.extent(self.axes, exact=len(self.axes) == 1)

    def tile(self, name: str) -> npu.Ref:
        """Return room for a word of each element."""
        return self.frame.tile(name, self.axes, I32).ref

    def filled(self, name: str, value: Scalar | int) -> npu.Ref:
        """Return a tile that holds one word throughout."""
        ref = self.tile(name)
        self.emit(npu.Fill(ref, _word(value) if isinstance(value, int) else value, self.count))
        return ref

    def split(self, name: str, source: Source) -> tuple[npu.Ref, npu.Ref]:
        """Return the low and the high word of an integer of 64 bits, in tiles of their own."""
        if not isinstance(source, Tile):
            wide = source.dtype is I64
            above = apply("shr", source, Literal(32 if wide else 31, source.dtype))
            if not source.dtype.is_signed:
                above = ZERO
            elif wide:
                source, above = (apply("wrap", x, dtype=I32) for x in (source, above))
            return self.filled(name, source), self.filled(name, above)
        if source.dtype is I64:
            what = f"random numbers by tiles of {source.dtype}"
            raise self.frame.cannot(self.frame.span, what)
        vectors, positive = Vectors(self.frame), source.dtype is U32
        if positive:
            source = Tile(replace(source.ref, dtype=I32), source.axes, I32, source.padded)
        low = self.tile(name)
        vectors.cast(source, Tile(low, self.axes, I32))
        if positive:
            return low, self.filled(name, 0)
        high = self.tile(name)
        self.with_scalar("shr", low, 31, high)
        return low, high

    def high(self, x: npu.Ref, by: int, halves: npu.Ref, dst: npu.Ref) -> None:
        """Write the high word of ``x * by``."""
        low, middle, carry = (self.tile("half") for _ in range(3))
        self.bits("and", x, halves, low)
        self.shift(x, 16, dst)
        self.with_scalar("mul", low, by & 0xFFFF, carry)
        self.shift(carry, 16, carry)
        self.with_scalar("mul", dst, by & 0xFFFF, middle)
        self.binary("add", middle, carry, middle)
        self.bits("and", middle, halves, carry)
        self.with_scalar("mul", low, by >> 16, low)
        self.binary("add", low, carry, low)
        self.with_scalar("mul", dst, by >> 16, dst)
        for part in (middle, low):
            self.shift(part, 16, part)
            self.binary("add", dst, part, dst)

    def xor(self, a: npu.Ref, b: npu.Ref, dst: npu.Ref) -> None:
        """Write ``a ^ b``: what one has, less what both have."""
        either, both = self.tile("either"), self.tile("both")
        self.bits("or", a, b, either)
        self.bits("and", a, b, both)
        self.binary("sub", either, both, dst)

    def with_scalar(self, op: str, src: npu.Ref, number: int, dst: npu.Ref) -> None:
        """Emit an instruction on words and a number."""
        self.emit(npu.WithScalar(op, dst, src, _word(number), self.count))

    def shift(self, src: npu.Ref, by: int, dst: npu.Ref) -> None:
        """Shift to the right; zeros come in."""
        to, source = replace(dst, dtype=U32), replace(src, dtype=U32)
        self.emit(npu.WithScalar("shr", to, source, Literal(by, U32), self.count))

    def bits(self, op: str, a: npu.Ref, b: npu.Ref, dst: npu.Ref) -> None:
        """Emit ``and`` or ``or``, on 16 bits at a time."""
        count = mul(self.count, 2)
        views = [npu.View(replace(ref, dtype=U16), "full", count) for ref in (dst, a, b)]
        self.emit(npu.Binary(op, views[0], views[1], views[2], ONE, count))

    def binary(self, op: str, a: npu.Ref, b: npu.Ref, dst: npu.Ref) -> None:
        """Emit an instruction on two tiles."""
        views = [npu.View(ref, "full", self.count) for ref in (dst, a, b)]
        self.emit(npu.Binary(op, views[0], views[1], views[2], ONE, self.count))

    def emit(self, step: npu.Step) -> None:
        """Append ``step`` with the span of the statement at hand."""
        self.frame.emit(replace(step, span=self.frame.span))


def _word(number: int) -> Literal:
    """Return 32 bits as the i32 that has them."""
    return Literal((number + 2**31) % 2**32 - 2**31)
