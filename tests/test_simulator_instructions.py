"""Each instruction in the simulator: the programs that test Ascend C on its model, once more."""

from collections.abc import Mapping

import pytest

import tests.ascend.harness
import tests.ascend.test_cube
import tests.ascend.test_vector
from tests.ascend.test_cube import *  # noqa: F403
from tests.ascend.test_vector import *  # noqa: F403
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.simulator.values import run


def in_simulator(
    program: Program,
    arrays: dict[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, int | float | bool] | None = None,
    *,
    cores: int = 1,
    seed: int = 0,
) -> None:
    """Run in place, as `tests.ascend.harness.run`."""
    run(program, arrays, dims, scalars or {})


@pytest.fixture(autouse=True)
def _on_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tests.ascend.harness, tests.ascend.test_vector, tests.ascend.test_cube):
        monkeypatch.setattr(module, "run", in_simulator)
