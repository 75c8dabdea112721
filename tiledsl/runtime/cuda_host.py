"""Running a CUDA kernel on the CPU, in the model of a GPU."""

import ctypes
import threading
from collections.abc import Mapping

from tiledsl.backends.cuda import HOST_HEADER, header
from tiledsl.gpu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.runtime.cuda_library import build, call, explain
from tiledsl.runtime.errors import TRAP, AssertionFailedError, DeviceError
from tiledsl.runtime.evaluate import Number

FAULT = 2000  # the launcher's code where the model found a fault

# A library holds the state of one launch.
_one_launch = threading.Lock()


def run_cuda_host(
    program: Program,
    files: Mapping[str, str],
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    *,
    seed: int = 0,
) -> None:
    """Run in place on ``arrays``; raise `DeviceError` where the model finds a fault.

    ``seed`` shuffles the order in which threads run.
    """
    library = host_library(program, files)
    pointers = {name: array.ctypes.data for name, array in arrays.items()}
    entry = f"tiledsl_{program.name}_host"
    with _one_launch:
        code = call(library, entry, program, pointers, dims, scalars, ctypes.c_uint64(seed))
        message = library["tiledsl_host_message"]
        message.restype = ctypes.c_char_p
        fault = message()
    if code == FAULT:
        text = fault.decode(errors="replace")
        failed = text.startswith(TRAP)
        kind = AssertionFailedError if failed else DeviceError
        raise kind(f"{program.name}: {text.removeprefix(TRAP)}")
    if code:
        raise DeviceError(f"{program.name}: refused: {explain(library, program, code)}")


def host_library(program: Program, files: Mapping[str, str]) -> ctypes.CDLL:
    """Return the kernel compiled by g++ against the host model."""
    source = f"{program.name}.cu"
    sources = {n: t for n, t in files.items() if n == source or n.endswith(".cuh")}
    sources[HOST_HEADER] = header(HOST_HEADER)
    command = (
        "g++", "-std=c++17", "-O1", "-fwrapv", "-fno-strict-aliasing", "-shared", "-fPIC",
        "-DTDSL_HOST", "-x", "c++", source,
    )  # fmt: skip
    return build(program.name, sources, command, "cuda-host")
