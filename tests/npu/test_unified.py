"""Unified cores (ascend310p): the simulator and Ascend C on the model agree with NumPy."""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from tests.npu.kernels import TEXTS, arrays_of, program_of, tolerance
from tiledsl import CompileError, ir
from tiledsl.backends import ascend
from tiledsl.check import instantiate, load_text
from tiledsl.chips import load as load_chip
from tiledsl.npu import Program
from tiledsl.npu import program as npu
from tiledsl.npu.rewriting import walk_steps
from tiledsl.runtime.ascend_host import run_ascend_host
from tiledsl.simulator import simulate
from tiledsl.types import DTYPES, DType

Array = npt.NDArray[np.generic]
Dims = Mapping[str, int]
CHIP = "ascend310p"
SIZES = [1, 17, 64, 97]

OWN = {
    "scaled": """
kernel scaled[T in (f32, f16)](x: T[M, N], s: T[M]) -> (y: T[M, N]):
    grid m in M by BM, n in N by BN
    y[m, n] = T(x[m, n] * s[m])
""",
    "rounded": """
kernel rounded(x: f32[N]) -> (a: f32[N], b: f32[N], c: f32[N], d: f32[N]):
    grid n in N by BN
    a[n] = floor(x[n])
    b[n] = ceil(x[n])
    c[n] = round(x[n])
    d[n] = trunc(x[n])
""",
    "band": """
kernel band[T in (f32, f16, i32, i8)](x: T[M, N]) -> (y: T[M, N]):
    grid m in M by BM, n in N by BN
    y[m, n] = where(m <= n and n != m + 2, x[m, n], 0)
""",
    "narrowed": """
kernel narrowed(x: f32[M, N]) -> (y: i8[M, N]):
    grid m in M by BM, n in N by BN
    y[m, n] = i8(x[m, n] * 60)
""",
    "thirds": """
kernel thirds[T in (f32, f16)](x: T[M, N]) -> (y: T[M, 3, N]):
    grid m in M by BM, n in N by BN
    span r in 3
    y[m, r, n] = T(x[m, n] * f32(r))
""",
    "whole": """
kernel whole(a: i8[M, K], b: i8[N, K]) -> (c: i32[M, N]):
    grid m in M by BM, n in N by BN
    var acc: i32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[n, k]
    c[m, n] = acc
""",
}


def of(text: str, name: str, dtype: str = "") -> ir.Kernel:
    """Return the tile IR of a kernel, generic where a type is given."""
    types = (("T", DTYPES[dtype]),) if dtype else ()
    kernel = instantiate(load_text(text, f"{name}.tile"), name, ir.Binding(types=types))
    assert isinstance(kernel, ir.Kernel)
    return kernel


@cache
def lowered(name: str, dtype: str, tile: int) -> tuple[ir.Kernel, Program]:
    kernel = of((OWN | TEXTS)[name], name, dtype)
    return kernel, program_of(kernel, CHIP, tile)


def on_simulator(program: Program, arrays: dict[str, Array], dims: Dims) -> None:
    simulate(program, arrays, dims, {}, load_chip(CHIP), hazards=True)


def on_model(program: Program, arrays: dict[str, Array], dims: Dims) -> None:
    for seed in range(2):
        run_ascend_host(program, ascend.emit(program), arrays, dims, {}, cores=3, seed=seed)


DEVICES = {"sim": on_simulator, "ascend-host": on_model}
device = pytest.mark.parametrize("run", DEVICES.values(), ids=DEVICES.keys())
Run = Callable[[Program, dict[str, Array], Dims], None]


def outputs(run: Run, name: str, dtype: str, tile: int, dims: Dims) -> tuple[Array, Array]:
    """Return the first output of a run, and what NumPy says in f64."""
    kernel, program = lowered(name, dtype, tile)
    arrays = arrays_of(kernel, dims)
    given = {t.name: arrays[t.name].astype(np.float64) for t in kernel.tensors if t.role == "in"}
    run(program, arrays, dims)
    got = arrays[kernel.outputs[0].name]
    return got, np.asarray(expected(name, given)).astype(got.dtype)


def expected(name: str, x: Mapping[str, npt.NDArray[np.float64]]) -> Array:
    """Return what a kernel computes, in f64."""
    match name:
        case "add":
            return x["x"] + x["y"]
        case "softmax":
            e = np.exp(x["x"] - x["x"].max(-1, keepdims=True, initial=-np.inf))
            return np.asarray(e / e.sum(-1, keepdims=True))
        case "column_sums":
            return np.asarray(x["x"].sum(0))
        case "turned":
            return x["x"].T
        case "scaled":
            return x["x"] * x["s"][:, None]
        case "band":
            m, n = np.indices(x["x"].shape)
            return np.where((m <= n) & (n != m + 2), x["x"], 0)
        case "narrowed":
            return np.asarray(np.trunc(np.clip(x["x"].astype(np.float32) * 60, -128, 127)))
        case "thirds":
            return x["x"][:, None, :] * np.arange(3.0)[:, None]
        case "whole":
            return x["a"] @ x["b"].T
        case "gemm":
            return x["a"] @ x["b"]
        case "gemm_bias":
            return np.maximum(x["a"] @ x["b"].T + x["bias"], 0)
        case _:
            s = x["q"] @ x["k"].T * 0.25
            p = np.exp(s - s.max(-1, keepdims=True, initial=-np.inf))
            return np.asarray((p / p.sum(-1, keepdims=True)) @ x["v"])


KERNELS = [
    ("add", "f32"), ("add", "i8"), ("add", "i32"), ("softmax", "f16"), ("softmax", "f32"),
    ("column_sums", "f16"), ("turned", "f32"), ("turned", "i8"), ("scaled", "f16"),
    ("scaled", "f32"), ("band", "f16"), ("band", "i32"), ("band", "i8"), ("thirds", "f32"),
    ("gemm", "f16"), ("gemm_bias", "f16"), ("attention", "f16"), ("whole", ""), ("narrowed", ""),
]  # fmt: skip
DIMS = ("M", "N", "K", "R", "S", "L", "D")


def close(got: Array, want: Array) -> None:
    kind = next(d for d in DTYPES.values() if d.bits >= 8 and d.numpy == got.dtype)
    bound = tolerance(kind) or (0.0 if kind.is_integer else tolerance(DType.F32))
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), bound, bound)


@device
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "dtype"), KERNELS, ids="-".join)
def test_any_size(run: Run, name: str, dtype: str, size: int) -> None:
    dims = dict.fromkeys(DIMS, size) | {"D": min(size, 64), "K": size + 3, "N": size}
    close(*outputs(run, name, dtype, 32, dims))


@device
@pytest.mark.parametrize(("name", "dtype"), KERNELS, ids="-".join)
def test_empty_dims(run: Run, name: str, dtype: str) -> None:
    full = dict.fromkeys(DIMS, 19)
    for empty in ("M", "N", "R", "K", "S"):
        close(*outputs(run, name, dtype, 32, full | {empty: 0}))


@device
@pytest.mark.parametrize("tile", [1, 2, 3])
@pytest.mark.parametrize("name", ["scaled", "turned", "thirds", "band"])
def test_rows_shorter_than_a_block(run: Run, name: str, tile: int) -> None:
    for m, n in ((5, 3), (3, 37), (40, 1), (2, 2)):
        close(*outputs(run, name, "f32", tile, {"M": m, "N": n}))


@device
def test_rounding_goes_through_integers(run: Run) -> None:
    kernel, program = lowered("rounded", "", 64)
    edges = [0.5, 1.5, -0.5, -1.5, 2.5, 0.49999997, 8388607.5, -8388608.0, 1e10, -3e38, np.inf]
    x = np.array([*edges, -np.inf, np.nan, 0.0, *np.linspace(-3, 3, 83)], np.float32)
    arrays: dict[str, Array] = {"x": x}
    arrays.update((t.name, np.zeros_like(x)) for t in kernel.outputs)
    run(program, arrays, {"N": len(x)})
    for name, want in zip("abcd", (np.floor, np.ceil, np.rint, np.trunc), strict=True):
        np.testing.assert_array_equal(arrays[name], want(x))


@pytest.mark.parametrize(
    ("text", "dtype", "why"),
    [
        (TEXTS["gemm"], "f32", "a matrix product of f32"),
        (TEXTS["gemm"], "bf16", "bf16"),
        (TEXTS["turned"].replace("i8", "i16"), "i16", "arithmetic on i16"),
        ("kernel k(x: f32[N]) -> (y: f32[4] = 0):\n    grid n in N by BN\n"
         "    atomic y[0] += sum(x[n] over n)\n", "", "an `atomic` store"),
        (OWN["whole"].replace("b: i8[N, K]", "b: i8[K, N]").replace("b[n, k]", "b[k, n]"), "",
         "a product of i8 with a side whose rows are `k`"),
    ],
)  # fmt: skip
def test_what_the_chip_lacks_is_said(text: str, dtype: str, why: str) -> None:
    kernel = of(text, text.split("kernel ")[1].split("[")[0].split("(")[0], dtype)
    with pytest.raises(CompileError, match=why) as caught:
        program_of(kernel, CHIP)
    assert [d.code for d in caught.value.diagnostics] == ["L001"]


def test_one_core_has_both_units() -> None:
    _, program = lowered("attention", "f16", 32)
    assert [core.core for core in program.cores] == [npu.Core.UNIFIED]
    steps = list(walk_steps(program.cores[0].body))
    assert any(isinstance(s, npu.Drain) for s in steps)
    assert any(isinstance(s, npu.Feed) for s in steps)
    assert not any(isinstance(s, npu.CrossSet | npu.Fixpipe) for s in steps)
    text = ascend.emit(program)["attention.cpp"]
    assert "KERNEL_TYPE_AICORE" in text
    assert "ASCEND_IS" not in text
