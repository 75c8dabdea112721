"""A core that notes what its instructions read and write, instead of doing it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator import arithmetic
from tiledsl.simulator.core import Core, Crossing, Launch, Line
from tiledsl.simulator.halves import narrow_into
from tiledsl.simulator.lanes import OutOfPlaceError, round_up, typed
from tiledsl.simulator.places import GlobalArea, Place, Spot, Value, same
from tiledsl.simulator.tape.board import F32, Board, Key
from tiledsl.simulator.tape.storage import (
    Dims,
    Each,
    Operand,
    Ref,
    Root,
    Split,
    Step,
    UnplannedError,
    split,
)  # fmt: skip
from tiledsl.types import DType

Window = tuple[Place, Dims]


class Recorder(Core):
    """A vector core on a tape; ``program`` has the numbers of a class of programs."""

    def __init__(
        self, launch: Launch, program: Array, board: Board, *, index: int, crossing: Crossing
    ) -> None:
        super().__init__(launch, index=index, crossing=crossing)
        self.program, self.board = program, board
        self.count = len(program)
        self.roots: dict[tuple[str, bytes, bool], Root] = {}
        self.fixed = {t.name for t in launch.program.tensors if t.role in ("in", "table")}

    def workspace(self, name: str) -> GlobalArea:
        """Return scratch in global memory, each program's own."""
        space = next(w for w in self.launch.program.workspaces if w.name == name)
        return GlobalArea(name, space.dtype, np.zeros(0, np.uint8), space.slots, space.elements)

    def programs(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield all programs at once."""
        yield self.program

    def set_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Do nothing: the instructions run in the order of issue."""

    def wait_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Do nothing."""

    def barrier(self, line: Line, queue: str | None) -> None:
        """Do nothing."""

    def cross_wait(self, line: Line, event: int, queue: str) -> Iterator[None]:
        """Let the other cores go on first: so they keep pace, and what is handed over is short."""
        self.crossing.moves += 1
        yield
        yield from super().cross_wait(line, event, queue)

    def token(self, queue: str) -> None:
        """Tell nothing."""

    def receive(self, line: Line, event: int, queue: str, tokens: list[Any]) -> None:
        """Do nothing."""

    def print_line(self, line: Line, text: str, values: Sequence[Value]) -> None:
        """Give up: a tape only computes."""
        raise UnplannedError("a line to be printed")

    def require(self, line: Line, condition: Value, text: str) -> None:
        """Give up."""
        raise UnplannedError("an assertion")

    # ---- places ---------------------------------------------------------------------------------

    def _key(self, place: Place) -> Key:
        return self.index, place.area.name

    def _read(self, window: Window) -> Operand | Split:
        """Return the elements of a window; those of f16 as f32."""
        place, dims = window
        inside(place, dims)
        half = place.dtype is DType.F16
        kind = F32 if half else place.dtype.numpy
        return self.board.read(self._key(place), place.start, dims, kind, half=half)

    def _write(self, window: Window, ref: Ref) -> None:
        place, dims = window
        inside(place, dims)
        half = place.dtype is DType.F16
        strides = [s for _, s in dims]
        size = place.dtype.size
        self.board.piece(self._key(place), place.start, size, strides, ref, half=half)

    def _operands(
        self, windows: Sequence[Window | Operand], dims: Dims
    ) -> tuple[list[Operand], Dims]:
        """Return what is in windows of one shape, and ``dims`` with axes split as need be."""
        while True:
            found: list[Operand] = []
            for window in windows:
                if isinstance(window, Ref | Each | np.ndarray):
                    found.append(window)
                    continue
                operand = self._read(window)
                if isinstance(operand, Split):
                    how = operand
                    windows = [
                        w if isinstance(w, Ref | Each | np.ndarray) else (w[0], split(w[1], how))
                        for w in windows
                    ]
                    dims = split(dims, how)
                    break
                found.append(operand)
            else:
                return found, dims

    # ---- global memory --------------------------------------------------------------------------

    def _global(
        self, spot: Spot, shape: Sequence[int], strides: Sequence[int], dtype: DType, *,
        wide: bool = False,
    ) -> Ref:  # fmt: skip
        """Return elements of a tensor, of each program; ``wide``: those of f16 as f32."""
        place, size = spot.place, dtype.size
        starts = np.broadcast_to(np.asarray(spot.offset, np.int64), (self.count,))
        reach = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        low, high = int(starts.min()), int(starts.max()) + reach
        if low < 0 or high * size > place.bytes.size:
            at = low if low < 0 else high - 1
            raise OutOfPlaceError(
                f"element {at} is not in `{place.name}`, which has {place.bytes.size // size}"
            )
        first = int(starts[0])
        size *= 2 if wide else 1
        ways = (starts - first) * size
        key = place.name, ways.tobytes(), wide
        if key not in self.roots:
            self.roots[key] = Root(0, place.name, ways, wide)
        kind = F32 if wide else dtype.numpy
        dims = tuple((n, s * size) for n, s in zip(shape, strides, strict=True))
        return Ref(self.roots[key], first * size, dims, kind)

    def _scratch(self, spot: Spot, dtype: DType) -> tuple[Key, int]:
        """Return a workspace as a buffer, and the first byte in it."""
        try:
            offset, slot = same(spot.offset), same(spot.slot)
        except ValueError as fault:
            raise UnplannedError("programs hand over at different places") from fault
        return (-1, spot.place.name), (slot * spot.place.elements + offset) * dtype.size

    def copy_in(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], length: Value, pad: Value,
        left: Value = 0,
    ) -> None:  # fmt: skip
        """Let the tensor itself stand in the buffer, or a copy with its padding."""
        sizes, width, before = [same(n) for n in shape], same(length), same(left)
        if width == 0 or 0 in sizes:
            return
        item = dst.dtype.size
        outer = [(n, same(s) * item) for n, s in zip(sizes, dst_strides, strict=True)]
        into = dst, (*outer, (before + width, item))
        inside(*into)
        whole = [*sizes, width]
        half = dst.dtype is DType.F16
        if src.place.slots:
            key, start = self._scratch(src, dst.dtype)
            dims: Dims = tuple(
                (n, s * item)
                for n, s in zip(whole, (*(same(s) for s in src_strides), 1), strict=True)
            )
            found = self._handed(key, start, dims, dst.dtype)
        else:
            steps = [*(same(s) for s in src_strides), 1]
            found = self._global(src, whole, steps, dst.dtype)
            if half:
                found = self.board.widened(found)
            elif src.place.name not in self.fixed:
                found = self._copied(found)
        missing = (round_up((before + width) * item, 32) - (before + width) * item) // item
        if not missing and not before:
            self._write(into, found)
            return
        whole_width = before + width + missing
        room = self.board.new([*sizes, whole_width], found.dtype)
        size = found.dtype.itemsize
        rows = room.dims[:-1]
        edge = DType.U8 if item == 1 else dst.dtype  # the byte that a type stands for
        number = np.asarray(typed(pad, edge, 0))
        value = wider(Each(number.reshape(-1)) if number.ndim else number, half)
        kind = found.dtype if item > 1 else edge.numpy
        for at, count, source in (
            (0, before, value), (before, width, found), (before + width, missing, value)
        ):
            if count:
                dtype = found.dtype if source is found else kind
                there = Ref(room.root, at * size, (*rows, (count, size)), dtype)
                self.board.emit(Step(arithmetic.put, [source], there))
        self._write((dst, (*outer, (whole_width, item))), room)

    def _handed(self, key: Key, start: int, dims: Dims, dtype: DType) -> Ref:
        """Return what was left in a workspace."""
        half = dtype is DType.F16
        kind = F32 if half else dtype.numpy
        found = self.board.read(key, start, dims, kind, half=half)
        if isinstance(found, Split):
            raise UnplannedError("rows are handed over as one")
        if isinstance(found, Ref):
            return found
        room = self.board.new([n for n, _ in dims], kind)
        self.board.emit(Step(arithmetic.put, [found], room))
        return room

    def _copied(self, ref: Ref) -> Ref:
        room = self.board.new(ref.shape, ref.dtype)
        self.board.emit(Step(arithmetic.put, [ref], room))
        return room

    def copy_out(
        self, line: Line, dst: Spot, src: Place, shape: Sequence[Value],
        dst_strides: Sequence[Value], src_strides: Sequence[Value], length: Value, atomic: str,
    ) -> None:  # fmt: skip
        """Note a copy to global memory; in a workspace the value itself stands."""
        item = src.dtype.size
        sizes = [*(same(n) for n in shape), same(length)]
        if 0 in sizes:
            return
        if atomic:
            raise UnplannedError("programs fold into one element")
        steps = [*(same(s) for s in dst_strides), 1]
        inner = [*(same(s) for s in src_strides), 1]
        dims = tuple((n, s * item) for n, s in zip(sizes, inner, strict=True))
        if dst.place.slots:
            (found,), dims = self._operands([(src, dims)], dims)
            if len(dims) != len(sizes):
                raise UnplannedError("rows are handed over as one")
            if not isinstance(found, Ref):
                found = self._filled(found, sizes, src.dtype)
            self._hand(dst, found, steps, src.dtype)
            return
        (found,), split_dims = self._operands([(src, dims)], dims)
        extents = [*zip(sizes, steps, strict=True)]
        self._store(dst, found, _like(tuple(extents), split_dims), src.dtype)

    def _filled(self, number: Operand, sizes: Sequence[int], dtype: DType) -> Ref:
        room = self.board.new(sizes, F32 if dtype is DType.F16 else dtype.numpy)
        self.board.emit(Step(arithmetic.put, [number], room))
        return room

    def _hand(self, dst: Spot, ref: Ref, strides: Sequence[int], dtype: DType) -> None:
        """Let a value stand in a workspace."""
        key, start = self._scratch(dst, dtype)
        half = dtype is DType.F16
        steps = [s * dtype.size for s in strides]
        self.board.piece(key, start, dtype.size, steps, ref, half=half)

    def _store(self, dst: Spot, found: Operand, dims: Dims, dtype: DType) -> None:
        """Write a value to a tensor: counts and strides in elements."""
        into = self._global(dst, [n for n, _ in dims], [s for _, s in dims], dtype)
        if not isinstance(found, Ref):
            write: Callable[..., Any] = arithmetic.put
        else:
            write = narrow_into if dtype is DType.F16 else arithmetic.put
        self.board.emit(Step(write, [found], into))


def inside(place: Place, dims: Dims) -> None:
    """Check that elements are in their buffer."""
    area, dtype, start, end = place
    reach = dtype.size + sum((n - 1) * s for n, s in dims)
    if start + reach > end or start < area.offset:
        raise OutOfPlaceError(
            f"bytes {start} to {start + reach} of {area.memory} are not all of `{area.name}`, "
            f"whose slot ends at {end}"
        )


def wider(operand: Operand, half: bool) -> Operand:
    """Return a number of f16 as f32."""
    if not half or isinstance(operand, Ref):
        return operand
    if isinstance(operand, Each):
        return Each(operand.values.astype(np.float32))
    return operand.astype(np.float32)


def _like(dims: Dims, other: Dims) -> Dims:
    """Return ``dims`` with its last axis split as in ``other``."""
    while len(dims) < len(other):
        inner = other[-1][0] if len(dims) + 1 == len(other) else other[len(dims) - 1][0]
        dims = split(dims, Split(len(dims) - 1, dims[-1][0] // inner))
    return dims
