"""Which threads hold which elements of a product."""

from collections.abc import Callable
from itertools import product as pairs

from tiledsl import ir
from tiledsl.gpu.program import WARP, FmaLayout, Layout, MmaLayout, product
from tiledsl.scalar import Axis
from tiledsl.types import DType

# Multiplied by tensor cores; fp8 is held as f16, which has all its values.
MMA_TYPES = {
    DType.F16: DType.F16, DType.BF16: DType.BF16, DType.F8E4M3: DType.F16, DType.F8E5M2: DType.F16,
}  # fmt: skip


def sides(contract: ir.Contract) -> tuple[tuple[Axis, ...], tuple[Axis, ...]] | None:
    """Return the ranges of rows and columns of a product; None if it is no plain matrix product.

    The result's first range is one of the rows, whichever operand has it.
    """
    a, b = contract.a.type.axes, contract.b.type.axes
    only_a = tuple(x for x in a if x not in b)
    only_b = tuple(x for x in b if x not in a)
    batch = [x for x in a if x in b and x not in contract.axes]
    if batch or not only_a or not only_b:
        return None
    first = next(x for x in contract.result.type.axes)
    order = contract.result.type.axes
    rows, cols = (only_a, only_b) if first in only_a else (only_b, only_a)
    return tuple(sorted(rows, key=order.index)), tuple(sorted(cols, key=order.index))


def layout_of(contract: ir.Contract, limit: Callable[[Axis], int], threads: int) -> Layout | None:
    """Return the layout of the accumulators of ``contract``; None if it is done as a fold."""
    found = sides(contract)
    if found is None:
        return None
    rows, cols = found
    m, n = product(tuple(map(limit, rows))), product(tuple(map(limit, cols)))
    if contract.a.type.dtype in MMA_TYPES:
        return _mma(rows, cols, m, n, threads // WARP)
    return _fma(rows, cols, m, n, threads)


def _mma(rows: tuple[Axis, ...], cols: tuple[Axis, ...], m: int, n: int, warps: int) -> MmaLayout:
    best: tuple[tuple[int, int, int], MmaLayout] | None = None
    for high in (1, 2, 4, 8):
        if high > warps:
            break
        wide = warps // high
        frags = (-(-m // (16 * high)), 2 * -(-n // (16 * wide)))
        cost = (frags[0] * frags[1], frags[0] * 16 + frags[1] * 8, high)
        if best is None or cost < best[0]:
            best = cost, MmaLayout(rows, cols, (high, wide), frags)
    assert best is not None
    return best[1]


def _fma(rows: tuple[Axis, ...], cols: tuple[Axis, ...], m: int, n: int, threads: int) -> FmaLayout:
    best: tuple[tuple[int, int, int], FmaLayout] | None = None
    sizes = [1 << i for i in range(threads.bit_length())]
    for high, wide in pairs(sizes, sizes):
        if high * wide != threads:
            continue
        each = (-(-m // high), -(-n // wide))
        cost = (each[0] * each[1], each[0] + each[1], abs(wide - 16))
        if best is None or cost < best[0]:
            best = cost, FmaLayout(rows, cols, (high, wide), each)
    assert best is not None
    return best[1]
