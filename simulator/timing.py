"""How long a program takes: its cores counted instruction by instruction, then put together.

One program of each class is counted first: that gives the bytes moved. `traffic` tells which of
them come from HBM. Then the block with the most to do is counted, all its programs in their order,
its copies held up as far as memory is busy with all the blocks' copies; the run takes as long as
that block, and the launch.
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
from tiledsl.simulator.traffic import traffic
from tiledsl.simulator.values import Runnable

_OUTSIDE = ("GM->UB", "GM->L1", "UB->GM", "L0C->GM")
_LITTLE = 0.01  # of which a copy may take longer before that is looked into
_CLOSE = 0.005  # by which the time found may be wrong
_SLOWEST = 1 << 12
_GUESSES = 6
_COUNTED = 16  # classes of which a program is counted; the others are taken like the next one


@dataclass(frozen=True, slots=True)
class Timing:
    """What a run takes.

    ``busy`` has the cycles of each queue of the slowest block's core (``cube MTE2`` in a mixed
    kernel), ``lines`` the instructions and cycles of each line in that block, ``moved`` the bytes
    of all programs on each path, ``peaks`` the bytes of each memory that buffers take. ``tallies``
    are the counts of the slowest block's cores as they are.
    """

    cycles: float
    blocks: int
    programs: int
    busy: Mapping[str, float]
    moved: Mapping[str, float]
    peaks: Mapping[str, int]
    lines: Mapping[Line, tuple[float, float]] = field(repr=False)
    tallies: Sequence[Tally] = field(repr=False)


def measure(
    runnable: Runnable, launch: Launch, chip: Chip, groups: Sequence[Array],
    cores: int | None = None, *, warm: bool = False, bypass: frozenset[str] = frozenset(),
    make: Callable[..., Timer] = Timer,
) -> Timing:  # fmt: skip
    """Return what a launch takes on ``chip``, on ``cores`` blocks if that is given.

    ``warm``: L2 has what the same launch left there before. ``bypass`` names tensors that L2 is not
    to keep. The cores of the slowest block are made by ``make``, a `Timer` or one that also keeps a
    record.
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
    kinds = [0] * total
    for kind, group in enumerate(groups):
        for number in group.tolist():
            kinds[number] = kind
    weights = [cycles for cycles, _ in singles]
    slowest = _slowest(kinds, weights, blocks)
    numbers = list(range(slowest, total, blocks))
    asked = traffic(runnable, launch, chip, groups, blocks, warm=warm, bypass=bypass)
    handed = moved.get(("bytes", "scratch"), 0.0)
    tensors = sum(moved.get(("bytes", path), 0.0) for path in _OUTSIDE) - handed
    whole = tensors / asked.near if asked.near else 1.0  # of long programs a part is followed

    def count(slow: float, slow_cache: float) -> tuple[float, list[Tally]]:
        share = Share(slow, slow_cache, asked.cold, asked.sharers)
        own = [kinds[n] for n in numbers]
        return _count(runnable, launch, chip, share, numbers, own, blocks, make)

    second = chip.mhz * 1e6
    far = whole * asked.far / chip.hbm_bytes_per_second * second
    near = (tensors + handed) / chip.l2_bytes_per_second * second
    cycles, tallies = _crowded(count, far, near, asked.phase, chip.contention)
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
        tallies=tallies,
    )


def _crowded(
    count: Callable[[float, float], tuple[float, list[Tally]]], far: float, near: float,
    phase: float, contention: float,
) -> tuple[float, list[Tally]]:  # fmt: skip
    """Return the cycles and counts of a core that waits for memory as long as others hold it up.

    HBM is busy for ``far`` cycles, in the part ``phase`` of the work, L2 for ``near``. Where memory
    is busy for the part ``u`` of the time, a copy takes ``1 / (1 - u ** contention)`` times as long
    as alone; the time that this gives is found by taking ever closer guesses.
    """
    alone = count(1.0, 1.0)
    need = max(far, near)
    besides = (1.0 - phase) * alone[0] if far >= near else 0.0
    if need == 0 or (need / max(alone[0] - besides, 1.0)) ** contention < _LITTLE:
        return alone

    def guess(slow: float) -> tuple[float, tuple[float, list[Tally]]]:
        found = count(slow, 1.0) if far >= near else count(1.0, slow)
        share = (1.0 - 1.0 / slow) ** (1.0 / contention)
        return (found[0] - besides) * share - need, found

    low, high = 1.0, 2.0
    below = -need
    above, best = guess(high)
    while above < 0 and high < _SLOWEST:
        low, below, high = high, above, high * 2
        above, best = guess(high)
    found = best
    for _ in range(_GUESSES):
        if above < _CLOSE * need or above < 0:
            break
        middle = low + (high - low) * min(0.9, max(0.1, -below / (above - below)))
        value, found = guess(middle)
        if value < 0:
            low, below = middle, value
        else:
            high, above, best = middle, value, found
    if best is not found:  # the cores that are made last are those whose record is kept
        _, best = guess(high)
    return best


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
