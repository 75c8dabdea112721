"""Directives that move time and not results: swizzle, bypass, cores."""

from pathlib import Path

import numpy as np
import pytest

from tiledsl.diagnostics import CompileError
from tiledsl.driver import load_checked, reschedule
from tiledsl.runtime.estimates import estimate_kernel
from tiledsl.runtime.kernel import Kernel
from tiledsl.simulator import Simulation

MATMUL = Path(__file__).parent.parent / "benchmarks" / "kernels" / "matmul.tile"
ADD = MATMUL.with_name("elementwise.tile")


def _kernel(path: Path, name: str, schedule: str) -> Kernel:
    module, kernels = load_checked(path)
    if schedule:
        reschedule(module, name, schedule)
    return kernels[name]


def _product(schedule: str) -> Simulation:
    dims = {"M": 4096, "N": 4096, "K": 4096}
    tiles = {"BM": 128, "BN": 256, "BK": 256}
    kernel = _kernel(MATMUL, "matmul", schedule)
    return estimate_kernel(kernel, "ascend910b1", dims, types={"T": "f16"}, tiles=tiles)


@pytest.mark.parametrize("by", [2, 3, 100])
def test_swizzled_tiles_are_all_computed(by: int) -> None:
    rng = np.random.default_rng(by)
    a, b = (rng.normal(size=shape).astype(np.float16) for shape in ((150, 40), (40, 130)))
    kernel = _kernel(MATMUL, "matmul", f"swizzle m, n by {by}")
    found = kernel.run({"a": a, "b": b}, tiles={"*": 32}, hazards=True).outputs["c"]
    np.testing.assert_allclose(found.astype(float), a.astype(float) @ b.astype(float), atol=2e-2)


def test_a_swizzle_lets_l2_serve_more() -> None:
    assert _product("swizzle m, n by 4").cycles <= _product("").cycles


def test_cores_limit_the_blocks() -> None:
    few = _product("cores 6")
    assert few.timing.blocks == 6
    assert few.cycles > 2 * _product("").cycles


def test_what_goes_past_l2_leaves_room_for_the_rest() -> None:
    times = []
    for schedule in ("", "bypass x, y"):
        kernel = _kernel(ADD, "add", schedule)
        run = estimate_kernel(
            kernel, "ascend910b1", {"N": 1 << 26}, types={"T": "f16"}, tiles={"BN": 8192}, warm=True
        )
        times.append(run.cycles)
    assert times[1] < 0.8 * times[0]


def test_a_directive_names_what_the_kernel_has() -> None:
    with pytest.raises(CompileError, match="tensor"):
        _kernel(MATMUL, "matmul", "bypass x")
