"""The figures of one traced launch: ops, lines, queues, paths, memory, and the roofline."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tiledsl.chips import Chip
from tiledsl.simulator.core import Line
from tiledsl.simulator.timeline import lives, peak_in_use
from tiledsl.simulator.timer import Tally
from tiledsl.simulator.trace import QUEUES, Trace, where
from tiledsl.source import Source
from tiledsl.types import DTYPES

_OUTSIDE = ("GM->UB", "GM->L1", "UB->GM", "L0C->GM")  # the paths from and to global memory
_SHOWN = 12  # rows of a table that people are shown; the others are one row


@dataclass(frozen=True, slots=True)
class Row:
    """One op or line: how often, for how many cycles of its queue, and its part of all work."""

    name: str
    count: float
    cycles: float
    share: float

    @property
    def average(self) -> float:
        """The cycles of one instruction."""
        return self.cycles / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue of one core: the part of all cycles that it is busy, and waits for another."""

    core: str
    name: str
    busy: float
    waits: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Roof:
    """Where the slowest block stands under the roof of one unit.

    Operations and bytes a cycle; ``bytes`` are those of tensors, not of workspaces, ``bandwidth``
    is the block's part of what memory gives, ``cache`` of what L2 gives. A product and its sum are
    two operations.
    """

    unit: str
    dtype: str
    operations: float
    bytes: float
    reached: float
    peak: float
    bandwidth: float
    cache: float

    @property
    def intensity(self) -> float:
        """Operations a byte that goes to or comes from global memory."""
        return self.operations / self.bytes if self.bytes else float("inf")

    @property
    def attainable(self) -> float:
        """What the roof allows at this intensity.

        That of L2 holds where more is reached than memory could give: then data were in L2.
        """
        memory = min(self.peak, self.intensity * self.bandwidth)
        cached = min(self.peak, self.intensity * self.cache)
        return memory if self.reached <= memory else cached

    @property
    def bound(self) -> str:
        """What the roof is there: ``compute``, ``memory`` or ``L2``."""
        if self.attainable >= self.peak:
            return "compute"
        return "memory" if self.reached <= self.intensity * self.bandwidth else "L2"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one launch takes, and where it goes; shares of ``ops`` and ``lines`` sum to 1."""

    kernel: str
    chip: str
    cycles: float
    block_cycles: float
    microseconds: float
    blocks: int
    programs: int
    ops: tuple[Row, ...]
    lines: tuple[Row, ...]
    queues: tuple[Queue, ...]
    moved: Mapping[str, float]
    copies: Mapping[str, float] = field(repr=False)
    peaks: Mapping[str, int]
    in_use: Mapping[str, int]
    capacity: Mapping[str, int]
    roofs: tuple[Roof, ...]


def figures(trace: Trace) -> Figures:
    """Return the figures of a traced launch."""
    timing, tallies = trace.timing, trace.tallies.values()
    home = trace.program.span.source.name
    return Figures(
        kernel=trace.program.name,
        chip=trace.chip.name,
        cycles=timing.cycles,
        block_cycles=trace.block_cycles,
        microseconds=trace.chip.microseconds(timing.cycles),
        blocks=timing.blocks,
        programs=timing.programs,
        ops=_rows(tallies, "op count", "op time", str),
        lines=_rows(tallies, "count", "time", lambda line: where(line, home)),
        queues=tuple(_queues(trace)),
        moved={path: size for path, size in timing.moved.items() if path != "scratch"},
        copies=_copies(tallies),
        peaks=timing.peaks,
        in_use=_in_use(trace),
        capacity={name: trace.chip.capacity[name] for name in timing.peaks},
        roofs=tuple(_roofs(trace)),
    )


def text(found: Figures, sources: Mapping[str, Source]) -> str:
    """Return the figures for people; ``sources`` are the texts by the names of their files."""
    parts = [
        [head(found)],
        _table("op, in the slowest block", found.ops, {}),
        _table("line", found.lines, sources),
        _shown_queues(found),
        _shown_paths(found),
        _shown_memory(found),
        _shown_roofs(found),
    ]
    return "\n".join(line for part in parts for line in part)


def head(found: Figures) -> str:
    """Return the one line that says what a launch takes."""
    blocks = "block" if found.blocks == 1 else "blocks"
    return (
        f"{found.kernel} on {found.chip}: {found.cycles:,.0f} cycles, "
        f"{found.microseconds:,.2f} µs; {found.programs:,} programs on {found.blocks} {blocks}"
    )


def percents(shares: Iterable[float]) -> list[float]:
    """Return the shares of a whole as percents with one digit that sum to 100.0."""
    exact = [share * 1000 for share in shares]
    down = [int(value) for value in exact]
    missing = round(sum(exact)) - sum(down)
    order = sorted(range(len(exact)), key=lambda i: down[i] - exact[i])
    for index in order[:missing]:
        down[index] += 1
    return [value / 10 for value in down]


def code(name: str, sources: Mapping[str, Source]) -> str:
    """Return the text of the line that ``file:number`` names."""
    file, _, number = name.rpartition(":")
    source = sources.get(file)
    return source.line(int(number)).strip() if source is not None and number.isdigit() else ""


# ---- figures ------------------------------------------------------------------------------------


def _rows(
    tallies: Iterable[Tally], counted: str, timed: str, name: Callable[[Line], str]
) -> tuple[Row, ...]:
    """Return a row for each op or line, those with most cycles first."""
    counts: dict[str, float] = {}
    times: dict[str, float] = {}
    for tally in tallies:
        for (what, key), amount in tally.items():
            if what == counted:
                counts[name(key)] = counts.get(name(key), 0.0) + amount
            elif what == timed:
                times[name(key)] = times.get(name(key), 0.0) + amount
    whole = sum(times.values()) or 1.0
    rows = [Row(key, counts[key], time, time / whole) for key, time in times.items()]
    return tuple(sorted(rows, key=lambda row: -row.cycles))


def _queues(trace: Trace) -> Iterator[Queue]:
    whole = max(trace.timing.cycles, 1.0)
    for core, tally in trace.tallies.items():
        for queue in QUEUES:
            busy = tally.get(("busy", queue), 0.0)
            if not busy:
                continue
            waits = {
                str(key).removeprefix(f"{queue} for "): amount / whole
                for (what, key), amount in tally.items()
                if what == "wait" and str(key).startswith(f"{queue} for ") and amount
            }
            yield Queue(core, queue, busy / whole, waits)


def _in_use(trace: Trace) -> dict[str, int]:
    """Return the most bytes of each memory that hold something at one time."""
    found: dict[str, int] = {}
    for (_, memory), size in peak_in_use(lives(trace)).items():
        found[memory] = max(found.get(memory, 0), size)
    return found


def _copies(tallies: Iterable[Tally]) -> dict[str, float]:
    """Return the bytes of one copy, on average, of each queue that moves them."""
    sizes = {"MTE2": ("GM->UB", "GM->L1"), "MTE3": ("UB->GM",), "FIX": ("L0C->GM",)}
    names = {"MTE2": ("copy in", "load nz"), "MTE3": ("copy out",), "FIX": ("fixpipe",)}
    moved, counts = dict.fromkeys(sizes, 0.0), dict.fromkeys(sizes, 0.0)
    for tally in tallies:
        for queue, paths in sizes.items():
            moved[queue] += sum(tally.get(("bytes", path), 0.0) for path in paths)
            counts[queue] += sum(tally.get(("op count", op), 0.0) for op in names[queue])
    return {queue: size / counts[queue] for queue, size in moved.items() if counts[queue]}


def _roofs(trace: Trace) -> Iterator[Roof]:
    """Yield the roof of each unit that has worked."""
    tallies = trace.tallies.values()
    size = sum(tally.get(("bytes", path), 0.0) for tally in tallies for path in _OUTSIDE)
    size = max(0.0, size - sum(tally.get(("bytes", "scratch"), 0.0) for tally in tallies))
    cycles = max(trace.block_cycles, 1.0)
    shared = trace.chip.mhz * 1e6 * trace.timing.blocks
    memory, cache = (
        trace.chip.hbm_bytes_per_second / shared,
        trace.chip.l2_bytes_per_second / shared,
    )
    for unit in ("M", "V"):
        work: dict[str, float] = {}
        for tally in tallies:
            for (what, key), amount in tally.items():
                if what == "work" and isinstance(key, tuple) and key[0] == unit:
                    work[key[1]] = work.get(key[1], 0.0) + amount
        whole = sum(work.values())
        if whole:
            usual = max(work, key=work.__getitem__)
            peak = _peak(trace.chip, unit, usual) * _many(trace, unit)
            yield Roof(unit, usual, whole, size, whole / cycles, peak, memory, cache)


def _many(trace: Trace, unit: str) -> int:
    """Return how many units of the kind a block has."""
    return 2 if trace.program.mixed and unit == "V" else 1


def _peak(chip: Chip, unit: str, dtype: str) -> float:
    """Return the operations a cycle of one unit on one type."""
    if unit == "M":
        return 2.0 * chip.cube_macs.get(dtype, min(chip.cube_macs.values()))
    return 256 / DTYPES[dtype].size / chip.costs.vector["add"].slope


# ---- for people ---------------------------------------------------------------------------------


def _table(title: str, rows: tuple[Row, ...], sources: Mapping[str, Source]) -> list[str]:
    shown = rows if len(rows) <= _SHOWN else rows[: _SHOWN - 1]
    rest = rows[len(shown) :]
    if rest:
        others = Row(
            f"{len(rest)} more", sum(r.count for r in rest), sum(r.cycles for r in rest),
            sum(r.share for r in rest),
        )  # fmt: skip
        shown = (*shown, others)
    width = max([len(title), *(len(row.name) for row in shown)])
    lines = [f"  {title:{width}} {'count':>10} {'cycles':>12} {'average':>10} {'share':>7}"]
    for row, percent in zip(shown, percents(row.share for row in shown), strict=True):
        lines.append(
            f"  {row.name:{width}} {row.count:10,.0f} {row.cycles:12,.0f} {row.average:10,.1f} "
            f"{percent:6.1f}%  {code(row.name, sources)}".rstrip()
        )
    return lines


def _shown_queues(found: Figures) -> list[str]:
    lines = ["  queues of the slowest block: busy, and what they wait for"]
    for queue in found.queues:
        waits = sorted(queue.waits.items(), key=lambda item: -item[1])[:2]
        told = ", ".join(f"{part:.1%} for {name}" for name, part in waits if part >= 0.001)
        bar = "#" * round(min(queue.busy, 1) * 30)
        lines.append(
            f"    {queue.core:9} {queue.name:5} {queue.busy:6.1%}  {bar:30}  {told}".rstrip()
        )
    return lines


def _shown_paths(found: Figures) -> list[str]:
    seconds = found.microseconds / 1e6
    return ["  bytes moved, of all blocks"] + [
        f"    {path:12} {amount:15,.0f}  {amount / seconds / 1e9:9,.1f} GB/s"
        for path, amount in found.moved.items()
    ]


def _shown_memory(found: Figures) -> list[str]:
    return ["  on-chip memory, at most"] + [
        f"    {name:12} {peak:15,}  of {found.capacity[name]:,}; "
        f"{found.in_use.get(name, 0):,} in use at one time"
        for name, peak in found.peaks.items()
    ]


def _shown_roofs(found: Figures) -> list[str]:
    lines = ["  roofline, of the slowest block"]
    for roof in found.roofs:
        lines.append(
            f"    {roof.unit:3} {roof.reached:8,.1f} {roof.dtype} operations a cycle, "
            f"{roof.reached / roof.attainable:.1%} of what {roof.bound} allows "
            f"({roof.attainable:,.0f}) at {roof.intensity:,.2f} operations a byte"
        )
    return lines if found.roofs else []
