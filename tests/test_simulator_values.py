"""Whole programs in the simulator: classes of programs, chunks, both kinds of cores, scalars."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ascend.harness import Bench, hand_over
from tests.npu_samples import MTE2, MTE3, PROGRAM, V, persistent, product_and_bias, row_softmax
from tests.npu_samples import vector_add as make_add
from tiledsl.backends import numpy as backend
from tiledsl.chips import load as load_chip
from tiledsl.npu import program as npu
from tiledsl.npu.program import View
from tiledsl.ops.registry import Array
from tiledsl.scalar import (
    ONE,
    ZERO,
    Apply,
    Dim,
    Element,
    Literal,
    Local,
    ParamValue,
    add,
    apply,
    integer,
    mul,
    sub,
)  # fmt: skip
from tiledsl.simulator import simulate, values
from tiledsl.simulator.core import DeadlockError, prepare
from tiledsl.simulator.lanes import OutOfPlaceError
from tiledsl.simulator.meeting import marks_of
from tiledsl.simulator.values import classes, load, run
from tiledsl.types import DType

F32, I32 = DType.F32, DType.I32
CHIP = "ascend910b3"
N, G = Dim("N"), Dim("G")
ADD, SOFTMAX, PRODUCT = make_add(), row_softmax(), product_and_bias()


def _floats(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@given(count=st.integers(0, 3000))
def test_vector_add(count: int) -> None:
    x, y, z = _floats(count), _floats(count) * 2, np.full(count, np.nan, np.float32)
    run(ADD, {"x": x, "y": y, "z": z}, {"N": count}, {})
    np.testing.assert_array_equal(z, x + y)


@given(rows=st.integers(0, 70), cols=st.integers(1, 128))
def test_row_softmax(rows: int, cols: int) -> None:
    x, y = _floats(rows, cols), np.full((rows, cols), np.nan, np.float32)
    run(SOFTMAX, {"x": x, "y": y}, {"M": rows, "N": cols}, {})
    e = np.exp(x - x.max(1, keepdims=True)) if rows else x
    np.testing.assert_allclose(y, e / e.sum(1, keepdims=True), rtol=1e-5)


@given(rows=st.integers(0, 70), depth=st.integers(0, 64), slots=st.sampled_from((1, 2, 3)))
def test_cube_and_vector_cores_hand_over(rows: int, depth: int, slots: int) -> None:
    program = product_and_bias(slots)
    a, b = _floats(rows, depth).astype(np.float16), _floats(depth, 32).astype(np.float16)
    bias, y = _floats(32), np.full((rows, 32), np.nan, np.float32)
    run(program, {"a": a, "b": b, "bias": bias, "y": y}, {"M": rows, "K": depth}, {})
    want = a.astype(np.float32) @ b.astype(np.float32) + bias
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)


def test_programs_of_equal_sizes_are_one_class() -> None:
    arrays = {n: np.zeros(1000, np.float32) for n in "xyz"}
    groups = classes(load(ADD), prepare(ADD, arrays, {"N": 1000}, {}))
    assert [g.tolist() for g in groups] == [[3], [0, 1, 2]]


@pytest.mark.parametrize("most", [1, 20_000])
def test_chunks_of_a_class_give_the_same(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "CHUNK_BYTES", most)
    test_vector_add.hypothesis.inner_test(3000)  # type: ignore[attr-defined]
    test_cube_and_vector_cores_hand_over.hypothesis.inner_test(70, 50, 2)  # type: ignore[attr-defined]


# ---- scalars that are data ----------------------------------------------------------------------


def _segments(uniform: tuple[str, ...] | None) -> npu.Program:
    """Return sums of the segments of ``x`` between the ``offsets``, each times a scale.

    The segments are read 64 elements at a time; a segment without elements gives -1.
    """
    bench = Bench()
    x, offsets = bench.tensor("x", F32, N), bench.tensor("offsets", I32, add(G, 1))
    y = bench.tensor("y", F32, G, role="out")
    t, part = bench.buffer("t", 64, F32), bench.buffer("part", 8, F32)
    total, scratch = bench.buffer("total", 8, F32), bench.buffer("scratch", 512, F32)
    lo, hi, at, size = Local("lo"), Local("hi"), Local("at"), Local("size")
    step = [
        npu.Let("size", apply("min", integer(64), sub(hi, at))),
        npu.CopyIn(t, npu.Global(x, at), (), (), (), size),
        *hand_over(MTE2, V),
        npu.RowReduce("sum", part, View(t, "full", integer(64)), scratch, ONE, size, ZERO),
        npu.Binary("add", View(total), View(total), View(part), ONE, ONE),
    ]
    scale = Apply("mul", (ParamValue("scale", F32), Literal(2.0, F32)), F32)
    body = [
        npu.Let("lo", Element(offsets, (PROGRAM,), I32)),
        npu.Let("hi", Element(offsets, (add(PROGRAM, 1),), I32)),
        npu.Let("length", sub(hi, lo)),
        npu.Fill(total, Literal(0.0, F32), ONE),
        npu.If(
            apply("gt", Local("length"), ZERO),
            (npu.For("at", lo, hi, integer(64), tuple(step)),),
            (npu.Fill(total, Literal(-1.0, F32), ONE),),
        ),
        npu.WithScalar("mul", total, total, scale, ONE),
        *hand_over(V, MTE3),
        npu.CopyOut(npu.Global(y, PROGRAM), total, (), (), (), ONE),
    ]
    return bench.program(
        [persistent(G, body)], ["N", "G"], programs=G, uniform=uniform, scalars=(("scale", F32),)
    )


@pytest.mark.parametrize("uniform", [None, ("length",)])
def test_trip_counts_that_are_data(uniform: tuple[str, ...] | None) -> None:
    lengths = [0, 5, 64, 65, 200, 5, 0, 5]
    offsets = np.cumsum([0, *lengths]).astype(np.int32)
    x, y = _floats(int(offsets[-1])), np.zeros(len(lengths), np.float32)
    arrays = {"x": x, "offsets": offsets, "y": y}
    run(_segments(uniform), arrays, {"N": x.size, "G": y.size}, {"scale": 0.7})
    for i, value in enumerate(y):
        some = x[offsets[i] : offsets[i + 1]]
        want = (some.astype(np.float64).sum() if some.size else -1.0) * np.float32(0.7) * 2
        np.testing.assert_allclose(value, want, rtol=1e-5)


@pytest.mark.parametrize("uniform", [None, ("length",)])
def test_what_rests_on_elements_is_found_anew_for_others(uniform: tuple[str, ...] | None) -> None:
    program, cycles = _segments(uniform), set()
    for lengths in ([10, 20, 700], [300, 400, 30], [10, 20, 700]):
        offsets = np.cumsum([0, *lengths]).astype(np.int32)
        x, y = _floats(730), np.zeros(3, np.float32)
        arrays = {"x": x, "offsets": offsets, "y": y}
        run = simulate(program, arrays, {"N": 730, "G": 3}, {"scale": 0.5}, load_chip(CHIP))
        cycles.add(run.cycles)
        want = np.add.reduceat(x.astype(np.float64), offsets[:-1])
        np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)
    assert len(cycles) == 2


def test_programs_part_where_a_number_out_of_a_tile_decides() -> None:
    bench = Bench()
    x, y = bench.tensor("x", I32, G), bench.tensor("y", F32, mul(G, 8), role="inout")
    t, u = bench.buffer("t", 8, I32), bench.buffer("u", 8, F32)
    there, eight = npu.Global(y, mul(PROGRAM, 8)), integer(8)

    def plus(number: float) -> list[npu.Step]:
        return [
            npu.CopyIn(u, there, (), (), (), eight),
            npu.WithScalar("add", u, u, Literal(number, F32), eight),
            npu.CopyOut(there, u, (), (), (), eight),
        ]

    body = [
        npu.CopyIn(t, npu.Global(x, PROGRAM), (), (), (), ONE), npu.ReadScalar("n", t),
        *plus(1.0), npu.For("at", ZERO, Local("n"), ONE, tuple(plus(10.0))),
    ]  # fmt: skip
    program = bench.program([persistent(G, body)], ["G"], programs=G, uniform=None)
    counts = np.array([2, 0, 5, 2, 2, 0, 1], np.int32)
    start = _floats(7, 8)
    got = start.reshape(-1).copy()
    run(program, {"x": counts, "y": got}, {"G": 7}, {})
    want = start + 1
    for turn in range(5):
        want[counts > turn] += 10
    np.testing.assert_array_equal(got.reshape(7, 8), want)


def test_an_element_outside_has_the_default() -> None:
    bench = Bench()
    x, y = bench.tensor("x", I32, N), bench.tensor("y", I32, G, role="out")
    t = bench.buffer("t", 8, I32)
    inside = Element(x, (sub(PROGRAM, 2),), I32, Literal(-7, I32), (True,))
    body = [
        npu.Fill(t, add(inside, 1), ONE), *hand_over(V, MTE3),
        npu.CopyOut(npu.Global(y, PROGRAM), t, (), (), (), ONE),
    ]  # fmt: skip
    program = bench.program([persistent(G, body)], ["N", "G"], programs=G)
    got = np.zeros(8, np.int32)
    run(program, {"x": np.arange(10, 13, dtype=np.int32), "y": got}, {"N": 3, "G": 8}, {})
    assert got.tolist() == [-6, -6, 11, 12, 13, -6, -6, -6]


@pytest.mark.parametrize("op", ["add", "max", "min"])
def test_programs_meet_in_one_element(op: str) -> None:
    bench = Bench()
    x, y = bench.tensor("x", F32, G, integer(3)), bench.tensor("y", F32, integer(3), role="out")
    t = bench.buffer("t", 8, F32)
    three = integer(3)
    body = [
        npu.CopyIn(t, npu.Global(x, mul(PROGRAM, 3)), (), (), (), three), *hand_over(MTE2, V),
        *hand_over(V, MTE3), npu.CopyOut(npu.Global(y), t, (), (), (), three, op),  # type: ignore[arg-type]
    ]  # fmt: skip
    program = bench.program([persistent(G, body)], ["G"], programs=G)
    x_, y_ = _floats(50, 3), np.zeros(3, np.float32)
    run(program, {"x": x_, "y": y_}, {"G": 50}, {})
    fold = {"add": np.add, "max": np.maximum, "min": np.minimum}[op]
    want = fold.reduce(x_, axis=0, initial=0)
    np.testing.assert_allclose(y_, want, rtol=1e-5)


# ---- what goes wrong ----------------------------------------------------------------------------


def test_a_copy_outside_its_tensor_is_an_error() -> None:
    arrays = {n: np.zeros(100, np.float32) for n in "xyz"}
    with pytest.raises(OutOfPlaceError, match=r"element 119 is not in `x`, which has 100"):
        run(ADD, arrays, {"N": 120}, {})


@pytest.mark.parametrize("apart", [1, 2, 3])
def test_two_programs_that_write_one_element(apart: int) -> None:
    bench = Bench()
    y, t = bench.tensor("y", F32, N, role="out"), bench.buffer("t", 8, F32)
    there = npu.Global(y, mul(PROGRAM, apart))
    body = [
        npu.Fill(t, Literal(1.0, F32), integer(2)), *hand_over(V, MTE3),
        npu.CopyOut(there, t, (), (), (), integer(2)), *hand_over(MTE3, V),
    ]  # fmt: skip
    program = bench.program([persistent(G, body)], ["N", "G"], programs=G)
    dims = {"N": 30, "G": 10}
    arrays = {"y": np.zeros(30, np.float32)}
    launch = prepare(program, arrays, dims, {})
    marks = marks_of(launch)
    values.run_values(load(program), launch, [np.arange(10)], marks)
    assert [m.programs for m in marks.found.values()] == ([(0, 1)] if apart == 1 else [])


def test_a_cross_core_flag_that_nobody_raises_is_a_deadlock() -> None:
    cube, vector = PRODUCT.cores
    worse = replace(PRODUCT, cores=(replace(cube, body=()), vector))
    arrays: dict[str, Array] = {
        "a": np.zeros((8, 4), np.float16), "b": np.zeros((4, 32), np.float16),
        "bias": np.zeros(32, np.float32), "y": np.zeros((8, 32), np.float32),
    }  # fmt: skip
    with pytest.raises(DeadlockError):
        run(worse, arrays, {"M": 8, "K": 4}, {})


def test_text_of_the_tile_file_stays_text() -> None:
    evil = 'x"""\nimport os\nos.abort()\n"""'
    core = ADD.cores[0]
    buffers = tuple(replace(b, note=evil) for b in core.buffers)
    body = (npu.Comment(evil), *core.body)
    program = replace(ADD, name=evil, cores=(replace(core, buffers=buffers, body=body),))
    ((name, text),) = backend.emit(program).items()
    assert name == "x____import_os_os_abort_sim.py"
    assert "\nimport os" not in text
    test = replace(program, programs=ADD.programs)
    x = _floats(300)
    z = np.zeros(300, np.float32)
    run(test, {"x": x, "y": x, "z": z}, {"N": 300}, {})
    np.testing.assert_array_equal(z, x + x)


def test_names_that_python_takes() -> None:
    bench = Bench()
    names = ("lambda", "core", "F32", "None")
    x = bench.tensor("lambda", F32, Dim("class"))
    y = bench.tensor("core", F32, Dim("class"), role="out")
    t = bench.buffer("F32", 64, F32)
    size = Local("None")
    body: list[npu.Step] = [
        npu.Let("None", Dim("class")), npu.CopyIn(t, npu.Global(x), (), (), (), size),
        *hand_over(MTE2, V), *hand_over(V, MTE3), npu.CopyOut(npu.Global(y), t, (), (), (), size),
    ]  # fmt: skip
    got = np.zeros(9, np.float32)
    x_ = _floats(9)
    run(bench.program(body, ["class"]), {names[0]: x_, names[1]: got}, {"class": 9}, {})
    np.testing.assert_array_equal(got, x_)
