"""The leaf operations of the header against the op table, and what the host model catches."""

import ctypes
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.cuda.harness import program_of, source_of
from tiledsl import gpu
from tiledsl.backends import cuda
from tiledsl.backends.cuda.words import STORAGE, value_type
from tiledsl.ops import convert, wrap
from tiledsl.runtime.cuda_host import run_cuda_host
from tiledsl.runtime.cuda_library import build
from tiledsl.runtime.errors import DeviceError
from tiledsl.types import DType

COMMAND = (
    "g++", "-std=c++17", "-O1", "-fwrapv", "-fno-strict-aliasing", "-shared", "-fPIC",
    "-DTDSL_HOST", "-x", "c++", "probe.cu",
)  # fmt: skip
TYPES = [d for d in DType if d.bits >= 8]
FLOATS = [
    0.0, -0.0, 0.4, 0.5, 1.5, 2.5, -2.5, 127.4, 128.0, -128.9, 255.5, 300.0, 448.0, 464.0, 465.0,
    1e5, 65504.0, 65519.9, 65520.0, 57344.0, 61440.0, 2.0**31, -(2.0**31), 2.0**32, 2.0**63, 1e30,
    1e-3, 2.0**-14, 2.0**-24, 2.0**-25, 1.5 * 2**-25, 2.0**-9, 2.0**-10, 3 * 2.0**-17, 1e-40,
    np.inf, -np.inf, np.nan,
]  # fmt: skip
INTEGERS = [0, 1, -1, 2, 5, 127, 128, -128, -129, 255, 256, 32767, 65536, 2**31 - 1, -(2**31)]


def library(source: str) -> ctypes.CDLL:
    files = {n: cuda.header(n) for n in (cuda.HEADER, cuda.HOST_HEADER)}
    return build("probe", {**files, "probe.cu": source}, COMMAND, "probe")


def test_casts_saturate_and_round_as_the_table_says() -> None:
    pairs = [(a, b) for a, b in itertools.product(TYPES, TYPES) if not (a.is_float and a.bits < 32)]
    lines = []
    for a, b in pairs:
        head = f'extern "C" void {a}_{b}(const {STORAGE[a]}* x, {value_type(b)}* y, int n)'
        lines.append(f"{head} {{ for (int i = 0; i < n; ++i)")
        lines.append(f"  y[i] = tdsl::cast<{STORAGE[b]}>({value_type(a)}(x[i])); }}")
    probe = library('#include "tiledsl_cuda.cuh"\n' + "\n".join(lines))
    for a, b in pairs:
        given = _inputs(a)
        want = convert(given, b)
        got = np.zeros(given.size, np.float32 if b.is_float and b is not DType.F64 else b.numpy)
        _call(probe, f"{a}_{b}", given, got)
        np.testing.assert_array_equal(got, want.astype(got.dtype), f"{a} to {b}")


def test_wrap_drops_high_bits() -> None:
    probe = library(
        '#include "tiledsl_cuda.cuh"\n'
        'extern "C" void probe(const int* x, int8_t* y, int n) {\n'
        "  for (int i = 0; i < n; ++i) y[i] = tdsl::wrap<int8_t>(x[i]); }"
    )
    given = _inputs(DType.I32)
    got = np.zeros(given.size, np.int8)
    _call(probe, "probe", given, got)
    np.testing.assert_array_equal(got, wrap(given, DType.I8))


@pytest.mark.parametrize("name", ["f16", "bf16", "f8e4m3", "f8e5m2"])
def test_every_narrow_float_is_read_and_written(name: str) -> None:
    dtype = DType(name)
    kind = STORAGE[dtype]
    probe = library(
        '#include "tiledsl_cuda.cuh"\n'
        f'extern "C" void widen(const {kind}* x, float* y, int n) {{\n'
        "  for (int i = 0; i < n; ++i) y[i] = x[i]; }\n"
        f'extern "C" void narrow(const float* x, {kind}* y, int n) {{\n'
        "  for (int i = 0; i < n; ++i) y[i] = x[i]; }"
    )
    codes = np.arange(1 << dtype.bits).astype(np.dtype(f"u{dtype.bits // 8}"))
    given = codes.view(dtype.numpy)
    wide = np.zeros(given.size, np.float32)
    _call(probe, "widen", given, wide)
    np.testing.assert_array_equal(wide, given.astype(np.float32))
    back = np.zeros_like(codes)
    _call(probe, "narrow", wide, back)
    number = ~np.isnan(wide)
    np.testing.assert_array_equal(
        back[number & np.isfinite(wide)], codes[number & np.isfinite(wide)]
    )
    # Halfway between neighbours it is the even one.
    finite = np.unique(wide[np.isfinite(wide)])
    middle = ((finite[1:].astype(np.float64) + finite[:-1]) / 2).astype(np.float32)
    rounded = np.zeros(middle.size, codes.dtype)
    _call(probe, "narrow", middle, rounded)
    np.testing.assert_array_equal(
        rounded.view(dtype.numpy).astype(np.float32), middle.astype(dtype.numpy).astype(np.float32)
    )


GEMM = """
kernel gemm(a: f16[M, K], b: f16[K, N]) -> (c: f32[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    c[m, n] = acc
"""


def _gemm(source: str, seed: int) -> npt.NDArray[Any]:
    program = program_of(GEMM, 16)
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(20, 50)), "b": rng.normal(size=(50, 30))}
    given: dict[str, npt.NDArray[Any]] = {n: x.astype(np.float16) for n, x in arrays.items()}
    given["c"] = np.zeros((20, 30), np.float32)
    files = {**cuda.emit(program), "gemm.cu": source}
    run_cuda_host(program, files, given, {"M": 20, "N": 30, "K": 50}, {}, seed=seed)
    want = given["a"].astype(np.float32) @ given["b"].astype(np.float32)
    return np.asarray(np.isclose(given["c"], want, rtol=1e-4, atol=1e-4))


def test_every_barrier_is_needed() -> None:
    source = source_of(GEMM, 16)
    pieces = source.split("__syncthreads();")
    assert len(pieces) == 3
    for left_out in range(len(pieces) - 1):
        kept = [p + ("" if i == left_out else "__syncthreads();") for i, p in enumerate(pieces)]
        mutant = "".join(kept).removesuffix("__syncthreads();")
        assert not all(_gemm(mutant, seed).all() for seed in range(4)), left_out
    assert all(_gemm(source, seed).all() for seed in range(4))


def test_an_access_outside_is_reported() -> None:
    source = source_of(GEMM, 16).replace(", m_len, k_len);", ", 16, 16);")
    with pytest.raises(DeviceError, match="access outside a tensor that is read: index"):
        _gemm(source, 0)


def test_threads_that_wait_for_ever_are_reported() -> None:
    source = source_of(GEMM, 16).replace("__syncthreads();", "if (threadIdx.x) __syncthreads();", 1)
    with pytest.raises(DeviceError, match=r"deadlock in block 0: .*waiting for __syncthreads"):
        _gemm(source, 0)


def test_a_launch_that_breaks_a_fact_is_refused() -> None:
    text = """
kernel f(x: f32[N]) -> (y: f32[N]):
    where N <= 3
    grid n in N by BN
    y[n] = x[n]
"""
    program = program_of(text, 16)
    arrays: dict[str, Any] = {"x": np.zeros(5, np.float32), "y": np.zeros(5, np.float32)}
    with pytest.raises(DeviceError, match="refused: it must hold that N <= 3"):
        run_cuda_host(program, cuda.emit(program), arrays, {"N": 5}, {})


def test_shared_bytes_is_what_the_launcher_asks_for() -> None:
    program = program_of(GEMM, 16)
    assert f"{program.threads}, {program.shared_bytes}, stream_" in source_of(GEMM, 16)
    assert gpu.__all__ == ["choose_tiles", "lower", "shared_bytes", "without_effect"]


def _inputs(dtype: DType) -> npt.NDArray[Any]:
    if dtype.is_float:
        return np.array(FLOATS, dtype.numpy)
    if dtype is DType.BOOL:
        return np.array([False, True])
    low, high = dtype.limits
    return np.array([i for i in [*INTEGERS, low, high] if low <= i <= high], dtype.numpy)


def _call(probe: ctypes.CDLL, name: str, given: npt.NDArray[Any], got: npt.NDArray[Any]) -> None:
    arrays = (ctypes.c_void_p(given.ctypes.data), ctypes.c_void_p(got.ctypes.data))
    probe[name](*arrays, ctypes.c_int(given.size))
