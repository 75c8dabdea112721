"""What earlier launches have told: those with equal sizes run and take time alike."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Launch
from tiledsl.simulator.tape.perform import covered, perform
from tiledsl.simulator.tape.plan import Tape, record
from tiledsl.simulator.tape.storage import UnplannedError
from tiledsl.simulator.values import Runnable, classes, run_values

if TYPE_CHECKING:
    from tiledsl.simulator.report import Simulation

_LAUNCHES = 32  # of one program that are remembered
_STEPS = 40_000  # of the tapes of a launch, and of all launches that are remembered
_INDEX_BYTES = 1 << 16  # of tensors that sizes depend on, up to which they are compared

# Elements in NumPy's buffers. With larger ones it copies what is broadcast over long rows, which
# makes a row take three times as long.
_BUFFER = 1024

# A chip by identity, the number of cores, and the tensors that L2 does not keep.
Question = tuple[int, int | None, frozenset[str]]


@dataclass(slots=True, eq=False)
class Known:
    """The classes of a launch, what it takes on each chip, whether it was checked for hazards.

    ``tapes`` compute its values; ``untaped`` says that there are none. Of the tensors in
    ``written`` they write every element.
    """

    groups: list[Array]
    tapes: list[Tape] = field(default_factory=list)
    steps: int = 0  # of all tapes
    untaped: bool = False
    written: frozenset[str] = frozenset()
    counts: "dict[Question, Simulation]" = field(default_factory=dict)
    checked: bool = False


def known_of(runnable: Runnable, launch: Launch) -> Known:
    """Return what is known of launches like ``launch``; a few are remembered for each program.

    Control and addresses rest on dims, scalars and the elements of tensors that scalars name;
    numbers read out of tiles count as 0 where cycles are counted.
    """
    key = _key(launch, runnable.indexed)
    if key is None:
        return Known(classes(runnable, launch))
    kept = runnable.launches
    known: Known | None = kept.pop(key, None)
    if known is None:
        known = Known(classes(runnable, launch))
    kept[key] = known
    while len(kept) > _LAUNCHES or (len(kept) > 1 and sum(k.steps for k in kept.values()) > _STEPS):
        kept.popitem(last=False)
    return known


def written(runnable: Runnable, launch: Launch, known: Known) -> frozenset[str]:
    """Return the tensors of which a launch writes every element, as far as that is known."""
    _record(runnable, launch, known)
    return frozenset() if _shares_memory(launch) else known.written


def compute(runnable: Runnable, launch: Launch, known: Known) -> None:
    """Compute the values of a launch, in place."""
    _record(runnable, launch, known)
    if known.untaped or _shares_memory(launch):
        run_values(runnable, launch, known.groups)
        return
    with np.errstate(all="ignore"):
        before = np.setbufsize(_BUFFER)
        try:
            perform(known.tapes, launch)
        finally:
            np.setbufsize(before)


def _record(runnable: Runnable, launch: Launch, known: Known) -> None:
    if known.tapes or known.untaped:
        return
    try:
        with np.errstate(all="ignore"):
            known.tapes = _tapes(runnable, launch, known.groups)
    except UnplannedError:
        known.untaped = True
    known.steps = sum(len(tape.steps) for tape in known.tapes)
    known.written = covered(known.tapes, launch)


def _tapes(runnable: Runnable, launch: Launch, groups: list[Array]) -> list[Tape]:
    found: list[Tape] = []
    steps = 0
    for group in groups:
        found.append(record(runnable.functions, runnable.indices, launch, group))
        steps += len(found[-1].steps)
        if steps > _STEPS:
            raise UnplannedError("too many steps in all")
    return found


def _shares_memory(launch: Launch) -> bool:
    """Whether something that is written shares memory with another tensor."""
    areas = [(t.role in ("in", "table"), launch.tensors[t.name]) for t in launch.program.tensors]
    for at, (fixed, area) in enumerate(areas):
        for other_fixed, other in areas[:at]:
            if not (fixed and other_fixed) and np.may_share_memory(area.bytes, other.bytes):
                return True
    return False


def _key(launch: Launch, indexed: tuple[str, ...]) -> tuple[object, ...] | None:
    """Return what launches have in common that are alike; `None` where that is too much."""
    tensors = launch.tensors
    if sum(tensors[name].bytes.size for name in indexed) > _INDEX_BYTES:
        return None
    return (
        *launch.dims.items(), *launch.scalars.items(),
        *(area.bytes.size for area in tensors.values()),
        *(tensors[name].bytes.tobytes() for name in indexed),
    )  # fmt: skip
