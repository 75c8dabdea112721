"""Wrong programs: the model names the instruction and the rule, or the result is wrong."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.ascend.harness import Bench, N, hand_over, random, run, same
from tiledsl.npu import program as npu
from tiledsl.npu.program import (
    Barrier,
    Core,
    CoreProgram,
    Memory,
    Queue,
    Ref,
    SetFlag,
    View,
    WaitFlag,
)
from tiledsl.ops.registry import Array
from tiledsl.runtime.errors import DeviceError
from tiledsl.scalar import Literal, Local, Scalar, add, integer, mul, sub
from tiledsl.types import DType

F32, F16, U8 = DType.F32, DType.F16, DType.U8
ONE = integer(1)
LOAD, STORE = hand_over(Queue.MTE2, Queue.V), hand_over(Queue.V, Queue.MTE3)
BARRIER = Barrier(Queue.V)


class Double:
    """``y = x + x`` on N elements, to be spoilt."""

    def __init__(self, room: int = 512, dtype: DType = F32) -> None:
        self.bench = Bench()
        self.a = self.bench.buffer("a", room, dtype)
        self.b = self.bench.buffer("b", room, dtype)
        self.x = self.bench.tensor("x", dtype, N)
        self.y = self.bench.tensor("y", dtype, N, role="out")
        self.copy_in = npu.CopyIn(self.a, npu.Global(self.x), (), (), (), N)
        self.work = npu.Binary(
            op="add", dst=View(self.b), a=View(self.a), b=View(self.a), rows=ONE, cols=N
        )
        self.copy_out = npu.CopyOut(npu.Global(self.y), self.b, (), (), (), N)

    def run(
        self, steps: Sequence[npu.Step], count: int = 100, seed: int = 0
    ) -> tuple[Array, Array]:
        """Return what was asked for and what came."""
        x, y = random(self.x.dtype, count), np.zeros(count, self.x.dtype.numpy)
        run(self.bench.program(steps, ["N"]), {"x": x, "y": y}, {"N": count}, seed=seed)
        return x + x, y


def refused(why: str, case: Double, steps: Sequence[npu.Step], count: int = 100) -> None:
    with pytest.raises(DeviceError, match=why):
        case.run(steps, count)


def test_the_program_itself_is_right() -> None:
    d = Double()
    for seed in range(5):
        want, got = d.run([d.copy_in, *LOAD, d.work, *STORE, d.copy_out], seed=seed)
        same(got, want)


def test_a_missing_flag_is_named() -> None:
    d = Double()
    refused(
        "Add: src0 .* written by MTE2, and no flag MTE2_V",
        d,
        [d.copy_in, d.work, *STORE, d.copy_out],
    )
    refused(
        "DataCopyPad: src .* written by V, and no flag V_MTE3",
        d,
        [d.copy_in, *LOAD, d.work, d.copy_out],
    )
    again = [d.copy_in, *LOAD, d.work, d.copy_in, *STORE, d.copy_out]
    refused("DataCopyPad: dst .* read by V, and no flag V_MTE2", d, again)


def test_a_missing_barrier_is_named() -> None:
    d = Double()
    more = npu.Unary(op="exp", dst=d.b, src=d.b, count=N)
    steps = [d.copy_in, *LOAD, d.work, more, *STORE, d.copy_out]
    refused(r"Exp: src0 .* PipeBarrier<PIPE_V> is missing", d, steps)


def test_a_flag_orders_all_that_came_before_it() -> None:
    # MTE3 need not wait for MTE2 itself: V has.
    d = Double()
    out = replace(d.copy_out, src=d.a)
    _, got = d.run([d.copy_in, *LOAD, d.work, *STORE, out])
    assert got.any()


def test_alignment() -> None:
    d = Double()
    odd = replace(d.work, dst=View(Ref(d.b.buffer, F32, ONE)))
    refused(
        "Add: dst at UB byte 2052 is not aligned to 32",
        d,
        [d.copy_in, *LOAD, odd, *STORE, d.copy_out],
    )


def test_buffers_end() -> None:
    d = Double()
    refused("DataCopyPad: dst takes UB bytes 0 to 4000, its buffer has 0 to 2048", d,
            [d.copy_in, *LOAD, d.work, *STORE, d.copy_out], 1000)  # fmt: skip


def test_tensors_end() -> None:
    d = Double()
    beyond = replace(d.copy_in, src=npu.Global(d.x, integer(8)))
    refused("DataCopyPad: src takes bytes 32 to 432 of a tensor of 400", d, [beyond, *LOAD])
    before = replace(d.copy_in, src=npu.Global(d.x, sub(integer(0), ONE)))
    refused("DataCopyPad: src takes bytes -4", d, [before, *LOAD])


def test_overlapping_operands() -> None:
    d = Double()
    shifted = replace(d.work, dst=View(Ref(d.a.buffer, F32, integer(8))))
    refused("Add: operands overlap, and not exactly", d, [d.copy_in, *LOAD, shifted])
    steps = [d.copy_in, *LOAD, replace(d.work, dst=View(d.a)), *STORE, replace(d.copy_out, src=d.a)]
    want, got = d.run(steps)
    same(got, want)


def test_events_are_set_and_waited_for_in_turn() -> None:
    d = Double()
    flag, wait = LOAD
    refused("SetFlag<MTE2_V>: event 0 is set already", d, [d.copy_in, flag, flag, wait])
    refused("WaitFlag<MTE2_V>: event 0 is not set", d, [d.copy_in, wait])
    refused("SetFlag<MTE2_V>: event 0 is still set at the end", d, [d.copy_in, flag])
    refused("event ids are 0 to 7", d, [SetFlag(Queue.MTE2, Queue.V, integer(8))])


def test_select_keeps_the_top_of_ub() -> None:
    bench = Bench()
    a, b = bench.buffer("a", 23 * 1024, F32), bench.buffer("b", 24 * 1024, F32)
    mask = Ref(npu.Buffer("mask", Memory.UB, 1024, 1024), U8)
    bench.buffers.append(mask.buffer)
    select = npu.Select(dst=a, mask=mask, a=a, b=Literal(0.0, F32), count=integer(64))
    fill = npu.Fill(
        dst=Ref(b.buffer, F32, integer(23 * 1024 + 512)), value=Literal(1.0, F32), count=integer(64)
    )
    with pytest.raises(DeviceError, match="Select: its modes 1 and 2 keep UB from 184 KB"):
        run(bench.program([select, BARRIER, fill], []), {}, {})


def test_a_missing_flag_through_global_memory_shows_in_the_result() -> None:
    # y = x, read back from y: MTE2 must wait for MTE3.
    bench = Bench()
    a, b = bench.buffer("a", 512, F32), bench.buffer("b", 512, F32)
    x, y = bench.tensor("x", F32, N), bench.tensor("y", F32, N, role="inout")
    z = bench.tensor("z", F32, N, role="out")
    first = [
        npu.CopyIn(a, npu.Global(x), (), (), (), N), *hand_over(Queue.MTE2, Queue.MTE3),
        npu.CopyOut(npu.Global(y), a, (), (), (), N),
    ]  # fmt: skip
    second = [
        npu.CopyIn(b, npu.Global(y), (), (), (), N), *hand_over(Queue.MTE2, Queue.MTE3),
        npu.CopyOut(npu.Global(z), b, (), (), (), N),
    ]  # fmt: skip
    flag = hand_over(Queue.MTE3, Queue.MTE2)
    for steps, right in (([*first, *flag, *second], True), ([*first, *second], False)):
        results = []
        for seed in range(12):
            v, got = random(F32, 200), np.zeros(200, np.float32)
            arrays = {"x": v, "y": np.zeros(200, np.float32), "z": got}
            run(bench.program(steps, ["N"]), arrays, {"N": 200}, seed=seed)
            results.append(np.array_equal(got, v))
        assert all(results) is right


# ---- two kinds of cores -------------------------------------------------------------------------

ROWS = 32


def mixed(
    *, vector_waits: bool = True, cube_sets: bool = True, ring: bool = True, tiles: int = 6
) -> npu.Program:
    """Return ``y[t] = 2 * (a[t] @ b)`` for tiles of 32 x 16, handed over through one slot."""
    cube, vector = Bench(Core.CUBE), Bench(Core.VECTOR)
    k, n, rows = integer(16), integer(16), integer(ROWS)
    a = cube.tensor("a", F16, mul(rows, tiles), k)
    b = cube.tensor("b", F16, k, n)
    y = cube.tensor("y", F32, mul(rows, tiles), n, role="out")
    a1, b1 = cube.buffer("a1", 512, F16, Memory.L1), cube.buffer("b1", 256, F16, Memory.L1)
    a0, b0 = cube.buffer("a0", 512, F16, Memory.L0A), cube.buffer("b0", 256, F16, Memory.L0B)
    c0 = cube.buffer("c0", 512, F32, Memory.L0C)
    handed = npu.Workspace("handed", F32, ROWS * 16, 1)
    tile = Local("tile")
    made = [
        npu.LoadNz(a1, npu.Global(a, mul(tile, ROWS * 16)), rows, k, k, rows),
        npu.LoadNz(b1, npu.Global(b), k, n, n, k),
        *hand_over(Queue.MTE2, Queue.MTE1),
        npu.LoadA(a0, a1, rows, k, rows), npu.LoadB(b0, b1, k, n, k),
        *hand_over(Queue.MTE1, Queue.M),
        npu.Mmad(c0, a0, b0, rows, n, k, Literal(True, DType.BOOL)),
        *hand_over(Queue.M, Queue.FIXP),
        *([npu.CrossWait(1, Queue.FIXP)] if ring else []),
        npu.Fixpipe(npu.Global(handed), c0, rows, n, n, F32),
        *([npu.CrossSet(0, Queue.FIXP)] if cube_sets else []),
        *hand_over(Queue.FIXP, Queue.MTE2),
    ]  # fmt: skip
    t = vector.buffer("t", ROWS * 8, F32)
    half = integer(ROWS * 8)
    start: Scalar = mul(Local("sub"), ROWS * 8)
    used = [
        *([npu.CrossWait(0, Queue.MTE2)] if vector_waits else []),
        npu.CopyIn(t, npu.Global(handed, start), (), (), (), half),
        *([npu.CrossSet(1, Queue.MTE2)] if ring else []),
        *hand_over(Queue.MTE2, Queue.V),
        npu.WithScalar(op="mul", dst=t, src=t, scalar=Literal(2.0, F32), count=half),
        *hand_over(Queue.V, Queue.MTE3),
        npu.CopyOut(npu.Global(y, add(mul(tile, ROWS * 16), start)), t, (), (), (), half),
        *hand_over(Queue.MTE3, Queue.MTE2),
    ]  # fmt: skip
    loops = [
        npu.For("tile", Local("block"), integer(tiles), Local("blocks"), tuple(steps))
        for steps in (made, used)
    ]
    first = [npu.CrossSet(1, Queue.MTE2)] if ring else []
    last = [npu.CrossWait(1, Queue.FIXP)] if ring else []
    cores = (
        CoreProgram(Core.CUBE, tuple(cube.buffers), (loops[0], *last)),
        CoreProgram(Core.VECTOR, tuple(vector.buffers), (*first, loops[1])),
    )
    return cube.program((), (), cores=cores, workspaces=(handed,), programs=integer(tiles))


def run_mixed(program: npu.Program, cores: int, seed: int) -> bool:
    a, b = random(F16, 6 * ROWS, 16), random(F16, 16, 16, seed=1)
    got = np.zeros((6 * ROWS, 16), np.float32)
    run(program, {"a": a, "b": b, "y": got}, {}, cores=cores, seed=seed)
    return bool(np.allclose(got, 2 * (a.astype(np.float32) @ b.astype(np.float32)), atol=1e-4))


def test_a_mixed_kernel() -> None:
    program = mixed()
    assert all(run_mixed(program, cores, seed) for cores in (1, 4) for seed in range(8))


def test_a_missing_cross_core_flag_shows_in_the_result() -> None:
    program = mixed(vector_waits=False, cube_sets=False)
    assert not all(run_mixed(program, 1, seed) for seed in range(8))
    assert not all(run_mixed(mixed(ring=False), 1, seed) for seed in range(8))


def test_a_flag_that_nobody_raises_is_a_deadlock() -> None:
    with pytest.raises(
        DeviceError, match=r"deadlock: .*vector core 0 MTE2 waits for cross-core flag 0"
    ):
        run_mixed(mixed(cube_sets=False), 1, 0)


def test_a_flag_that_nobody_waits_for() -> None:
    with pytest.raises(DeviceError, match="flag 0 is still raised at the end"):
        run_mixed(mixed(vector_waits=False), 1, 0)


def test_a_scalar_that_depends_on_the_other_core() -> None:
    """Issuing stops at a read; the other cores go on meanwhile."""
    program = mixed(tiles=1)
    cube, vector = program.cores
    loop = vector.body[-1]
    assert isinstance(loop, npu.For)
    t = next(b for b in vector.buffers if b.name == "t")
    read: list[npu.Step] = [
        *hand_over(Queue.V, Queue.S), npu.ReadScalar("seen", Ref(t, F32)),
        *hand_over(Queue.S, Queue.V),
        npu.Fill(Ref(t, F32), Local("seen", F32), integer(ROWS * 8)), BARRIER,
    ]  # fmt: skip
    at = next(i for i, s in enumerate(loop.body) if isinstance(s, npu.WithScalar)) + 1
    body = (*loop.body[:at], *read, *loop.body[at:])
    changed = replace(vector, body=(*vector.body[:-1], replace(loop, body=body)))
    program = replace(program, cores=(cube, changed))
    a, b = random(F16, ROWS, 16), random(F16, 16, 16, seed=1)
    for seed in range(4):
        got = np.zeros((ROWS, 16), np.float32)
        run(program, {"a": a, "b": b, "y": got}, {}, seed=seed)
        want = 2 * (a.astype(np.float32) @ b.astype(np.float32))
        same(got[0], np.full(16, want[0, 0]), 1e-4)
        same(got[-1], np.full(16, want[ROWS // 2, 0]), 1e-4)


def test_a_wait_never_ends_where_the_flag_comes_later() -> None:
    d = Double()
    flag, wait = LOAD
    assert isinstance(flag, SetFlag)
    assert isinstance(wait, WaitFlag)
    refused("is not set", d, [wait, d.copy_in, flag])
