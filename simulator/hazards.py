"""Is every access ordered? A check of a few programs, instruction by instruction.

It does not look at times: two accesses of a byte that flags, barriers and cross-core flags do not
order are a hazard however the times happen to fall.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from tiledsl.chips import load as load_chip
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.simulator.core import (
    CUBE,
    Crossing,
    DeadlockError,
    Launch,
    Line,
    prepare,
    run_together,
)
from tiledsl.simulator.follow import Follower, copy_of, spaces_of
from tiledsl.simulator.meeting import Meeting
from tiledsl.simulator.order import Event, Order
from tiledsl.simulator.places import Number
from tiledsl.simulator.values import Runnable, classes, load
from tiledsl.simulator.watch import Finding, Watcher

_CLASSES = 6


@dataclass(frozen=True, slots=True)
class Hazard:
    """One thing that may go wrong on a chip, for one place in the ``.tile`` file."""

    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}: {self.message}"


class HazardError(Exception):
    """A program has hazards."""

    def __init__(self, hazards: list[Hazard]) -> None:
        self.hazards = hazards
        super().__init__("\n".join(map(str, hazards)))


def check(
    program: Program,
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    arrays: Mapping[str, Array],
    *,
    every_trip: bool = False,
) -> list[Hazard]:
    """Return the hazards of ``program`` at these sizes; the arrays are read, never written.

    Of the largest class one program more than a ring has slots, and one of each other class (at
    most six), are looked at, one after the other on one core; of a long loop the first and last
    trips, unless ``every_trip``, or numbers are read out of tiles.
    """
    launch = prepare(program, arrays, dims, scalars)
    return check_launch(load(program), launch, every_trip=every_trip)


def check_launch(runnable: Runnable, launch: Launch, *, every_trip: bool = False) -> list[Hazard]:
    """Return the hazards of a launch."""
    groups = sorted(classes(runnable, launch), key=len, reverse=True)[:_CLASSES]
    often = 1 + max((b.slots for c in runnable.program.cores for b in c.buffers), default=1)
    numbers = [int(n) for group in groups[:1] for n in group[: max(often, 2)]]
    numbers = sorted(numbers + [int(group[0]) for group in groups[1:]])
    found = [*_beyond(runnable.program)]
    found += _watch(runnable, launch, numbers, every_trip) if numbers else []
    return list(dict.fromkeys(found))


def _beyond(program: Program) -> Iterator[Hazard]:
    """Yield the buffers that are not all in their memory."""
    capacity = load_chip(program.chip).capacity
    for core in program.cores:
        for b in core.buffers:
            end, size = b.offset + b.size * b.slots, capacity[b.memory.value]
            if end > size or b.offset < 0:
                text = f"`{b.name}`, bytes {b.offset} to {end}, is not all in {b.memory.value}, "
                home = program.span.source.name
                yield Hazard("out of memory", home, f"{text}which has {size} bytes")


def _watch(
    runnable: Runnable, launch: Launch, numbers: list[int], every_trip: bool
) -> list[Hazard]:
    """Return the hazards of some programs on one core."""
    order, crossing = Order(), Crossing()
    findings: list[Finding] = []
    # A turn left out would leave what later addresses are read from as it was.
    every_trip = every_trip or runnable.program.mixed or runnable.reads_scalars
    make: Callable[..., Watcher] = Watcher
    if runnable.reads_scalars:
        launch = copy_of(launch)
        make = partial(Follower, spaces_of(launch))
    cores = [
        make(
            launch, numbers, order, findings, index=index, crossing=crossing, every_trip=every_trip
        )
        for index in runnable.indices
    ]
    home = runnable.program.span.source.name
    try:
        run_together(runnable.functions, cores)
    except DeadlockError as deadlock:
        return [Hazard("deadlock", home, str(deadlock))]
    for core in cores:
        core.leave()
    if any(core.left_out for core in cores):  # who is to write may have been left out
        findings = [f for f in findings if f.kind not in ("uninitialised", "overwritten")]
    hazards = [Hazard(f.kind, _where(f.event.line, home), _say(f, home)) for f in findings]
    for (event, sender, _), raised in crossing.raised.items():
        if raised:
            who = "the cube core" if sender == CUBE else f"vector core {sender}"
            hazards.append(
                Hazard("flag", home, f"cross-core flag {event} of {who} is up at the end")
            )
    return hazards


def meeting_hazard(program: Program, meeting: Meeting) -> Hazard:
    """Return what two programs that write one element are: a race."""
    first, second = meeting.programs
    text = f"programs {first} and {second} write one element of `{meeting.tensor}`"
    return Hazard("race", _where(meeting.line, program.span.source.name), text)


def unwritten_hazard(program: Program, tensor: str, element: int) -> Hazard:
    """Return what an output is of which an element is never written."""
    text = f"element {element} of `{tensor}` is never written"
    return Hazard("unwritten", program.span.source.name, text)


def _where(line: Line, home: str) -> str:
    return f"{home}:{line}" if isinstance(line, int) else line


def _say(finding: Finding, home: str) -> str:
    event, conflict = finding.event, finding.conflict
    if conflict is None:
        return f"{_name(event)}: {finding.text}"
    region = conflict.region
    bytes_ = f"`{region.owner}` ({region.space} {region.start} to {region.end})"
    match conflict.kind:
        case "uninitialised":
            return f"{_name(event)} reads {bytes_}, of which not all was written"
        case "overwritten":
            return f"{_name(event)} reads {bytes_}, into which `{conflict.other}` was written"
    earlier = conflict.earlier
    assert earlier is not None
    verb = "reads" if conflict.kind == "read after write" else "writes"
    before = "reads" if conflict.kind == "write after read" else "writes"
    what = f"{_name(earlier)} of {_where(earlier.line, home)} {before}"
    return f"{_name(event)} {verb} {bytes_}, which {what}; {_missing(earlier, event, conflict.own)}"


def _missing(earlier: Event, later: Event, own: bool) -> str:
    if own:
        return f"there is no barrier of {later.queue} between them"
    return f"no flag {earlier.queue} -> {later.queue} orders them"


def _name(event: Event) -> str:
    return f"{event.queue} {event.name}"
