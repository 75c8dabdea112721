"""What an instruction costs: the machine instructions of each leaf operation, and their cycles.

The splits are those of ``backends/ascend/include/tiledsl_ascend.h``.
"""

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from tiledsl.chips import Chip, Transfer
from tiledsl.simulator.places import View
from tiledsl.types import DType

_REPEAT = 256  # bytes that one repeat of a vector instruction takes
_BLOCK = 32
_MOST = 255  # repeats of one instruction, and blocks from one repeat to the next
_LINE = 512  # bytes of global memory

_KINDS = {
    "add": "add", "sub": "add", "mul": "mul", "max": "max", "min": "max", "div": "div",
    "and": "logic", "or": "logic", "not": "logic", "exp": "exp", "ln": "ln", "sqrt": "sqrt",
    "abs": "abs", "relu": "scalar", "floor": "cast", "ceil": "cast", "rint": "cast",
    "trunc": "cast",
}  # fmt: skip


class Work(NamedTuple):
    """Cycles that a queue is busy, how much later the result is there, instructions issued."""

    cycles: float
    latency: float = 0.0
    issues: int = 1


@dataclass(frozen=True, slots=True)
class Share:
    """What one core gets of global memory, in bytes a cycle, for reads and for writes."""

    read: float
    write: float
    scratch: float


UNSHARED = Share(float("inf"), float("inf"), float("inf"))


def kind_of(op: str, dtype: DType) -> str:
    """Return the row of the cost table for an op on a type."""
    return "div16" if op == "div" and dtype is DType.F16 else _KINDS[op]


def flat(chip: Chip, kind: str, size: int) -> Work:
    """Return the work of one instruction in count mode over ``size`` bytes."""
    cost = chip.costs.vector[kind]
    tail = chip.costs.vector["tail"].fixed if size % _REPEAT else 0.0
    return Work(cost.fixed + cost.slope * -(-size // _REPEAT) + tail)


def by_rows(
    chip: Chip, kind: str, dst: View, sources: tuple[View, ...], rows: int, cols: int
) -> Work:
    """Return the work of an instruction on views: rows as repeats, or row by row."""
    cost, size = chip.costs.vector[kind], dst.place.dtype.size
    slope = cost.slope + (chip.costs.bank_conflict if _conflict(sources) else 0.0)
    chunks = -(-cols * size // _REPEAT)
    views = (dst, *sources)
    fits = all(v.stride * size // _BLOCK <= _MOST for v in views if v.kind == "full")
    if rows == 1 or not fits or rows < chunks:
        along = all(v.kind in ("full", "row") for v in sources)
        pieces = 1 if along or cols * size % _REPEAT == 0 else 2
        tail = chip.costs.vector["tail"].fixed if along and cols * size % _REPEAT else 0.0
        return Work(rows * (pieces * cost.fixed + slope * chunks + tail), issues=rows * pieces)
    issues = chunks * -(-rows // _MOST)
    return Work(issues * cost.fixed + slope * chunks * rows, issues=issues)


def row_reduce(chip: Chip, op: str, src: View, rows: int, cols: int) -> Work:
    """Return the work of folding each row."""
    size = src.place.dtype.size
    lanes = _REPEAT // size
    whole = chip.costs.vector["reduce"]
    most = _MOST if src.stride * size // _BLOCK <= _MOST else 1

    def fold(count: int) -> Work:
        issues = -(-count // most)
        return Work(issues * whole.fixed + count * whole.slope, issues=issues)

    if cols <= lanes:
        return fold(rows)
    chunks = -(-cols // lanes)
    if most == 1 or rows < chunks:
        cycles, issues, left = 0.0, 0, cols
        while left > lanes:
            left = -(-left // lanes)
            cycles, issues = cycles + whole.fixed + left * whole.slope, issues + 1
        last = whole.fixed + whole.slope
        return Work(rows * (cycles + last), issues=rows * (issues + 1))
    pair = chip.costs.vector["max" if op in ("max", "min") else "add"]
    steps = -(-rows // _MOST)
    once = steps * pair.fixed + rows * pair.slope
    end = fold(rows)
    return Work(chunks * once + end.cycles, issues=chunks * steps + end.issues)


def col_reduce(chip: Chip, op: str, size: int, rows: int) -> Work:
    """Return the work of folding rows of ``size`` bytes, one after the other."""
    step = flat(chip, {"add": "add", "mul": "mul"}.get(op, "max"), size)
    return Work(rows * step.cycles, issues=rows)


def transpose(chip: Chip, size: int, rows: int, cols: int) -> Work:
    """Return the work of transposing elements of ``size`` bytes."""
    cost = chip.costs.vector["transpose"]
    strips = -(-rows // 16)
    repeats = strips * _up(cols, 16) * size // _BLOCK
    return Work(strips * cost.fixed + cost.slope * repeats, issues=strips)


def outside(
    transfer: Transfer, share: float, width: int, shape: tuple[int, ...],
    strides: tuple[int, ...], start: int,
) -> Work:  # fmt: skip
    """Return the work of a copy from or to global memory.

    Rows of ``width`` bytes from byte ``start`` on, ``strides`` bytes apart; ``share`` is what the
    core gets of the memory, in bytes a cycle.
    """
    rows = prod(shape)
    copies = prod(shape[:-1])
    if rows > 1 and strides[-1] == width:  # the rows of one copy are one run of bytes
        rows, width = copies, width * shape[-1]
    aligned = start % _LINE == 0 and all(s % _LINE == 0 for s in strides)
    extra = transfer.row_bytes if aligned else transfer.unaligned_bytes
    own = rows * (width / transfer.bytes_per_cycle + transfer.row)
    shared = rows * (width + (extra if rows > 1 or not aligned else 0.0)) / share
    return Work(max(own, shared, copies * transfer.issue), transfer.latency, copies)


def load(transfer: Transfer, size: int, issues: int) -> Work:
    """Return the work of a copy of ``size`` bytes inside the chip."""
    return Work(size / transfer.bytes_per_cycle + transfer.row, transfer.latency, issues)


def drain(chip: Chip, dst: View, rows: int, blocks: int) -> Work:
    """Return the work of moving rows of ``blocks`` times 16 columns, a repeat each, within UB."""
    cost = chip.costs.vector["copy"]
    most = _MOST if dst.stride * dst.place.dtype.size // _BLOCK <= _MOST else 1
    issues = blocks * -(-rows // most)
    return Work(issues * cost.fixed + cost.slope * blocks * rows, issues=issues)


def mmad(chip: Chip, dtype: DType, m: int, n: int, k: int) -> Work:
    """Return the work of a product, its sizes rounded up to whole fractals."""
    c0 = _BLOCK // dtype.size
    products = _up(m, 16) * _up(n, 16) * _up(max(k, 1), c0)
    rate = chip.cube_macs.get(dtype.value, min(chip.cube_macs.values()))
    return Work(products / rate + chip.costs.mmad_fixed, chip.costs.mmad_latency)


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _conflict(sources: tuple[View, ...]) -> bool:
    """Whether two sources are read from one group of banks: bits 5 to 8 of the address."""
    along = [v.place.start for v in sources if v.kind in ("full", "row")]
    return len(along) == 2 and along[0] != along[1] and not (along[0] ^ along[1]) & 0x1E0
