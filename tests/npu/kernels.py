"""Kernels that take the NPU lowering through its paces, and ways to lower and run them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tiledsl import ir
from tiledsl.check import instantiate, load_text
from tiledsl.chips import load as load_chip
from tiledsl.npu import Program, choose_tiles, lower
from tiledsl.passes import PASSES, run_passes
from tiledsl.runtime.evaluate import evaluate
from tiledsl.schedule import Plan
from tiledsl.simulator import simulate
from tiledsl.types import DTYPES, DType

TEXTS = {
    "add": """
kernel add[T in (f32, f16, bf16, i32, i8)](x: T[*N], y: T[*N]) -> (z: T[*N]):
    grid i in N by BN
    z[i] = T(x[i] + y[i])
""",
    "softmax": """
kernel softmax[T in (f32, f16, bf16)](x: T[R, N]) -> (y: T[R, N]):
    where N <= 4096
    grid r in R by BR
    span n in N
    e = exp(x[r, n] - max(x[r, n] over n))
    y[r, n] = e / sum(e over n)
""",
    "column_sums": """
kernel column_sums[T in (f32, f16)](x: T[M, N]) -> (y: f32[N]):
    grid n in N by BN
    var acc: f32[n] = 0
    for m in M by BM:
        acc += sum(x[m, n] over m)
    y[n] = acc
""",
    "turned": """
kernel turned[T in (f32, f16, i8)](x: T[M, N]) -> (y: T[N, M]):
    grid m in M by BM, n in N by BN
    y[n, m] = x[m, n]
""",
    "gemm": """
kernel gemm[T in (f16, bf16, f32)](a: T[M, K], b: T[K, N]) -> (c: T[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    c[m, n] = acc
""",
    "gemm_bias": """
kernel gemm_bias[T in (f16, f32)](a: T[M, K], b: T[N, K], bias: T[N]) -> (c: T[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[n, k]
    c[m, n] = max(acc + bias[n], 0)
""",
    "attention": """
kernel attention[T in (f16, f32)](q: T[S, D], k: T[L, D], v: T[L, D]) -> (o: T[S, D]):
    where D <= 64
    grid i in S by BS
    span d in D
    var top: f32[i] = -inf
    var den: f32[i] = 0
    var acc: f32[i, d] = 0
    for j in L by BL:
        s = q[i, d] @ k[j, d] * 0.25
        new = max(top, max(s over j))
        p = exp(s - new)
        fix = exp(top - new)
        den = den * fix + sum(p over j)
        acc = acc * fix + T(p) @ v[j, d]
        top = new
    o[i, d] = acc / den
""",
}
SIZES = {"N": 37, "R": 19, "M": 41, "K": 50, "S": 35, "L": 45, "D": 24}
Array = npt.NDArray[Any]


def kernel_of(name: str, dtype: str = "f16") -> ir.Kernel:
    """Return the tile IR of a kernel for one element type, before any pass."""
    module = load_text(TEXTS[name], f"{name}.tile")
    kernel = instantiate(module, name, ir.Binding(types=(("T", DTYPES[dtype]),)))
    assert isinstance(kernel, ir.Kernel)
    return kernel


def program_of(
    kernel: ir.Kernel,
    chip: str = "ascend910b3",
    tile: int = 16,
    passes: Iterable[str] = tuple(PASSES),
    depths: Mapping[str, int] | None = None,
) -> Program:
    """Return its program with all tiles of one size."""
    kernel = run_passes(kernel, passes)
    soft = frozenset(kernel.tile_sizes)
    sizes = choose_tiles(kernel, load_chip(chip), dict.fromkeys(soft, tile), soft)
    return lower(kernel, load_chip(chip), Plan(sizes, depths=depths or {}))


def arrays_of(kernel: ir.Kernel, dims: Mapping[str, int], seed: int = 0) -> dict[str, Array]:
    """Return random inputs and poisoned outputs."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for tensor in kernel.tensors:
        shape = [int(evaluate(size, dims, {}, {})) for size in tensor.shape]
        if tensor.role != "in":
            whole = tensor.dtype.is_integer
            arrays[tensor.name] = np.full(shape, 90 if whole else np.nan).astype(tensor.dtype.numpy)
        elif tensor.dtype.is_integer:
            arrays[tensor.name] = rng.integers(-50, 50, shape).astype(tensor.dtype.numpy)
        else:
            arrays[tensor.name] = rng.standard_normal(shape).astype(tensor.dtype.numpy)
    return arrays


def simulated(
    kernel: ir.Kernel, program: Program, dims: Mapping[str, int], *, hazards: bool = True
) -> dict[str, Array]:
    """Return the outputs in f64 of a simulated run on random inputs."""
    arrays = arrays_of(kernel, dims)
    simulate(program, arrays, dims, {}, load_chip(program.chip), hazards=hazards)
    return {t.name: arrays[t.name].astype(np.float64) for t in kernel.outputs}


def tolerance(dtype: DType) -> float:
    """Return how far two orders of summing may differ, relative and absolute."""
    return {DType.F32: 2e-5, DType.F16: 4e-3, DType.BF16: 3e-2}.get(dtype, 0.0)
