"""Every reduction and scan of the op table on every element type and device.

As in test_op_table.py: rows of values with NaN, infinities, -0 and extremes among them; what a
target refuses is kept in fold_table_refused.txt.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.test_op_table import FUNCTION, TARGETS, Row, compare_refused, differs, refusals
from tiledsl import ir
from tiledsl.check import Module, instantiate, load_text
from tiledsl.driver import compile_kernel, emit
from tiledsl.ops import REDUCTIONS, Reduction
from tiledsl.ops.registry import Array
from tiledsl.runtime.devices import run_on
from tiledsl.runtime.launch import prepare
from tiledsl.types import DType

REFUSED = Path(__file__).parent / "fold_table_refused.txt"
LENGTHS = (0, 1, 37)


@pytest.mark.parametrize("target", sorted(set(TARGETS.values())))
def test_what_a_target_refuses(target: str, update: bool) -> None:
    compare_refused(REFUSED, target, {dtype: refused(dtype, target) for dtype in DType}, update)


@pytest.mark.parametrize("device", TARGETS)
@pytest.mark.parametrize("dtype", DType, ids=str)
def test_folds(dtype: DType, device: str) -> None:
    target = TARGETS[device]
    rows = [row for row in rows_of(dtype) if row.name not in refused(dtype, target)]
    if not rows:
        return
    module, kernel = kernel_of(dtype, rows)
    compiled = compile_kernel(module, kernel, target, {})
    wrong = []
    for length in LENGTHS:
        x = operand(dtype, length)
        launch = prepare(kernel, {"x": x.copy()}, {})
        run_on(device, compiled, launch, emit)
        for number, row in enumerate(rows):
            got = launch.outputs[f"r{number}"]
            with np.errstate(all="ignore"):
                want = row.meaning(x, x, x)
            bad = differs(got, want, row)
            if bad.any():
                i = tuple(map(int, np.argwhere(bad)[0]))
                given = " ".join(map(str, x[i[0]]))
                wrong.append(f"{row.text}: got {got[i]}, not {want[i]} at {i} of {given}")
    assert not wrong, "\n".join(wrong)


@cache
def refused(dtype: DType, target: str) -> tuple[str, ...]:
    return refusals(dtype, target, rows_of(dtype), kernel_of)


def kernel_of(dtype: DType, rows: Sequence[Row]) -> tuple[Module, ir.Kernel]:
    outs = ", ".join(
        f"r{number}: {row.dtype}[{'M, N' if is_scan(row) else 'M'}]"
        for number, row in enumerate(rows)
    )
    body = "\n".join(
        f"    r{number}[{'m, n' if is_scan(row) else 'm'}] = {row.text}"
        for number, row in enumerate(rows)
    )
    text = f"kernel folds(x: {dtype}[M, N]) -> ({outs}):\n    where N <= 64\n"
    text += f"    grid m in M by 4\n    span n in N\n{body}\n"
    module = load_text(text, "folds.tile")
    kernel = instantiate(module, "folds", ir.Binding())
    assert isinstance(kernel, ir.Kernel)
    return module, kernel


def is_scan(row: Row) -> bool:
    return row.op.startswith("cum")


def rows_of(dtype: DType) -> Iterator[Row]:
    """Yield what there is to test on a type."""
    for fold in REDUCTIONS.values():
        if (fold.name in ("any", "all")) != (dtype is DType.BOOL):
            continue
        yield _row(fold, dtype, fold.name)
        if fold.scan:
            yield _row(fold, dtype, fold.scan)


def _row(fold: Reduction, dtype: DType, name: str) -> Row:
    wide, result = fold.reduced_in(dtype), fold.result(dtype)

    def meaning(x: Array, *others: Array) -> Array:
        kind = wide.numpy if wide.bits >= 8 else np.dtype(np.int32)
        x = x.astype(kind)
        if name == fold.scan:
            assert fold.numpy_scan is not None
            return np.asarray(fold.numpy_scan(x, 1)).astype(result.numpy)
        if not x.shape[1]:
            return np.full(x.shape[0], fold.identity(result if fold.combine else dtype)).astype(
                result.numpy
            )
        return np.asarray(fold.numpy(x, (1,))).astype(result.numpy)

    summed = fold.combine in ("add", "mul") and result.is_float
    return Row(name, f"{name}(x[m, n] over n)", result, meaning, FUNCTION[result] if summed else 0)


def operand(dtype: DType, length: int) -> Array:
    """Return rows: a few values each, of which sums are exact, and one that is special."""
    rng = np.random.default_rng(0)
    if dtype is DType.BOOL:
        x = rng.integers(0, 2, (12, length)).astype(bool)
        x[5] = True
        return x
    low, high = (-4, 5) if dtype.is_signed else (0, 5)
    x = rng.integers(low, high, (24, length)).astype(dtype.numpy)
    if not length:
        return x
    if dtype.is_float:
        special = [-0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38, 448.0, 65504.0]
        with np.errstate(over="ignore"):
            x[1:9, length // 2] = np.array(special).astype(dtype.numpy)
        x[6, np.arange(length) != length // 2] = 1  # a product overflows in no order
        x[9, :] = -0.0
        x[10, [0, -1]] = np.array([np.inf, -np.inf]).astype(dtype.numpy)
        x[11, [0, -1]] = np.array([np.nan, np.nan]).astype(dtype.numpy)
        x[12, :] = -np.inf
    else:
        least, most = dtype.limits
        x[1, length // 2], x[2, length // 2] = least, most
        x[3, :], x[4, :] = least, most
    return x
