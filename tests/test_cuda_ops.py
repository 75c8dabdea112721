"""Every op of the table, as CUDA C++ writes it, against what the table says it means."""

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.test_cuda_host import library
from tiledsl.backends.cuda.words import Words, value_type
from tiledsl.ops import OPS, Op
from tiledsl.scalar import Apply, Local
from tiledsl.types import DType

FLOATS, INTEGERS = (DType.F32, DType.F64), (DType.I32, DType.U32, DType.I64)
KINDS = {
    "arithmetic": FLOATS + INTEGERS, "float": FLOATS, "select": FLOATS + INTEGERS,
    "compare": FLOATS + INTEGERS, "logic": (DType.BOOL,), "bits": INTEGERS,
    "where": FLOATS + INTEGERS,
}  # fmt: skip
CASES = [(op, kind) for op in OPS.values() for kind in KINDS.get(op.family, ())]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 7.25, 1e-3, 80.0, -80.0, np.inf, -np.inf, np.nan]
WHOLE = [0, 1, -1, 2, -2, 3, 5, -7, 31, 32, 33, 63, 64, 100, 12345, -12345]


def _result(op: Op, kind: DType) -> DType:
    boolean = op.family in ("compare", "logic") or op.name in ("isnan", "isinf")
    if op.name == "popcount":
        return DType.I32
    return DType.BOOL if boolean else kind


def _operands(op: Op, kind: DType) -> list[npt.NDArray[Any]]:
    pool = SPECIAL if kind.is_float else [i for i in WHOLE if kind.is_signed or i >= 0]
    if kind is DType.BOOL:
        pool = [0, 1]
    rng = np.random.default_rng(1)
    found = [rng.choice(np.array(pool), 600).astype(kind.numpy) for _ in range(op.arity)]
    if op.name in ("mul", "fma", "pow") and kind.is_integer:  # what overflows has no meaning
        found = [np.clip(x, 0 if not kind.is_signed else -9, 9) for x in found]
    if op.family == "where":
        found[0] = rng.integers(0, 2, 600).astype(bool)
    return found


@cache
def _probe() -> ctypes.CDLL:
    words = Words({})
    lines = ['#include "tiledsl_cuda.cuh"']
    for op, kind in CASES:
        result = _result(op, kind)
        kinds = [kind] * op.arity
        if op.family == "where":
            kinds[0] = DType.BOOL
        names = "abc"[: op.arity]
        locals_ = tuple(Local(n, k) for n, k in zip(names, kinds, strict=True))
        params = "".join(
            f"const {value_type(k)}* {n}_, " for n, k in zip(names, kinds, strict=True)
        )
        lines.append(f'extern "C" void {op.name}_{kind}({params}{value_type(result)}* y, int n) {{')
        lines.append("  for (int i = 0; i < n; ++i) {")
        lines += [
            f"    const {value_type(k)} {n} = {n}_[i];" for n, k in zip(names, kinds, strict=True)
        ]
        lines.append(f"    y[i] = {words.text(Apply(op.name, locals_, result))};\n  }}\n}}")
    return library("\n".join(lines))


@pytest.mark.parametrize(("op", "kind"), CASES, ids=lambda x: getattr(x, "name", str(x)))
def test_op(op: Op, kind: DType) -> None:
    operands = _operands(op, kind)
    result = _result(op, kind)
    want = op.evaluate(tuple(operands), result)
    got = np.zeros(want.shape, result.numpy)
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (*operands, got)]
    _probe()[f"{op.name}_{kind}"](*pointers, ctypes.c_int(got.size))
    if result.is_float:
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-37)
    else:
        np.testing.assert_array_equal(got, want)
