"""What happens before what: vector clocks over the queues of a block, and who touched which byte.

A thread is one queue of one core. Its instructions start in order, but one is known to be done only
where a flag, a barrier or a cross-core flag says so.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Line

QUEUES = ("S", "MTE1", "MTE2", "MTE3", "V", "M", "FIX")
_WIDTH = len(QUEUES)
_THREADS = 3 * _WIDTH

Clock = list[int]  # for each thread, how many of its events are known to be done


class Region(NamedTuple):
    """Bytes of a memory, or elements of a tensor: a start, a shape and strides.

    ``owner`` is the buffer's name. With ``exact`` they must have been written; other reads may
    find anything.
    """

    space: str
    owner: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    exact: bool = True

    @property
    def end(self) -> int:
        """One past the last byte."""
        steps = zip(self.shape, self.strides, strict=True)
        return self.start + 1 + sum((n - 1) * s for n, s in steps)


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """An instruction that was issued."""

    line: Line
    queue: str
    name: str
    writes: tuple[Region, ...]
    reads: tuple[Region, ...]


class Lanes(NamedTuple):
    """Where the elements of an operand start: bytes of a memory, by shape and strides.

    ``share`` elements in a row start at the same byte: 8 for a mask.
    """

    space: str
    owner: str
    start: int
    shape: tuple[int, int]
    strides: tuple[int, int]
    size: int
    share: int = 1


class Conflict(NamedTuple):
    """Two accesses that nothing orders, or a read of bytes that nobody wrote for it.

    ``own``: both are of one queue. ``other`` is the buffer that was written instead.
    """

    kind: str
    region: Region
    earlier: Event | None
    own: bool = False
    other: str = ""


class Shadow:
    """Who last wrote and read each byte of one memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.writes: dict[int, Array] = {}
        self.reads: dict[int, Array] = {}
        self.owner = np.zeros(size, np.int16)

    def of(self, table: dict[int, Array], thread: int) -> Array:
        """Return the numbers of the last events of ``thread``, for each byte."""
        if thread not in table:
            table[thread] = np.zeros(self.size, np.int32)
        return table[thread]


def _window(array: Array, region: Region) -> Array:
    item = array.itemsize
    strides = tuple(s * item for s in region.strides)
    return np.ndarray(region.shape, array.dtype, array, region.start * item, strides)


def _elements(array: Array, lanes: Lanes) -> Array:
    item = array.itemsize
    strides = tuple(s * item for s in lanes.strides)
    return np.ndarray(lanes.shape, array.dtype, array, lanes.start * item, strides)


@dataclass(eq=False)
class Order:
    """What is known in one block: shared by its cores."""

    shadows: dict[str, Shadow] = field(default_factory=dict)
    events: list[list[Event | None]] = field(
        default_factory=lambda: [[None] for _ in range(_THREADS)]
    )
    owners: list[str] = field(default_factory=lambda: [""])

    @property
    def count(self) -> int:
        """How many events there were."""
        return sum(map(len, self.events))

    def owner_number(self, name: str) -> int:
        """Return the number of a buffer, from 1."""
        if name not in self.owners:
            self.owners.append(name)
        return self.owners.index(name)


class Clocks:
    """The clocks of one core's queues."""

    def __init__(self, core: int, order: Order) -> None:
        self.first = core * _WIDTH
        self.order = order
        self.known: dict[str, Clock] = {q: [0] * _THREADS for q in QUEUES}
        self.issued: Clock = [0] * _THREADS
        self.flags: dict[tuple[str, str, int], deque[Clock]] = {}
        self.lowered: dict[tuple[str, str, int], int] = {}

    def thread(self, queue: str) -> int:
        """Return the number of a queue of this core among all threads."""
        return self.first + QUEUES.index(queue)

    def tick(self, event: Event) -> tuple[int, int]:
        """Count an event of its queue; return its thread and its number there."""
        thread = self.thread(event.queue)
        _join(self.known[event.queue], self.issued)
        self.order.events[thread].append(event)
        number = len(self.order.events[thread]) - 1
        if event.queue == "S":  # the scalar unit ends one access before the next
            self.known["S"][thread] = number - 1
        return thread, number

    def snapshot(self, queue: str) -> Clock:
        """Return what is known when all that ``queue`` was given is done."""
        clock = list(self.known[queue])
        _join(clock, self.issued)
        thread = self.thread(queue)
        clock[thread] = len(self.order.events[thread]) - 1
        return clock

    def learn(self, queue: str, clock: Clock) -> None:
        """Let ``queue`` go on after ``clock``; after a wait of the scalar unit all queues do."""
        _join(self.known[queue], clock)
        if queue == "S":
            _join(self.issued, clock)

    def access(self, event: Event) -> list[Conflict]:
        """Count an instruction; return what is wrong with its order, and note what it touches."""
        thread, number = self.tick(event)
        found: list[Conflict] = []
        for region in event.reads:
            found += self._check_read(region, thread)
        for region in event.writes:
            found += self._check_write(region, thread)
        for region in event.reads:
            shadow = self.order.shadows[region.space]
            _window(shadow.of(shadow.reads, thread), region)[...] = number
        for region in event.writes:
            shadow = self.order.shadows[region.space]
            _window(shadow.of(shadow.writes, thread), region)[...] = number
            _window(shadow.owner, region)[...] = self.order.owner_number(region.owner)
        return found

    def undefined(self, sources: Sequence[Lanes]) -> Array:
        """Return for each element whether one of the sources has none there that was written."""
        bad: Array = np.zeros((1, 1), np.bool_)
        for source in sources:
            bad = np.logical_or(bad, self._undefined(source))
        return bad

    def mark_undefined(self, out: Lanes, bad: Array) -> None:
        """Note that elements count as not written, for what they were made of was not.

        So rows may be worked on with their padding: what matters is what leaves the vector unit.
        """
        if not bad.any():
            return
        owner = self.order.shadows[out.space].owner
        bad = np.broadcast_to(bad, (out.shape[0], out.shape[1] * out.share))
        if out.share > 1:  # a byte of a mask counts as written if one of its bits is
            grouped = bad.reshape(out.shape[0], out.shape[1], out.share)
            bad = np.asarray(grouped.all(axis=2))
        for byte in range(out.size):
            window = _elements(owner, out._replace(start=out.start + byte))
            np.copyto(window, 0, where=bad)

    def _undefined(self, lanes: Lanes) -> Array:
        owners = _elements(self.order.shadows[lanes.space].owner, lanes)
        bad = np.asarray(owners != self.order.owner_number(lanes.owner))
        return np.repeat(bad, lanes.share, axis=1) if lanes.share > 1 else bad

    def _check_read(self, region: Region, thread: int) -> list[Conflict]:
        shadow = self.order.shadows[region.space]
        found = self._after("read after write", shadow.writes, region, thread)
        if region.exact:
            owners = _window(shadow.owner, region)
            mine = self.order.owner_number(region.owner)
            if owners.min() != mine or owners.max() != mine:
                odd = int(owners[owners != mine].flat[0])
                kind = "overwritten" if odd else "uninitialised"
                found.append(Conflict(kind, region, None, other=self.order.owners[odd]))
        return found

    def _check_write(self, region: Region, thread: int) -> list[Conflict]:
        shadow = self.order.shadows[region.space]
        found = self._after("write after write", shadow.writes, region, thread)
        # Reads of one queue come before its later writes: it works in order.
        others = {t: numbers for t, numbers in shadow.reads.items() if t != thread}
        return found + self._after("write after read", others, region, thread)

    def _after(
        self, kind: str, table: dict[int, Array], region: Region, mine: int
    ) -> list[Conflict]:
        known = self.known[QUEUES[mine - self.first]]
        found = []
        for thread, numbers in table.items():
            last = int(_window(numbers, region).max())
            if last > known[thread]:
                earlier = self.order.events[thread][last]
                found.append(Conflict(kind, region, earlier, own=thread == mine))
        return found


def _join(clock: Clock, other: Sequence[int]) -> None:
    for i, value in enumerate(other):
        if value > clock[i]:
            clock[i] = value
