"""One run in the simulator, and what it tells."""

from collections.abc import Mapping
from dataclasses import dataclass

from tiledsl.chips import Chip
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.simulator.core import prepare
from tiledsl.simulator.places import Number
from tiledsl.simulator.values import classes, load, run_values


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a run took."""

    cycles: float
    microseconds: float

    def report(self) -> str:
        """Return the figures for people."""
        return ""


def simulate(
    program: Program,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    chip: Chip,
    *,
    hazards: bool = False,
    cores: int | None = None,
) -> Simulation:
    """Run ``program`` on ``arrays``, in place."""
    launch = prepare(program, arrays, dims, scalars)
    runnable = load(program)
    run_values(runnable, launch, classes(runnable, launch))
    return Simulation(0.0, 0.0)
