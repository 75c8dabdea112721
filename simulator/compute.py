"""The vector core that computes: every instruction as NumPy on all programs of a class at once."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator import arithmetic
from tiledsl.simulator.core import (
    Core,
    Crossing,
    FailedAssertionError,
    Launch,
    Line,
)
from tiledsl.simulator.lanes import Lanes, round_up, typed, windows
from tiledsl.simulator.places import Area, GlobalArea, Place, Spot, Value, View, same
from tiledsl.types import DType

Undo = list[tuple[Array, Array]]  # parts of tensors, and what was there


class VectorCore(Core):
    """A core whose buffers hold the values of ``program``, a vector of program numbers.

    What it overwrites in tensors goes to ``undo``, if that is given.
    """

    undo: Undo | None = None

    def __init__(
        self, launch: Launch, program: Array, lanes: Lanes, workspaces: Mapping[str, GlobalArea],
        *, index: int, crossing: Crossing,
    ) -> None:  # fmt: skip
        super().__init__(launch, index=index, crossing=crossing)
        self.program, self.lanes, self.workspaces = program, lanes, workspaces
        self.count = len(program)

    def buffer(self, name: str, memory: str, offset: int, size: int, slots: int) -> Area:
        """Return the buffer's area, with room for it."""
        area = super().buffer(name, memory, offset, size, slots)
        self.lanes.open(area)
        return area

    def workspace(self, name: str) -> GlobalArea:
        """Return the scratch that every program has of its own."""
        return self.workspaces[name]

    def programs(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield all programs at once."""
        yield self.program

    # Values do not depend on flags: the instructions run in the order of issue.

    def set_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Do nothing."""

    def wait_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Do nothing."""

    def barrier(self, line: Line, queue: str | None) -> None:
        """Do nothing."""

    def token(self, queue: str) -> None:
        """Tell nothing: that the flag is up is all."""

    def receive(self, line: Line, event: int, queue: str, tokens: list[Any]) -> None:
        """Do nothing."""

    def print_line(self, line: Line, text: str, values: Sequence[Value]) -> None:
        """Print a line for each program."""
        columns = [np.broadcast_to(np.asarray(v), (self.count,)) for v in values]
        pieces = text.split("{}")
        for row in range(self.count):
            words = [_shown(column[row]) for column in columns]
            filled = "".join(p + w for p, w in zip(pieces, (*words, ""), strict=True))
            sys.stdout.write(f"{filled}\n")

    def require(self, line: Line, condition: Value, text: str) -> None:
        """Raise an error unless a condition holds for all programs."""
        if not np.all(condition):
            raise FailedAssertionError(text)

    # ---- copies ---------------------------------------------------------------------------------

    def copy_in(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], length: Value, pad: Value,
        left: Value = 0,
    ) -> None:  # fmt: skip
        """Copy rows from global memory, and fill up each to 32 bytes."""
        sizes, width, before = [same(n) for n in shape], same(length), same(left)
        if width == 0 or 0 in sizes:
            return
        outer, item = [same(s) for s in dst_strides], dst.dtype.size
        edge = dst._replace(dtype=DType.U8) if item == 1 else dst  # the byte that a type stands for
        if before:
            margin = self.lanes.window(edge, (*sizes, before), (*outer, 1))
            margin[...] = typed(pad, edge.dtype, margin.ndim - 1)
            dst = dst._replace(start=dst.start + before * item)
        into = self.lanes.window(dst, (*sizes, width), (*outer, 1))
        strides = (*(same(s) for s in src_strides), 1)
        for lanes, found in windows(src, dst.dtype, self.count, (*sizes, width), strides, False):
            into[lanes] = found
        used = (before + width) * item
        missing = (round_up(used, 32) - used) // item
        if missing:
            after = edge._replace(start=dst.start + width * item)
            margin = self.lanes.window(after, (*sizes, missing), (*outer, 1))
            margin[...] = typed(pad, edge.dtype, margin.ndim - 1)

    def copy_out(
        self, line: Line, dst: Spot, src: Place, shape: Sequence[Value],
        dst_strides: Sequence[Value], src_strides: Sequence[Value], length: Value, atomic: str,
    ) -> None:  # fmt: skip
        """Copy rows to global memory, or fold them into it."""
        sizes, width = (*(same(n) for n in shape), same(length)), same(length)
        if 0 in sizes:
            return
        source = self.lanes.window(src, sizes, (*(same(s) for s in src_strides), 1))
        strides = (*(same(s) for s in dst_strides), 1)
        overlaps = any(abs(s) < width and n > 1 for n, s in zip(sizes, strides[:-1], strict=False))
        for lanes, into in windows(dst, src.dtype, self.count, sizes, strides, bool(atomic)):
            self._remember(into)
            if not atomic:
                into[...] = source[lanes]
            elif not overlaps:
                arithmetic.BINARY[atomic](into, source[lanes], out=into)
            else:
                for at in np.ndindex(*sizes[:-1]):
                    here = (slice(None), *at)
                    arithmetic.BINARY[atomic](into[here], source[lanes][here], out=into[here])

    def _remember(self, there: Array) -> None:
        if self.undo is not None:
            self.undo.append((there, there.copy()))

    # ---- element by element ---------------------------------------------------------------------

    def fill(self, line: Line, dst: Place, value: Value, count: Value) -> None:
        """Set elements to a value."""
        self.lanes.flat(dst, count)[...] = typed(value, dst.dtype, 1)

    def write_scalar(self, line: Line, dst: Place, value: Value) -> None:
        """Set one element to a number, of each program."""
        self.lanes.flat(dst, 1)[...] = typed(value, dst.dtype, 1)

    def iota(self, line: Line, dst: Place, first: Value, count: Value) -> None:
        """Set elements to consecutive numbers."""
        into = self.lanes.flat(dst, count)
        steps = np.arange(into.shape[1])
        start = np.asarray(first)
        into[...] = (start.reshape(-1, 1) + steps if start.ndim else start + steps)  # fmt: skip

    def unary(self, line: Line, op: str, dst: Place, src: Place, count: Value) -> None:
        """Apply an op to elements."""
        arithmetic.UNARY[op](self.lanes.flat(src, count), out=self.lanes.flat(dst, count))

    def binary(
        self, line: Line, op: str, dst: View, a: View, b: View, rows: Value, cols: Value
    ) -> None:
        """Apply an op to two views."""
        rows, cols, grid = same(rows), same(cols), self.lanes.grid
        arithmetic.BINARY[op](grid(a, rows, cols), grid(b, rows, cols), out=grid(dst, rows, cols))

    def with_scalar(
        self, line: Line, op: str, dst: Place, src: Place, value: Value, count: Value
    ) -> None:
        """Apply an op to elements and a number."""
        into, x = self.lanes.flat(dst, count), self.lanes.flat(src, count)
        number = typed(value, src.dtype, 1)
        if op in ("shl", "shr"):
            arithmetic.shift(op, x, number, into)
        else:
            arithmetic.BINARY[op](x, number, out=into)

    def convert(self, line: Line, dst: Place, src: Place, mode: str, count: Value) -> None:
        """Convert elements to another type."""
        into, x = self.lanes.flat(dst, count), self.lanes.flat(src, count)
        into[...] = arithmetic.converted(x, src.dtype, dst.dtype, mode)

    def compare(
        self, line: Line, op: str, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Compare elements into a mask, in whole groups of 256 bytes."""
        whole = round_up(same(count), 256 // a.dtype.size)
        left = self.lanes.flat(a, whole)
        right = self.lanes.flat(b, whole) if isinstance(b, Place) else typed(b, a.dtype, 1)
        bits = np.packbits(arithmetic.COMPARE[op](left, right), axis=1, bitorder="little")
        self.lanes.flat(mask, bits.shape[1])[...] = bits

    def select(
        self, line: Line, dst: Place, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Choose elements by a mask."""
        count = same(count)
        packed = self.lanes.flat(mask, -(-count // 8))
        bits = np.unpackbits(packed, axis=1, count=count, bitorder="little").view(np.bool_)
        other = self.lanes.flat(b, count) if isinstance(b, Place) else typed(b, dst.dtype, 1)
        self.lanes.flat(dst, count)[...] = np.where(bits, self.lanes.flat(a, count), other)

    def gather(self, line: Line, dst: Place, src: Place, offsets: Place, count: Value) -> None:
        """Pick elements by byte offsets."""
        reach = (src.end - src.start) // src.dtype.size
        at = self.lanes.flat(offsets, count).astype(np.int64) // src.dtype.size
        self.lanes.flat(dst, count)[...] = np.take_along_axis(self.lanes.flat(src, reach), at, 1)

    def read_scalar(self, line: Line, src: Place) -> Value:
        """Return an element of each program as a number."""
        found = self.lanes.flat(src, 1)[:, 0]
        return found.astype(np.int64 if src.dtype.is_integer else found.dtype)

    # ---- rows and columns -----------------------------------------------------------------------

    def spread(self, line: Line, dst: Place, src: Place, count: Value) -> None:
        """Write each element all over a block of 32 bytes, eight elements at a time."""
        whole, block = round_up(same(count), 8), 32 // src.dtype.size
        into = self.lanes.window(dst, (whole, block), (block, 1))
        into[...] = self.lanes.flat(src, whole)[:, :, None]

    def expand(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Write out a broadcast view."""
        rows, cols = same(rows), same(cols)
        self.lanes.grid(dst, rows, cols)[...] = self.lanes.grid(src, rows, cols)

    def row_reduce(
        self, line: Line, op: str, dst: Place, src: View, scratch: Place, rows: Value, cols: Value,
        identity: Value, blocks: bool = False,
    ) -> None:  # fmt: skip
        """Fold each row into one element."""
        rows, cols = same(rows), same(cols)
        into = self.lanes.flat(dst, rows)
        if cols == 0:
            into[...] = typed(identity, dst.dtype, 1)
            return
        arithmetic.fold(op, 2, self.lanes.grid(src, rows, cols), into)

    def col_reduce(
        self, line: Line, op: str, dst: Place, src: View, rows: Value, cols: Value, identity: Value
    ) -> None:
        """Fold all rows into one, row after row."""
        rows, cols = same(rows), same(cols)
        into = self.lanes.flat(dst, cols)
        if rows == 0:
            into[...] = typed(identity, dst.dtype, 1)
        else:
            arithmetic.fold(op, 1, self.lanes.grid(src, rows, cols), into)

    def transpose(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Exchange rows and columns, in blocks of 16 x 16."""
        rows, cols = round_up(same(rows), 16), round_up(same(cols), 16)
        into, found = self.lanes.grid(dst, cols, rows), self.lanes.grid(src, rows, cols)
        into[...] = found.transpose(0, 2, 1)


def _shown(value: Any) -> str:
    """Return a number as the devices print it."""
    if isinstance(value, np.integer | np.bool_):
        return str(int(value))
    return f"{float(value):f}"
