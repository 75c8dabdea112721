"""One run in the simulator, and what it tells."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tiledsl.chips import Chip
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Line, prepare
from tiledsl.simulator.hazards import (
    HazardError,
    check_launch,
    meeting_hazard,
    unwritten_hazard,
)
from tiledsl.simulator.known import compute, known_of, written
from tiledsl.simulator.meeting import marks_of, unwritten
from tiledsl.simulator.places import Number
from tiledsl.simulator.timing import Timing, measure
from tiledsl.simulator.values import load, run_values

_LINES = 5  # of the .tile file that a report names


@dataclass(frozen=True)
class Simulation:
    """What a run took: ``cycles`` of the core clock from launch to end."""

    program: Program = field(repr=False)
    chip: Chip = field(repr=False)
    timing: Timing = field(repr=False)

    @property
    def cycles(self) -> float:
        """Cycles of the core clock, the launch included."""
        return self.timing.cycles

    @property
    def microseconds(self) -> float:
        """The same as time."""
        return self.chip.microseconds(self.timing.cycles)

    def report(self) -> str:
        """Return the figures for people."""
        return self._report

    @cached_property
    def _report(self) -> str:
        timing = self.timing
        head = (
            f"{self.program.name} on {self.chip.name}: {timing.cycles:,.0f} cycles, "
            f"{self.microseconds:,.2f} µs; {timing.programs:,} programs on {timing.blocks} "
            f"{'block' if timing.blocks == 1 else 'blocks'}"
        )
        parts = [[head], self._busy(), self._moved(), self._peaks(), self._lines()]
        return "\n".join(line for part in parts for line in part) + "\n"

    def _busy(self) -> list[str]:
        share = [
            (name, cycles / max(self.timing.cycles, 1.0))
            for name, cycles in self.timing.busy.items()
        ]
        return ["  busy, of the slowest core"] + [
            f"    {name:12} {part:6.1%}  {'#' * round(min(part, 1) * 40)}" for name, part in share
        ]

    def _moved(self) -> list[str]:
        seconds = self.microseconds / 1e6
        return ["  bytes moved"] + [
            f"    {path:12} {amount:15,.0f}  {amount / seconds / 1e9:9,.1f} GB/s"
            for path, amount in self.timing.moved.items()
            if path != "scratch"
        ]

    def _peaks(self) -> list[str]:
        capacity = self.chip.capacity
        return ["  on-chip memory, at most"] + [
            f"    {name:12} {peak:15,}  of {capacity[name]:,}"
            for name, peak in self.timing.peaks.items()
        ]

    def _lines(self) -> list[str]:
        found = sorted(self.timing.lines.items(), key=lambda item: -item[1][1])[:_LINES]
        whole = sum(time for _, time in self.timing.lines.values()) or 1.0
        return ["  lines with the most work"] + [
            f"    {self._where(line):24} {time / whole:6.1%}  {count:,.0f} instructions"
            for line, (count, time) in found
        ]

    def _where(self, line: Line) -> str:
        name = self.program.span.source.name.rsplit("/", 1)[-1]
        return f"{name}:{line}" if isinstance(line, int) else line.rsplit("/", 1)[-1]


def simulate(
    program: Program,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    chip: Chip,
    *,
    hazards: bool = False,
    cores: int | None = None,
    bypass: frozenset[str] = frozenset(),
    fill: Callable[[Collection[str]], None] | None = None,
) -> Simulation:
    """Run ``program`` on ``arrays``, in place, and count its cycles on ``chip``.

    With ``hazards`` its order is checked first, and that no two programs write one element; a
    `HazardError` tells what is wrong. ``cores`` is the number of blocks, at most; all that the chip
    has if it is not given. ``fill`` is called before values are computed, with the outputs of which
    every element will be written.
    """
    flat = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    launch = prepare(program, flat, dims, scalars)
    runnable = load(program)
    known = known_of(runnable, launch)
    groups = known.groups
    hazards = hazards and not known.checked
    if hazards and (found := check_launch(runnable, launch)):
        raise HazardError(found)
    question = id(chip), cores, bypass  # the answer keeps the chip, so that no other has its id
    result = known.counts.get(question)
    if result is None:
        timing = measure(runnable, launch, chip, groups, cores, bypass=bypass)
        result = known.counts[question] = Simulation(program, chip, timing)
    marks = marks_of(launch) if hazards else None
    if fill is not None:
        fill(() if hazards else written(runnable, launch, known))
    if marks is None:
        compute(runnable, launch, known)
    else:
        run_values(runnable, launch, groups, marks)
        found = [meeting_hazard(program, meeting) for meeting in marks.found.values()]
        if not runnable.reads_scalars:  # where data decides, its author says what is left out
            found += [unwritten_hazard(program, *where) for where in unwritten(launch, marks)]
        if found:
            raise HazardError(found)
        known.checked = not runnable.reads_scalars
    for name, array in arrays.items():
        if flat[name] is not array and array.flags.writeable:
            array[...] = flat[name].reshape(array.shape)
    return result
