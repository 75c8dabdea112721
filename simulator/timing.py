"""How long a program takes: its cores counted instruction by instruction, then put together.

One program of each class is counted first: that gives the bytes moved, and so what each core gets
of global memory. Then the block with the most to do is counted, all its programs in their order;
the run takes as long as that block, and the launch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import lcm

from tiledsl.chips import Chip
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.simulator.core import CUBE, Crossing, Launch, Line, run_together
from tiledsl.simulator.costs import UNSHARED, Share
from tiledsl.simulator.timer import Tally, Timer
from tiledsl.simulator.values import Runnable

_COUNTED = 16  # classes of which a program is counted; the others are taken like the next one


@dataclass(frozen=True, slots=True)
class Timing:
    """What a run takes.

    ``busy`` has the cycles of each queue of the slowest block's core (``cube MTE2`` in a mixed
    kernel), ``lines`` the instructions and cycles of each line in that block, ``moved`` the bytes
    of all programs on each path, ``peaks`` the bytes of each memory that buffers take.
    """

    cycles: float
    blocks: int
    programs: int
    busy: Mapping[str, float]
    moved: Mapping[str, float]
    peaks: Mapping[str, int]
    lines: Mapping[Line, tuple[float, float]] = field(repr=False)


def measure(
    runnable: Runnable, launch: Launch, chip: Chip, groups: Sequence[Array],
    cores: int | None = None, make: Callable[..., Timer] = Timer,
) -> Timing:  # fmt: skip
    """Return what a launch takes on ``chip``, on ``cores`` blocks if that is given.

    The cores of the slowest block are made by ``make``: a `Timer` that also keeps a record.
    """
    program = runnable.program
    total = sum(len(group) for group in groups)
    most = chip.vector_cores
    if program.mixed or program.cores[0].core.value == "cube":
        most = chip.cube_cores
    blocks = max(1, min(cores or most, total))
    singles = _singles(runnable, launch, chip, groups, blocks)
    moved: Tally = {}
    for group, (_, tallies) in zip(groups, singles, strict=True):
        for tally in tallies:
            for key, amount in tally.items():
                if key[0] == "bytes":
                    moved[key] = moved.get(key, 0.0) + amount * len(group)
    share = _share(program, launch, chip, blocks, moved)
    kinds = [0] * total
    for kind, group in enumerate(groups):
        for number in group.tolist():
            kinds[number] = kind
    weights = [cycles for cycles, _ in singles]
    slowest = _slowest(kinds, weights, blocks)
    numbers = list(range(slowest, total, blocks))
    cycles, tallies = _count(
        runnable, launch, chip, share, numbers, [kinds[n] for n in numbers], blocks, make
    )
    cycles = max(cycles, _crowded(program, launch, chip, moved))
    sync = chip.costs.sync
    busy, lines = _summary(program, runnable.indices, tallies)
    start = (sync.launch_fixed + sync.launch_per_core * blocks) * chip.mhz
    return Timing(
        cycles=cycles + start,
        blocks=blocks,
        programs=total,
        busy=busy,
        moved={str(path): amount for (_, path), amount in moved.items()},
        peaks=_peaks(program),
        lines=lines,
    )


def _singles(
    runnable: Runnable, launch: Launch, chip: Chip, groups: Sequence[Array], blocks: int
) -> list[tuple[float, list[Tally]]]:
    """Return cycles and counts of one program of each class."""
    found: list[tuple[float, list[Tally]]] = []
    step = max(1, -(-len(groups) // _COUNTED))
    for at, group in enumerate(groups):
        if at % step:
            found.append(found[-1])
        else:
            number = int(group[0])
            found.append(_count(runnable, launch, chip, UNSHARED, [number], [0], blocks))
    return found


def _slowest(kinds: Sequence[int], weights: Sequence[float], blocks: int) -> int:
    """Return the block whose programs take longest; they are dealt out in turn."""
    loads = [0.0] * blocks
    for number, kind in enumerate(kinds):
        loads[number % blocks] += weights[kind]
    return max(range(blocks), key=loads.__getitem__)


def _share(
    program: Program, launch: Launch, chip: Chip, blocks: int, moved: Tally
) -> Share:
    """Return what one core gets of global memory, in bytes a cycle.

    What is read again comes from L2, and what is written stays there, as far as it has room.
    """
    users = blocks * (3 if program.mixed else 1)
    dram, cache = (rate / users for rate in _rates(chip))
    cold = _cold(program, launch, moved)
    return Share(
        read=1 / (cold / dram + (1 - cold) / cache),
        write=cache if _fits(program, launch, chip) else dram,
        scratch=cache,
    )


def _crowded(program: Program, launch: Launch, chip: Chip, moved: Tally) -> float:
    """Return the cycles that global memory needs at least for all that moves."""
    dram, cache = _rates(chip)
    reads, writes = _read(moved), _written(moved)
    far = _cold(program, launch, moved) * reads
    far += 0.0 if _fits(program, launch, chip) else writes
    return max(far / dram, (reads + writes + 2 * _handed(moved)) / cache)


def _rates(chip: Chip) -> tuple[float, float]:
    """Return what memory and L2 give all cores together, in bytes a cycle."""
    second = chip.mhz * 1e6
    return chip.hbm_bytes_per_second / second, chip.l2_bytes_per_second / second


def _read(moved: Tally) -> float:
    """Return the bytes of tensors that are read."""
    return sum(moved.get(("bytes", path), 0.0) for path in ("GM->UB", "GM->L1")) - _handed(moved)


def _written(moved: Tally) -> float:
    """Return the bytes of tensors that are written."""
    return sum(moved.get(("bytes", path), 0.0) for path in ("UB->GM", "L0C->GM")) - _handed(moved)


def _handed(moved: Tally) -> float:
    """Return the bytes that go through workspaces: each is written once and read once."""
    return moved.get(("bytes", "scratch"), 0.0) / 2


def _cold(program: Program, launch: Launch, moved: Tally) -> float:
    """Return the part of what is read that is read for the first time."""
    sizes = (launch.tensors[t.name].bytes.size for t in program.tensors if t.role != "out")
    taken = _read(moved)
    return min(1.0, sum(sizes) / taken) if taken > 0 else 1.0


def _fits(program: Program, launch: Launch, chip: Chip) -> bool:
    """Whether all tensors have room in L2."""
    return sum(launch.tensors[t.name].bytes.size for t in program.tensors) <= chip.l2_bytes


def _count(
    runnable: Runnable, launch: Launch, chip: Chip, share: Share, numbers: Sequence[int],
    kinds: Sequence[int], blocks: int, make: Callable[..., Timer] = Timer,
) -> tuple[float, list[Tally]]:  # fmt: skip
    """Return the cycles of one block that runs ``numbers``, and what each core counted."""
    program = runnable.program
    rings = [b.slots for core in program.cores for b in core.buffers]
    period = lcm(*rings, *(w.slots for w in program.workspaces), 2)
    crossing = Crossing()
    timers = [
        make(
            launch, chip, share, numbers, kinds, period, index=index, crossing=crossing,
            blocks=blocks,
        )
        for index in runnable.indices
    ]  # fmt: skip
    run_together(runnable.functions, timers)
    return max(timer.finished for timer in timers), [timer.tally for timer in timers]


def _summary(
    program: Program, indices: Sequence[int], tallies: Sequence[Tally]
) -> tuple[dict[str, float], dict[Line, tuple[float, float]]]:
    """Return busy cycles of each queue, and instructions and cycles of each line."""
    busy: dict[str, float] = {}
    lines: dict[Line, tuple[float, float]] = {}
    for index, tally in zip(indices, tallies, strict=True):
        core = "" if not program.mixed else "cube " if index == CUBE else "vector "
        for (what, name), amount in tally.items():
            if what == "busy":
                key = f"{core}{name}"
                busy[key] = max(busy.get(key, 0.0), amount)
            elif what == "time":
                count, time = lines.get(name, (0.0, 0.0))
                lines[name] = count + tally["count", name], time + amount
    return busy, lines


def _peaks(program: Program) -> dict[str, int]:
    """Return how far each memory is taken."""
    peaks: dict[str, int] = {}
    for core in program.cores:
        for buffer in core.buffers:
            name = buffer.memory.value
            end = buffer.offset + buffer.size * buffer.slots
            peaks[name] = max(peaks.get(name, 0), end)
    return peaks
