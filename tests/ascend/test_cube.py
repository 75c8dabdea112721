"""The cube: loads, products and Fixpipe as Ascend C on the model, against NumPy."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.ascend.harness import Bench, hand_over, random, run, same
from tiledsl.npu import program as npu
from tiledsl.npu.program import Core, Memory, Queue
from tiledsl.scalar import Dim, Literal, Scalar, integer, round_up
from tiledsl.types import DType

F16, BF16, F32, I32, I8 = DType.F16, DType.BF16, DType.F32, DType.I32, DType.I8
SIZES = (
    (1, 1, 1),
    (16, 16, 16),
    (17, 33, 5),
    (1, 65, 40),
    (65, 33, 129),
    (40, 8, 72),
    (100, 47, 88),
)
TRUE = Literal(True, DType.BOOL)
M, NN, K = Dim("M"), Dim("N"), Dim("K")


def product(dtype: DType, result: DType, turned_a: bool, turned_b: bool) -> npu.Program:
    """Return a program that multiplies one tile."""
    bench = Bench(Core.CUBE)
    wide = I32 if dtype is I8 else F32
    a = bench.buffer("a", 128 * 160, dtype, Memory.L1)
    b = bench.buffer("b", 160 * 128, dtype, Memory.L1)
    left = bench.buffer("left", 112 * 144, dtype, Memory.L0A)
    right = bench.buffer("right", 144 * 80, dtype, Memory.L0B)
    out = bench.buffer("out", 112 * 80, wide, Memory.L0C)
    shape_a = (K, M) if turned_a else (M, K)
    shape_b = (NN, K) if turned_b else (K, NN)
    x = bench.tensor("x", dtype, *shape_a)
    y = bench.tensor("y", dtype, *shape_b)
    z = bench.tensor("z", result, M, NN, role="out")
    unit = 32 if dtype is I8 else 16

    def height(shape: Sequence[Scalar]) -> Scalar:
        return round_up(shape[0], unit)

    body = [
        npu.LoadNz(a, npu.Global(x), *shape_a, shape_a[1], height(shape_a)),
        npu.LoadNz(b, npu.Global(y), *shape_b, shape_b[1], height(shape_b)),
        *hand_over(Queue.MTE2, Queue.MTE1),
        npu.LoadA(left, a, M, K, height(shape_a), turned_a),
        npu.LoadB(right, b, K, NN, height(shape_b), turned_b),
        *hand_over(Queue.MTE1, Queue.M),
        npu.Mmad(out, left, right, M, NN, K, TRUE),
        *hand_over(Queue.M, Queue.FIXP),
        npu.Fixpipe(npu.Global(z), out, M, NN, NN, result),
    ]
    return bench.program(body, ["M", "N", "K"])


@pytest.mark.parametrize("turned_b", [False, True], ids=["kn", "nk"])
@pytest.mark.parametrize("turned_a", [False, True], ids=["mk", "km"])
@pytest.mark.parametrize("dtype", [F16, BF16, F32, I8], ids=str)
def test_products(dtype: DType, turned_a: bool, turned_b: bool) -> None:
    program = product(dtype, I32 if dtype is I8 else F32, turned_a, turned_b)
    for m, n, k in SIZES:
        a, b = random(dtype, m, k), random(dtype, k, n, seed=1)
        kind = np.int32 if dtype is I8 else np.float32
        got = np.zeros((m, n), kind)
        x = np.ascontiguousarray(a.T if turned_a else a)
        y = np.ascontiguousarray(b.T if turned_b else b)
        run(program, {"x": x, "y": y, "z": got}, {"M": m, "N": n, "K": k})
        same(got, a.astype(kind) @ b.astype(kind), 1e-3)


@pytest.mark.parametrize("result", [F16, BF16], ids=str)
def test_results_are_rounded_on_the_way(result: DType) -> None:
    program = product(F16, result, False, False)
    a, b = random(F16, 30, 50), random(F16, 50, 20)
    got = np.zeros((30, 20), result.numpy)
    run(program, {"x": a, "y": b, "z": got}, {"M": 30, "N": 20, "K": 50})
    same(got, a.astype(np.float32) @ b.astype(np.float32), 0.02)


@pytest.mark.parametrize("dtype", [F16, F32, I8], ids=str)
def test_an_empty_sum_is_zero(dtype: DType) -> None:
    program = product(dtype, I32 if dtype is I8 else F32, False, False)
    got = np.ones((20, 30), np.int32 if dtype is I8 else np.float32)
    x, y = np.zeros((20, 0), dtype.numpy), np.zeros((0, 30), dtype.numpy)
    run(program, {"x": x, "y": y, "z": got}, {"M": 20, "N": 30, "K": 0})
    assert not got.any()


def test_accumulation_over_tiles_of_k() -> None:
    bench = Bench(Core.CUBE)
    a, b = (bench.buffer(n, 16 * 64, F16, Memory.L1) for n in "ab")
    left = bench.buffer("left", 256, F16, Memory.L0A)
    right = bench.buffer("right", 256, F16, Memory.L0B)
    out = bench.buffer("out", 256, F32, Memory.L0C)
    x, y = (
        bench.tensor("x", F16, integer(16), integer(64)),
        bench.tensor("y", F16, integer(64), integer(16)),
    )
    z = bench.tensor("z", F32, integer(16), integer(16), role="out")
    sixteen, many = integer(16), integer(64)
    body: list[npu.Step] = [
        npu.LoadNz(a, npu.Global(x), sixteen, many, many, sixteen),
        npu.LoadNz(b, npu.Global(y), many, sixteen, sixteen, many),
        *hand_over(Queue.MTE2, Queue.MTE1),
    ]
    for step in range(4):
        body += [
            npu.LoadA(left, npu.Ref(a.buffer, F16, integer(step * 256)), sixteen, sixteen, sixteen),
            npu.LoadB(right, npu.Ref(b.buffer, F16, integer(step * 256)), sixteen, sixteen, many),
            *hand_over(Queue.MTE1, Queue.M),
            npu.Mmad(out, left, right, sixteen, sixteen, sixteen, Literal(step == 0, DType.BOOL)),
            *hand_over(Queue.M, Queue.MTE1),
        ]
    body += [
        *hand_over(Queue.M, Queue.FIXP),
        npu.Fixpipe(npu.Global(z), out, sixteen, sixteen, sixteen, F32),
    ]
    v, w, got = random(F16, 16, 64), random(F16, 64, 16, seed=1), np.zeros((16, 16), np.float32)
    run(bench.program(body, []), {"x": v, "y": w, "z": got}, {})
    same(got, v.astype(np.float32) @ w.astype(np.float32), 1e-4)


def test_a_source_stride_that_its_field_cannot_hold() -> None:
    bench = Bench(Core.CUBE)
    a = bench.buffer("a", 16 * 16, F16, Memory.L1)
    left = bench.buffer("left", 256, F16, Memory.L0A)
    right = bench.buffer("right", 256, F16, Memory.L0B)
    out = bench.buffer("out", 256, F32, Memory.L0C)
    wide, few = integer(70000), integer(16)
    x = bench.tensor("x", F16, integer(3), wide)
    z = bench.tensor("z", F32, integer(3), few, role="out")
    body = [
        npu.LoadNz(a, npu.Global(x), integer(3), few, wide, few),
        *hand_over(Queue.MTE2, Queue.MTE1),
        npu.LoadA(left, a, integer(3), few, few),
        npu.LoadB(right, a, few, few, few, True),
        *hand_over(Queue.MTE1, Queue.M),
        npu.Mmad(out, left, right, integer(3), integer(3), few, TRUE),
        *hand_over(Queue.M, Queue.FIXP),
        npu.Fixpipe(npu.Global(z), out, integer(3), integer(3), few, F32),
    ]
    v, got = random(F16, 3, 70000), np.zeros((3, 16), np.float32)
    run(bench.program(body, []), {"x": v, "z": got}, {})
    left_ = v[:, :16].astype(np.float32)
    same(got[:, :3], left_ @ left_.T, 1e-4)
