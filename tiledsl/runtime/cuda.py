"""Running a CUDA kernel on a GPU: built by nvcc, called through ctypes."""

import ctypes
import shutil
from collections.abc import Mapping

from tiledsl.backends.cuda import header
from tiledsl.gpu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.runtime.cuda_library import build, call, explain
from tiledsl.runtime.errors import DeviceError
from tiledsl.runtime.evaluate import Number

MEMORY = "tiledsl_memory.cuh"
_CUDA = 1000  # what a launcher adds to an error of CUDA


def run_cuda(
    program: Program,
    files: Mapping[str, str],
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
) -> None:
    """Run in place on ``arrays``; they are copied to the GPU, and what is written comes back."""
    library = gpu_library(program, files)
    if library["tdsl_devices"]() < 1:
        raise DeviceError(f"{program.name}: there is no GPU that CUDA can use here")
    there: dict[str, ctypes.c_void_p] = {}
    try:
        for param in program.tensors:
            there[param.tensor.name] = _copy_in(library, arrays[param.tensor.name])
        pointers = {name: pointer.value for name, pointer in there.items()}
        _start(library, program, pointers, dims, scalars, None)
        _demand(library, library["tdsl_wait"]())
        for param in program.tensors:
            if param.written:
                array = arrays[param.tensor.name]
                to = ctypes.c_void_p(array.ctypes.data)
                size = ctypes.c_size_t(array.nbytes)
                source = there[param.tensor.name]
                _demand(library, library["tdsl_from_device"](to, source, size))
    finally:
        for pointer in there.values():
            library["tdsl_release"](pointer)


def launch_cuda(
    program: Program,
    files: Mapping[str, str],
    pointers: Mapping[str, int],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    stream: int,
) -> None:
    """Start on a stream, on tensors that lie in the memory of the GPU; do not wait for the end."""
    _start(gpu_library(program, files), program, pointers, dims, scalars, stream)


def gpu_library(program: Program, files: Mapping[str, str]) -> ctypes.CDLL:
    """Return the kernel compiled by nvcc."""
    if shutil.which("nvcc") is None:
        raise DeviceError("nvcc is needed to build for a GPU, and is not on the PATH")
    source, arch = f"{program.name}.cu", program.target.arch
    sources = {n: t for n, t in files.items() if n == source or n.endswith(".cuh")}
    sources[MEMORY] = header(MEMORY)
    command = (
        "nvcc", "-std=c++17", "-O3", "-shared", "-Xcompiler", "-fPIC",
        "-gencode", f"arch=compute_{arch},code=[sm_{arch},compute_{arch}]",
        "-include", MEMORY, source,
    )  # fmt: skip
    return build(program.name, sources, command, "cuda")


def _start(
    library: ctypes.CDLL,
    program: Program,
    pointers: Mapping[str, int | None],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    stream: int | None,
) -> None:
    entry, last = f"tiledsl_{program.name}", ctypes.c_void_p(stream)
    code = call(library, entry, program, pointers, dims, scalars, last)
    if 0 < code < _CUDA:
        raise DeviceError(f"{program.name}: refused: {explain(library, program, code)}")
    _demand(library, code - _CUDA if code else 0)


def _copy_in(library: ctypes.CDLL, array: Array) -> ctypes.c_void_p:
    pointer = ctypes.c_void_p()
    size = ctypes.c_size_t(array.nbytes)
    _demand(library, library["tdsl_allocate"](ctypes.byref(pointer), size))
    source = ctypes.c_void_p(array.ctypes.data)
    code = library["tdsl_to_device"](pointer, source, size)
    if code:
        library["tdsl_release"](pointer)
    _demand(library, code)
    return pointer


def _demand(library: ctypes.CDLL, code: int) -> None:
    if code:
        words = library["tdsl_error"]
        words.restype = ctypes.c_char_p
        raise DeviceError(f"CUDA: {words(code).decode()}")
