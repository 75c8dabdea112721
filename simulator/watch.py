"""A core that computes nothing and watches: what each instruction touches, and in what order."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tiledsl.npu.program import LEAVING
from tiledsl.simulator.core import CUBE, Core, Crossing, Launch, Line
from tiledsl.simulator.lanes import round_up
from tiledsl.simulator.order import Clock, Clocks, Conflict, Event, Lanes, Order, Region, Shadow
from tiledsl.simulator.places import Area, GlobalArea, Place, Spot, Value, View, same
from tiledsl.types import DType

_ALIGNED = {"UB": 32, "L1": 32, "L0A": 512, "L0B": 512, "L0C": 64}
_SHADOW_LIMIT = 1 << 24  # elements of a tensor up to which its elements are watched
_HEAD, _TAIL, _TURNS = 3, 3, 12  # of a long loop: first and last trips; rings have 1 to 4 slots
_FEW, _PATIENCE = 64, 4000  # trips that are all looked at, until so many instructions were


class Finding(Exception):  # noqa: N818  not raised: something wrong that is kept
    """What is wrong at one instruction."""

    def __init__(self, kind: str, event: Event, conflict: Conflict | None, text: str) -> None:
        self.kind, self.event, self.conflict, self.text = kind, event, conflict, text
        super().__init__(text)


class Watcher(Core):
    """A core that runs the programs ``numbers``, one after the other."""

    def __init__(
        self, launch: Launch, numbers: Sequence[int], order: Order, found: list[Finding],
        *, index: int, crossing: Crossing, every_trip: bool,
    ) -> None:  # fmt: skip
        super().__init__(launch, index=index, crossing=crossing)
        self.numbers, self.found, self.every_trip = numbers, found, every_trip
        self.order = order
        self.left_out = False
        self.clocks = Clocks(index, order)

    # ---- what the program is given --------------------------------------------------------------

    def buffer(self, name: str, memory: str, offset: int, size: int, slots: int) -> Area:
        """Return the buffer's area, and watch its bytes."""
        space, end = self._space(memory), offset + size * slots
        shadow = self.order.shadows.get(space)
        if shadow is None or shadow.size < end:
            self.order.shadows[space] = Shadow(max(end, 1 << 18))
        return super().buffer(name, memory, offset, size, slots)

    def workspace(self, name: str) -> GlobalArea:
        """Return scratch of which every element is watched."""
        space = next(w for w in self.launch.program.workspaces if w.name == name)
        self.order.shadows.setdefault(f"GM {name}", Shadow(space.slots * space.elements))
        return GlobalArea(name, space.dtype, np.zeros(0, np.uint8), space.slots, space.elements)

    def tensor(self, name: str) -> GlobalArea:
        """Return a tensor; its elements are watched if the program may write them."""
        area = super().tensor(name)
        tensor = next(t for t in self.launch.program.tensors if t.name == name)
        size = area.bytes.size // area.dtype.size
        if tensor.role not in ("in", "table") and size <= _SHADOW_LIMIT:
            self.order.shadows.setdefault(f"GM {name}", Shadow(size))
        return area

    def programs(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield the given programs."""
        yield from self.numbers

    def loop(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield some trips at the start and the end; what is left out keeps rings in step."""
        trips = max(0, same(-((lo - hi) // step)))
        head = _HEAD + (trips - _HEAD - _TAIL) % _TURNS
        few = trips <= head + _TAIL or (trips <= _FEW and self.order.count < _PATIENCE)
        short = self.every_trip or few
        self.left_out |= not short
        for turn in range(trips if short else head):
            yield lo + turn * step
        for turn in range(trips if short else trips - _TAIL, trips):
            yield lo + turn * step

    # ---- flags ----------------------------------------------------------------------------------

    def set_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Raise a flag that must surely be down."""
        key, clocks = (src, dst, same(event)), self.clocks
        note = self._note(line, src, f"set {src} -> {dst} {key[2]}")
        clocks.tick(note)
        raised = clocks.flags.setdefault(key, deque())
        if raised:
            self._tell("flag", note, "the flag is up already: it was set twice without a wait")
        elif key in clocks.lowered:
            thread = clocks.thread(dst)
            if thread != clocks.thread(src) and clocks.known[src][thread] < clocks.lowered[key]:
                self._tell("flag", note, f"nothing makes {src} sure that {dst} has passed its wait")
        raised.append(clocks.snapshot(src))

    def wait_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Learn what is done when the flag is up."""
        key, clocks = (src, dst, same(event)), self.clocks
        note = self._note(line, dst, f"wait {src} -> {dst} {key[2]}")
        raised = clocks.flags.get(key)
        if not raised:
            self._tell("flag", note, "nobody has set this flag: the queue waits for ever")
            return
        clocks.learn(dst, raised.popleft())
        _, clocks.lowered[key] = clocks.tick(note)

    def barrier(self, line: Line, queue: str | None) -> None:
        """Learn that a queue, or every queue, is done."""
        clocks = self.clocks
        if queue is not None:
            clocks.learn(queue, clocks.snapshot(queue))
            return
        for name in clocks.known:
            done = clocks.snapshot(name)
            clocks.learn("S", done)

    def cross_set(self, line: Line, event: int, queue: str) -> None:
        """Raise a cross-core flag, which counts up to 15."""
        note = self._note(line, queue, f"cross set {event}")
        self.clocks.tick(note)
        if self.crossing.lift(event, self.index, self.token(queue)) > 15:
            self._tell("flag", note, "the cross-core flag is raised more than 15 times")

    def token(self, queue: str) -> Clock:
        """Return what is done when the flag is raised."""
        return self.clocks.snapshot(queue)

    def receive(self, line: Line, event: int, queue: str, tokens: list[Any]) -> None:
        """Learn from the other cores; what is issued later comes later too."""
        for clock in tokens:
            self.clocks.learn(queue, clock)
            self.clocks.learn("S", clock)

    def leave(self) -> None:
        """Look for flags that nobody waits for, when the core is done."""
        for (src, dst, event), raised in self.clocks.flags.items():
            if raised:
                note = self._note(0, src, f"set {src} -> {dst} {event}")
                self._tell("flag", note, "the flag is up at the end: nobody waits for it")

    # ---- copies ---------------------------------------------------------------------------------

    def copy_in(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], length: Value, pad: Value,
        left: Value = 0,
    ) -> None:  # fmt: skip
        """Watch rows that come in."""
        size, width = dst.dtype.size, same(length)
        sizes = tuple(same(n) for n in shape)
        rows = _scaled(dst_strides, size)
        whole = round_up((same(left) + width) * size, 32) if width else 0
        into = Region(
            self._space(dst.area.memory), dst.area.name, dst.start, (*sizes, whole), (*rows, 1)
        )
        found = self._elements(src, (*sizes, width), (*_scaled(src_strides, 1), 1))
        self._run(line, "MTE2", "copy_in", [(dst, into)], [], sizes, outside=(found, False))

    def copy_out(
        self, line: Line, dst: Spot, src: Place, shape: Sequence[Value],
        dst_strides: Sequence[Value], src_strides: Sequence[Value], length: Value, atomic: str,
    ) -> None:  # fmt: skip
        """Watch rows that go out."""
        size, width = src.dtype.size, same(length)
        sizes = tuple(same(n) for n in shape)
        rows = _scaled(src_strides, size)
        found = Region(
            self._space(src.area.memory), src.area.name, src.start, (*sizes, width * size),
            (*rows, 1),
        )  # fmt: skip
        into = self._elements(dst, (*sizes, width), (*_scaled(dst_strides, 1), 1))
        self._run(
            line, "MTE3", "copy_out", [], [(src, found)], sizes, outside=(into, True),
            commutes=bool(atomic),
        )  # fmt: skip

    # ---- vectors --------------------------------------------------------------------------------

    def fill(self, line: Line, dst: Place, value: Value, count: Value) -> None:
        """Watch a fill."""
        self._vector(line, "fill", [self._flat(dst, count)], [])

    def write_scalar(self, line: Line, dst: Place, value: Value) -> None:
        """Watch a write by the scalar unit."""
        self._run(line, "S", "write", [self._flat(dst, 1)], [], (), aligned=False)

    def iota(self, line: Line, dst: Place, first: Value, count: Value) -> None:
        """Watch consecutive numbers."""
        self._vector(line, "iota", [self._flat(dst, count)], [])

    def unary(self, line: Line, op: str, dst: Place, src: Place, count: Value) -> None:
        """Watch an op."""
        self._each(line, op, dst, [src], same(count))

    def binary(
        self, line: Line, op: str, dst: View, a: View, b: View, rows: Value, cols: Value
    ) -> None:
        """Watch an op."""
        self._by_rows(line, op, dst, [a, b], same(rows), same(cols))

    def with_scalar(
        self, line: Line, op: str, dst: Place, src: Place, value: Value, count: Value
    ) -> None:
        """Watch an op."""
        self._each(line, op, dst, [src], same(count))

    def convert(self, line: Line, dst: Place, src: Place, mode: str, count: Value) -> None:
        """Watch a conversion."""
        self._each(line, "convert", dst, [src], same(count))

    def compare(
        self, line: Line, op: str, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Watch a comparison: it reads and writes whole groups of 256 bytes."""
        whole = round_up(same(count), 256 // a.dtype.size)
        sources = [x for x in (a, b) if isinstance(x, Place)]
        bits = mask._replace(dtype=DType.U8)
        reads = [self._flat(x, whole) for x in sources]
        out = self._lanes(bits, whole // 8)._replace(share=8)
        found = [self._lanes(x, whole) for x in sources]
        self._vector(line, f"compare {op}", [self._flat(bits, whole // 8)], reads, (out, found))

    def select(
        self, line: Line, dst: Place, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Watch a choice."""
        count = same(count)
        sources = [x for x in (a, b) if isinstance(x, Place)]
        bits, whole = mask._replace(dtype=DType.U8), -(-count // 8)
        reads = [*(self._flat(x, count) for x in sources), self._flat(bits, whole)]
        flags = self._lanes(bits, whole)._replace(share=8)
        found = [self._lanes(x, count) for x in sources]
        if count % 8 == 0:
            found.append(flags)
        out = self._lanes(dst, count)
        self._vector(line, "select", [self._flat(dst, count)], reads, (out, found))

    def spread(self, line: Line, dst: Place, src: Place, count: Value) -> None:
        """Watch elements that become blocks, eight at a time."""
        whole, block = round_up(same(count), 8), 32 // dst.dtype.size
        size = dst.dtype.size
        out = self._lanes(dst, 0)._replace(shape=(whole, block), strides=(32, size))
        found = self._lanes(src, 0)._replace(shape=(whole, block), strides=(size, 0))
        writes, reads = [self._flat(dst, whole * block)], [self._flat(src, whole)]
        self._vector(line, "spread", writes, reads, (out, [found]), resize=True)

    def expand(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Watch a broadcast."""
        self._by_rows(line, "expand", dst, [src], same(rows), same(cols))

    def row_reduce(
        self, line: Line, op: str, dst: Place, src: View, scratch: Place, rows: Value, cols: Value,
        identity: Value, blocks: bool = False,
    ) -> None:  # fmt: skip
        """Watch rows folded by way of scratch."""
        rows, cols = same(rows), same(cols)
        lanes = 256 // scratch.dtype.size
        writes = [self._flat(dst, rows)]
        by_blocks = blocks and rows >= 8 and cols >= lanes
        if by_blocks:
            writes[0] = self._flat(dst, round_up(rows, 8))
        if cols > lanes:
            more = rows * 8 if by_blocks else 0
            writes.append(self._flat(scratch, rows * lanes + cols // 32 + 256 + more))
        elif by_blocks:
            writes.append(self._flat(scratch, rows * 8))
        reads = [self._grid(src, rows, cols)] if cols else []
        self._vector(line, f"row {op}", writes, reads, resize=True)

    def col_reduce(
        self, line: Line, op: str, dst: Place, src: View, rows: Value, cols: Value, identity: Value
    ) -> None:
        """Watch rows folded into one."""
        rows, cols = same(rows), same(cols)
        size = dst.dtype.size
        writes = [self._flat(dst, round_up(cols, 32 // size))]
        if rows == 0:
            self._vector(line, f"column {op}", writes, [])
            return
        out = self._lanes(dst, 0)._replace(shape=(rows, cols), strides=(0, size))
        found, reads = self._grid_lanes(src, rows, cols), [self._grid(src, rows, cols)]
        self._vector(line, f"column {op}", writes, reads, (out, [found]), resize=True)

    def transpose(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Watch rows and columns change places, in blocks of 16 x 16."""
        rows, cols = round_up(same(rows), 16), round_up(same(cols), 16)
        into = self._grid_lanes(dst, cols, rows)
        out = into._replace(shape=(rows, cols), strides=(into.strides[1], into.strides[0]))
        writes, reads = [self._grid(dst, cols, rows)], [self._grid(src, rows, cols)]
        found = [self._grid_lanes(src, rows, cols)]
        self._vector(line, "transpose", writes, reads, (out, found), resize=True)

    def gather(self, line: Line, dst: Place, src: Place, offsets: Place, count: Value) -> None:
        """Watch a look-up: it may read all of the source."""
        reach = (src.end - src.start) // src.dtype.size
        reads = [self._flat(offsets, count), self._loose(self._flat(src, reach))]
        self._vector(line, "gather", [self._flat(dst, count)], reads, resize=True)

    def read_scalar(self, line: Line, src: Place) -> Value:
        """Watch a read; the number is not known here."""
        self._run(line, "S", "read", [], [self._flat(src, 1)], (), aligned=False)
        return 0

    def _each(self, line: Line, name: str, dst: Place, sources: list[Place], count: int) -> None:
        """Watch an instruction that works element by element."""
        undefined = self._lanes(dst, count), [self._lanes(x, count) for x in sources]
        reads = [self._flat(x, count) for x in sources]
        self._vector(line, name, [self._flat(dst, count)], reads, undefined)

    def _by_rows(
        self, line: Line, name: str, dst: View, sources: list[View], rows: int, cols: int
    ) -> None:
        found = [self._grid_lanes(x, rows, cols) for x in sources]
        reads = [self._grid(x, rows, cols) for x in sources]
        undefined = self._grid_lanes(dst, rows, cols), found
        self._vector(line, name, [self._grid(dst, rows, cols)], reads, undefined)

    # ---- matrices -------------------------------------------------------------------------------

    def load_nz(
        self, line: Line, dst: Place, src: Spot, rows: Value, cols: Value, src_stride: Value,
        dst_rows: Value,
    ) -> None:  # fmt: skip
        """Watch a matrix that comes in."""
        rows, cols = same(rows), same(cols)
        blocks = -(-cols * dst.dtype.size // 32)
        into = self._nz(dst, blocks, rows, same(dst_rows))
        found = self._elements(src, (rows, cols), (same(src_stride), 1))
        self._run(line, "MTE2", "load_nz", [(dst, into)], [], (rows, cols), outside=(found, False))

    def load_window(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], rows: Value, cols: Value,
        src_stride: Value, dst_rows: Value, skip: Value, clear: Value,
    ) -> None:  # fmt: skip
        """Watch rows of a matrix that come in; with zeros all of it is written."""
        sizes, rows, cols = tuple(same(n) for n in shape), same(rows), same(cols)
        blocks, high = -(-cols * dst.dtype.size // 32), same(dst_rows)
        steps = _scaled(dst_strides, 32)
        into = Region(
            self._space("L1"), dst.area.name, dst.start + same(skip) * 32,
            (*sizes, blocks, rows * 32), (*steps, high * 32, 1),
        )  # fmt: skip
        if same(clear):
            into = self._nz(dst, blocks, high, high)
        strides = (*_scaled(src_strides, 1), same(src_stride), 1)
        found = self._elements(src, (*sizes, rows, cols), strides)
        outside = (found, False)
        self._run(line, "MTE2", "load_window", [(dst, into)], [], (cols,), outside=outside)

    def load_a(
        self, line: Line, dst: Place, src: Place, m: Value, k: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Watch the left matrix."""
        self._load(line, "load_a", dst, src, same(m), same(k), same(src_rows), not transposed)

    def load_b(
        self, line: Line, dst: Place, src: Place, k: Value, n: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Watch the right matrix."""
        self._load(line, "load_b", dst, src, same(n), same(k), same(src_rows), transposed)

    def _load(
        self, line: Line, name: str, dst: Place, src: Place, outer: int, k: int, src_rows: int,
        k_in_columns: bool,
    ) -> None:  # fmt: skip
        c0 = 32 // dst.dtype.size
        high = round_up(outer, 16)
        if k == 0:
            self._run(line, "MTE1", name, [self._flat(dst, high * c0)], [], (high,), resize=True)
            return
        blocks = -(-k // c0)
        if k_in_columns:
            found = self._nz(src, blocks, outer, src_rows)
            reach = self._nz(src, blocks, high, src_rows)
        else:
            found = self._nz(src, -(-outer // c0), k, src_rows)
            reach = self._nz(src, -(-high // c0), blocks * c0, src_rows)
        reads = [(src, found), (src, reach._replace(exact=False))]
        writes = [self._flat(dst, high * blocks * c0)]
        self._run(line, "MTE1", name, writes, reads, (outer,), resize=True)

    def mmad(
        self, line: Line, dst: Place, a: Place, b: Place, m: Value, n: Value, k: Value, first: Value
    ) -> None:
        """Watch a product; products into one place are summed in order without a barrier."""
        high, wide, fresh = round_up(same(m), 16), round_up(same(n), 16), bool(same(first))
        c0 = 32 // a.dtype.size
        depth = round_up(max(same(k), 1), c0)
        if same(k) == 0 and not fresh:
            return
        into = self._flat(dst, high * wide)
        reads = [self._flat(a, high * depth), self._flat(b, wide * depth)]
        reads += [] if fresh else [into]
        self._run(
            line, "M", "mmad", [into], reads, (high, wide), resize=True, commutes=True,
            strict=1024,
        )  # fmt: skip

    def fixpipe(
        self, line: Line, dst: Spot, src: Place, m: Value, n: Value, dst_stride: Value, dtype: DType
    ) -> None:
        """Watch a product that goes out."""
        m, n = same(m), same(n)
        high = round_up(m, 16)
        found = Region(
            self._space("L0C"), src.area.name, src.start, (-(-n // 16), m * 16 * src.dtype.size),
            (high * 16 * src.dtype.size, 1),
        )  # fmt: skip
        into = self._elements(dst, (m, n), (same(dst_stride), 1))
        if dtype not in LEAVING[src.dtype]:
            note = self._note(line, "FIX", "fixpipe")
            self._tell("operand", note, f"{src.dtype} cannot leave L0C as {dtype}")
        self._run(line, "FIX", "fixpipe", [], [(src, found)], (m, n), outside=(into, True))

    def drain(
        self, line: Line, dst: View, src: Place, scratch: Place, m: Value, n: Value
    ) -> None:
        """Watch a product that goes to UB by way of scratch."""
        m, n = same(m), same(n)
        if m == 0 or n == 0:
            return
        wide = round_up(n, 16)
        whole = round_up(m, 16) * wide
        writes = [self._grid(dst, m, wide), self._flat(scratch, whole)]
        self._vector(line, "drain", writes, [self._flat(src, whole)], resize=True)

    def feed(
        self, line: Line, dst: Place, src: View, rows: Value, cols: Value, dst_rows: Value
    ) -> None:
        """Watch a matrix that goes from UB to L1; behind its columns may stand anything."""
        rows, cols = same(rows), same(cols)
        if rows == 0 or cols == 0:
            return
        c0 = 32 // dst.dtype.size
        into = self._nz(dst, -(-cols // c0), rows, same(dst_rows))
        reads = [
            self._grid(src, rows, cols),
            self._loose(self._grid(src, rows, round_up(cols, c0))),
        ]
        self._run(line, "MTE3", "feed", [(dst, into)], reads, (rows, cols))

    # ---- regions --------------------------------------------------------------------------------

    def _space(self, memory: str) -> str:
        kind = "cube" if self.index == CUBE else f"vector {self.index}"
        return f"{memory} of {kind}" if self.launch.program.mixed else memory

    def _flat(self, place: Place, count: Value) -> tuple[Place, Region]:
        space, shape = self._space(place.area.memory), (same(count) * place.dtype.size,)
        return place, Region(space, place.area.name, place.start, shape, (1,))

    def _loose(self, operand: tuple[Place, Region]) -> tuple[Place, Region]:
        """Return an operand of which some bytes may never have been written."""
        return operand[0], operand[1]._replace(exact=False)

    def _lanes(self, place: Place, count: int) -> Lanes:
        space, size = self._space(place.area.memory), place.dtype.size
        return Lanes(space, place.area.name, place.start, (1, count), (0, size), size)

    def _grid_lanes(self, view: View, rows: int, cols: int) -> Lanes:
        size = view.place.dtype.size
        steps = {"full": (view.stride * size, size), "row": (0, size), "col": (32, 0)}
        strides = steps.get(view.kind, (0, 0))
        return self._lanes(view.place, 0)._replace(shape=(rows, cols), strides=strides)

    def _grid(self, view: View, rows: int, cols: int) -> tuple[Place, Region]:
        place, size = view.place, view.place.dtype.size
        space, name = self._space(place.area.memory), place.area.name
        match view.kind:
            case "full":
                shape, strides = (rows, cols * size), (view.stride * size, 1)
            case "row":
                shape, strides = (1, cols * size), (0, 1)
            case "col":
                shape, strides = (rows, 32), (32, 1)
            case "one":
                shape, strides = (1, 32), (0, 1)
        return place, Region(space, name, place.start, shape, strides)

    def _nz(self, place: Place, blocks: int, rows: int, all_rows: int) -> Region:
        space = self._space(place.area.memory)
        shape = blocks, rows * 32
        return Region(space, place.area.name, place.start, shape, (all_rows * 32, 1))

    def _elements(
        self, spot: Spot, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> Region | None:
        """Return elements of a tensor or workspace that is watched."""
        name = f"GM {spot.place.name}"
        if name not in self.order.shadows:
            return None
        start = same(spot.offset) + same(spot.slot) * spot.place.elements
        return Region(name, spot.place.name, start, shape, strides, exact=bool(spot.place.slots))

    # ---- checks ---------------------------------------------------------------------------------

    def _vector(
        self, line: Line, name: str, writes: list[tuple[Place, Region]],
        reads: list[tuple[Place, Region]],
        undefined: tuple[Lanes, list[Lanes]] | None = None, resize: bool = False,
    ) -> None:  # fmt: skip
        """Check an instruction of the vector unit.

        ``undefined``: elements that were never written make elements of the result so, which is
        no mistake yet.
        """
        if undefined is not None:
            reads = [self._loose(r) for r in reads]
        self._run(line, "V", name, writes, reads, (), resize=resize, undefined=undefined)

    def _run(
        self, line: Line, queue: str, name: str, writes: list[tuple[Place, Region]],
        reads: list[tuple[Place, Region]], sizes: Sequence[int],
        *, outside: tuple[Region | None, bool] = (None, False), aligned: bool = True,
        resize: bool = False, commutes: bool = False, strict: int = 0,
        undefined: tuple[Lanes, list[Lanes]] | None = None,
    ) -> None:  # fmt: skip
        """Check one instruction's places, then its order.

        ``outside`` is the region in global memory and whether it is written. With ``resize``
        an instruction does not work element by element: its operands must not overlap at all.
        ``commutes``: it may follow another of its kind without a barrier.
        """
        if 0 in sizes or any(0 in r.shape for _, r in (*writes, *reads)):
            return
        into = [r for _, r in writes]
        found = [r for _, r in reads]
        region, written = outside
        if region is not None:
            (into if written else found).append(region)
        event = Event(line, queue, name, tuple(into), tuple(found))
        if not self._fits(event, [*writes, *reads], region):
            return
        if aligned:
            self._aligned(event, [*writes, *reads], strict)
        self._apart(event, writes, reads, resize)
        bad = self.clocks.undefined(undefined[1]) if undefined is not None else None
        for conflict in self.clocks.access(event):
            if not (conflict.own and commutes):
                self.found.append(Finding(conflict.kind, event, conflict, ""))
        if undefined is not None and bad is not None:
            self.clocks.mark_undefined(undefined[0], bad)

    def _fits(
        self, event: Event, operands: list[tuple[Place, Region]], outer: Region | None
    ) -> bool:
        for place, region in operands:
            area = place.area
            first = max(place.end - area.size, area.offset)
            last = min(place.end, area.offset + area.size * area.slots)
            if region.end > last or region.start < first:
                what = f"bytes {region.start} to {region.end} of {region.space}"
                self._tell("out of buffer", event, f"{what} leave `{region.owner}`")
                return False
        if outer is not None and (
            outer.start < 0 or outer.end > self.order.shadows[outer.space].size
        ):
            text = f"elements {outer.start} to {outer.end} are not all in `{outer.owner}`"
            self._tell("out of tensor", event, text)
            return False
        return True

    def _aligned(
        self, event: Event, operands: list[tuple[Place, Region]], strict: int
    ) -> None:
        for place, region in operands:
            unit = max(_ALIGNED[place.area.memory], strict if place.area.memory == "L0C" else 0)
            outer = zip(region.shape[:-1], region.strides[:-1], strict=True)
            steps = [s for n, s in outer if n > 1]
            if region.start % unit or any(s % 32 for s in steps):
                self._tell(
                    "misaligned", event,
                    f"`{region.owner}` at byte {region.start}, rows {steps} bytes apart: "
                    f"{place.area.memory} wants multiples of {unit}",
                )  # fmt: skip

    def _apart(
        self, event: Event, writes: list[tuple[Place, Region]], reads: list[tuple[Place, Region]],
        resize: bool,
    ) -> None:  # fmt: skip
        """Check that operands overlap exactly or not at all."""
        for to, into in writes:
            for place, found in reads:
                if into is found or into.space != found.space:
                    continue
                if into.start >= found.end or found.start >= into.end:
                    continue
                equal = into.start == found.start and to.dtype.size == place.dtype.size
                like = into.shape == found.shape and into.strides == found.strides
                if resize or not equal or not (like or _contiguous(into, found)):
                    self._tell(
                        "overlap", event,
                        f"`{into.owner}` bytes {into.start} to {into.end} overlap "
                        f"`{found.owner}` bytes {found.start} to {found.end}",
                    )  # fmt: skip

    def _note(self, line: Line, queue: str, name: str) -> Event:
        return Event(line, queue, name, (), ())

    def _tell(self, kind: str, event: Event, text: str) -> None:
        self.found.append(Finding(kind, event, None, text))


def _contiguous(a: Region, b: Region) -> bool:
    """Whether two regions of one start are the same bytes without gaps."""
    return a.end == b.end and len({np.prod(a.shape), np.prod(b.shape), a.end - a.start}) == 1


def _scaled(strides: Sequence[Value], size: int) -> tuple[int, ...]:
    return tuple(same(s) * size for s in strides)


