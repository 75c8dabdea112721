"""What the NPU lowering promises: right at every size, all placed, every needed flag there."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.npu.kernels import SIZES, TEXTS, arrays_of, kernel_of, program_of, simulated, tolerance
from tiledsl import CompileError
from tiledsl.chips import load as load_chip
from tiledsl.npu import fit, lower
from tiledsl.npu import program as npu
from tiledsl.npu.errors import OverCapacity
from tiledsl.npu.rewriting import walk_steps
from tiledsl.npu.text import show_program
from tiledsl.ops.registry import Array
from tiledsl.runtime.evaluate import evaluate
from tiledsl.schedule import Plan
from tiledsl.simulator.hazards import check


def expected(name: str, given: dict[str, Array]) -> Array:
    """Return what a kernel computes, in f64."""
    x: dict[str, Array] = {key: value.astype(np.float64) for key, value in given.items()}
    match name:
        case "add":
            return np.asarray(x["x"] + x["y"])
        case "softmax":
            e = np.exp(x["x"] - x["x"].max(-1, keepdims=True, initial=-np.inf))
            return np.asarray(e / e.sum(-1, keepdims=True))
        case "column_sums":
            return np.asarray(x["x"].sum(0))
        case "turned":
            return x["x"].T
        case "gemm":
            return np.asarray(x["a"] @ x["b"])
        case "gemm_bias":
            return np.asarray(np.maximum(x["a"] @ x["b"].T + x["bias"], 0))
        case _:
            s = x["q"] @ x["k"].T * 0.25
            p = np.exp(s - s.max(-1, keepdims=True, initial=-np.inf))
            return np.asarray((p / p.sum(-1, keepdims=True)) @ x["v"])


def agrees(name: str, dtype: str, chip: str, tile: int, dims: dict[str, int]) -> None:
    kernel = kernel_of(name, dtype)
    got = simulated(kernel, program_of(kernel, chip, tile), dims)
    want = expected(name, {k: v for k, v in arrays_of(kernel, dims).items() if k not in got})
    for tensor in kernel.outputs:
        close = tolerance(tensor.dtype)
        np.testing.assert_allclose(got[tensor.name], want, close, close)


@pytest.mark.parametrize("tile", [1, 7, 16, 48])
@pytest.mark.parametrize("name", TEXTS)
def test_any_tile_size(name: str, tile: int) -> None:
    agrees(name, "f16", "ascend910b3", tile, SIZES)


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 64, 97])
@pytest.mark.parametrize("name", TEXTS)
def test_any_size(name: str, size: int) -> None:
    dims = dict.fromkeys(SIZES, size) | {"D": min(size, 64), "K": size + 3}
    agrees(name, "f32", "ascend910b3", 32, dims)


@pytest.mark.parametrize("name", ["add", "softmax", "column_sums", "gemm", "gemm_bias"])
def test_empty_dims(name: str) -> None:
    for empty in ("N", "M", "R"):
        agrees(name, "f16", "ascend910b3", 16, SIZES | {empty: 0})
    agrees(name, "f16", "ascend910b3", 16, SIZES | {"K": 0})


@pytest.mark.parametrize("name", TEXTS)
def test_unified_core(name: str) -> None:
    agrees(name, "f16", "ascend310p", 16, SIZES)


def test_a_unified_core_has_no_bf16() -> None:
    with pytest.raises(CompileError, match="bf16"):
        program_of(kernel_of("gemm", "bf16"), "ascend310p")


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("chip", ["ascend910b3", "ascend910b4", "ascend310p"])
def test_buffers_are_inside_and_apart(name: str, chip: str) -> None:
    program = program_of(kernel_of(name), chip, 32)
    for core in program.cores:
        for buffer in core.buffers:
            assert buffer.offset % (256 if buffer.memory is npu.Memory.UB else 512) == 0
            end = buffer.offset + buffer.size * buffer.slots
            assert end <= load_chip(chip).capacity[buffer.memory.value]


def test_rings_overlap_copies_and_work() -> None:
    program = program_of(kernel_of("gemm"), tile=64)
    rings = {b.name: b.slots for b in program.cores[0].buffers}
    assert rings["a"] == rings["b"] == rings["left"] == rings["right"] == 2


def test_depth_is_the_schedules() -> None:
    kernel = kernel_of("gemm")
    sizes = dict.fromkeys(kernel.tile_sizes, 32)
    program = lower(kernel, load_chip("ascend910b3"), Plan(sizes, depths={"k": 1}))
    assert {b.name: b.slots for b in program.cores[0].buffers}["a"] == 1


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (3000, 5), (200, 64), (7, 4096), (81, 1000)])
def test_rows_grow_where_they_are_short(rows: int, length: int) -> None:
    kernel, plan = fit(kernel_of("softmax"), load_chip("ascend910b3"), Plan())
    assert plan.flexible
    program = lower(kernel, load_chip("ascend910b3"), plan)
    dims = {"R": rows, "N": length}
    got = simulated(kernel, program, dims)["y"]
    want = expected("softmax", {"x": arrays_of(kernel, dims)["x"]})
    np.testing.assert_allclose(got, want, 4e-3, 4e-3)
    programs = int(evaluate(program.programs, dims, {}, {}))
    assert programs <= max(rows, 1)
    assert programs >= min(rows, 40) // 2


def test_too_large_is_a_table() -> None:
    kernel = kernel_of("softmax", "f32")
    with pytest.raises(CompileError) as caught:
        lower(kernel, load_chip("ascend910b3"), Plan({"BR": 64}))
    (found,) = caught.value.diagnostics
    assert isinstance(found, OverCapacity)
    assert found.needed > found.capacity
    assert "f32[r, n]" in found.render()
    assert "`BR = 4` (not 64) would fit" in found.render()
    lower(kernel, load_chip("ascend910b3"), Plan({"BR": 4}))


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_stable(name: str) -> None:
    first, second = (show_program(program_of(kernel_of(name))) for _ in range(2))
    assert first == second


def without_one(body: tuple[npu.Step, ...]) -> Iterator[tuple[npu.Step, tuple[npu.Step, ...]]]:
    """Yield ``body`` with each flag in turn left out."""
    kinds = npu.SetFlag | npu.WaitFlag | npu.CrossSet | npu.CrossWait
    for i, step in enumerate(body):
        if isinstance(step, kinds):
            yield step, body[:i] + body[i + 1 :]
        elif isinstance(step, npu.For):
            for gone, inner in without_one(step.body):
                yield gone, (*body[:i], replace(step, body=inner), *body[i + 1 :])


@pytest.mark.parametrize("name", ["softmax", "gemm", "gemm_bias", "attention"])
def test_every_flag_is_missed(name: str) -> None:
    """A program is clean, and with any one flag or wait gone it is not."""
    kernel = kernel_of(name)
    program = program_of(kernel, tile=16)
    arrays = arrays_of(kernel, SIZES)
    assert check(program, SIZES, {}, arrays) == []
    tried = 0
    for number, core in enumerate(program.cores):
        for gone, body in without_one(core.body):
            cores = (
                *program.cores[:number],
                replace(core, body=body),
                *program.cores[number + 1 :],
            )
            assert check(replace(program, cores=cores), SIZES, {}, arrays), gone
            tried += 1
    assert tried > 10


def test_no_barrier_for_all_in_a_plain_pipeline() -> None:
    for name in ("add", "softmax", "gemm", "gemm_bias"):
        program = program_of(kernel_of(name))
        for core in program.cores:
            barriers = [s for s in walk_steps(core.body) if isinstance(s, npu.Barrier)]
            assert all(s.queue is not None for s in barriers), name
