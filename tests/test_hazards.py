"""A right program has no hazards; without one of its flags, or with a wrong operand, it has."""

from dataclasses import replace

import numpy as np
import pytest

from tests.ascend.harness import Bench
from tests.npu_samples import (
    MTE2,
    MTE3,
    V,
    flag,
    one_step,
    product_and_bias,
    row_softmax,
    vector_add,
    wait,
    without_each_sync,
)  # fmt: skip
from tiledsl.chips import load
from tiledsl.npu import program as npu
from tiledsl.npu.program import Barrier, Buffer, Memory, Ref, View
from tiledsl.npu.rewriting import with_blocks
from tiledsl.ops.registry import Array
from tiledsl.scalar import ONE, ZERO, Local, Tensor, integer, mul
from tiledsl.simulator import HazardError, check, simulate
from tiledsl.types import DType

F32, F16, U8 = DType.F32, DType.F16, DType.U8


def _add(count: int) -> tuple[dict[str, Array], dict[str, int]]:
    names = "xyz"
    return {n: np.zeros(count, np.float32) for n in names}, {"N": count}


def _softmax(rows: int, cols: int) -> tuple[dict[str, Array], dict[str, int]]:
    return {n: np.zeros((rows, cols), np.float32) for n in "xy"}, {"M": rows, "N": cols}


def _product(rows: int, depth: int) -> tuple[dict[str, Array], dict[str, int]]:
    shapes = {"a": (rows, depth), "b": (depth, 32), "bias": (32,), "y": (rows, 32)}
    arrays = {n: np.zeros(s, np.float16 if n in "ab" else np.float32) for n, s in shapes.items()}
    return arrays, {"M": rows, "K": depth}


SAMPLES = {
    "single": (vector_add(1), *_add(2000)),
    "double": (vector_add(2), *_add(5000)),
    "softmax": (row_softmax(), *_softmax(41, 77)),
    "mixed": (product_and_bias(), *_product(70, 50)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_right_program_is_clean(name: str) -> None:
    program, arrays, dims = SAMPLES[name]
    assert check(program, dims, {}, arrays) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_every_flag_and_barrier_is_missed(name: str) -> None:
    program, arrays, dims = SAMPLES[name]
    for step, worse in without_each_sync(program):
        assert check(worse, dims, {}, arrays), step


def test_a_flag_and_its_wait_left_out_together_are_a_race() -> None:
    program, arrays, dims = SAMPLES["softmax"]
    pairs = [
        twice for _, once in without_each_sync(program) for _, twice in without_each_sync(once)
        if _balanced(twice)
    ]  # fmt: skip
    found = [{h.kind for h in check(worse, dims, {}, arrays)} for worse in pairs]
    assert all(found)
    assert any("read after write" in kinds for kinds in found)


def _balanced(program: npu.Program) -> bool:
    """Whether the flags left still pair: each is raised as often as it is waited for."""

    def steps(body: tuple[npu.Step, ...]) -> list[npu.Step]:
        return [s for x in body for s in ([x, *steps(x.body)] if isinstance(x, npu.For) else [x])]

    every = steps(program.cores[0].body)
    sets = sorted(f"{s.src}{s.dst}" for s in every if isinstance(s, npu.SetFlag))
    waits = sorted(f"{s.src}{s.dst}" for s in every if isinstance(s, npu.WaitFlag))
    barriers = sum(isinstance(s, Barrier) for s in every)
    return sets == waits and len(sets) == 3 and barriers == 6


def test_a_rounding_that_l0c_does_not_leave_with() -> None:
    program, arrays, dims = SAMPLES["mixed"]
    cube = program.cores[0]

    def steps(body: tuple[npu.Step, ...]) -> tuple[npu.Step, ...]:
        return with_blocks(
            body, lambda s: replace(s, dtype=DType.I32) if isinstance(s, npu.Fixpipe) else s
        )

    worse = replace(program, cores=(replace(cube, body=steps(cube.body)), *program.cores[1:]))
    assert "operand" in {h.kind for h in check(worse, dims, {}, arrays)}


def test_simulate_refuses_a_program_with_hazards() -> None:
    program, arrays, dims = SAMPLES["softmax"]
    _, worse = next(x for x in without_each_sync(program) if isinstance(x[0], Barrier))
    with pytest.raises(HazardError, match="there is no barrier of V between them"):
        simulate(worse, arrays, dims, {}, load("ascend910b3"), hazards=True)


# ---- what each kind says ------------------------------------------------------------------------

BUFFER = Buffer("t", Memory.UB, 0, 256)
OTHER = Buffer("u", Memory.UB, 256, 256)
SAME_PLACE = Buffer("v", Memory.UB, 0, 256)
T, U, W = (Ref(b, F32) for b in (BUFFER, OTHER, SAME_PLACE))


def _kinds(*steps: npu.Step, arrays: dict[str, Array] | None = None) -> list[str]:
    program = one_step(Memory.UB, list(steps), t=T, u=U, w=W)
    if arrays:
        tensors = tuple(
            Tensor(n, F32, (integer(a.size),), role="out") for n, a in arrays.items()
        )
        program = npu.Program(
            **{f: getattr(program, f) for f in ("name", "chip", "scalars", "dims", "cores")},
            tensors=tensors, programs=ONE,
        )  # fmt: skip
    return [h.kind for h in check(program, {}, {}, arrays or {})]


def _fill(ref: Ref, count: int = 8) -> npu.Fill:
    return npu.Fill(ref, ZERO, integer(count))


def _out(ref: Ref, count: int = 8) -> tuple[list[npu.Step], dict[str, Array]]:
    y = Tensor("y", F32, (integer(count),), role="out")
    copy = npu.CopyOut(npu.Global(y), ref, (), (), (), integer(count))
    return [flag(V, MTE3), wait(V, MTE3), copy], {"y": np.zeros(count, np.float32)}


def test_reading_what_nobody_wrote() -> None:
    leave, arrays = _out(T)
    assert _kinds(_fill(T, 4), *leave, arrays=arrays) == ["uninitialised"]
    assert _kinds(_fill(T, 8), *leave, arrays=arrays) == []


def test_padding_that_was_never_written_may_be_worked_on_but_not_stored() -> None:
    double = npu.WithScalar("add", U, T, ONE, integer(16))
    store, arrays = _out(U)
    assert _kinds(_fill(T, 8), Barrier(V), double, *store, arrays=arrays) == []
    assert _kinds(_fill(T, 7), Barrier(V), double, *store, arrays=arrays) == ["uninitialised"]


def test_reading_what_another_buffer_overwrote() -> None:
    leave, arrays = _out(T)
    assert _kinds(_fill(T), Barrier(V), _fill(W), *leave, arrays=arrays) == ["overwritten"]


def test_out_of_the_buffer_and_misaligned() -> None:
    assert _kinds(_fill(T, 65)) == ["out of buffer"]
    assert _kinds(_fill(Ref(BUFFER, F32, integer(1)))) == ["misaligned"]
    rows = View(T, "full", integer(7))
    assert _kinds(_fill(T, 64), Barrier(V), npu.Expand(rows, View(T, "one"), integer(2), ONE)) == [
        "misaligned", "overlap",
    ]  # fmt: skip


def test_operands_that_overlap_in_part() -> None:
    shifted = Ref(BUFFER, F32, integer(8))
    before: list[npu.Step] = [_fill(T, 64), Barrier(V)]
    assert _kinds(*before, npu.Unary("exp", T, shifted, integer(16))) == ["overlap"]
    assert _kinds(*before, npu.Unary("exp", T, T, integer(16))) == []
    narrow = npu.Convert(Ref(BUFFER, F16), T, "rint", integer(16))
    assert _kinds(*before, narrow) == ["overlap"]


def test_flags_that_do_not_pair() -> None:
    assert _kinds(flag(V, MTE2)) == ["flag"]
    assert _kinds(wait(V, MTE2)) == ["flag"]
    assert _kinds(flag(V, MTE2), flag(V, MTE2), wait(V, MTE2), wait(V, MTE2)) == ["flag"]


def test_a_flag_raised_again_before_it_is_surely_down() -> None:
    pair: list[npu.Step] = [flag(V, MTE2), wait(V, MTE2)]
    assert _kinds(*pair, *pair) == ["flag"]
    assert _kinds(*pair, flag(MTE2, V), wait(MTE2, V), *pair) == []


def test_cores_that_wait_for_each_other() -> None:
    program, arrays, dims = SAMPLES["mixed"]
    worse = next(p for s, p in without_each_sync(program) if s == npu.CrossSet(0, npu.Queue.FIXP))
    assert [h.kind for h in check(worse, dims, {}, arrays)] == ["deadlock"]


def test_long_loops_are_looked_at_in_part() -> None:
    program, arrays, dims = vector_add(2), *_add(1 << 16)
    assert check(program, dims, {}, arrays) == check(program, dims, {}, arrays, every_trip=True)


def test_addresses_that_are_read_from_tiles() -> None:
    """Two stores to rows that data name: a race only where they name one row."""
    bench = Bench()
    rows = bench.tensor("rows", DType.I32, integer(2))
    y = bench.tensor("y", F32, integer(4), integer(8), role="out")
    index, t = bench.buffer("index", 8, DType.I32), bench.buffer("t", 8, F32)
    body: list[npu.Step] = [
        npu.CopyIn(index, npu.Global(rows), (), (), (), integer(2)), _fill(t),
        flag(V, MTE3), wait(V, MTE3), flag(MTE2, npu.Queue.S), wait(MTE2, npu.Queue.S),
    ]  # fmt: skip
    for lane in range(2):
        name = f"row_{lane}"
        body.append(npu.ReadScalar(name, replace(index, offset=integer(lane))))
        there = npu.Global(y, mul(Local(name), 8))
        body.append(npu.CopyOut(there, t, (), (), (), integer(8)))
    program = bench.program(body, [])
    for chosen, kinds in (([1, 3], []), ([2, 2], ["write after write"])):
        found = np.array(chosen, np.int32)
        arrays = {"rows": found, "y": np.zeros((4, 8), np.float32)}
        assert [h.kind for h in check(program, {}, {}, arrays)] == kinds
        assert not arrays["y"].any()
