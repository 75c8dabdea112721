"""Where a kernel's cycles go, and what would take fewer: nothing is computed, all is counted."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tiledsl.chips import load
from tiledsl.diagnostics import CompileError
from tiledsl.npu.program import For, If, Program, Step
from tiledsl.runtime.binding import specialise
from tiledsl.runtime.devices import Compiled, tables_of, target_of
from tiledsl.runtime.errors import ArgumentError
from tiledsl.runtime.kernel import Kernel
from tiledsl.runtime.launch import Launch, prepare
from tiledsl.simulator.figures import Figures, figures, text
from tiledsl.simulator.page import Shown
from tiledsl.simulator.trace import Trace, trace
from tiledsl.source import NOWHERE, Source

_SECONDS = 10.0  # for trials; what has not been tried by then is left out
_IDLE = 0.5  # a queue that is busy for less of the time does not bound a kernel alone
_SHOWN = 6  # trials that people are shown
_TOGETHER = 0.3  # cores that wait for each other for more of the time hardly overlap
_WORTH = 0.01  # fewer cycles by less than this part are no way out


@dataclass(frozen=True, slots=True)
class Setting:
    """What a kernel is profiled on, and with which tile sizes and number of cores."""

    chip: str | None = None
    tiles: Mapping[str, int] = field(default_factory=dict)
    cores: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What the model says of another setting: ``words`` (``BN = 512``) and its cycles."""

    words: str
    cycles: float


@dataclass(frozen=True, slots=True)
class Part:
    """One launch: its trace and figures, and the tile sizes that it was built with."""

    trace: Trace = field(repr=False)
    figures: Figures
    tiles: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Profile:
    """The launches of a kernel or op, and what was tried to make them faster."""

    name: str
    parts: tuple[Part, ...]
    trials: tuple[Trial, ...] = ()

    @property
    def cycles(self) -> float:
        """The cycles of all launches, one after the other."""
        return sum(part.figures.cycles for part in self.parts)

    @property
    def microseconds(self) -> float:
        """The same as time."""
        return sum(part.figures.microseconds for part in self.parts)

    @property
    def sources(self) -> dict[str, Source]:
        """The texts that the launches come from, by the names of their files."""
        found = (s for part in self.parts for s in _sources(part.trace.program))
        return {source.name.rsplit("/", 1)[-1]: source for source in found}

    @property
    def tiles(self) -> dict[str, int]:
        """The tile sizes of all launches; where they differ, those of the longest."""
        parts = sorted(self.parts, key=lambda part: part.figures.cycles)
        return {n: s for part in (*self.parts, *parts) for n, s in part.tiles.items()}

    @property
    def bottleneck(self) -> str:
        """One sentence: what takes the time, and what the model has found to take less."""
        slowest = max(self.parts, key=lambda part: part.figures.cycles)
        bound = _bound(slowest.figures)
        return f"{bound}; {self._way_out()}" if self.trials else bound

    def text(self) -> str:
        """Return all of it for people."""
        shown = [text(part.figures, self.sources) for part in self.parts]
        lines = [*shown, f"  tile sizes: {self._sizes()}"]
        if self.trials:
            first = sorted(self.trials, key=lambda trial: trial.cycles)[:_SHOWN]
            told = "; ".join(f"{t.words}: {t.cycles / self.cycles - 1:+.0%}" for t in first)
            lines.append(f"  cycles of the best of {len(self.trials)} settings tried: {told}")
        lines.append(f"  bottleneck: {self.bottleneck}")
        if len(self.parts) > 1:
            lines.insert(0, f"{self.name}: {self.cycles:,.0f} cycles, {len(self.parts)} launches")
        return "\n".join(lines)

    def shown(self) -> list[Shown]:
        """Return the launches for a page."""
        return [Shown(p.trace, p.figures, self.sources, self.bottleneck) for p in self.parts]

    def json(self) -> dict[str, Any]:
        """Return the figures for programs."""
        return {
            "name": self.name,
            "cycles": round(self.cycles),
            "microseconds": self.microseconds,
            "bottleneck": self.bottleneck,
            "launches": [asdict(part.figures) | {"tiles": dict(part.tiles)} for part in self.parts],
            "trials": [asdict(trial) for trial in self.trials],
        }

    @property
    def agreed(self) -> dict[str, int]:
        """The tile sizes that are the same in all launches that have them."""
        every = [item for part in self.parts for item in part.tiles.items()]
        return {n: s for n, s in self.tiles.items() if all(o == s for m, o in every if m == n)}

    def _sizes(self) -> str:
        """Return the tile sizes in words, of each launch where they differ."""
        if self.agreed == self.tiles:
            return _listed(self.tiles) or "none"
        return "; ".join(f"{p.figures.kernel} {_listed(p.tiles) or 'none'}" for p in self.parts)

    def _way_out(self) -> str:
        best = min(self.trials, key=lambda trial: trial.cycles)
        saved = 1 - best.cycles / self.cycles
        if saved >= _WORTH:
            return f"{best.words} would take {saved:.0%} fewer cycles"
        return f"of {len(self.trials)} settings near by none takes fewer"


def profile(
    kernel: Kernel,
    given: Mapping[str, object],
    setting: Setting,
    types: Mapping[str, str],
    dims: Mapping[str, int],
    *,
    trials: bool = True,
) -> Profile:
    """Count the cycles of ``kernel`` on the arguments ``given``, and of settings near by."""
    found = Profile(kernel.name, tuple(_parts(kernel, given, setting, types, dims)))
    if not trials:
        return found
    tried: dict[str, Trial] = {}
    best, center = found, setting
    until = time.monotonic() + _SECONDS
    while True:
        before = best
        for near in _near(best, center):
            words = _differs(near, found, setting)
            if not words or words in tried or time.monotonic() > until:
                continue
            try:
                other = Profile(kernel.name, tuple(_parts(kernel, given, near, types, dims)))
            except (ArgumentError, CompileError):  # it has no room on the chip
                continue
            tried[words] = Trial(words, other.cycles)
            if other.cycles < best.cycles * (1 - _WORTH):
                best, center = other, near
        if best is before:
            return replace(found, trials=tuple(tried.values()))


def compare(a: Profile, b: Profile) -> str:
    """Return two profiles side by side: launches, bytes, time."""
    rows: list[tuple[str, str, str]] = [("", a.name, b.name)]
    for name, values in (
        ("launches", [len(p.parts) for p in (a, b)]),
        ("cycles", [p.cycles for p in (a, b)]),
        ("bytes of global memory", [sum(outside(p).values()) for p in (a, b)]),
    ):
        rows.append((name, *(f"{value:,.0f}" for value in values)))  # type: ignore[arg-type]
    rows.append(("microseconds", f"{a.microseconds:,.2f}", f"{b.microseconds:,.2f}"))
    for path in dict.fromkeys([*outside(a), *outside(b)]):
        sizes = [outside(p).get(path, 0.0) for p in (a, b)]
        rows.append((f"  {path}", f"{sizes[0]:,.0f}", f"{sizes[1]:,.0f}"))
    for number in range(max(len(a.parts), len(b.parts))):
        cells = [_launch_cell(p, number) for p in (a, b)]
        rows.append((f"  launch {number + 1}", cells[0], cells[1]))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        f"{row[0]:{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}".rstrip()
        for row in rows
    ]
    factor = b.cycles / a.cycles
    told = f"{factor:.2f} times as long as" if factor >= 1 else f"{1 - factor:.0%} less than"
    return "\n".join([*lines, f"{b.name} takes {told} {a.name}"])


def outside(found: Profile) -> dict[str, float]:
    """Return the bytes that go to and come from global memory, by path."""
    sums: dict[str, float] = {}
    for part in found.parts:
        for path, size in part.figures.moved.items():
            if "GM" in path:
                sums[path] = sums.get(path, 0.0) + size
    return sums


# ---- counting -----------------------------------------------------------------------------------


def _parts(
    kernel: Kernel, given: Mapping[str, object], setting: Setting, types: Mapping[str, str],
    dims: Mapping[str, int],
) -> Iterator[Part]:  # fmt: skip
    """Yield each launch of a kernel or op, traced."""
    graph = kernel.instance(specialise(kernel.header, given, types))
    launch = prepare(graph, given, dims)
    target = target_of("sim", setting.chip)
    for step, inner in kernel.launches(graph, launch, target, setting.tiles):
        found = _traced(step, inner, setting.cores or step.cores)
        yield Part(found, figures(found), step.tiles)


def _traced(compiled: Compiled, launch: Launch, cores: int | None) -> Trace:
    program = compiled.program
    assert isinstance(program, Program)
    arrays = launch.arrays | tables_of(compiled.kernel)
    chip = load(program.chip)
    return trace(program, arrays, launch.dims, launch.scalars, chip, cores, bypass=compiled.bypass)


def _near(found: Profile, setting: Setting) -> Iterator[Setting]:
    """Yield settings that differ in one thing."""
    for name, size in found.tiles.items():
        for other in (2 * size, size // 2):
            if other:
                yield replace(setting, tiles={**setting.tiles, name: other})
    blocks = max(part.figures.blocks for part in found.parts)
    if blocks > 1:
        yield replace(setting, cores=blocks // 2)


def _differs(near: Setting, found: Profile, setting: Setting) -> str:
    """Return in what ``near`` differs from the setting that was profiled: ``BN = 512``."""
    words = [
        f"{name} = {size}" for name, size in near.tiles.items() if found.agreed.get(name) != size
    ]
    if near.cores != setting.cores:
        words.append(f"{near.cores} cores")
    return " and ".join(words)


# ---- words --------------------------------------------------------------------------------------


def _bound(found: Figures) -> str:
    """Return what bounds a launch, in words."""
    outer = 1 - found.block_cycles / found.cycles if found.cycles else 0.0
    top = max(found.queues, key=lambda queue: queue.busy, default=None)
    if top is None or outer > max(top.busy, _IDLE):
        blocks = "a block" if found.blocks == 1 else f"{found.blocks} blocks"
        return f"{found.kernel}: launching {blocks} takes {outer:.0%} of the time"
    many = len({queue.core for queue in found.queues}) > 1
    name = f"{top.core} {top.name}" if many else top.name
    words = f"{found.kernel}: {name} busy {top.busy:.0%}"
    size = found.copies.get(top.name)
    if size is not None:
        words += f", copies of {_bytes(size)} on average"
    between = [_crossing(found, "cube core"), _crossing(found, "vector cores")]
    if min(between) > _TOGETHER:
        return (
            f"{words}: the cores wait for each other, vector {between[0]:.0%} and cube "
            f"{between[1]:.0%} of the time"
        )
    wait = max(top.waits.items(), key=lambda item: item[1], default=None)
    if top.busy < _IDLE and wait is not None and wait[1] > _WORTH:
        words += f", and it waits {wait[1]:.0%} of the time for {wait[0]}"
    return words


def _listed(tiles: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {size}" for name, size in tiles.items())


def _crossing(found: Figures, other: str) -> float:
    """Return the part of the time that one queue waits for the other kind of core."""
    return max((queue.waits.get(f"the {other}", 0.0) for queue in found.queues), default=0.0)


def _bytes(size: float) -> str:
    return f"{size / 1024:,.1f} KiB" if size >= 1024 else f"{size:,.0f} B"


def _launch_cell(found: Profile, number: int) -> str:
    if number >= len(found.parts):
        return ""
    part = found.parts[number].figures
    return f"{part.kernel} {part.cycles:,.0f}"


def _sources(program: Program) -> set[Source]:
    found = {program.span.source}
    pending: list[Sequence[Step]] = [core.body for core in program.cores]
    while pending:
        for step in pending.pop():
            match step:
                case For(body=body):
                    pending.append(body)
                case If(then=then, orelse=orelse):
                    pending += [then, orelse]
                case _:
                    found.add(step.span.source)
    return found - {NOWHERE.source}
