"""Each vector instruction, emitted as Ascend C and run on the model, against NumPy."""

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.ascend.harness import (
    Bench,
    Flat,
    N,
    flat_program,
    hand_over,
    random,
    run,
    run_flat,
    same,
)
from tiledsl.npu import program as npu
from tiledsl.npu.program import Barrier, Queue, View
from tiledsl.ops import convert
from tiledsl.ops.registry import Array
from tiledsl.scalar import Dim, Literal, ParamValue, Scalar, integer, mul
from tiledsl.types import DType

F16, BF16, F32, I32, I16 = DType.F16, DType.BF16, DType.F32, DType.I32, DType.I16
U16, U32, I8, U8, I64, BOOL = DType.U16, DType.U32, DType.I8, DType.U8, DType.I64, DType.BOOL
COUNTS = (0, 1, 7, 8, 63, 64, 65, 255 * 64 + 1)
ROOM = 255 * 64 + 64


def number(value: float, dtype: DType) -> Literal:
    return Literal(value if dtype.is_float else int(value), dtype)


# ---- flat ---------------------------------------------------------------------------------------


def unary(op: str) -> Flat:
    return lambda s, out: [npu.Unary(op=op, dst=out, src=s[0], count=N)]


UNARY: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp, "ln": lambda x: np.log(np.abs(x)), "sqrt": lambda x: np.sqrt(np.abs(x)),
    "abs": np.abs, "relu": lambda x: np.maximum(x, 0),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [F16, F32], ids=str)
def test_functions(dtype: DType) -> None:
    def operation(op: str) -> Flat:
        before = [] if op in ("exp", "abs", "relu") else ["abs"]
        return lambda s, out: [
            npu.Unary(op=o, dst=out, src=s[0] if i == 0 else out, count=N)
            for i, o in enumerate((*before, op))
        ]

    program = flat_program([operation(op) for op in UNARY], [dtype], dtype, ROOM)
    for count in COUNTS:
        x = random(dtype, count)
        got = run_flat(program, [x], dtype, count)
        for row, meaning in zip(got, UNARY.values(), strict=True):
            same(row, meaning(x.astype(np.float32)).astype(x.dtype), 1e-3 if dtype is F16 else 1e-6)


def test_rounding_of_f32_to_whole_numbers() -> None:
    ops = ("floor", "ceil", "rint", "trunc")
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3e9, -0.2, np.nan, np.inf], np.float32)
    got = run_flat(flat_program([unary(o) for o in ops], [F32], F32, 64), [x], F32, x.size)
    for row, meaning in zip(got, (np.floor, np.ceil, np.rint, np.trunc), strict=True):
        same(row, meaning(x))


BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
    "div": np.divide,
}  # fmt: skip


def _binary(op: str, a: View, b: View, out: View, rows: Scalar, cols: Scalar) -> npu.Step:
    return npu.Binary(op=op, dst=out, a=a, b=b, rows=rows, cols=cols)


@pytest.mark.parametrize("dtype", [F16, F32, I16, I32], ids=str)
def test_binary_flat(dtype: DType) -> None:
    ops = [op for op in BINARY if op != "div" or dtype.is_float]
    room = 8200 if dtype.size == 4 else ROOM

    def operation(op: str) -> Flat:
        return lambda s, out: [_binary(op, View(s[0]), View(s[1]), View(out), integer(1), N)]

    program = flat_program([operation(op) for op in ops], [dtype, dtype], dtype, room)
    for count in (*COUNTS[:-1], room - 8):
        a, b = random(dtype, count), random(dtype, count, seed=1)
        if dtype.is_float and count > 8:
            a[3], b[5] = np.nan, np.nan
        got = run_flat(program, [a, b], dtype, count)
        for row, op in zip(got, ops, strict=True):
            with np.errstate(all="ignore"):
                same(row, BINARY[op](a, b).astype(a.dtype))


@pytest.mark.parametrize("dtype", [F16, F32, I16, I32], ids=str)
def test_with_scalar(dtype: DType) -> None:
    cases: list[tuple[str, float, Callable[[Array], Array]]] = [
        ("add", 3, lambda x: x + x.dtype.type(3)), ("mul", -2, lambda x: x * x.dtype.type(-2)),
        ("max", 1, lambda x: np.maximum(x, 1)), ("min", 1, lambda x: np.minimum(x, 1)),
    ]  # fmt: skip
    if not dtype.is_float:
        cases += [("shl", 2, lambda x: x << 2), ("shr", 3, lambda x: x >> 3)]

    def operation(op: str, by: float) -> Flat:
        return lambda s, out: [
            npu.WithScalar(op=op, dst=out, src=s[0], scalar=number(by, dtype), count=N)
        ]

    program = flat_program([operation(op, by) for op, by, _ in cases], [dtype], dtype, ROOM)
    for count in COUNTS:
        x = random(dtype, count)
        got = run_flat(program, [x], dtype, count)
        for row, (_, _, meaning) in zip(got, cases, strict=True):
            same(row, meaning(x).astype(x.dtype))


@pytest.mark.parametrize("dtype", [F16, BF16, F32, I16, I32, U16, U32], ids=str)
def test_fill(dtype: DType) -> None:
    program = flat_program(
        [lambda s, out: [npu.Fill(dst=out, value=number(5, dtype), count=N)]], [dtype], dtype, ROOM
    )
    for count in COUNTS:
        same(
            run_flat(program, [random(dtype, count)], dtype, count)[0],
            np.full(count, 5, dtype.numpy),
        )


@pytest.mark.parametrize("dtype", [F32, I32], ids=str)
def test_iota(dtype: DType) -> None:
    program = flat_program(
        [lambda s, out: [npu.Iota(dst=out, first=number(-3, dtype), count=N)]], [dtype], dtype, ROOM
    )
    for count in (0, 1, 9, 700):
        got = run_flat(program, [random(dtype, count)], dtype, count)[0]
        same(got, np.arange(-3, count - 3).astype(dtype.numpy))


CASTS = [
    (F32, F16, "none"), (F32, F16, "rint"), (F32, F16, "trunc"), (F16, F32, "none"),
    (F32, BF16, "rint"), (F32, BF16, "floor"), (BF16, F32, "none"), (F32, I32, "trunc"),
    (F32, I32, "rint"), (F32, I16, "floor"), (F32, I64, "ceil"), (F16, I8, "trunc"),
    (F16, U8, "rint"), (F16, I32, "trunc"), (F16, I16, "rint"), (I8, F16, "none"),
    (U8, F16, "none"), (I16, F32, "none"), (I16, F16, "rint"), (I32, F32, "rint"),
    (I32, I16, "none"), (I32, I64, "none"), (I64, I32, "none"), (BF16, I32, "trunc"),
]  # fmt: skip
ROUND = {"rint": np.rint, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "none": np.rint}


@pytest.mark.parametrize(("source", "target", "mode"), CASTS, ids=lambda x: str(x))
def test_casts(source: DType, target: DType, mode: str) -> None:
    program = flat_program(
        [lambda s, out: [npu.Convert(dst=out, src=s[0], mode=mode, count=N)]],  # type: ignore[arg-type]
        [source], target, 4096,
    )  # fmt: skip
    for count in (0, 1, 65, 4095):
        x = random(source, count)
        if count > 60 and source.is_float:
            x[:5] = np.array([0.5, -0.5, 1.5, -1000, 1000], x.dtype)
        if source is F32 and target.is_integer and count > 60:
            x[5:8] = np.nan, np.inf, -np.inf
        got = run_flat(program, [x], target, count)[0]
        if target.is_integer:
            wide = ROUND[mode](x.astype(np.float64)) if source.is_float else x
            same(got, convert(wide, target))
        elif mode in ("none", "rint"):
            same(got, x.astype(target.numpy))
        else:  # towards a side: between x and its neighbour
            near, exact = got.astype(np.float32), x.astype(np.float32)
            outward = np.abs(near) > np.abs(exact) if mode == "trunc" else near > exact
            assert not outward.any()
            same(got, exact, 0.01)


COMPARE: dict[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}  # fmt: skip


@pytest.mark.parametrize("dtype", [F16, F32, I32], ids=str)
@pytest.mark.parametrize("scalar", [False, True], ids=["tiles", "scalar"])
def test_compare_and_select(dtype: DType, scalar: bool) -> None:
    # Select moves bits: i32 goes as f32.
    kind = F32 if dtype is I32 else dtype
    ops = [op for op in COMPARE if dtype is not I32 or op == "eq"]
    bench = Bench()
    refs = [bench.buffer(n, 4200, dtype) for n in ("a", "b", "result")]
    mask = bench.buffer("mask", 1024, U8)
    ins = [bench.tensor(n, dtype, N) for n in ("a", "b")]
    out = bench.tensor("out", dtype, integer(len(ops)), N, role="out")
    body: list[npu.Step] = [
        npu.CopyIn(r, npu.Global(t), (), (), (), N) for r, t in zip(refs, ins, strict=False)
    ]
    body += hand_over(Queue.MTE2, Queue.V)
    moved = [npu.Ref(r.buffer, kind) for r in refs]
    for number_, op in enumerate(ops):
        right = number(2, dtype) if scalar else refs[1]
        other = Literal(-1.0, F32) if scalar else moved[1]
        body.append(npu.Compare(op=op, mask=mask, a=refs[0], b=right, count=N))  # type: ignore[arg-type]
        body.append(Barrier(Queue.V))
        body.append(npu.Select(dst=moved[2], mask=mask, a=moved[0], b=other, count=N))
        body += hand_over(Queue.V, Queue.MTE3)
        place = npu.Global(out, mul(N, number_))
        body.append(npu.CopyOut(place, refs[2], (), (), (), N))
        body += hand_over(Queue.MTE3, Queue.V)
    program = bench.program(body, ["N"])
    for count in (0, 1, 8, 65, 4100):
        a, b = random(dtype, count), random(dtype, count, seed=1)
        b[::3] = a[::3]
        if dtype.is_float:
            a[::7] = np.nan
        right_ = np.full_like(a, 2) if scalar else b
        got = np.zeros((len(ops), count), dtype.numpy)
        run(program, {"a": a, "b": b, "out": got}, {"N": count})
        with np.errstate(all="ignore"):
            other_ = np.full(count, -1.0, kind.numpy).view(dtype.numpy) if scalar else b
            for row, op in zip(got, ops, strict=True):
                same(row, np.where(COMPARE[op](a, right_), a, other_))


def test_words() -> None:
    ops: list[Flat] = [
        lambda s, out: [_binary("and", View(s[0]), View(s[1]), View(out), integer(1), N)],
        lambda s, out: [_binary("or", View(s[0]), View(s[1]), View(out), integer(1), N)],
        lambda s, out: [npu.Unary(op="not", dst=out, src=s[0], count=N)],
    ]
    program = flat_program(ops, [U16, U16], U16, 4096)
    for count in (0, 1, 129, 4000):
        a, b = random(U16, count) * 700, random(U16, count, seed=1) * 511
        got = run_flat(program, [a, b], U16, count)
        for row, want in zip(got, (a & b, a | b, ~a), strict=True):
            same(row, want)


@pytest.mark.parametrize("dtype", [F16, F32, U16, I32], ids=str)
def test_gather(dtype: DType) -> None:
    program = flat_program(
        [lambda s, out: [npu.Gather(dst=out, src=s[0], offsets=s[1], count=N)]],
        [dtype, U32], dtype, 2048,
    )  # fmt: skip
    for count in (0, 1, 65, 2047):
        x = random(dtype, count)
        index = np.random.default_rng(2).permutation(count).astype(np.uint32)
        got = run_flat(program, [x, index * np.uint32(dtype.size)], dtype, count)[0]
        same(got, x[index])


@pytest.mark.parametrize("dtype", [F16, F32], ids=str)
def test_spread(dtype: DType) -> None:
    block = 32 // dtype.size
    bench = Bench()
    a = bench.buffer("a", 4096, dtype)
    out = bench.buffer("wide", 2100 * block, dtype)
    x = bench.tensor("x", dtype, N)
    y = bench.tensor("y", dtype, N, integer(block), role="out")
    body = [
        npu.CopyIn(a, npu.Global(x), (), (), (), N), *hand_over(Queue.MTE2, Queue.V),
        npu.Spread(dst=out, src=a, count=N), *hand_over(Queue.V, Queue.MTE3),
        npu.CopyOut(npu.Global(y), out, (), (), (), mul(N, block)),
    ]  # fmt: skip
    program = bench.program(body, ["N"])
    for count in (0, 1, 7, 8, 9, 255 * 8 + 1):
        values, got = random(dtype, count), np.zeros((count, block), dtype.numpy)
        run(program, {"x": values, "y": got}, {"N": count})
        same(got, np.repeat(values[:, None], block, 1))


# ---- rows and columns ---------------------------------------------------------------------------

SHAPES = (
    (0, 5),
    (3, 0),
    (1, 1),
    (1, 130),
    (7, 8),
    (257, 5),
    (300, 63),
    (70, 65),
    (2, 2056),
    (9, 200),
)


def pitch(cols: int, dtype: DType, unit: int = 0) -> int:
    unit = unit or 32 // dtype.size
    return max(-(-cols // unit) * unit, unit)


def two_dimensional(
    make: Callable[[Sequence[npu.Ref], npu.Ref, Scalar, Scalar, Scalar], Sequence[npu.Step]],
    dtype: DType,
    sources: Sequence[str],
    result: str = "full",
    scratch: bool = False,
) -> npu.Program:
    """Return a program on operands of the given kinds; P is the stride of full ones."""
    rows, cols, stride = Dim("R"), Dim("C"), Dim("P")
    block = 32 // dtype.size
    sizes = {"full": 19200, "row": 2100, "col": 300 * block, "one": block, "flat": 2100}
    bench = Bench()
    refs = [bench.buffer(f"source_{i}", sizes[k], dtype) for i, k in enumerate(sources)]
    out = bench.buffer("result", sizes[result], dtype)
    spare = [bench.buffer("scratch", 19200, dtype)] if scratch else []
    body: list[npu.Step] = []
    for i, kind in enumerate(sources):
        if kind == "full":
            source = bench.tensor(f"in_{i}", dtype, rows, cols)
            copy = npu.CopyIn(refs[i], npu.Global(source), (rows,), (cols,), (stride,), cols)
        else:
            count = {"row": cols, "col": mul(rows, block), "one": integer(block)}[kind]
            source = bench.tensor(f"in_{i}", dtype, count)
            copy = npu.CopyIn(refs[i], npu.Global(source), (), (), (), count)
        body.append(copy)
    body += hand_over(Queue.MTE2, Queue.V)
    body += make([*refs, *spare], out, rows, cols, stride)
    body += hand_over(Queue.V, Queue.MTE3)
    if result == "full":
        to = bench.tensor("out", dtype, rows, cols, role="out")
        body.append(npu.CopyOut(npu.Global(to), out, (rows,), (cols,), (stride,), cols))
    else:
        to = bench.tensor("out", dtype, Dim("L"), role="out")
        body.append(npu.CopyOut(npu.Global(to), out, (), (), (), Dim("L")))
    return bench.program(body, ["R", "C", "P", "L"])


def operand(kind: str, dtype: DType, rows: int, cols: int, seed: int) -> tuple[Array, Array]:
    """Return what is in memory, and what it stands for."""
    block = 32 // dtype.size
    if kind == "full":
        x = random(dtype, rows, cols, seed=seed)
        return x, x
    if kind == "row":
        x = random(dtype, cols, seed=seed)
        return x, np.broadcast_to(x, (rows, cols))
    x = random(dtype, rows if kind == "col" else 1, seed=seed)
    return np.repeat(x, block), np.broadcast_to(x[:, None], (rows, cols))


def view_of(kind: str, ref: npu.Ref, stride: Scalar) -> View:
    return View(ref, kind, stride) if kind == "full" else View(ref, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [F16, F32], ids=str)
@pytest.mark.parametrize(
    "kinds", [("full", "col"), ("row", "full"), ("full", "one"), ("col", "row")]
)
def test_binary_of_rows_and_columns(dtype: DType, kinds: tuple[str, str]) -> None:
    def make(
        s: Sequence[npu.Ref], out: npu.Ref, r: Scalar, c: Scalar, p: Scalar
    ) -> Sequence[npu.Step]:
        a, b = (view_of(k, ref, p) for k, ref in zip(kinds, s, strict=True))
        return [_binary("sub", a, b, View(out, "full", p), r, c)]

    program = two_dimensional(make, dtype, kinds)
    for rows, cols in SHAPES:
        a, x = operand(kinds[0], dtype, rows, cols, 0)
        b, y = operand(kinds[1], dtype, rows, cols, 1)
        got = np.zeros((rows, cols), dtype.numpy)
        sizes = {"R": rows, "C": cols, "P": pitch(cols, dtype), "L": 0}
        run(program, {"in_0": a, "in_1": b, "out": got}, sizes)
        same(got, x - y)


@pytest.mark.parametrize("dtype", [F16, F32, I32], ids=str)
@pytest.mark.parametrize("kind", ["row", "col", "one"])
def test_expand(dtype: DType, kind: str) -> None:
    def make(
        s: Sequence[npu.Ref], out: npu.Ref, r: Scalar, c: Scalar, p: Scalar
    ) -> Sequence[npu.Step]:
        return [npu.Expand(dst=View(out, "full", p), src=view_of(kind, s[0], p), rows=r, cols=c)]

    program = two_dimensional(make, dtype, [kind])
    for rows, cols in SHAPES:
        a, x = operand(kind, dtype, rows, cols, 0)
        got = np.zeros((rows, cols), dtype.numpy)
        run(
            program,
            {"in_0": a, "out": got},
            {"R": rows, "C": cols, "P": pitch(cols, dtype), "L": 0},
        )
        same(got, x)


@pytest.mark.parametrize(("dtype", "blocks"), [(F16, False), (F32, False), (F32, True)])
@pytest.mark.parametrize("op", ["sum", "max", "min"])
def test_row_reduce(dtype: DType, blocks: bool, op: str) -> None:
    identity = {"sum": 0.0, "max": float("-inf"), "min": float("inf")}[op]

    def make(
        s: Sequence[npu.Ref], out: npu.Ref, r: Scalar, c: Scalar, p: Scalar
    ) -> Sequence[npu.Step]:
        return [
            npu.RowReduce(
                op=op, dst=out, src=View(s[0], "full", p), scratch=s[1], rows=r, cols=c,  # type: ignore[arg-type]
                identity=Literal(identity, F32), blocks=blocks,
            )
        ]  # fmt: skip

    program = two_dimensional(make, dtype, ["full"], "flat", scratch=True)
    for rows, cols in (*SHAPES[:-1], (1, 4200), (3, 5000), (70, 200), (13, 64), (9, 100)):
        x = random(dtype, rows, cols)
        got = np.zeros(rows, dtype.numpy)
        sizes = {"R": rows, "C": cols, "P": pitch(cols, dtype), "L": rows}
        run(program, {"in_0": x, "out": got}, sizes)
        fold: Any = {"sum": np.sum, "max": np.max, "min": np.min}[op]
        want = fold(x.astype(np.float32), 1, initial=identity)
        same(got, want, (0.4 if dtype is F16 else 1e-4) if op == "sum" else 0)


@pytest.mark.parametrize("dtype", [F16, F32, I32], ids=str)
@pytest.mark.parametrize("op", ["add", "mul", "max", "min"])
def test_col_reduce(dtype: DType, op: str) -> None:
    def make(
        s: Sequence[npu.Ref], out: npu.Ref, r: Scalar, c: Scalar, p: Scalar
    ) -> Sequence[npu.Step]:
        return [
            npu.ColReduce(
                op=op, dst=out, src=View(s[0], "full", p), rows=r, cols=c, identity=number(1, dtype)  # type: ignore[arg-type]
            )
        ]  # fmt: skip

    program = two_dimensional(make, dtype, ["full"], "flat")
    for rows, cols in ((0, 9), (1, 1), (5, 130), (3, 2000)):
        x = random(dtype, rows, cols)
        got = np.zeros(cols, dtype.numpy)
        run(
            program,
            {"in_0": x, "out": got},
            {"R": rows, "C": cols, "P": pitch(cols, dtype), "L": cols},
        )
        want = x[0] if rows else np.ones(cols, dtype.numpy)
        for row in x[1:]:
            want = getattr(
                np, {"add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}[op]
            )(want, row)
        same(got, want)


@pytest.mark.parametrize("dtype", [F16, BF16, F32, I32], ids=str)
def test_transpose(dtype: DType) -> None:
    rows, cols, down, across = Dim("R"), Dim("C"), Dim("P"), Dim("Q")
    bench = Bench()
    a, b = (bench.buffer(n, 16 * 1200, dtype) for n in ("a", "b"))
    x = bench.tensor("x", dtype, rows, cols)
    y = bench.tensor("y", dtype, cols, rows, role="out")
    body = [
        npu.CopyIn(a, npu.Global(x), (rows,), (cols,), (down,), cols),
        *hand_over(Queue.MTE2, Queue.V),
        npu.Transpose(dst=View(b, "full", across), src=View(a, "full", down), rows=rows, cols=cols),
        *hand_over(Queue.V, Queue.MTE3),
        npu.CopyOut(npu.Global(y), b, (cols,), (rows,), (across,), rows),
    ]
    program = bench.program(body, ["R", "C", "P", "Q"])
    for r, c in ((0, 3), (1, 1), (16, 16), (17, 5), (5, 40), (3, 1100), (100, 130)):
        values, got = random(dtype, r, c), np.zeros((c, r), dtype.numpy)
        sizes = {"R": r, "C": c, "P": pitch(c, dtype, 16), "Q": pitch(r, dtype, 16)}
        run(program, {"x": values, "y": got}, sizes)
        same(got, values.T)


# ---- copies and scalars -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F16, BF16, F32, I8, U8, I32, BOOL], ids=str)
def test_copies_of_three_dimensions(dtype: DType) -> None:
    a, b, c, w = (Dim(n) for n in "ABCW")
    bench = Bench()
    ref = bench.buffer("t", 40000, dtype)
    x = bench.tensor("x", dtype, a, b, w)
    y = bench.tensor("y", dtype, b, a, c, role="out")
    unit = max(32 // dtype.size, 8)
    inner = 3 * unit  # a row, and a gap
    outer = mul(b, inner)
    shape = (a, b)
    body = [
        npu.CopyIn(ref, npu.Global(x), shape, (mul(b, w), w), (outer, integer(inner)), c),
        *hand_over(Queue.MTE2, Queue.MTE3),
        npu.CopyOut(npu.Global(y), ref, shape, (c, mul(a, c)), (outer, integer(inner)), c),
    ]
    program = bench.program(body, ["A", "B", "C", "W"])
    for sizes in (
        (0, 2, 3, 4),
        (1, 1, 1, 1),
        (3, 5, 7, 9),
        (2, 30, unit, 40),
        (4, 3, 2 * unit + 1, 70),
    ):
        na, nb, nc, nw = sizes
        values = random(dtype, na, nb, nw) if dtype is not BOOL else random(I8, na, nb, nw) > 0
        got = np.zeros((nb, na, nc), dtype.numpy)
        run(program, {"x": values, "y": got}, dict(zip("ABCW", sizes, strict=True)))
        np.testing.assert_array_equal(got, values[:, :, :nc].transpose(1, 0, 2))


def test_padding_and_many_rows() -> None:
    rows, three, pad = Dim("R"), integer(3), ParamValue("pad", F32)
    bench = Bench()
    ref = bench.buffer("t", 41000, F32)
    x, y = (
        bench.tensor("x", F32, rows, integer(3)),
        bench.tensor("y", F32, rows, integer(8), role="out"),
    )
    body = [
        npu.CopyIn(ref, npu.Global(x), (rows,), (three,), (integer(8),), three, pad),
        *hand_over(Queue.MTE2, Queue.MTE3),
        npu.CopyOut(npu.Global(y), ref, (), (), (), mul(rows, 8)),
    ]  # fmt: skip
    program = bench.program(body, ["R"], scalars=(("pad", F32),))
    for n in (1, 4095, 4097):  # a copy has at most 4095 rows
        values, got = random(F32, n, 3), np.zeros((n, 8), np.float32)
        run(program, {"x": values, "y": got}, {"R": n}, {"pad": float("-inf")})
        same(got, np.pad(values, ((0, 0), (0, 5)), constant_values=-np.inf))


@pytest.mark.parametrize("atomic", ["add", "max", "min"])
@pytest.mark.parametrize("dtype", [F16, BF16, F32, I32, I16], ids=str)
def test_atomic_copies(atomic: str, dtype: DType) -> None:
    bench = Bench()
    ref = bench.buffer("t", 256, dtype)
    x, y = bench.tensor("x", dtype, N), bench.tensor("y", dtype, N, role="inout")
    body = [
        npu.CopyIn(ref, npu.Global(x), (), (), (), N), *hand_over(Queue.MTE2, Queue.MTE3),
        npu.CopyOut(npu.Global(y), ref, (), (), (), N, atomic),  # type: ignore[arg-type]
    ]  # fmt: skip
    program = bench.program(body, ["N"])
    values, got = random(dtype, 77), random(dtype, 77, seed=3)
    fold = {"add": np.add, "max": np.maximum, "min": np.minimum}[atomic]
    want = fold(values.astype(np.float32), got.astype(np.float32)).astype(got.dtype)
    run(program, {"x": values, "y": got}, {"N": 77})
    same(got, want)


def test_rows_that_overlap_are_read_one_by_one() -> None:
    bench = Bench()
    ref = bench.buffer("t", 2048, F16)
    x = bench.tensor("x", F16, integer(100))
    y = bench.tensor("y", F16, integer(90), integer(10), role="out")
    shape, row = (integer(90),), (integer(16),)
    body = [
        npu.CopyIn(ref, npu.Global(x), shape, (integer(1),), row, integer(10)),
        *hand_over(Queue.MTE2, Queue.MTE3),
        npu.CopyOut(npu.Global(y), ref, shape, (integer(10),), row, integer(10)),
    ]
    values, got = random(F16, 100), np.zeros((90, 10), np.float16)
    run(bench.program(body, []), {"x": values, "y": got}, {})
    same(got, np.lib.stride_tricks.sliding_window_view(values, 10)[:90])


def test_narrow_types_are_what_ml_dtypes_says() -> None:
    assert random(BF16, 3).dtype == ml_dtypes.bfloat16
