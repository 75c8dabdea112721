"""Schedules change speed, never results; what changes nothing is said, with its place."""

import warnings
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tiledsl.diagnostics import CompileError
from tiledsl.driver import load_checked, reschedule
from tiledsl.npu import program as npu
from tiledsl.npu.rewriting import walk_steps
from tiledsl.runtime.binding import first_binding
from tiledsl.runtime.errors import ScheduleWarning
from tiledsl.runtime.kernel import Kernel
from tiledsl.scalar import integer

EXAMPLES = Path(__file__).parent.parent / "examples"
Array = npt.NDArray[Any]
RNG = np.random.default_rng(5)


def _normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float16)


HEADS = [_normal(1, 3, n, 24) for n in (37, 70, 70)]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "gemm": {"a": _normal(70, 90), "b": _normal(90, 50), "bias": _normal(50)},
    "flash_attention": {"q": HEADS[0], "k": HEADS[1], "v": HEADS[2], "scale": 0.2},
    "softmax": {"x": _normal(37, 100)},
}
# What may be said of each kernel; a number is put in for each `{}`.
DIRECTIVES = {
    "gemm": [
        "pipeline k depth {}", "pipeline n depth {}", "swizzle m, n by {}", "place acc in ub",
        "split k over l0 by {}", "cores {}", "unroll k by {}", "bypass b", "split n over vector",
        "BM = 16", "BN = 32", "BK = 16",
    ],
    "flash_attention": [
        "skew j by {}", "pipeline j depth {}", "swizzle h, i by {}", "split j over l0 by {}",
        "cores {}", "split i over vector", "unroll j", "BS = 16", "BL = 32",
    ],
    "softmax": ["pipeline r depth {}", "cores {}", "BR = 3"],
}  # fmt: skip
TILES = {"gemm": {"BM": 32, "BN": 16, "BK": 32}, "flash_attention": {"BS": 16, "BL": 16}}


def _kernel(name: str, schedule: str) -> Kernel:
    module, kernels = load_checked(EXAMPLES / f"{name}.tile")
    if schedule:
        reschedule(module, name, schedule)
    return kernels[name]


def _random_schedule(random: Random, name: str) -> str:
    chosen = random.sample(DIRECTIVES[name], random.randint(1, min(4, len(DIRECTIVES[name]))))
    return "; ".join(line.format(random.choice((1, 2, 3, 5, 16, 32))) for line in chosen).replace(
        "skew j by 16", "skew j by 4").replace("skew j by 32", "skew j by 7")  # fmt: skip


def _outputs(name: str, schedule: str, device: str = "sim") -> dict[str, Array]:
    sized = any(f"{size} =" in schedule for size in ("BM", "BN", "BK", "BS", "BL", "BR"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScheduleWarning)
        run = _kernel(name, schedule).run(
            ARGUMENTS[name], tiles={} if sized else TILES.get(name, {}), device=device,
            hazards=device == "sim",
        )  # fmt: skip
    return dict(run.outputs)


@pytest.mark.parametrize("name", list(DIRECTIVES))
@pytest.mark.parametrize("seed", range(6))
def test_random_schedules_do_not_change_results(name: str, seed: int) -> None:
    schedule = _random_schedule(Random(f"{name} {seed}"), name)
    found, expected = _outputs(name, schedule), _outputs(name, "")
    for output, value in expected.items():
        np.testing.assert_allclose(
            found[output].astype(np.float64), value.astype(np.float64), rtol=2e-3, atol=2e-3,
            err_msg=schedule,
        )  # fmt: skip


@pytest.mark.parametrize("schedule", ["warps 2", "warps 16", "swizzle m, n by 3", "unroll k by 2"])
def test_schedules_of_a_gpu_do_not_change_results(schedule: str) -> None:
    found, expected = _outputs("gemm", schedule, "cuda-host"), _outputs("gemm", "")
    np.testing.assert_allclose(
        found["c"].astype(np.float64), expected["c"].astype(np.float64), rtol=2e-3, atol=2e-3
    )


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("gemm", "cores 2; bypass b; pipeline k depth 3; split k over l0 by 16"),
        ("flash_attention", "skew j by 3; swizzle h, i by 2; cores 1"),
    ],
)
def test_what_is_emitted_does_not_change_results(name: str, schedule: str) -> None:
    found, expected = _outputs(name, schedule, "ascend-host"), _outputs(name, "")
    for output, value in expected.items():
        np.testing.assert_allclose(
            found[output].astype(np.float64), value.astype(np.float64), rtol=2e-3, atol=2e-3
        )


def _program(name: str, schedule: str, tiles: dict[str, int]) -> npu.Program:
    kernel = _kernel(name, schedule)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        graph = kernel.instance(first_binding(kernel.header, {}, {}, {}))
        (compiled,) = kernel.compiled(graph, "ascend910b3", tiles)
    assert isinstance(compiled.program, npu.Program)
    return compiled.program


def test_the_depth_of_a_loop_is_that_of_its_rings() -> None:
    for depth in (1, 2, 3):
        program = _program("gemm", f"pipeline k depth {depth}", {"BM": 64, "BN": 64, "BK": 64})
        (a,) = [b for b in program.cores[0].buffers if b.name == "a"]
        assert a.slots == depth


def test_a_step_through_l0() -> None:
    program = _program("gemm", "split k over l0 by 32", {"BM": 64, "BN": 64, "BK": 128})
    inner = [
        s for s in walk_steps(program.cores[0].body) if isinstance(s, npu.For) and "L0" in s.note
    ]
    assert [s.step for s in inner] == [integer(32)]


def test_what_a_launch_is_told_is_in_the_files() -> None:
    files = _kernel("gemm", "cores 6; bypass b").build("ascend910b3")
    host, device = files["gemm_host.cpp"], files["gemm.cpp"]
    assert "CoreCount() < 6 ? CoreCount() : 6" in host
    assert "b.SetL2CacheHint(CacheMode::CACHE_MODE_DISABLE);" in device
    assert "a.SetL2CacheHint" not in device


def test_a_sum_outside_l0c() -> None:
    inside, outside = (
        _program("gemm", schedule, {"BM": 64, "BN": 64, "BK": 64})
        for schedule in ("place acc in l0c", "place acc in ub")
    )
    steps = [sum(isinstance(s, npu.Fixpipe) for s in walk_steps(p.cores[0].body)) for p in
             (inside, outside)]  # fmt: skip
    assert steps == [1, 1]
    assert any(b.name == "acc" for b in outside.cores[1].buffers)
    assert not any(b.name.startswith("acc") for b in inside.cores[1].buffers if b.slots == 1)


@pytest.mark.parametrize(
    ("target", "schedule", "words"),
    [
        ("ascend910b3", "warps 8", "`warps` has no effect on ascend910b3"),
        ("ascend910b3", "unroll k", "`unroll k` has no effect on ascend910b3"),
        ("ascend910b3", "skew k by 2", "`skew k` has no effect on ascend910b3: no tile goes"),
        ("ascend310p", "bypass a", "`bypass a` has no effect on ascend310p"),
        ("ascend310p", "skew k by 2", "one core has both the cube and the vector unit"),
        ("ascend910b3", "swizzle n, m by 2", "only the last two grid ranges are, `m, n`"),
        ("cuda.sm80", "skew k by 2", "`skew k` has no effect on cuda.sm80"),
        ("cuda.sm80", "place acc in l0c", "`place acc` has no effect on cuda.sm80"),
        ("cuda.sm80", "cores 4; pipeline k depth 2", "`cores` has no effect on cuda.sm80"),
    ],
)
def test_what_changes_nothing_is_said(target: str, schedule: str, words: str) -> None:
    kernel = _kernel("gemm", schedule)
    with pytest.warns(ScheduleWarning) as caught:
        kernel.build(target)
    assert any(words in str(w.message) and "^^^^" in str(w.message) for w in caught)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("warps 3", "a power of two up to 32"),
        ("split m over cube", "`vector`, or `l0` by a step"),
        ("split k over l0", "a step"),
        ("place acc in registers", "`l0c`, `l1`, `ub` or `gm`"),
        ("skew k by 15", "a whole number from 0 to 14"),
        ("pipeline k depth 0", "a whole number, at least 1"),
    ],
)
def test_what_a_directive_takes(schedule: str, words: str) -> None:
    with pytest.raises(CompileError, match="S128") as caught:
        _kernel("gemm", schedule)
    assert words in str(caught.value)
