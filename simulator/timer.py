"""A core that computes nothing and counts cycles: in-order queues, flags, and what they cost."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tiledsl.chips import Chip
from tiledsl.simulator import costs
from tiledsl.simulator.core import Core, Crossing, Launch, Line
from tiledsl.simulator.costs import Share, Work
from tiledsl.simulator.places import GlobalArea, Place, Spot, Value, View, same
from tiledsl.types import DType

# What is counted: ("busy", queue), ("bytes", path), ("count", line), ("time", line).
Tally = dict[tuple[str, Line], float]
_Mark = tuple[list[float], dict[Any, list[float]], Tally]

_QUEUES = ("S", "MTE1", "MTE2", "MTE3", "V", "M", "FIX")
_SETTLED = 1e-3  # relative change of a period that counts as none
_PATIENCE = 8  # periods after which a loop is taken as settled
_ENDING = 3  # trips at a loop's end that are never left out


class Timer(Core):
    """A core that runs the programs ``numbers``, of the classes ``kinds``, one after the other.

    The trips of a long loop that only repeat are not run but added up, a whole number of
    ``period`` trips at once, so that rings and flags stay in step.
    """

    def __init__(
        self, launch: Launch, chip: Chip, share: Share, numbers: Sequence[int],
        kinds: Sequence[int], period: int, *, index: int, crossing: Crossing, blocks: int,
    ) -> None:  # fmt: skip
        super().__init__(launch, index=index, blocks=blocks, crossing=crossing)
        self.chip, self.share = chip, share
        self.numbers, self.kinds, self.period = numbers, kinds, period
        self.now = 0.0
        self.free = dict.fromkeys(_QUEUES, 0.0)
        self.done = dict.fromkeys(_QUEUES, 0.0)
        self.flags: dict[tuple[str, str, int], deque[float]] = {}
        self.tally: Tally = {}

    @property
    def finished(self) -> float:
        """The cycle in which the last instruction ends."""
        return max(self.now, *self.done.values(), *self.free.values())

    def workspace(self, name: str) -> GlobalArea:
        """Return scratch in global memory."""
        space = next(w for w in self.launch.program.workspaces if w.name == name)
        return GlobalArea(name, space.dtype, np.zeros(0, np.uint8), space.slots, space.elements)

    # ---- loops ----------------------------------------------------------------------------------

    def programs(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield the given programs; of many of one class only some."""
        first = 0
        while first < len(self.numbers):
            last = first
            while last < len(self.numbers) and self.kinds[last] == self.kinds[first]:
                last += 1
            for at in self._trips(last - first):
                yield self.numbers[first + at]
            first = last

    def loop(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield the values of a loop variable, of many trips only some."""
        for turn in self._trips(max(0, same(-((lo - hi) // step)))):
            yield lo + turn * step

    def _trips(self, trips: int) -> Iterator[int]:
        marks: list[_Mark] = []
        turn = 0
        while turn < trips:
            if turn % self.period == 0 and trips - turn > self.period + _ENDING:
                marks.append(self._mark())
                if len(marks) > 3 and self._settled(marks):
                    times = (trips - turn - _ENDING) // self.period
                    self._repeat(marks[-2], marks[-1], times)
                    turn += times * self.period
                    marks = []
            self.now += self.chip.costs.sync.loop
            yield turn
            turn += 1

    def _mark(self) -> _Mark:
        times = [self.now, *self.free.values(), *self.done.values()]
        return times, {k: list(v) for k, v in self.flags.items() if v}, dict(self.tally)

    def _settled(self, marks: list[_Mark]) -> bool:
        """Whether the last two periods took the same time.

        The cores of a mixed kernel must leave out the same trips, so they go by the number.
        """
        if self.launch.program.mixed:
            return len(marks) > _PATIENCE
        (a, _, _), (b, _, _), (c, _, _) = marks[-3:]
        scale = max(c[0] - b[0], max(c) - max(b), 1.0)
        change = max(abs((z - y) - (y - x)) for x, y, z in zip(a, b, c, strict=True))
        return change <= _SETTLED * scale or len(marks) > _PATIENCE * 4

    def _repeat(self, before: _Mark, after: _Mark, times: int) -> None:
        """Add ``times`` periods like the last one."""
        steps = [times * (z - y) for y, z in zip(before[0], after[0], strict=True)]
        self.now += steps[0]
        for queue, step in zip(_QUEUES, steps[1:], strict=False):
            self.free[queue] += step
        for queue, step in zip(_QUEUES, steps[1 + len(_QUEUES) :], strict=True):
            self.done[queue] += step
        for key, flag in self.flags.items():
            old, new = before[1].get(key, []), after[1].get(key, [])
            if len(old) == len(new) == len(flag):
                self.flags[key] = deque(
                    z + times * (z - y) for y, z in zip(old, new, strict=True)
                )
        for what, amount in after[2].items():
            self.tally[what] = amount + times * (amount - before[2].get(what, 0.0))

    # ---- flags ----------------------------------------------------------------------------------

    def set_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Raise a flag when ``src`` is done."""
        self.now += self.chip.costs.sync.flag
        at = self.now if src == "S" else max(self.now, self.done[src], self.free[src])
        self.flags.setdefault((src, dst, same(event)), deque()).append(at)

    def wait_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Hold ``dst`` until the flag is up."""
        sync = self.chip.costs.sync
        self.now += sync.flag
        raised = self.flags.get((src, dst, same(event)))
        if raised:
            self._hold(dst, raised.popleft() + sync.flag)

    def _hold(self, queue: str, until: float) -> None:
        if queue == "S":
            self.now = max(self.now, until)
        else:
            self.free[queue] = max(self.free[queue], until)

    def barrier(self, line: Line, queue: str | None) -> None:
        """Let a queue, or all, finish."""
        self.now += self.chip.costs.sync.flag
        cost = self.chip.costs.sync.barrier
        if queue is not None:
            self._hold(queue, self.done[queue] + cost)
            return
        end = self.finished + cost
        self.now = end
        self.free = dict.fromkeys(_QUEUES, end)

    def token(self, queue: str) -> float:
        """Return when the cross-core flag is seen by the others."""
        self.now += self.chip.costs.sync.flag
        return max(self.now, self.done[queue], self.free[queue]) + self.chip.costs.sync.cross_core

    def receive(self, line: Line, event: int, queue: str, tokens: list[Any]) -> None:
        """Hold the queue, and what is issued after."""
        until = max(tokens)
        self._hold(queue, until)
        self.now = max(self.now, until)

    # ---- instructions ---------------------------------------------------------------------------

    def _do(self, line: Line, queue: str, work: Work) -> None:
        """Issue an instruction, and let its queue work."""
        issue = self.chip.costs.sync.issue
        self.now += issue
        start = max(self.now, self.free[queue])
        self.now += issue * (work.issues - 1)
        end = max(start + work.cycles, self.now if work.issues > 1 else 0.0)
        done = end + work.latency
        busy = done - max(start, min(self.done[queue], done))
        self.free[queue], self.done[queue] = end, max(self.done[queue], done)
        tally = self.tally
        key = "busy", queue
        tally[key] = tally.get(key, 0.0) + busy
        key = "count", line  # type: ignore[assignment]
        tally[key] = tally.get(key, 0.0) + 1
        key = "time", line  # type: ignore[assignment]
        tally[key] = tally.get(key, 0.0) + busy

    def _moved(self, path: str, size: int) -> None:
        key = "bytes", path
        self.tally[key] = self.tally.get(key, 0.0) + size

    def _copy(
        self, line: Line, queue: str, path: str, spot: Spot, dtype: DType, width: int,
        shape: Sequence[Value], strides: Sequence[Value],
    ) -> None:  # fmt: skip
        """Copy rows of ``width`` elements from or to global memory."""
        sizes = tuple(same(n) for n in shape)
        if width == 0 or 0 in sizes:
            return
        size = dtype.size
        place = spot.place
        share = self.share
        slow, sharers = share.slow_cache, 1.0
        if not place.slots:
            reads = path.startswith("GM")
            slow = share.read(place.name) if reads else share.write
            sharers = share.sharers.get(place.name, 1.0) if reads else 1.0
        work = costs.outside(
            self.chip.costs.transfers[path], width * size, sizes,
            tuple(same(s) * size for s in strides), same(spot.offset) * size,
            slow=slow, sharers=sharers,
        )  # fmt: skip
        self._do(line, queue, work)
        bytes_ = width * size
        for n in sizes:
            bytes_ *= n
        self._moved(path, bytes_)
        if place.slots:
            self._moved("scratch", bytes_)

    def copy_in(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], length: Value, pad: Value,
        left: Value = 0,
    ) -> None:  # fmt: skip
        """Count a copy from global memory."""
        self._copy(line, "MTE2", "GM->UB", src, dst.dtype, same(length), shape, src_strides)

    def copy_out(
        self, line: Line, dst: Spot, src: Place, shape: Sequence[Value],
        dst_strides: Sequence[Value], src_strides: Sequence[Value], length: Value, atomic: str,
    ) -> None:  # fmt: skip
        """Count a copy to global memory."""
        self._copy(line, "MTE3", "UB->GM", dst, src.dtype, same(length), shape, dst_strides)

    def _flat(self, line: Line, kind: str, size: int) -> None:
        if size:
            self._do(line, "V", costs.flat(self.chip, kind, size))

    def fill(self, line: Line, dst: Place, value: Value, count: Value) -> None:
        """Count a fill."""
        self._flat(line, "fill", same(count) * dst.dtype.size)

    def write_scalar(self, line: Line, dst: Place, value: Value) -> None:
        """Count a write by the scalar unit."""
        self._do(line, "S", Work(self.chip.costs.vector["scalar_read"].fixed))
        self.now = max(self.now, self.done["S"])

    def iota(self, line: Line, dst: Place, first: Value, count: Value) -> None:
        """Count consecutive numbers."""
        self._flat(line, "iota", same(count) * dst.dtype.size)

    def unary(self, line: Line, op: str, dst: Place, src: Place, count: Value) -> None:
        """Count an op."""
        self._flat(line, costs.kind_of(op, dst.dtype), same(count) * dst.dtype.size)

    def binary(
        self, line: Line, op: str, dst: View, a: View, b: View, rows: Value, cols: Value
    ) -> None:
        """Count an op."""
        rows, cols = same(rows), same(cols)
        if rows and cols:
            kind = costs.kind_of(op, dst.place.dtype)
            self._do(line, "V", costs.by_rows(self.chip, kind, dst, (a, b), rows, cols))

    def with_scalar(
        self, line: Line, op: str, dst: Place, src: Place, value: Value, count: Value
    ) -> None:
        """Count an op."""
        self._flat(line, "scalar", same(count) * dst.dtype.size)

    def convert(self, line: Line, dst: Place, src: Place, mode: str, count: Value) -> None:
        """Count a conversion: the wider type decides."""
        self._flat(line, "cast", same(count) * max(dst.dtype.size, src.dtype.size))

    def compare(
        self, line: Line, op: str, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Count a comparison."""
        self._flat(line, "compare", same(count) * a.dtype.size)

    def select(
        self, line: Line, dst: Place, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Count a choice."""
        self._flat(line, "select", same(count) * dst.dtype.size)

    def spread(self, line: Line, dst: Place, src: Place, count: Value) -> None:
        """Count elements that become blocks."""
        self._flat(line, "spread", -(-same(count) // 8) * 256)

    def expand(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Count a broadcast."""
        rows, cols = same(rows), same(cols)
        if rows and cols:
            self._do(line, "V", costs.by_rows(self.chip, "copy", dst, (src,), rows, cols))

    def row_reduce(
        self, line: Line, op: str, dst: Place, src: View, scratch: Place, rows: Value, cols: Value,
        identity: Value, blocks: bool = False,
    ) -> None:  # fmt: skip
        """Count rows folded."""
        rows, cols = same(rows), same(cols)
        if rows and cols:
            self._do(line, "V", costs.row_reduce(self.chip, op, src, rows, cols, blocks))
        else:
            self._flat(line, "fill", rows * dst.dtype.size)

    def col_reduce(
        self, line: Line, op: str, dst: Place, src: View, rows: Value, cols: Value, identity: Value
    ) -> None:
        """Count rows folded into one."""
        rows, cols = same(rows), same(cols)
        if rows and cols:
            work = costs.col_reduce(self.chip, op, cols * dst.dtype.size, rows)
            self._do(line, "V", work)
        else:
            self._flat(line, "fill", cols * dst.dtype.size)

    def transpose(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Count a transposition."""
        rows, cols = same(rows), same(cols)
        if rows and cols:
            size = dst.place.dtype.size
            self._do(line, "V", costs.transpose(self.chip, size, rows, cols))

    def gather(self, line: Line, dst: Place, src: Place, offsets: Place, count: Value) -> None:
        """Count a look-up."""
        self._flat(line, "gather", same(count) * dst.dtype.size)

    def read_scalar(self, line: Line, src: Place) -> Value:
        """Count a read by the scalar unit; the number is not known here, a condition holds."""
        self._do(line, "S", Work(self.chip.costs.vector["scalar_read"].fixed))
        self.now = max(self.now, self.done["S"])
        return int(src.dtype is DType.U8)

    def load_nz(
        self, line: Line, dst: Place, src: Spot, rows: Value, cols: Value, src_stride: Value,
        dst_rows: Value,
    ) -> None:  # fmt: skip
        """Count a matrix from global memory."""
        self._copy(line, "MTE2", "GM->L1", src, dst.dtype, same(cols), (rows,), (src_stride,))

    def load_window(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], rows: Value, cols: Value,
        src_stride: Value, dst_rows: Value, skip: Value, clear: Value,
    ) -> None:  # fmt: skip
        """Count rows of a matrix from global memory, and zeros before, as fast as L1 gives."""
        if same(clear):
            size = -(-same(cols) * dst.dtype.size // 32) * same(dst_rows) * 32
            self._do(line, "MTE2", costs.load(self.chip.costs.transfers["L1->L0A"], size, 1))
        sizes, steps = (*shape, rows), (*src_strides, src_stride)
        self._copy(line, "MTE2", "GM->L1", src, dst.dtype, same(cols), sizes, steps)

    def load_a(
        self, line: Line, dst: Place, src: Place, m: Value, k: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Count the left matrix."""
        self._load(line, "L1->L0A", dst.dtype, same(m), same(k), -(-same(m) // 16))

    def load_b(
        self, line: Line, dst: Place, src: Place, k: Value, n: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Count the right matrix."""
        depth = -(-same(k) * dst.dtype.size // 32)
        self._load(line, "L1->L0B", dst.dtype, same(n), same(k), depth)

    def _load(
        self, line: Line, path: str, dtype: DType, outer: int, k: int, issues: int
    ) -> None:
        size = -(-outer // 16) * 16 * max(32, -(-k * dtype.size // 32) * 32)
        if outer:
            work = costs.load(self.chip.costs.transfers[path], size, max(1, issues))
            self._do(line, "MTE1", work)
            self._moved(path, size)

    def mmad(
        self, line: Line, dst: Place, a: Place, b: Place, m: Value, n: Value, k: Value, first: Value
    ) -> None:
        """Count a product."""
        m, n, k = same(m), same(n), same(k)
        if m and n and (k or same(first)):
            work = costs.mmad(self.chip, a.dtype, m, n, k)
            small = (m // 16) * (n // 16) < 10  # a barrier follows
            self._do(line, "M", Work(work.cycles + work.latency) if small else work)

    def fixpipe(
        self, line: Line, dst: Spot, src: Place, m: Value, n: Value, dst_stride: Value, dtype: DType
    ) -> None:
        """Count a product that goes out."""
        self._copy(line, "FIX", "L0C->GM", dst, dtype, same(n), (m,), (dst_stride,))

    def drain(
        self, line: Line, dst: View, src: Place, scratch: Place, m: Value, n: Value
    ) -> None:
        """Count a product that goes to UB: one copy of fractals, then rows of 16 columns."""
        m, n, size = same(m), same(n), dst.place.dtype.size
        if m and n:
            down, across = -(-m // 16), -(-n // 16)
            self._flat(line, "copy", down * across * 256 * size)
            self._do(line, "V", costs.drain(self.chip, dst, m, across))
            self._moved("L0C->UB", down * across * 256 * size)

    def feed(
        self, line: Line, dst: Place, src: View, rows: Value, cols: Value, dst_rows: Value
    ) -> None:
        """Count a matrix that goes from UB to L1: one copy for each block of columns."""
        rows, cols, size = same(rows), same(cols), dst.dtype.size
        if rows and cols:
            blocks = -(-cols * size // 32)
            work = costs.load(self.chip.costs.transfers["UB->L1"], rows * blocks * 32, blocks)
            self._do(line, "MTE3", work)
            self._moved("UB->L1", rows * blocks * 32)
