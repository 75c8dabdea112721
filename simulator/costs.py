"""What an instruction costs: the machine instructions of each leaf operation, and their cycles.

The splits are those of ``backends/ascend/include/tiledsl_ascend.h``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from tiledsl.chips import Chip, Transfer
from tiledsl.simulator.places import View
from tiledsl.types import DType

_REPEAT = 256  # bytes that one repeat of a vector instruction takes
_BLOCK = 32
_PER_BLOCK = 8  # f32 of a block, and blocks of a repeat
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
    """How crowded global memory is for one core.

    ``slow`` is how many times longer a copy from or to HBM takes than it would alone, ``cold`` the
    part of what is read of each tensor that comes from there, ``sharers`` how many blocks read the
    same bytes at once. ``slow_cache`` is the same as ``slow`` for all that goes through L2.
    """

    slow: float = 1.0
    slow_cache: float = 1.0
    cold: Mapping[str, float] = field(default_factory=dict)
    sharers: Mapping[str, float] = field(default_factory=dict)

    def read(self, name: str) -> float:
        """Return how many times longer a read of a tensor takes than from L2 alone."""
        cold = self.cold.get(name, 1.0)
        return max(self.slow_cache, 1.0 + cold * (self.slow - 1.0))

    @property
    def write(self) -> float:
        """How many times longer a write takes than to L2 alone."""
        return max(self.slow_cache, self.slow)


UNSHARED = Share()


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
    slope = max(cost.slope, 1.0 + _conflict(chip, dst, sources))
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


def row_reduce(
    chip: Chip, op: str, src: View, rows: int, cols: int, blocks: bool = False
) -> Work:
    """Return the work of folding each row; with ``blocks`` many rows block by block."""
    size = src.place.dtype.size
    lanes = _REPEAT // size
    whole = chip.costs.vector["reduce"]
    most = _MOST if src.stride * size // _BLOCK <= _MOST else 1

    def fold(count: int) -> Work:
        issues = -(-count // most)
        if blocks and count >= _PER_BLOCK and cols >= lanes:
            part, last = chip.costs.vector["block_reduce"], -(-count // _PER_BLOCK)
            issues += -(-last // _MOST) + (1 if count % _PER_BLOCK else 0)
            return Work(issues * part.fixed + (count + last) * part.slope, issues=issues)
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
    if cols >= 2 * lanes:  # the first two chunks become one at once
        chunks -= 1
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
    transfer: Transfer, width: int, shape: tuple[int, ...], strides: tuple[int, ...], start: int,
    *, slow: float = 1.0, sharers: float = 1.0,
) -> Work:  # fmt: skip
    """Return the work of a copy from or to global memory.

    Rows of ``width`` bytes from byte ``start`` on, ``strides`` bytes apart; it takes ``slow``
    times as long as alone, and ``sharers`` cores ask for the same lines at once.
    """
    copies = prod(shape[:-1])
    rows, width = _runs(width, shape, strides)
    alone = width / transfer.bytes_per_cycle + transfer.row
    if not _aligned(width, strides, start):
        alone += transfer.row_unaligned
    lines = -(-width // _LINE) * sharers * transfer.line
    row = max(alone, transfer.row_least, lines if sharers > 1 else 0.0)
    return Work(max(rows * row * slow, copies * transfer.issue), transfer.latency, copies)


def spare(
    transfer: Transfer, width: int, shape: tuple[int, ...], strides: tuple[int, ...], start: int
) -> float:
    """Return the bytes that HBM moves for a copy beside those that are copied: parts of lines."""
    rows, width = _runs(width, shape, strides)
    return 0.0 if _aligned(width, strides, start) else rows * transfer.unaligned_bytes


def _runs(width: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int]:
    """Return how many runs of bytes a copy has, and how long each is."""
    rows, copies = prod(shape), prod(shape[:-1])
    if rows > 1 and strides[-1] == width:  # the rows of one copy are one run of bytes
        return copies, width * shape[-1]
    return rows, width


def _aligned(width: int, strides: tuple[int, ...], start: int) -> bool:
    """Whether no row touches more lines of global memory than it needs."""
    inside = start % _LINE + width % _LINE <= _LINE
    return inside and all(n % _LINE == 0 for n in strides)


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


def _conflict(chip: Chip, dst: View, sources: tuple[View, ...]) -> float:
    """Return the cycles of a repeat in which conflicts of UB banks leave nothing to be read.

    An address has 2 bits for the bank above 7 for the row, 4 for the group and 5 for the byte. A
    repeat takes 8 groups. Two reads conflict in one group; a read and the write some repeats
    earlier in one bank, unless they keep to the same groups.
    """
    along = [v.place.start for v in sources if v.kind in ("full", "row")]
    extra = 0.0
    if len(along) == 2 and along[0] != along[1] and not (along[0] ^ along[1]) & 0x1E0:
        extra += chip.costs.bank_conflict
    out = dst.place.start
    for start in along:
        if start != out and start >> 16 == out >> 16 and (start ^ out) & 0x1E0:
            extra = max(extra, chip.costs.bank_write_conflict)
    return extra
