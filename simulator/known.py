"""What earlier launches have told: those with equal sizes run and take time alike."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Launch
from tiledsl.simulator.values import Runnable, classes

if TYPE_CHECKING:
    from tiledsl.simulator.report import Simulation

_LAUNCHES = 32  # of one program that are remembered
_INDEX_BYTES = 1 << 16  # of tensors that sizes depend on, up to which they are compared

# A chip by identity, the number of cores, and the tensors that L2 does not keep.
Question = tuple[int, int | None, frozenset[str]]


@dataclass(slots=True, eq=False)
class Known:
    """The classes of a launch, what it takes on each chip, and whether its order was checked."""

    groups: list[Array]
    counts: "dict[Question, Simulation]" = field(default_factory=dict)
    ordered: bool = False


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
    while len(kept) > _LAUNCHES:
        kept.popitem(last=False)
    return known


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
