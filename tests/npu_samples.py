"""Hand-made NPU programs with all their flags, for tests of the simulator."""

from collections.abc import Iterator
from dataclasses import replace

from tests.ascend.harness import Bench, hand_over
from tiledsl.npu import program as npu
from tiledsl.npu.program import Barrier, Core, CoreProgram, Memory, Queue, Ref, View
from tiledsl.scalar import (
    ONE,
    ZERO,
    Dim,
    Literal,
    Local,
    Scalar,
    add,
    apply,
    ceil_div,
    integer,
    maximum,
    minimum,
    mul,
    round_up,
    sub,
)  # fmt: skip
from tiledsl.types import DType

F16, F32 = DType.F16, DType.F32
N, M, K = Dim("N"), Dim("M"), Dim("K")
MTE2, MTE3, V = Queue.MTE2, Queue.MTE3, Queue.V
PROGRAM, BLOCK, BLOCKS = Local("program"), Local("block"), Local("blocks")


def flag(src: Queue, dst: Queue, event: Scalar | int = 0) -> npu.SetFlag:
    """Return the step that raises a flag."""
    return npu.SetFlag(src, dst, integer(event) if isinstance(event, int) else event)


def wait(src: Queue, dst: Queue, event: Scalar | int = 0) -> npu.WaitFlag:
    """Return the step that waits for a flag."""
    return npu.WaitFlag(src, dst, integer(event) if isinstance(event, int) else event)


def persistent(programs: Scalar, body: list[npu.Step]) -> npu.For:
    """Return the loop over programs."""
    return npu.For("program", BLOCK, programs, BLOCKS, tuple(body))


def vector_add(depth: int = 2, tile: int = 256) -> npu.Program:
    """Return ``z = x + y`` for N elements of f32, with rings of ``depth`` slots."""
    bench = Bench()
    turn = Local("turn")
    slot = apply("mod", turn, integer(depth))
    a, b, c = (
        replace(bench.buffer(n, tile, F32, slots=depth), slot=slot) for n in ("a", "b", "c")
    )
    x, y = (npu.Global(bench.tensor(n, F32, N), Local("start")) for n in "xy")
    z = npu.Global(bench.tensor("z", F32, N, role="out"), Local("start"))
    size = Local("size")
    rings = [(V, MTE2), (MTE3, V)]
    events = [(s, d, e) for s, d in rings for e in range(depth)]
    body: list[npu.Step] = [
        npu.Let("start", mul(PROGRAM, tile)),
        npu.Let("size", minimum(integer(tile), sub(N, Local("start")))),
        wait(V, MTE2, slot),
        npu.CopyIn(a, x, (), (), (), size),
        npu.CopyIn(b, y, (), (), (), size),
        flag(MTE2, V, slot),
        wait(MTE2, V, slot),
        wait(MTE3, V, slot),
        npu.Binary("add", View(c), View(a), View(b), ONE, size),
        flag(V, MTE2, slot),
        flag(V, MTE3, slot),
        wait(V, MTE3, slot),
        npu.CopyOut(z, c, (), (), (), size),
        flag(MTE3, V, slot),
        npu.Assign("turn", add(turn, 1)),
    ]
    steps: list[npu.Step] = [npu.Let("turn", ZERO), *(flag(*e) for e in events)]
    steps += [persistent(ceil_div(N, tile), body), *(wait(*e) for e in events)]
    return bench.program(steps, ["N"], programs=ceil_div(N, tile), uniform=("size",))


def row_softmax(rows: int = 16, most: int = 128) -> npu.Program:
    """Return the softmax of the rows of an M x N matrix of f32, ``rows`` rows a program."""
    bench = Bench()
    x, y = bench.tensor("x", F32, M, N), bench.tensor("y", F32, M, N, role="out")
    t = bench.buffer("t", rows * most, F32)
    scratch = bench.buffer("scratch", rows * 64 + most // 32 + 256, F32)
    top, blocks = bench.buffer("top", rows, F32), bench.buffer("blocks", rows * 8, F32)
    count, pitch, start = Local("count"), Local("pitch"), Local("start")
    tile, spread = View(t, "full", pitch), View(blocks, "col")
    low = Literal(float("-inf"), F32)
    there, back = npu.Global(x, mul(start, N)), npu.Global(y, mul(start, N))

    def fold(op: str) -> list[npu.Step]:
        reduce = npu.RowReduce(op, top, tile, scratch, count, N, low)  # type: ignore[arg-type]
        return [reduce, Barrier(V), npu.Spread(blocks, top, count), Barrier(V)]

    body: list[npu.Step] = [
        npu.Let("start", mul(PROGRAM, rows)),
        npu.Let("count", minimum(integer(rows), sub(M, start))),
        npu.Let("pitch", round_up(N, 8)),
        wait(MTE3, MTE2),
        npu.CopyIn(t, there, (count,), (N,), (pitch,), N, low),
        *hand_over(MTE2, V),
        *fold("max"),
        npu.Binary("sub", tile, tile, spread, count, N),
        Barrier(V),
        npu.Unary("exp", t, t, mul(count, pitch)),
        Barrier(V),
        *fold("sum"),
        npu.Binary("div", tile, tile, spread, count, N),
        *hand_over(V, MTE3),
        npu.CopyOut(back, t, (count,), (N,), (pitch,), N),
        flag(MTE3, MTE2),
    ]
    loop = persistent(ceil_div(M, rows), body)
    steps: list[npu.Step] = [flag(MTE3, MTE2), loop, wait(MTE3, MTE2)]
    return bench.program(
        steps, ["M", "N"], programs=ceil_div(M, rows), uniform=("count",), name="row_softmax"
    )


def product_and_bias(depth: int = 2) -> npu.Program:
    """Return ``y = a @ b + bias`` (M x 32, K <= 64), sums on the cube and bias on two vectors.

    16 rows a program go through a workspace of ``depth`` slots; each vector core takes 8.
    """
    cube, vector = Bench(Core.CUBE), Bench(Core.VECTOR)
    a, b = cube.tensor("a", F16, M, K), cube.tensor("b", F16, K, integer(32))
    bias = cube.tensor("bias", F32, integer(32))
    y = cube.tensor("y", F32, M, integer(32), role="out")
    space = npu.Workspace("handed", F32, 16 * 32, depth)
    turn, start = Local("turn"), Local("start")
    slot = apply("mod", turn, integer(depth))
    programs = ceil_div(M, 16)
    rows, width = minimum(integer(16), sub(M, start)), integer(32)
    step = npu.Assign("turn", add(turn, 1))
    first: list[npu.Step] = [npu.Let("turn", ZERO)]
    mte1, mac, fix = Queue.MTE1, Queue.M, Queue.FIXP
    l1_a, l1_b = (cube.buffer(n, 64 * 64, F16, Memory.L1) for n in ("l1_a", "l1_b"))
    left = cube.buffer("left", 16 * 64, F16, Memory.L0A)
    right = cube.buffer("right", 64 * 32, F16, Memory.L0B)
    acc = cube.buffer("acc", 16 * 32, F32, Memory.L0C)
    on_cube: list[npu.Step] = [
        npu.Let("start", mul(PROGRAM, 16)),
        npu.Let("rows", rows),
        wait(mte1, MTE2),
        npu.LoadNz(l1_a, npu.Global(a, mul(start, K)), Local("rows"), K, K, integer(16)),
        npu.LoadNz(l1_b, npu.Global(b), K, width, width, integer(64)),
        *hand_over(MTE2, mte1),
        wait(mac, mte1),
        npu.LoadA(left, l1_a, Local("rows"), K, integer(16)),
        npu.LoadB(right, l1_b, K, width, integer(64)),
        flag(mte1, MTE2),
        *hand_over(mte1, mac),
        wait(fix, mac),
        npu.Mmad(acc, left, right, Local("rows"), width, K, Literal(True, DType.BOOL)),
        flag(mac, mte1),
        *hand_over(mac, fix),
        npu.CrossWait(1, fix),
        npu.Fixpipe(npu.Global(space, ZERO, slot), acc, Local("rows"), width, width, F32),
        npu.CrossSet(0, fix),
        flag(fix, mac),
        step,
    ]
    back = [(mte1, MTE2), (mac, mte1), (fix, mac)]
    cube_steps = [*first, *(flag(*p) for p in back), persistent(programs, on_cube)]
    cube_steps += [*(wait(*p) for p in back), *(npu.CrossWait(1, fix) for _ in range(depth))]

    t, line = vector.buffer("t", 8 * 32, F32), vector.buffer("line", 32, F32)
    skip = mul(Local("sub"), 8)
    mine = maximum(minimum(sub(sub(M, start), skip), integer(8)), ZERO)
    out = add(start, skip)
    shape = (Local("mine"),), (width,), (width,), width
    on_vector: list[npu.Step] = [
        npu.Let("start", mul(PROGRAM, 16)),
        npu.Let("mine", mine),
        wait(MTE3, MTE2),
        npu.CrossWait(0, MTE2),
        npu.CopyIn(t, npu.Global(space, mul(skip, 32), slot), *shape),
        npu.CrossSet(1, MTE2),
        npu.CopyIn(line, npu.Global(bias), (), (), (), width),
        *hand_over(MTE2, V),
        npu.Binary("add", View(t, "full", width), View(t, "full", width), View(line, "row"),
                   Local("mine"), width),
        *hand_over(V, MTE3),
        npu.CopyOut(npu.Global(y, mul(out, 32)), t, *shape),
        flag(MTE3, MTE2),
        step,
    ]  # fmt: skip
    vector_steps = [*first, *(npu.CrossSet(1, MTE2) for _ in range(depth)), flag(MTE3, MTE2)]
    vector_steps += [persistent(programs, on_vector), wait(MTE3, MTE2)]
    cores = (
        CoreProgram(Core.CUBE, tuple(cube.buffers), tuple(cube_steps)),
        CoreProgram(Core.VECTOR, tuple(vector.buffers), tuple(vector_steps)),
    )
    return cube.program(
        [], ["M", "K"], programs=programs, cores=cores, workspaces=(space,), uniform=("rows",)
    )


def without_each_sync(program: npu.Program) -> Iterator[tuple[npu.Step, npu.Program]]:
    """Yield each flag, wait and barrier, with the program that lacks it."""
    kinds = npu.SetFlag | npu.WaitFlag | npu.Barrier | npu.CrossSet | npu.CrossWait
    for at, core in enumerate(program.cores):
        for step, body in _without(core.body, kinds):
            cores = list(program.cores)
            cores[at] = replace(core, body=body)
            yield step, replace(program, cores=tuple(cores))


def _without(
    body: tuple[npu.Step, ...], kinds: object
) -> Iterator[tuple[npu.Step, tuple[npu.Step, ...]]]:
    for at, step in enumerate(body):
        if isinstance(step, kinds):  # type: ignore[arg-type]
            yield step, body[:at] + body[at + 1 :]
        if isinstance(step, npu.For):
            for inner, rest in _without(step.body, kinds):
                yield inner, (*body[:at], replace(step, body=rest), *body[at + 1 :])


def one_step(memory: Memory, steps: list[npu.Step], **buffers: Ref) -> npu.Program:
    """Return a program of one block around ``steps`` on buffers of its own."""
    core = Core.VECTOR if memory is Memory.UB else Core.CUBE
    areas = tuple(dict.fromkeys(ref.buffer for ref in buffers.values()))
    bench = Bench(core)
    bench.buffers.extend(areas)
    return bench.program(steps, [])
