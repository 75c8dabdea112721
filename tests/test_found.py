"""Kernels that once went wrong on one device, most of them found by tests/agreement."""

from pathlib import Path

import pytest

from tiledsl.driver import load_checked
from tiledsl.testing import runner

FOUND = sorted((Path(__file__).parent / "found").glob("*.tile"))


@pytest.mark.parametrize("device", ["sim", "cuda-host", "ascend-host"])
@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_passes_on_every_device(path: Path, device: str) -> None:
    module, kernels = load_checked(path)
    options = runner.Options(device)
    plans = runner.tests_of(module)
    assert plans
    for plan in plans:
        for case in plan.cases:
            outcome = runner.run_case(module, kernels[plan.name], plan, case, options)
            assert not outcome.failure, f"{case}: {outcome.failure}"
