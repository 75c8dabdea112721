"""Windows that lie partly outside their tensor are copied by rows, wherever they begin."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tiledsl
from tiledsl.npu import program as npu
from tiledsl.npu.rewriting import walk_steps
from tiledsl.runtime.binding import first_binding

SOURCE = """
kernel pixels(x: f16[H, W, C], step: i32, back: i32) -> (y: f16[P, Q, C]):
    where step >= 1
    grid p in P by BP, q in Q by BQ, c in C by BC
    y[p, q, c] = x[p * step - back, q * step - back, c else 3]

kernel shifted[T in (f16, f32, i8, bool)](x: T[M, N], back: i32) -> (y: T[M, L]):
    grid m in M by BM, l in L by BL
    y[m, l] = x[m, l - back else T(1)]

kernel one_row(x: f32[M, N], at: i32) -> (y: f32[N]):
    grid n in N by BN
    y[n] = x[at, n else -1]

kernel turned(x: f16[M, N], back: i32) -> (y: f16[N, M]):
    grid m in M by BM, n in N by BN
    y[n, m] = x[m - back, n - back else 7]

kernel every[T in (f16, f32)](x: T[A, M, N], const step: i32, back: i32) -> (y: T[A, M, L]):
    where step >= 1
    grid a in A by BA, m in M by BM, l in L by BL
    y[a, m, l] = x[a, m, l * step - back else 9]

kernel third[T in (f16, f32)](x: T[M, N, 3], at: i32) -> (y: T[M, N]):
    grid m in M by BM, n in N by BN
    y[m, n] = x[m, n, at else 4]

kernel conv[T in (f16, f32)](x: T[H, W, C], w: T[R, S, C, O], step: i32, pad: i32
        ) -> (y: f32[P, Q, O]):
    where P == (H + 2 * pad - R) // step + 1, Q == (W + 2 * pad - S) // step + 1, step >= 1
    grid p in P by BP, q in Q by BQ, o in O by BO
    var acc: f32[p, q, o] = 0
    for r in R:
        for s in S:
            for c in C by BC:
                acc += x[p * step + r - pad, q * step + s - pad, c else 0] @ w[r, s, c, o]
    y[p, q, o] = acc
"""
RNG = np.random.default_rng(3)
Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> tiledsl.Module:
    file: Path = tmp_path_factory.mktemp("windows") / "windows.tile"
    file.write_text(SOURCE, encoding="utf-8")
    return tiledsl.load(file)


def moved(x: Array, shape: tuple[int, ...], step: int, back: int, other: float) -> Array:
    """Return ``x[i * step - back, …]`` with ``other`` for what is outside."""
    out = np.full((*shape, *x.shape[len(shape) :]), other, x.dtype)
    for place in product(*(range(n) for n in shape)):
        at = tuple(i * step - back for i in place)
        if all(0 <= i < n for i, n in zip(at, x.shape, strict=False)):
            out[place] = x[at]
    return out


def steps_of(kernel: tiledsl.Kernel) -> list[npu.Step]:
    """Return the steps of the kernel's first core on a 910B."""
    graph = kernel.instance(first_binding(kernel.header, {}, {}, {}))
    (compiled,) = kernel.compiled(graph, "ascend910b3", {})
    assert isinstance(compiled.program, npu.Program)
    return list(walk_steps(compiled.program.cores[0].body))


@pytest.mark.parametrize("name", ["pixels", "shifted", "one_row", "turned"])
def test_no_element_is_copied_alone(module: tiledsl.Module, name: str) -> None:
    steps = steps_of(module[name])
    assert not any(isinstance(s, npu.WriteScalar) for s in steps)
    assert sum(isinstance(s, npu.CopyIn) for s in steps) == 1


@pytest.mark.parametrize("device", ["sim", "ascend-host"])
@pytest.mark.parametrize(("step", "back"), [(1, 0), (1, 2), (2, 1), (3, -2), (1, 40), (1, -40)])
def test_pixels(module: tiledsl.Module, device: str, step: int, back: int) -> None:
    x = RNG.normal(size=(9, 11, 20)).astype(np.float16)
    found = module["pixels"].run(
        {"x": x, "step": step, "back": back}, dims={"P": 7, "Q": 6}, device=device,
        tiles={"BP": 3, "BQ": 4}, hazards=device == "sim",
    )  # fmt: skip
    np.testing.assert_array_equal(found.outputs["y"], moved(x, (7, 6), step, back, 3))


@pytest.mark.parametrize("device", ["sim", "ascend-host"])
@pytest.mark.parametrize("dtype", ["f16", "f32", "i8", "bool"])
def test_rows_that_begin_outside(module: tiledsl.Module, device: str, dtype: str) -> None:
    kind = {"f16": np.float16, "f32": np.float32, "i8": np.int8, "bool": np.bool_}[dtype]
    x: Array = RNG.integers(0, 2 if dtype == "bool" else 100, (5, 50)).astype(kind)
    backs = (0, 1, 7, 16, 33, 49, 200, -1, -45, -90) if device == "sim" else (3, 40, -5)
    for back in backs:
        for tile in (16, 37, 64):
            found = module["shifted"].run(
                {"x": x, "back": back}, dims={"L": 61}, device=device,
                tiles={"BM": 4, "BL": tile}, hazards=device == "sim",
            )  # fmt: skip
            columns = np.arange(61) - back
            inside = (columns >= 0) & (columns < 50)
            want = np.where(inside, x[:, columns.clip(0, 49)], kind(1))
            np.testing.assert_array_equal(found.outputs["y"], want)


@pytest.mark.parametrize("at", [0, 4, -1, 5])
def test_a_row_that_is_there_or_not(module: tiledsl.Module, at: int) -> None:
    x = RNG.normal(size=(5, 30)).astype(np.float32)
    found = module["one_row"].run({"x": x, "at": at}, tiles={"BN": 16}, hazards=True)
    want = x[at] if 0 <= at < 5 else np.full(30, -1)
    np.testing.assert_array_equal(found.outputs["y"], want)


def test_a_window_may_be_turned(module: tiledsl.Module) -> None:
    x = RNG.normal(size=(20, 33)).astype(np.float16)
    found = module["turned"].run({"x": x, "back": 3}, tiles={"BM": 16, "BN": 16}, hazards=True)
    np.testing.assert_array_equal(found.outputs["y"], moved(x, (20, 33), 1, 3, 7).T)


@pytest.mark.parametrize("device", ["sim", "ascend-host"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_elements_apart(module: tiledsl.Module, device: str, dtype: type) -> None:
    x: Array = RNG.normal(size=(3, 5, 77)).astype(dtype)
    for step, back in ((2, 1), (2, -3), (3, 0), (8, 20)):
        found = module["every"].run(
            {"x": x, "step": step, "back": back}, dims={"L": 40}, device=device,
            tiles={"BA": 2, "BM": 4, "BL": 23}, hazards=device == "sim",
        )  # fmt: skip
        columns = np.arange(40) * step - back
        inside = (columns >= 0) & (columns < 77)
        want = np.where(inside, x[:, :, columns.clip(0, 76)], dtype(9))
        np.testing.assert_array_equal(found.outputs["y"], want)


@pytest.mark.parametrize("device", ["sim", "ascend-host"])
@pytest.mark.parametrize("at", [0, 2, -1, 3])
def test_one_of_three_neighbours(module: tiledsl.Module, device: str, at: int) -> None:
    x = RNG.normal(size=(5, 37, 3)).astype(np.float16)
    found = module["third"].run(
        {"x": x, "at": at}, device=device, tiles={"BM": 4, "BN": 16}, hazards=device == "sim"
    )
    want = x[:, :, at] if 0 <= at < 3 else np.full((5, 37), 4, np.float16)
    np.testing.assert_array_equal(found.outputs["y"], want)
    assert any(isinstance(s, npu.Gather) for s in steps_of(module["third"]))


def test_elements_apart_are_gathered(module: tiledsl.Module) -> None:
    kernel = module["every"]
    graph = kernel.instance(first_binding(kernel.header, {}, {"step": 2}, {}))
    (compiled,) = kernel.compiled(graph, "ascend910b3", {})
    assert isinstance(compiled.program, npu.Program)
    steps = list(walk_steps(compiled.program.cores[0].body))
    assert sum(isinstance(s, npu.Gather) for s in steps) == 1
    assert not any(isinstance(s, npu.WriteScalar) for s in steps)


def test_the_cube_loads_pixels_itself(module: tiledsl.Module) -> None:
    steps = steps_of(module["conv"])
    assert sum(isinstance(s, npu.LoadWindow) for s in steps) == 1
    assert not any(isinstance(s, npu.CrossWait) and s.queue is npu.Queue.MTE2 for s in steps)


@pytest.mark.parametrize("device", ["sim", "ascend-host"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(("step", "pad", "taps"), [(1, 1, 3), (2, 1, 3), (2, 0, 1), (3, 4, 5)])
def test_convolution(
    module: tiledsl.Module, device: str, dtype: type, step: int, pad: int, taps: int
) -> None:
    x: Array = RNG.integers(-4, 5, (9, 13, 20)).astype(dtype)
    w: Array = RNG.integers(-4, 5, (taps, taps, 20, 17)).astype(dtype)
    high, wide = ((n + 2 * pad - taps) // step + 1 for n in x.shape[:2])
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0))).astype(np.float32)
    want = np.zeros((high, wide, 17), np.float32)
    for r, s in np.ndindex(taps, taps):
        rows = slice(r, r + step * (high - 1) + 1, step)
        cols = slice(s, s + step * (wide - 1) + 1, step)
        want += padded[rows, cols] @ w[r, s].astype(np.float32)
    for tiles in ({"BP": 2, "BQ": 7, "BO": 16, "BC": 16}, {"BP": 4, "BQ": 4, "BO": 32, "BC": 32}):
        found = module["conv"].run(
            {"x": x, "w": w, "step": step, "pad": pad}, device=device, tiles=tiles,
            hazards=device == "sim",
        )  # fmt: skip
        np.testing.assert_array_equal(found.outputs["y"], want)
