"""What a kernel is like, as far as the NPU lowering asks: orders, granules, lives, spans."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tiledsl import ir
from tiledsl.chips import Chip
from tiledsl.diagnostics import CompileError
from tiledsl.npu.carriers import carry
from tiledsl.npu.errors import NotOnTarget
from tiledsl.npu.frame import paired
from tiledsl.npu.lifting import lift
from tiledsl.npu.partition import Partition, partition
from tiledsl.npu.prepare import prepare
from tiledsl.scalar import Axis, Element, End, Position, Scalar, Start, TileSize, walk
from tiledsl.types import DType

_NO_PLACES: Mapping[str, str] = {}
# What a core's atomic copies do not take; carriers and 4-bit elements are refused on their way.
_NO_ATOMICS = (DType.BOOL, DType.U8, DType.I64)


@dataclass(frozen=True)
class Shape:
    """What the lowering knows of a kernel on a chip before any tile size is set."""

    kernel: ir.Kernel
    chip: Chip
    grid: tuple[Axis, ...]
    body: tuple[ir.Stmt, ...]
    marks: Partition
    rank: dict[Axis, int]
    granule: int
    spans: tuple[Axis, ...]
    last_use: dict[ir.Value, int]
    position: dict[int, int]
    labels: dict[ir.Value, str]
    defined: dict[ir.Value, ir.Stmt]


def analyse(kernel: ir.Kernel, chip: Chip, places: Mapping[str, str] = _NO_PLACES) -> Shape:
    """Return the kernel in the chip's ops, with who does what; raise what the chip cannot store.

    ``places`` says of variables where they live, if not where they would.
    """
    _storable(kernel, chip)
    grid, inner = independent(kernel)
    body = prepare(carry(lift(inner), chip.name))
    rank = canonical_order(body)
    outside = frozenset(name for name, place in places.items() if place == "ub")
    marks = partition(body, rank, kernel.facts, unified=not chip.separate, outside=outside)
    position, last_use = uses(body)
    granule = row_granule(body, marks, rank)
    defined = {value: s for s in ir.statements(body) for value in ir.results(s)}
    if marks.cube and not chip.separate:
        granule = max(granule, 16)  # L0C comes to UB in fractals
    return Shape(
        kernel,
        chip,
        grid,
        body,
        marks,
        rank,
        granule,
        spans_of(body),
        last_use,
        position,
        labels_of(body),
        defined,
    )


def independent(kernel: ir.Kernel) -> tuple[tuple[Axis, ...], tuple[ir.Stmt, ...]]:
    """Return the grid ranges that the host can count, and the body inside loops over the others.

    A range whose ends depend on other ranges or on tensors becomes a loop of each program.
    """
    counted = tuple(a for a in kernel.grid if not _varies(a.lo) and not _varies(a.hi))
    body = kernel.body
    for axis in reversed(kernel.grid):
        if axis not in counted:
            body = (ir.For(axis.span, axis, body),)
    return counted, body


def _varies(scalar: Scalar) -> bool:
    return any(isinstance(part, Position | Start | End | Element) for part in walk(scalar))


def axes_in(axis: Axis) -> set[Axis]:
    """Return the ranges that the ends of ``axis`` name."""
    found = axes_of(axis.lo) | axes_of(axis.hi)
    return found | {axis.source} if axis.source is not None else found


def axes_of(scalar: Scalar) -> set[Axis]:
    """Return the ranges in ``scalar``."""
    return {p.axis for p in walk(scalar) if isinstance(p, Position | Start | End)}


def _storable(kernel: ir.Kernel, chip: Chip) -> None:
    """Reject element types and stores that the chip does not have."""
    for tensor in kernel.tables:
        if tensor.dtype.bits < 8:
            what = f"a table of `{tensor.dtype}`"
            raise CompileError([NotOnTarget(tensor.span, chip.name, what, "use i8 or u8")])
    loops = (s.axis for s in ir.statements(kernel.body) if isinstance(s, ir.For))
    for axis in (*kernel.grid, *loops):
        for part in (*walk(axis.lo), *walk(axis.hi)):
            if isinstance(part, Element) and part.tensor.dtype.bits < 8:
                what = f"the end of a range in a tensor of `{part.tensor.dtype}`"
                raise CompileError([NotOnTarget(axis.span, chip.name, what, "use i8 or u8")])
    for s in ir.statements(kernel.body):
        if not isinstance(s, ir.Random):
            continue
        numbers = [x for x in (s.seed, s.offset) if not isinstance(x, ir.Value)]
        for part in (p for number in numbers for p in walk(number)):
            if isinstance(part, Element) and part.tensor.dtype.bits < 8:
                what = f"random numbers by a number in a tensor of `{part.tensor.dtype}`"
                raise CompileError([NotOnTarget(s.span, chip.name, what, "use i8 or u8")])
    for s in ir.statements(kernel.body):
        if isinstance(s, ir.Store) and s.atomic and s.tensor.dtype in _NO_ATOMICS:
            what = f"an `atomic` store of {s.tensor.dtype}"
            raise CompileError([NotOnTarget(s.span, chip.name, what, "use i32")])
    if chip.separate:
        return
    for tensor in kernel.tensors:
        if tensor.dtype is DType.BF16:
            raise CompileError([NotOnTarget(tensor.span, chip.name, "bf16", "use f16 or f32")])
        if tensor.dtype in (DType.I16, DType.U16):
            what = f"arithmetic on {tensor.dtype}"
            raise CompileError([NotOnTarget(tensor.span, chip.name, what, "use i32 or i8")])
    for s in ir.statements(kernel.body):
        if isinstance(s, ir.Store) and s.atomic:
            raise CompileError([NotOnTarget(s.span, chip.name, "an `atomic` store")])
        if any(value.type.dtype is DType.BF16 for value in ir.results(s)):
            raise CompileError([NotOnTarget(s.span, chip.name, "bf16", "use f16 or f32")])


def canonical_order(body: tuple[ir.Stmt, ...]) -> dict[Axis, int]:
    """Return the canonical order of axes: as stores have them, then products, then loads.

    Each of them orders its axes; an order that contradicts an earlier one is left aside (that tile
    is transposed).
    """
    after: dict[Axis, dict[Axis, None]] = {}

    def reaches(a: Axis, b: Axis) -> bool:
        return a is b or any(reaches(x, b) for x in after.get(a, ()))

    def order(axes: Iterable[Axis]) -> None:
        chain = list(dict.fromkeys(axes))
        for axis in chain:
            after.setdefault(axis, {})
        if not any(reaches(b, a) for i, a in enumerate(chain) for b in chain[i + 1 :]):
            for a, b in pairwise(chain):
                after[a][b] = None

    every = list(ir.statements(body))
    for s in every:
        if isinstance(s, ir.Store):
            order(_met(s))
    for s in every:
        if isinstance(s, ir.Contract):
            left = [a for a in s.a.type.axes if a not in s.axes]
            order((*left, *(a for a in s.b.type.axes if a not in s.axes)))
    for s in every:
        if isinstance(s, ir.Load):
            order(_met(s))
    for s in every:
        for value in ir.results(s):
            order(value.type.axes)
    rank: dict[Axis, int] = {}

    def visit(axis: Axis) -> None:
        if axis not in rank:
            for follower in reversed(after[axis]):
                visit(follower)
            rank[axis] = -len(rank)

    for axis in reversed(after):
        visit(axis)
    return rank


def _met(statement: ir.Load | ir.Store) -> Iterable[Axis]:
    """Yield ranges as the tensor's dims meet them, in lookups too: rows by number are rows."""
    for index in statement.index:
        yield from (axis for axis, _ in index.terms)
        if index.gather is not None:
            yield from index.gather.type.axes


def row_granule(body: tuple[ir.Stmt, ...], marks: Partition, rank: dict[Axis, int]) -> int:
    """Return the elements to whose multiple rows are padded: 32 bytes of the narrowest type."""
    granule = 8
    for s in ir.statements(body):
        index = s.index if isinstance(s, ir.Load | ir.Store) else ()
        axes = list(dict.fromkeys(a for i in index for a, _ in i.terms))
        if axes != sorted(axes, key=lambda a: rank[a]) and id(s) not in marks.skipped:
            granule = max(granule, 16)
        stored = isinstance(s, ir.Load)
        if any(map(paired, axes)):
            granule = max(granule, 64)  # half a row of bytes is whole blocks
        turns = isinstance(s, ir.Scan | ir.Sort | ir.Rename)
        if turns or (isinstance(s, ir.Reduce) and _turned(s)):
            granule = max(granule, 16)
        kinds = [v.type.dtype for v in ir.results(s) if v in marks.vector_values]
        kinds = [k for k in kinds if stored or k is not DType.BOOL]  # a mask is no bytes
        if isinstance(s, ir.Store) and id(s) not in marks.skipped:
            kinds.append(s.tensor.dtype)
        for kind in kinds:
            granule = max(granule, 32 // kind.size)
    return granule


def _turned(s: ir.Reduce) -> bool:
    """Whether the reduction may go by a transposition."""
    return s.operand.type.dtype.is_integer or s.reduction.name == "prod"


def uses(body: tuple[ir.Stmt, ...]) -> tuple[dict[int, int], dict[ir.Value, int]]:
    """Return the number of each statement, and the last use of each value.

    A use in a loop that its definition is not in counts at the loop's end.
    """
    position: dict[int, int] = {}
    last_use: dict[ir.Value, int] = {}
    depth_of: dict[ir.Value, int] = {}
    clock = 0

    def visit(steps: tuple[ir.Stmt, ...], depth: int) -> list[ir.Value]:
        nonlocal clock
        outside: list[ir.Value] = []
        for s in steps:
            clock += 1
            position[id(s)] = clock
            for operand in ir.operands(s):
                if isinstance(operand, ir.Value):
                    last_use[operand] = clock
                    outside.append(operand)
            inner: list[ir.Value] = []
            match s:
                case ir.For():
                    inner = visit(s.body, depth + 1)
                case ir.If():
                    inner = visit(s.then, depth + 1) + visit(s.orelse, depth + 1)
            clock += 1
            for value in inner:
                if depth_of.get(value, 0) <= depth:
                    last_use[value] = clock
                    outside.append(value)
            for value in ir.results(s):
                depth_of[value] = depth
        return outside

    visit(body, 0)
    return position, last_use


def spans_of(body: tuple[ir.Stmt, ...]) -> tuple[Axis, ...]:
    """Return the spans of a body, each after the range whose positions it repeats."""
    found: dict[Axis, None] = {}

    def meet(axes: Iterable[Axis]) -> None:
        for axis in axes:
            if axis.kind == "span":
                if axis.source is not None:
                    meet((axis.source,))
                found.setdefault(axis)

    for s in ir.statements(body):
        for value in ir.results(s):
            meet(value.type.axes)
        if isinstance(s, ir.Load | ir.Store):
            meet(axis for i in s.index for axis, _ in i.terms)
    return tuple(found)


def row_split(
    grid: tuple[Axis, ...], body: tuple[ir.Stmt, ...], marks: Partition, wanted: str | None = None
) -> Axis | None:
    """Return the grid range whose rows the two vector cores share: one that they never reduce.

    The one ``wanted``, if it is such a range.
    """
    folded: set[Axis] = set()
    for s in ir.statements(body):
        if isinstance(s, ir.Reduce):
            folded |= set(s.axes)
        elif isinstance(s, ir.Scan):
            folded.add(s.axis)
        elif isinstance(s, ir.Rename) and not (paired(s.old) or paired(s.new)):
            folded |= {s.old, s.new}
    products = [set(v.type.axes) for v in marks.to_vector]
    for axis in sorted(grid, key=lambda a: a.name != wanted):
        if axis.is_scalar or axis in folded:
            continue
        if all(axis in axes for axes in products):
            return axis
    return None


def labels_of(body: tuple[ir.Stmt, ...]) -> dict[ir.Value, str]:
    """Return a name for people for each value: its own, or what makes it."""
    labels: dict[ir.Value, str] = {}
    for s in ir.statements(body):
        match s:
            case ir.Compute(op=op):
                word = op.name
            case ir.Reduce(reduction=reduction) | ir.Scan(reduction=reduction):
                word = reduction.name
            case ir.Contract():
                word = "product"
            case ir.Read(var=var):
                word = var.name
            case ir.Load(tensor=tensor):
                word = tensor.name
            case _:
                word = type(s).__name__.lower()
        for value in ir.results(s):
            own = value.name.lstrip("%").partition(".")[0]
            labels[value] = own if own[:1].isalpha() else word
    return labels


def growing_rows(shape: Shape) -> dict[str, tuple[Axis, Axis]]:
    """Return the tile sizes that may grow where rows are short: range of rows and span, by name.

    Rows must be independent and lie outermost of two: no product, sort, scan or transposition, and
    every tile that has the range has it alone or before one and the same span.
    """
    plain = ir.Load | ir.Store | ir.Compute | ir.Reduce | ir.Declare | ir.Assign | ir.Read
    every = list(ir.statements(shape.body))
    if not all(isinstance(s, plain) for s in every):
        return {}
    shapes = {tuple(sorted(v.type.axes, key=shape.rank.__getitem__)) for v in shape.defined}
    shapes |= {
        tuple(dict.fromkeys(a for i in s.index for a, _ in i.terms if not a.is_scalar))
        for s in every
        if isinstance(s, ir.Load | ir.Store)
    }
    folded = {a for s in every if isinstance(s, ir.Reduce) for a in s.axes}
    found: dict[str, tuple[Axis, Axis]] = {}
    for axis in shape.grid:
        spans = {axes[1] for axes in shapes if len(axes) == 2 and axes[0] is axis}
        others = [
            axes
            for axes in shapes
            if axis in axes and axes not in ((axis,), *((axis, s) for s in spans))
        ]
        if not isinstance(axis.tile, TileSize) or axis in folded or others or len(spans) != 1:
            continue
        (span,) = spans
        if span.kind == "span" and not _varies(span.lo) and not _varies(span.hi):
            found[axis.tile.name] = axis, span
    return found
