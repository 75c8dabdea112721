"""Run emitted Ascend C on the CPU, on the project's own model of the instructions."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from tiledsl.backends import ascend
from tiledsl.backends.ascend.view import KernelWords
from tiledsl.backends.backend import cache_directory
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.runtime.errors import TRAP, AssertionFailedError, DeviceError
from tiledsl.runtime.evaluate import Number, Unknown, evaluate
from tiledsl.scalar import Element, Tensor, walk

HOST = ascend.HERE / "host"
_MODEL_SOURCES = ("model.cpp", "vector.cpp", "rows.cpp", "cube.cpp", "unified.cpp")
_MODEL_HEADERS = ("model.h", "state.h")
_FLAGS = ("-std=c++17", "-fPIC", "-shared", "-fwrapv", "-ffp-contract=off", "-w")
_POISON = 0xFF
_MESSAGE_BYTES = 5000


def run_ascend_host(
    program: Program,
    files: Mapping[str, str],
    arrays: dict[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    *,
    cores: int,
    seed: int = 0,
) -> None:
    """Run ``program``, in place on ``arrays``, on a chip of ``cores`` cores.

    ``files`` are what `backends.ascend.emit` gave for it. ``seed`` chooses the order in which
    queues that no flag orders get on. Raises `DeviceError` with what the model found wrong.
    """
    words = ascend.view(program)
    library = _load(program.name, _build(words, files))
    pointers, kept = _pointers(program, arrays, dims, scalars)
    blocks = _blocks(program, arrays, dims, scalars, cores)
    workspace = np.full(blocks * words.block_bytes + 512, _POISON, np.uint8)
    tiling = _tiling(program, words, dims, scalars)
    message = ctypes.create_string_buffer(_MESSAGE_BYTES)
    status = library.tiledsl_run(
        pointers, ctypes.byref(tiling), ctypes.c_void_p(workspace.ctypes.data),
        ctypes.c_int(blocks), ctypes.c_uint(seed), message, ctypes.c_int(_MESSAGE_BYTES),
    )  # fmt: skip
    del kept
    if status != 0:
        text = message.value.decode(errors="replace")
        failed = text.startswith(TRAP)
        kind = AssertionFailedError if failed else DeviceError
        raise kind(f"{program.name}: {text.removeprefix(TRAP)}")


# ---- arguments ----------------------------------------------------------------------------------


def _pointers(
    program: Program,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
) -> tuple[ctypes.Array[ctypes.c_void_p], list[Array]]:
    """Return the addresses of the tensors, and what must live as long as they are used."""
    kept = [_array(tensor, arrays, dims, scalars) for tensor in program.tensors]
    addresses = (ctypes.c_void_p * max(len(kept), 1))(*(a.ctypes.data for a in kept))
    return addresses, kept


def _array(
    tensor: Tensor,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
) -> Array:
    found = arrays.get(tensor.name)
    if found is None and tensor.role == "table":
        found = np.array(tensor.values, tensor.dtype.numpy)
    assert found is not None, tensor.name
    assert found.flags.c_contiguous, tensor.name
    size = 1
    for extent in tensor.shape:
        size *= int(evaluate(extent, dims, scalars, arrays))
    assert (size, tensor.dtype.numpy) == (found.size, found.dtype), tensor.name
    return found


def _blocks(
    program: Program,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    cores: int,
) -> int:
    cores = min(cores, program.most_blocks or cores)
    if any(isinstance(part, Element) for part in walk(program.programs)):
        return cores
    try:
        programs = int(evaluate(program.programs, dims, scalars, arrays))
    except Unknown as name:
        raise DeviceError(f"{program.name}: the dim {name} is not known") from None
    return max(1, min(programs, cores))


def _tiling(
    program: Program, words: KernelWords, dims: Mapping[str, int], scalars: Mapping[str, Number]
) -> ctypes.Structure:
    """Return the structure of `NAME_tiling.h`; the entry fills what the host computes."""
    types = {"int64_t": ctypes.c_int64, "float": ctypes.c_float}
    fields = [(f"f{i}", types[f.member_type]) for i, f in enumerate(words.fields)]
    layout = type("Tiling", (ctypes.Structure,), {"_fields_": fields or [("none", ctypes.c_int64)]})
    values: list[Number] = [int(dims[name]) for name in program.dims]
    values += [
        float(scalars[name]) if dtype.is_float else int(scalars[name])
        for name, dtype in program.scalars
    ]
    structure: ctypes.Structure = layout(*values)
    return structure


# ---- building -----------------------------------------------------------------------------------


@cache
def _load(name: str, path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as why:
        raise DeviceError(f"{name}: {why}") from None


def _build(words: KernelWords, files: Mapping[str, str]) -> Path:
    """Return the shared library of the kernel, compiled unless it is in the cache."""
    entry = ascend.host_entry(words)
    model = _model()
    headers = ascend.headers(words)
    needed = {n: files[n] for n in (f"{words.name}.cpp", f"{words.name}_tiling.h", *headers)}
    texts = "\0".join((entry, *needed.values(), _headers(), str(model)))
    target = _folder() / f"{words.name}-{_digest(texts)}.so"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=_folder()) as temporary:
        folder = Path(temporary)
        for name, text in (*needed.items(), ("run.cpp", entry)):
            (folder / name).write_text(text)
        made = folder / "kernel.so"
        options = ("-O0", f"-I{HOST}", f"-I{folder}", "-Wl,-rpath," + str(model.parent))
        _compile([*options, "-o", str(made), str(folder / "run.cpp"), str(model)])
        os.replace(made, target)
    return target


@cache
def _model() -> Path:
    """Return the library of the model itself, compiled once for each kind of CPU."""
    sources = "\0".join((HOST / name).read_text() for name in (*_MODEL_SOURCES, *_MODEL_HEADERS))
    target = _folder() / f"model-{_digest(sources + _cpu())}.so"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=_folder()) as temporary:
        made = Path(temporary) / target.name
        options = ["-O2", "-march=native", f"-Wl,-soname,{target.name}"]
        _compile([*options, "-o", str(made), *(str(HOST / name) for name in _MODEL_SOURCES)])
        os.replace(made, target)
    return target


def _compile(arguments: list[str]) -> None:
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise DeviceError("no g++ was found: set CXX, or install it, to run Ascend C on the CPU")
    done = subprocess.run([compiler, *_FLAGS, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr]
        raise DeviceError("the emitted Ascend C does not compile:\n" + "\n".join(errors[:10]))


@cache
def _headers() -> str:
    return (HOST / "kernel_operator.h").read_text() + (HOST / "model.h").read_text()


@cache
def _folder() -> Path:
    found = cache_directory("ascend-host")
    return found or Path(tempfile.mkdtemp(prefix="tiledsl-ascend-host-"))


@cache
def _cpu() -> str:
    """Return what tells this kind of CPU from others: the model is compiled for it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return platform.machine() + next((x for x in lines if x.startswith(("flags", "Features"))), "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
