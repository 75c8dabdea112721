"""The places where a compiled kernel can run."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tiledsl.diagnostics import Diagnostic
from tiledsl.ir import Kernel, OpGraph
from tiledsl.ops.registry import Array
from tiledsl.runtime.errors import ArgumentError, AssertionFailedError, DeviceError
from tiledsl.runtime.evaluate import Number, evaluate
from tiledsl.runtime.launch import Launch
from tiledsl.runtime.packing import packed

if TYPE_CHECKING:
    from tiledsl.gpu.program import Program as GpuProgram
    from tiledsl.npu.program import Program as NpuProgram

# A device and the target that it runs when none is named.
DEVICES = {
    "sim": "ascend910b3",
    "ascend-host": "ascend910b3",
    "cuda-host": "cuda.sm80",
    "cuda": "cuda.sm80",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A kernel with its tile sizes, lowered for one target.

    ``cores`` and ``bypass`` are what its schedule says about the launch: how many blocks at most,
    and which tensors L2 is not to keep; ``warnings`` which of its directives have no effect.
    """

    kernel: Kernel = field(repr=False)
    target: str
    tiles: Mapping[str, int]
    program: "NpuProgram | GpuProgram" = field(repr=False)
    cores: int | None = None
    bypass: frozenset[str] = frozenset()
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Parted:
    """A kernel as it is launched on one target: itself, or the op of its parts.

    ``warnings`` are the directives that were to cut it and do not.
    """

    graph: Kernel | OpGraph
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """What a device tells of one kernel's run; ``moved`` are bytes from and to global memory."""

    kernel: str
    cycles: int | None
    microseconds: float | None
    report: str
    moved: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a compiled kernel, in place on ``arrays``; ``files`` renders its sources.

    ``fill`` poisons the outputs, but those named, before anything is computed.
    """

    compiled: Compiled
    arrays: dict[str, Array]
    dims: Mapping[str, int]
    scalars: Mapping[str, Number]
    files: Callable[[], dict[str, str]]
    fill: Callable[[Collection[str]], None]
    hazards: bool


def target_of(device: str, chip: str | None) -> str:
    """Return the target to build for; an `ArgumentError` where the device cannot run it."""
    if device not in DEVICES:
        raise ArgumentError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}")
    target = chip or DEVICES[device]
    if target.startswith("cuda.") != device.startswith("cuda"):
        raise ArgumentError(f"chip: {device} runs no {target}")
    return target


def run_on(
    device: str,
    compiled: Compiled,
    launch: Launch,
    emit: Callable[[Compiled], dict[str, str]],
    *,
    hazards: bool = False,
) -> Run:
    """Run on the arrays of ``launch``, in place."""
    kernel = compiled.kernel
    if device != "sim" or any(t.dtype.bits < 8 for t in kernel.outputs):
        launch.fill()
    with packed(kernel, launch.arrays | tables_of(kernel)) as arrays:
        job = Job(
            compiled, arrays, launch.dims, launch.scalars, lambda: emit(compiled), launch.fill,
            hazards=hazards,
        )  # fmt: skip
        return _RUNNERS[device](job)


def tables_of(kernel: Kernel) -> dict[str, Array]:
    """Return the constant tensors that the kernel reads."""
    found: dict[str, Array] = {}
    for table in kernel.tables:
        shape = tuple(int(evaluate(size, {}, {}, {})) for size in table.shape)
        found[table.name] = np.array(table.values, table.dtype.numpy).reshape(shape)
    return found


def _simulate(job: Job) -> Run:
    from tiledsl.chips import load
    from tiledsl.npu.program import Program
    from tiledsl.simulator import simulate
    from tiledsl.simulator.core import DeadlockError, FailedAssertionError
    from tiledsl.simulator.hazards import HazardError
    from tiledsl.simulator.lanes import OutOfPlaceError

    program = job.compiled.program
    assert isinstance(program, Program)
    chip = load(job.compiled.target)
    name = job.compiled.kernel.name
    try:
        result = simulate(
            program, job.arrays, job.dims, job.scalars, chip, hazards=job.hazards,
            cores=job.compiled.cores, bypass=job.compiled.bypass, fill=job.fill,
        )  # fmt: skip
    except FailedAssertionError as fault:
        raise AssertionFailedError(f"{name}: {fault}") from None
    except (DeadlockError, HazardError, OutOfPlaceError) as fault:
        raise DeviceError(f"{name}: {fault}") from fault
    moved = sum(size for path, size in result.timing.moved.items() if "GM" in path)
    cycles, time = round(result.cycles), float(result.microseconds)
    return Run(name, cycles, time, result.report(), round(moved))


def _ascend_host(job: Job) -> Run:
    from tiledsl.chips import load
    from tiledsl.npu.program import Program
    from tiledsl.runtime.ascend_host import run_ascend_host

    program = job.compiled.program
    assert isinstance(program, Program)
    chip = load(job.compiled.target)
    cores = chip.cube_cores if program.mixed else chip.vector_cores
    run_ascend_host(program, job.files(), job.arrays, job.dims, job.scalars, cores=cores)
    return _silent(job, "ascend-host")


def _cuda_host(job: Job) -> Run:
    from tiledsl.gpu.program import Program
    from tiledsl.runtime.cuda_host import run_cuda_host

    program = job.compiled.program
    assert isinstance(program, Program)
    run_cuda_host(program, job.files(), job.arrays, job.dims, job.scalars)
    return _silent(job, "cuda-host")


def _cuda(job: Job) -> Run:
    from tiledsl.gpu.program import Program
    from tiledsl.runtime.cuda import run_cuda

    program = job.compiled.program
    assert isinstance(program, Program)
    run_cuda(program, job.files(), job.arrays, job.dims, job.scalars)
    return _silent(job, "cuda")


def _silent(job: Job, device: str) -> Run:
    name = job.compiled.kernel.name
    return Run(name, None, None, f"{name}: ran on {device}, built for {job.compiled.target}\n")


_RUNNERS: dict[str, Callable[[Job], Run]] = {
    "sim": _simulate,
    "ascend-host": _ascend_host,
    "cuda-host": _cuda_host,
    "cuda": _cuda,
}
