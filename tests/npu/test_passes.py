"""Passes change speed, never results."""

import itertools

import numpy as np
import pytest

from tests.npu.kernels import SIZES, TEXTS, kernel_of, program_of, simulated, tolerance
from tiledsl import ir
from tiledsl.passes import PASSES, run_passes

SUBSETS = [(), *((name,) for name in PASSES), *itertools.combinations(PASSES, 2), tuple(PASSES)]


@pytest.mark.parametrize("name", TEXTS)
def test_any_passes_give_equal_results(name: str) -> None:
    kernel = kernel_of(name)
    want = simulated(kernel, program_of(kernel, passes=()), SIZES)
    for subset in SUBSETS[1:]:
        got = simulated(kernel, program_of(kernel, passes=subset), SIZES)
        for tensor in kernel.outputs:
            close = tolerance(tensor.dtype)
            np.testing.assert_allclose(
                got[tensor.name], want[tensor.name], close, close, err_msg=str(subset)
            )


def test_the_query_tile_is_loaded_once() -> None:
    kernel = run_passes(kernel_of("attention"), ["hoist_loads"])
    loops = [s for s in kernel.body if isinstance(s, ir.For)]
    inside = [s.tensor.name for s in ir.statements(loops[0].body) if isinstance(s, ir.Load)]
    assert inside == ["k", "v"]


def test_equal_loads_are_merged() -> None:
    before = [s for s in ir.statements(kernel_of("softmax").body) if isinstance(s, ir.Load)]
    merged = run_passes(kernel_of("softmax"), ["merge_equal_values"])
    after = [s for s in ir.statements(merged.body) if isinstance(s, ir.Load)]
    assert len(before) == 2
    assert len(after) == 1


def test_dead_code_goes() -> None:
    merged = run_passes(kernel_of("attention"), ["drop_dead_code"])
    used = {
        x for s in ir.statements(merged.body) for x in ir.operands(s) if isinstance(x, ir.Value)
    }
    made = {v for s in ir.statements(merged.body) for v in ir.results(s)}
    assert made <= used
