"""A record of one block: when each instruction ran on which queue, and what it touched.

The record is that of the slowest block, which `tiledsl.simulator.timing` counts instruction by
instruction. Trips that the timer adds up without running them are copied into the record as far
as there is room; what is left out is kept as a `Gap`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any

from tiledsl.chips import Chip
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.simulator.core import CUBE, Core, Launch, Line, prepare
from tiledsl.simulator.costs import Work
from tiledsl.simulator.follow import INSTRUCTIONS
from tiledsl.simulator.places import Number, Place, Spot, Value, View, same
from tiledsl.simulator.timer import Tally, Timer
from tiledsl.simulator.timing import Timing, measure
from tiledsl.simulator.values import classes, load

QUEUES = ("S", "MTE2", "MTE1", "M", "V", "FIX", "MTE3")  # in the order in which data pass them

_ROOM = 20_000  # slices that a record has at most, of all cores of the block
_WRITTEN = ("dst", "scratch")
_NUMBERS = ("rows", "cols", "count", "m", "n", "k", "length", "shape")
# Ops that a person counts as arithmetic; what moves, converts or compares is none.
_ARITHMETIC = ("unary", "binary", "with_scalar", "row_reduce", "col_reduce")


@dataclass(frozen=True, slots=True)
class Touch:
    """Bytes of a buffer that an instruction reads or writes: slot ``slot`` of buffer ``name``."""

    name: str
    memory: str
    offset: int
    size: int
    slot: int
    written: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """One instruction on its queue, from ``start`` to ``end`` in cycles of the block."""

    core: str
    queue: str
    start: float
    end: float
    op: str
    line: Line
    words: str
    touches: tuple[Touch, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gap:
    """Trips of a loop that are counted but not recorded; ``trips`` is 0 where the room ran out."""

    core: str
    start: float
    end: float
    trips: int


@dataclass(frozen=True, slots=True)
class Trace:
    """What the slowest block of a launch did.

    ``tallies`` has what each core counted, repeated trips included: besides what a `Timer` counts,
    ``op count`` and ``op time`` of each op, ``wait`` of a queue for another (``V for MTE2``),
    ``work`` of each unit and element size.
    """

    program: Program = field(repr=False)
    chip: Chip = field(repr=False)
    timing: Timing = field(repr=False)
    block_cycles: float
    slices: tuple[Slice, ...] = field(repr=False)
    gaps: tuple[Gap, ...] = field(repr=False)
    tallies: Mapping[str, Tally] = field(repr=False)


def trace(
    program: Program,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    chip: Chip,
    cores: int | None = None,
    *,
    bypass: frozenset[str] = frozenset(),
) -> Trace:
    """Count the cycles of ``program`` and return the record; nothing is computed."""
    recorders: list[Recorder] = []

    def make(*words: Any, **more: Any) -> Recorder:
        recorders.append(Recorder(*words, **more))
        return recorders[-1]

    runnable, launch = load(program), prepare(program, arrays, dims, scalars)
    groups = classes(runnable, launch)
    timing = measure(runnable, launch, chip, groups, cores, bypass=bypass, make=make)
    recorders = [r for r in recorders if any(r.tally is tally for tally in timing.tallies)]
    return Trace(
        program,
        chip,
        timing,
        max((r.finished for r in recorders), default=0.0),
        tuple(s for r in recorders for s in r.slices),
        tuple(g for r in recorders for g in r.gaps),
        {r.name: r.tally for r in recorders},
    )


def where(line: Line, home: str) -> str:
    """Return a line as ``file:number``, without folders."""
    name = f"{home}:{line}" if isinstance(line, int) else line
    return name.rsplit("/", 1)[-1]


class Recorder(Timer):
    """A timer that keeps what it counts."""

    def __init__(self, launch: Launch, *words: Any, index: int, **more: Any) -> None:
        super().__init__(launch, *words, index=index, **more)
        self.name = _core_name(launch.program, index)
        self.slices: list[Slice] = []
        self.gaps: list[Gap] = []
        self.room = _ROOM // len(launch.program.cores)
        self.marked: dict[int, int] = {}
        self.op, self.words = "", ""
        self.touches: tuple[Touch, ...] = ()

    def note(self, name: str, words: Mapping[str, Value]) -> None:
        """Keep what the instruction to come is."""
        self.op = _named(name, words)
        self.words = _spelled(words)
        self.touches = tuple(_touches(name, words))
        if name == "mmad":
            macs = words["m"] * words["n"] * words["k"]
            self._add("work", ("M", words["a"].dtype.value), 2.0 * macs)
        elif name in _ARITHMETIC:
            count = words["count"] if "count" in words else words["rows"] * words["cols"]
            place = words["dst"].place if isinstance(words["dst"], View) else words["dst"]
            self._add("work", ("V", place.dtype.value), float(count))

    def wait_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Count what a queue with nothing left to do waits for another."""
        before = self._ready(dst)
        super().wait_flag(line, src, dst, event)
        self._add("wait", f"{dst} for {src}", max(0.0, self._ready(dst) - before))

    def receive(self, line: Line, event: int, queue: str, tokens: list[Any]) -> None:
        """Count what a queue waits for the cores beside this one."""
        before = self._ready(queue)
        super().receive(line, event, queue, tokens)
        other = "the vector cores" if self.index == CUBE else "the cube core"
        self._add("wait", f"{queue} for {other}", max(0.0, self._ready(queue) - before))

    def _ready(self, queue: str) -> float:
        """Return the cycle from which on a queue has nothing to do."""
        return self.now if queue == "S" else max(self.free[queue], self.done[queue], self.now)

    def _do(self, line: Line, queue: str, work: Work) -> None:
        key = "busy", queue
        before = self.tally.get(key, 0.0)
        super()._do(line, queue, work)
        busy, end = self.tally[key] - before, self.done[queue]
        self._add("op count", self.op, 1.0)
        self._add("op time", self.op, busy)
        if len(self.slices) < self.room:
            new = Slice(self.name, queue, end - busy, end, self.op, line, self.words, self.touches)
            self.slices.append(new)
        elif self.gaps and self.gaps[-1].trips == 0:
            self.gaps[-1] = replace(self.gaps[-1], end=end)
        else:
            self.gaps.append(Gap(self.name, end - busy, end, 0))

    def _add(self, what: str, key: Any, amount: float) -> None:
        self.tally[what, key] = self.tally.get((what, key), 0.0) + amount

    def _mark(self) -> Any:
        mark = super()._mark()
        self.marked[id(mark)] = len(self.slices)
        return mark

    def _repeat(self, before: Any, after: Any, times: int) -> None:
        """Copy the slices of the last period, each queue at its own pace."""
        period = self.slices[self.marked[id(before)] : self.marked[id(after)]]
        starts, paces = dict(self.done), {}
        super()._repeat(before, after, times)
        for queue, start in starts.items():
            paces[queue] = (self.done[queue] - start) / times if times else 0.0
        fitting = min(times, (self.room - len(self.slices)) // max(1, len(period)))
        for turn in range(1, fitting + 1):
            for old in period:
                shift = turn * paces[old.queue]
                self.slices.append(replace(old, start=old.start + shift, end=old.end + shift))
        if fitting < times and period:
            pace = max(paces.values())
            begin = max(old.end for old in period) + fitting * pace
            left = times - fitting
            self.gaps.append(Gap(self.name, begin, begin + left * pace, left))


def _noted(name: str) -> Callable[..., Any]:
    """Return the method that keeps what an instruction is, then counts it."""
    names = list(signature(getattr(Core, name)).parameters)[2:]

    def method(self: Recorder, line: Line, *words: Any) -> Any:
        self.note(name, dict(zip(names, words, strict=False)))  # the last may be left out
        return getattr(Timer, name)(self, line, *words)

    return method


for _name in INSTRUCTIONS:
    setattr(Recorder, _name, _noted(_name))


def _core_name(program: Program, index: int) -> str:
    if not program.mixed:
        return program.cores[0].core.value
    return "cube" if index == CUBE else f"vector {index}"


def _named(name: str, words: Mapping[str, Value]) -> str:
    """Return what a person calls the instruction."""
    plain = name.replace("_", " ")
    match name:
        case "unary" | "binary":
            return str(words["op"])
        case "with_scalar":
            return f"{words['op']} scalar"
        case _ if "op" in words:
            return f"{plain} {words['op']}"
        case _:
            return plain


def _spelled(words: Mapping[str, Value]) -> str:
    """Return the sizes of an instruction and the type of what it writes."""
    sizes = [f"{n} {_size(words[n])}" for n in _NUMBERS if n in words]
    types = {_dtype(words[n]) for n in ("dst", "src", "a") if n in words} - {""}
    spots = [word.place.name for word in words.values() if isinstance(word, Spot)]
    parts = (", ".join(spots), ", ".join(sizes), "/".join(sorted(types)))
    return " · ".join(filter(None, parts))


def _size(value: Value) -> str:
    if isinstance(value, tuple | list):
        return " x ".join(str(int(same(v))) for v in value) or "1"
    return str(int(same(value)))


def _dtype(word: Value) -> str:
    match word:
        case Place():
            return word.dtype.value
        case View():
            return word.place.dtype.value
        case _:
            return ""


def _touches(name: str, words: Mapping[str, Value]) -> list[Touch]:
    """Return the buffers that an instruction reads and writes."""
    found: list[Touch] = []
    for word, value in words.items():
        place = value.place if isinstance(value, View) else value
        if not isinstance(place, Place):
            continue
        area = place.area
        slot = (place.end - area.offset) // area.size - 1
        written = word in _WRITTEN or (name, word) == ("compare", "mask")
        start = area.offset + slot * area.size
        found.append(Touch(area.name, area.memory, start, area.size, slot, written))
        if (name, word) == ("mmad", "dst") and not words["first"]:
            found.append(Touch(area.name, area.memory, start, area.size, slot, False))
    return found
