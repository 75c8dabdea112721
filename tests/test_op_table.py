"""Every op of the table on every element type and device, on values that go wrong easily.

For each element type and device there is one kernel with a line an op, so that compiles stay few.
What a target refuses it must refuse with an L diagnostic that points at the line; the refusals are
kept in op_table_refused.txt, which `pytest --update` rewrites.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tiledsl import ir
from tiledsl.check import Module, instantiate, load_text
from tiledsl.diagnostics import CompileError
from tiledsl.driver import compile_kernel, emit
from tiledsl.ops import OPS, Op, bitcast, convert, wrap
from tiledsl.ops.registry import Array
from tiledsl.runtime.devices import run_on
from tiledsl.runtime.launch import prepare
from tiledsl.types import DType

TARGETS = {"sim": "ascend910b3", "ascend-host": "ascend910b3", "cuda-host": "cuda.sm80"}
REFUSED = Path(__file__).parent / "op_table_refused.txt"
Meaning = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True)
class Row:
    """One op on one element type: its text, the type of the result, and what it should be.

    ``loose``: the relative error that is allowed; nothing stands for equal, also -0 and 0.
    """

    op: str
    text: str
    dtype: DType
    meaning: Meaning
    loose: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.op}->{self.dtype}"


# ---- tests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", sorted(set(TARGETS.values())))
def test_what_a_target_refuses(target: str, update: bool) -> None:
    compare_refused(REFUSED, target, {dtype: refused(dtype, target) for dtype in DType}, update)


@pytest.mark.parametrize("device", TARGETS)
@pytest.mark.parametrize("dtype", DType, ids=str)
def test_ops(dtype: DType, device: str) -> None:
    target = TARGETS[device]
    rows = [row for row in rows_of(dtype) if row.name not in refused(dtype, target)]
    if not rows:
        return
    x, y, z = operands(dtype)
    module, kernel = kernel_of(dtype, rows)
    launch = prepare(kernel, {"x": x.copy(), "y": y.copy(), "z": z.copy()}, {})
    run_on(device, compile_kernel(module, kernel, target, {}), launch, emit)
    wrong = []
    for number, row in enumerate(rows):
        with np.errstate(all="ignore"):
            want = row.meaning(x, y, z)
        got = launch.outputs[f"r{number}"]
        bad = differs(got, want, row) & ~doubtful(row.op, dtype, device, x, y, z)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            given = ", ".join(str(o[i]) for o in (x, y, z))
            wrong.append(f"{row.text} of {given}: got {got[i]}, not {want[i]} (and {bad.sum()})")
    assert not wrong, "\n".join(wrong)


def doubtful(op: str, dtype: DType, device: str, x: Array, y: Array, z: Array) -> Array:
    """Return where a device is known to give something else."""
    nowhere = np.zeros(x.shape, bool)
    if device == "cuda-host":
        return nowhere
    return nowhere


def differs(got: Array, want: Array, row: Row) -> Array:
    """Return where two results are not the same."""
    if not row.dtype.is_float:
        return np.asarray(got != want)
    with np.errstate(invalid="ignore"):  # a NaN that signals
        a, b = got.astype(np.float64), want.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if row.loose:
        finfo: Any = ml_dtypes.finfo
        top = float(finfo(row.dtype.numpy).max)
        a, b = np.clip(a, -top, top), np.clip(b, -top, top)
        close = np.abs(a - b) <= row.loose * np.abs(b) + LEAST.get(row.dtype, 0.0)
        return np.asarray(~(same | close))
    signed = row.op not in ("min", "max", "clamp")  # of 0 and -0 either may be the smaller
    return np.asarray(~same | (signed & (np.signbit(a) != np.signbit(b)) & ~np.isnan(a)))


# ---- the kernels --------------------------------------------------------------------------------


@cache
def refused(dtype: DType, target: str) -> tuple[str, ...]:
    return refusals(dtype, target, rows_of(dtype), kernel_of)


def refusals(
    dtype: DType,
    target: str,
    rows: Iterable[Row],
    kernel_of: Callable[[DType, Sequence[Row]], tuple[Module, ir.Kernel]],
) -> tuple[str, ...]:
    """Return the names of the rows of which a target says, at their place, that it cannot."""
    found = []
    for row in rows:
        module, kernel = kernel_of(dtype, [row])
        lines = (1, module.source.text.count("\n"))  # the tensors, and the last line
        try:
            compile_kernel(module, kernel, target, {})
        except CompileError as error:
            for diagnostic in error.diagnostics:
                assert diagnostic.code.startswith("L"), diagnostic
                assert diagnostic.span.source == module.source, diagnostic
                assert diagnostic.span.line in lines, diagnostic
            found.append(row.name)
    return tuple(found)


def compare_refused(
    path: Path, target: str, refused: dict[DType, tuple[str, ...]], update: bool
) -> None:
    """Compare what a target refuses with what is kept, or keep it."""
    seen = [f"{target} {dtype}: {' '.join(names)}".rstrip() for dtype, names in refused.items()]
    kept = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if update:
        others = [line for line in kept if not line.startswith(f"{target} ")]
        path.write_text("\n".join(sorted([*others, *seen])) + "\n", encoding="utf-8")
        return
    assert sorted(seen) == [line for line in kept if line.startswith(f"{target} ")]


def kernel_of(dtype: DType, rows: Sequence[Row]) -> tuple[Module, ir.Kernel]:
    outs = ", ".join(f"r{number}: {row.dtype}[N]" for number, row in enumerate(rows))
    body = "\n".join(f"    r{number}[i] = {row.text}" for number, row in enumerate(rows))
    head = f"kernel ops(x: {dtype}[N], y: {dtype}[N], z: {dtype}[N]) -> ({outs}):"
    module = load_text(f"{head}\n    grid i in N by 64\n{body}\n", "ops.tile")
    kernel = instantiate(module, "ops", ir.Binding())
    assert isinstance(kernel, ir.Kernel)
    return module, kernel


FLOATS = (
    0.0, 1.0, 0.5, 1.5, 2.5, 3.0, 7.0, 10.0, 20.0, 50.0, 100.0, 127.5, 128.5, 255.5, 300.0, 1000.0,
    3e4, 65504.0, 1e5, 2.0**31, 2.0**33, 3e38, 0.1, 1e-3, 1e-8, 6e-8, 1e-30, 1e-38, 1e-40, np.inf,
    np.nan,
)  # fmt: skip
INTEGERS = (
    -46341, -32769, -32768, -129, -128, -100, -33, -32, -31, -9, -8, -7, -3, -2, -1, 0, 1, 2, 3, 4,
    7, 8, 15, 16, 31, 32, 33, 63, 64, 100, 127, 128, 255, 256, 1000, 32767, 32768, 46341, 65535,
    65536, 2**20, 2**24 + 1,
)  # fmt: skip


def operands(dtype: DType) -> tuple[Array, Array, Array]:
    """Return every pair of the values that are special, and a third operand."""
    if dtype is DType.BOOL:
        values = np.array([False, True])
    elif dtype.is_float:
        with np.errstate(all="ignore"):
            values = np.array([*FLOATS, *(-v for v in FLOATS[:-1])]).astype(dtype.numpy)
    else:
        low, high = map(int, dtype.limits)
        whole = {low, low + 1, high - 1, high, *INTEGERS}
        values = np.array(sorted(v for v in whole if low <= v <= high), np.int64)
        values = values.astype(dtype.numpy)
    count = len(values)
    y = np.tile(values, count)
    return np.repeat(values, count), y, np.roll(y, count // 3 + 1)


# ---- the rows -----------------------------------------------------------------------------------

# What the unit of the last place may make of a function, and of its result in a narrow type.
FUNCTION = {
    DType.F64: 1e-14, DType.F32: 1.2e-6, DType.F16: 2.0**-10, DType.BF16: 2.0**-7,
    DType.F8E4M3: 2.0**-3, DType.F8E5M2: 2.0**-2,
}  # fmt: skip
# The smallest steps of the types; of f32 the smallest number of full precision.
LEAST = {
    DType.F32: 1.2e-38, DType.F16: 6e-8, DType.BF16: 1e-40, DType.F8E4M3: 2.0**-9,
    DType.F8E5M2: 2.0**-16,
}  # fmt: skip
EXACT = ("div", "sqrt", "isnan", "isinf")


def rows_of(dtype: DType) -> Iterator[Row]:
    """Yield what there is to test on a type."""
    for op in OPS.values():
        match op.family:
            case "logic" if dtype is DType.BOOL:
                yield _row(op, dtype, dtype, DType.BOOL)
            case "compare":
                yield _row(op, dtype, dtype, DType.BOOL)
            case "arithmetic" if dtype is not DType.BOOL:
                yield from _stored(op, dtype, dtype.arithmetic)
            case "float" if dtype.is_float and op.name in ("isnan", "isinf"):
                yield _row(op, dtype, dtype.arithmetic, DType.BOOL)
            case "float" if dtype.is_float:
                yield from _stored(op, dtype, dtype.arithmetic)
            case "select" if dtype is not DType.BOOL:
                yield _row(op, dtype, dtype, dtype)
            case "where":
                yield Row(
                    op.name,
                    "where(x[i] > y[i], x[i], y[i])",
                    dtype,
                    lambda x, y, z: np.where(x > y, x, y),
                )
            case "bits" if dtype.is_integer:
                wide = dtype.arithmetic
                yield _row(op, dtype, wide, DType.I32 if op.name == "popcount" else wide)
            case "cast":
                yield from _casts(op, dtype)
            case _:
                pass


def _stored(op: Op, dtype: DType, wide: DType) -> Iterator[Row]:
    """Yield an op with its result as it is, and rounded to the type of the operands."""
    yield _row(op, dtype, wide, wide)
    if wide is not dtype and dtype.is_float:
        yield _row(op, dtype, wide, dtype)


def _row(op: Op, dtype: DType, compute: DType, result: DType) -> Row:
    words = ("x[i]", "y[i]", "z[i]")[: op.arity]
    if op.infix and op.arity == 2:
        text = f"{words[0]} {op.infix} {words[1]}"
    elif op.infix:
        text = f"{op.infix} {words[0]}"
    else:
        text = f"-{words[0]}" if op.name == "neg" else f"{op.name}({', '.join(words)})"
    if op.family in ("arithmetic", "float") and result is not compute and result is not DType.BOOL:
        text = f"{result}({text})"
    function = (op.family == "float" or op.name == "pow") and op.name not in EXACT
    loose = FUNCTION[result] if function and result.is_float else 0.0
    loose *= 50 if op.name == "pow" and result is DType.F32 else 1  # the exponent is up to 88

    def meaning(*arrays: Array) -> Array:
        exact = DType.F64 if loose else compute
        kind = exact.numpy if exact.bits >= 8 else np.dtype(np.int32)
        found = np.asarray(op.numpy(*(a.astype(kind) for a in arrays[: op.arity])))
        if op.family == "select" or not result.is_float:
            return found.astype(result.numpy)
        return convert(found.astype(compute.numpy), result)

    return Row(op.name, text, result, meaning, loose)


def _casts(op: Op, dtype: DType) -> Iterator[Row]:
    for other in DType:
        same = other is dtype
        match op.name:
            case "cast" if not same:
                yield Row("cast", f"{other}(x[i])", other, _to(convert, other))
            case "wrap" if other.is_integer and dtype is not DType.BOOL:
                yield Row("wrap", f"wrap({other}, x[i])", other, _to(wrap, other))
            case "bitcast" if other.bits == dtype.bits and DType.BOOL not in (dtype, other):
                if not same:
                    yield Row("bitcast", f"bitcast({other}, x[i])", other, _to(bitcast, other))
            case _:
                pass


def _to(change: Callable[[Array, DType], Array], dtype: DType) -> Meaning:
    return lambda x, y, z: change(x, dtype)
