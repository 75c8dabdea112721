"""Hand-made NPU programs, run as emitted Ascend C on the model of the instructions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np

from tiledsl.backends import ascend
from tiledsl.npu import program as npu
from tiledsl.npu.program import Barrier, Core, CoreProgram, Memory, Queue, Ref, SetFlag, WaitFlag
from tiledsl.ops.registry import Array
from tiledsl.runtime.ascend_host import run_ascend_host
from tiledsl.scalar import Dim, Scalar, Tensor, integer, mul
from tiledsl.types import DTYPES, DType

N = Dim("N")


def dtype_of(array: Array) -> DType:
    """Return the element type of an array."""
    return next(d for d in DTYPES.values() if d.bits >= 8 and d.numpy == array.dtype)


@dataclass
class Bench:
    """Builds a program around a few steps: buffers one after the other, flags where queues meet."""

    core: Core = Core.VECTOR
    top: dict[Memory, int] = field(default_factory=dict)
    buffers: list[npu.Buffer] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)

    def buffer(
        self, name: str, elements: int, dtype: DType, memory: Memory = Memory.UB, slots: int = 1
    ) -> Ref:
        """Return the first element of a new buffer with room for whole repeats."""
        size = -(-elements * dtype.size // 1024) * 1024
        start = self.top.get(memory, 0)
        self.top[memory] = start + size * slots
        made = npu.Buffer(name, memory, start, size, slots)
        self.buffers.append(made)
        return Ref(made, dtype)

    def tensor(self, name: str, dtype: DType, *shape: Scalar, role: str = "in") -> Tensor:
        """Return a new argument."""
        made = Tensor(name, dtype, shape, role=role)  # type: ignore[arg-type]
        self.tensors.append(made)
        return made

    def program(self, body: Sequence[npu.Step], dims: Sequence[str], **more: object) -> npu.Program:
        """Return the program of one block."""
        core = CoreProgram(self.core, tuple(self.buffers), tuple(body))
        fields: dict[str, object] = {
            "name": "sample", "chip": "ascend910b3", "tensors": tuple(self.tensors), "scalars": (),
            "dims": tuple(dims), "programs": integer(1), "cores": (core,),
        }  # fmt: skip
        return npu.Program(**(fields | more))  # type: ignore[arg-type]


def run(
    program: npu.Program,
    arrays: dict[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, int | float | bool] | None = None,
    *,
    cores: int = 1,
    seed: int = 0,
) -> None:
    """Emit, compile and run, in place."""
    files = ascend.emit(program)
    run_ascend_host(program, files, arrays, dims, scalars or {}, cores=cores, seed=seed)


def hand_over(src: Queue, dst: Queue) -> tuple[npu.Step, npu.Step]:
    """Return a flag and the wait for it."""
    return SetFlag(src, dst, integer(0)), WaitFlag(src, dst, integer(0))


Flat = Callable[[Sequence[Ref], Ref], Sequence[npu.Step]]


def flat_program(
    operations: Sequence[Flat], sources: Sequence[DType], result: DType, room: int
) -> npu.Program:
    """Return a program that does each operation on the same N elements, into rows of ``out``."""
    bench = Bench()
    refs = [bench.buffer(f"source_{i}", room, d) for i, d in enumerate(sources)]
    out = bench.buffer("result", room, result)
    ins = [bench.tensor(f"in_{i}", d, N) for i, d in enumerate(sources)]
    to = bench.tensor("out", result, integer(len(operations)), N, role="out")
    body: list[npu.Step] = [
        npu.CopyIn(r, npu.Global(t), (), (), (), N) for r, t in zip(refs, ins, strict=True)
    ]
    body += hand_over(Queue.MTE2, Queue.V)
    for number, operation in enumerate(operations):
        for step in operation(refs, out):
            body += [step, Barrier(Queue.V)]
        body += hand_over(Queue.V, Queue.MTE3)
        body.append(npu.CopyOut(npu.Global(to, mul(N, number)), out, (), (), (), N))
        body += hand_over(Queue.MTE3, Queue.V)
    return bench.program(body, ["N"])


def run_flat(program: npu.Program, sources: Sequence[Array], result: DType, count: int) -> Array:
    """Return the rows of ``out``."""
    arrays = {f"in_{i}": np.ascontiguousarray(a) for i, a in enumerate(sources)}
    rows = int(program.tensors[-1].shape[0].value)  # type: ignore[union-attr]
    out = np.zeros((rows, count), result.numpy)
    run(program, arrays | {"out": out}, {"N": count})
    return out


def random(dtype: DType, *shape: int, seed: int = 0) -> Array:
    """Return numbers that every type holds and no product of which overflows."""
    rng = np.random.default_rng(seed)
    if dtype.is_float:
        return np.asarray(rng.uniform(-4, 4, shape).astype(dtype.numpy))
    return np.asarray(
        rng.integers(0 if not dtype.is_signed else -90, 90, shape).astype(dtype.numpy)
    )


def same(got: Array, want: Array, tolerance: float = 0.0) -> None:
    """Check that two arrays agree; NaN equals NaN."""
    narrow = (ml_dtypes.bfloat16, np.float16)
    if got.dtype in narrow:
        got, want = got.astype(np.float32), want.astype(np.float32)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
