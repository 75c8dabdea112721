"""How long a launch takes, without its values: tensors of any size, and none of them made."""

from collections.abc import Mapping

import numpy as np

from tiledsl.chips import Chip
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Launch
from tiledsl.simulator.places import GlobalArea, Number
from tiledsl.simulator.report import Simulation
from tiledsl.simulator.timing import measure
from tiledsl.simulator.values import classes, load


def estimate(
    program: Program,
    elements: Mapping[str, int],
    chip: Chip,
    *,
    dims: Mapping[str, int] | None = None,
    scalars: Mapping[str, Number] | None = None,
    arrays: Mapping[str, Array] | None = None,
    cores: int | None = None,
    warm: bool = False,
    bypass: frozenset[str] = frozenset(),
) -> Simulation:
    """Return what a launch of ``program`` takes on ``chip``.

    ``elements`` has the number of elements of each tensor. Where data decide what a program does,
    ``arrays`` gives them; a tensor that is not given reads as zeros, which the system hands out
    without memory until they are written. ``cores`` limits the blocks, ``warm`` says that the same
    launch ran just before, ``bypass`` names tensors that L2 does not keep.
    """
    given = arrays or {}
    tensors = {
        t.name: GlobalArea(
            t.name,
            t.dtype,
            given[t.name].reshape(-1).view(np.uint8)
            if t.name in given
            else np.zeros(elements[t.name] * t.dtype.size, np.uint8),
        )
        for t in program.tensors
    }
    launch = Launch(program, tensors, dims or {}, scalars or {})
    runnable = load(program)
    groups = classes(runnable, launch)
    timing = measure(runnable, launch, chip, groups, cores, warm=warm, bypass=bypass)
    return Simulation(program, chip, timing)
