"""From a kernel's text to its run on the host model, beside the oracle's."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.cuda.oracle import interpret
from tiledsl import gpu, ir
from tiledsl.backends import cuda
from tiledsl.check import instantiate, load_text
from tiledsl.gpu.program import Program
from tiledsl.runtime.cuda_host import run_cuda_host
from tiledsl.runtime.evaluate import evaluate
from tiledsl.types import DType

Array = npt.NDArray[Any]
SM80, SM90 = "cuda.sm80", "cuda.sm90"


@cache
def kernel_of(text: str) -> ir.Kernel:
    """Return the last kernel of ``text``; it has no generics."""
    module = load_text(text, "sample.tile")
    kernel = instantiate(module, list(module.kernels)[-1], ir.Binding())
    assert isinstance(kernel, ir.Kernel)
    return kernel


def tiles_for(kernel: ir.Kernel, size: int | None, target: str = SM80) -> dict[str, int]:
    """Return ``size`` for every tile size; None stands for the compiler's choice."""
    if size is None:
        return gpu.choose_tiles(kernel, target, {})
    return dict.fromkeys(kernel.tile_sizes, size)


@cache
def program_of(text: str, size: int | None, target: str = SM80) -> Program:
    """Return the program of a kernel."""
    kernel = kernel_of(text)
    return gpu.lower(kernel, tiles_for(kernel, size, target), target)


def source_of(text: str, size: int | None = 16, target: str = SM80) -> str:
    """Return the CUDA C++ of a kernel."""
    program = program_of(text, size, target)
    return cuda.emit(program)[f"{program.name}.cu"]


def both(
    text: str,
    size: int | None,
    dims: dict[str, int],
    scalars: dict[str, int] | None = None,
    inputs: dict[str, Any] | None = None,
    seed: int = 0,
) -> tuple[ir.Kernel, dict[str, Array], dict[str, Array]]:
    """Run a kernel on random arrays; return the arrays of the host model and of the oracle."""
    kernel, numbers = kernel_of(text), scalars or {}
    rng = np.random.default_rng(seed)
    arrays = {}
    for tensor in kernel.tensors:
        shape = [int(evaluate(s, dims, numbers, {})) for s in tensor.shape]
        make = (inputs or {}).get(tensor.name)
        array = make(rng, shape) if make else drawn(rng, tensor.dtype, shape)
        arrays[tensor.name] = np.ascontiguousarray(array.astype(tensor.dtype.numpy))
        if tensor.role == "out":
            start = 0 if tensor.initial is None else evaluate(tensor.initial, dims, numbers, {})
            arrays[tensor.name][...] = start
    for table in kernel.tables:
        shape = [int(evaluate(s, {}, {}, {})) for s in table.shape]
        arrays[table.name] = np.array(table.values, table.dtype.numpy).reshape(shape)
    want = {name: array.copy() for name, array in arrays.items()}
    interpret(kernel, tiles_for(kernel, size), want, dims, numbers)
    program = program_of(text, size)
    run_cuda_host(program, cuda.emit(program), arrays, dims, numbers, seed=seed)
    return kernel, arrays, want


def drawn(rng: np.random.Generator, dtype: DType, shape: list[int]) -> Array:
    """Return random elements."""
    if dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.is_integer:
        return rng.integers(-5 if dtype.is_signed else 0, 6, shape).astype(dtype.numpy)
    return rng.standard_normal(shape).astype(dtype.numpy)


def assert_close(got: Array, want: Array, dtype: DType, name: str) -> None:
    """Compare as the type allows; sums may have run in another order."""
    if not dtype.is_float:
        np.testing.assert_array_equal(got, want, name)
        return
    loose = {DType.F16: 4e-3, DType.BF16: 3e-2}.get(dtype, 2e-5)
    loose = 0.13 if dtype.bits == 8 else loose
    wide = want.astype(np.float64)
    scale = max(1.0, float(np.max(np.abs(wide[np.isfinite(wide)]), initial=0)))
    np.testing.assert_allclose(
        got.astype(np.float64), wide, rtol=loose, atol=loose * scale, err_msg=name
    )
