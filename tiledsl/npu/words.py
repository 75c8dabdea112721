"""Words of 32 bits on the vector unit, piece after piece: long sequences take little room.

A word lies in an i32, whose arithmetic wraps, and is seen as u32 where it is shifted to the right,
as two halves where ``and`` and ``or`` go over it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tiledsl.npu import program as npu
from tiledsl.npu.frame import Frame, Tile
from tiledsl.npu.vector import Source, Vectors
from tiledsl.scalar import (
    ONE,
    ZERO,
    Axis,
    Literal,
    Local,
    Scalar,
    add,
    integer,
    minimum,
    mul,
    sub,
)  # fmt: skip
from tiledsl.types import DType

I32, U16, U32 = DType.I32, DType.U16, DType.U32
PIECE = 1024  # words that are worked on at once: a tile of them takes 4 KB


def in_pieces(frame: Frame, dst: Tile, emit: "Callable[[Words], None]", piece: int = PIECE) -> None:
    """Emit what ``emit`` does to the words of ``dst``, in a loop where these are many."""
    axes, room = dst.axes, frame.elements(dst.axes)
    dst.padded = len(axes) != 1
    count = frame.extent(axes, exact=not dst.padded)
    if room <= piece:
        emit(Words(frame, room, ZERO, count))
        return
    name = frame.fresh("piece")
    with frame.block() as body:
        size = frame.let(f"{name}_size", minimum(integer(piece), sub(count, Local(name))))
        emit(Words(frame, piece, Local(name), size))
    frame.emit(npu.For(name, ZERO, count, integer(piece), tuple(body), span=frame.span))


def whole(frame: Frame, source: Source, axes: tuple[Axis, ...]) -> Source:
    """Return a tile of words over all of ``axes``: i32, or u32 where it has no sign."""
    if not isinstance(source, Tile):
        return source
    kind = U32 if source.dtype is U32 else I32
    if source.axes == axes and source.dtype is kind:
        return source
    full = frame.tile("full", axes, kind)
    Vectors(frame).cast(source, full)
    return full


@dataclass
class Words:
    """Emits instructions on ``count`` words of 32 bits, at most ``room``, from word ``at`` on."""

    frame: Frame
    room: int
    at: Scalar
    count: Scalar

    def part(self, tile: Tile) -> npu.Ref:
        """Return the piece of a tile."""
        return replace(tile.ref, offset=add(tile.ref.offset, self.at))

    def tile(self, name: str) -> npu.Ref:
        """Return room for the words of a piece."""
        return replace(self.frame.buffer(name, npu.Memory.UB, self.room * 4), dtype=I32)

    def filled(self, name: str, value: Scalar | int) -> npu.Ref:
        """Return a tile that holds one word throughout."""
        ref = self.tile(name)
        self.emit(npu.Fill(ref, _word(value) if isinstance(value, int) else value, self.count))
        return ref

    def copy(self, source: Source, name: str) -> npu.Ref:
        """Return the piece of a tile, or a number, in a tile of its own."""
        if not isinstance(source, Tile):
            return self.filled(name, source)
        ref = self.tile(name)
        self.with_scalar("add", replace(self.part(source), dtype=I32), 0, ref)
        return ref

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
