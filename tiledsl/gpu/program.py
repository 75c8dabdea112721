"""The GPU program: one grid tile a thread block, passes over tiles, barriers between them.

A pass runs over the elements of some ranges and deals them out to the threads. What a thread does
with one element is a list of steps: named values, each computed once, then effects. Passes differ
in how they deal (`Sweep`, `Panel`, `Registers`, `Once`); a value in a `Fragment` can be met only in
a pass over the registers of an equal layout. Every scalar is in terms of `Local`s: the names of the
program are final, and are C++ names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import mul
from typing import Literal as Lit

from tiledsl.chips.facts import SHARED_BYTES
from tiledsl.ir import Fact, ScalarParam
from tiledsl.ops import Reduction
from tiledsl.scalar import Axis, Scalar, Tensor
from tiledsl.source import NOWHERE, Span
from tiledsl.types import DType

WARP = 32

# What a pass over a panel calls the row and column in its buffer.
PANEL_ROW, PANEL_COL = "row_", "col_"


@dataclass(frozen=True, slots=True)
class Target:
    """A family of GPUs: how nvcc is told of it, and what shared memory one block may have."""

    name: str
    arch: str
    shared_bytes: int


TARGETS = {
    name: Target(name, arch, SHARED_BYTES[name])
    for name, arch in (("cuda.sm80", "80"), ("cuda.sm90", "90a"))
}


# ---- where values are ---------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Buffer:
    """A tile in shared memory, known by identity: ``shape`` elements, rows ``pitch`` apart.

    ``note`` says what it holds in the words of the ``.tile`` file; ``optional`` that it only saves
    recomputing. `place` sets the ``offset``.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    pitch: int = 0
    note: str = ""
    optional: bool = False
    span: Span = NOWHERE
    offset: int = -1

    @property
    def count(self) -> int:
        """Elements, those between rows included."""
        if not self.pitch:
            return product(self.shape)
        return product(self.shape[:-1]) * self.pitch

    @property
    def bytes(self) -> int:
        """Bytes taken."""
        return self.count * max(1, self.dtype.bits // 8)

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class MmaLayout:
    """How warps hold a matrix in fragments of ``mma.sync.m16n8``.

    Warp ``(a, b)`` of ``warps`` has the 16-row slabs ``a, a + warps[0], …`` (``frags[0]`` of them)
    and the 16-column slabs ``b, b + warps[1], …``; ``frags[1]`` counts 8-column fragments, and is
    even. ``rows`` and ``cols`` are the ranges, flattened by their limits.
    """

    rows: tuple[Axis, ...]
    cols: tuple[Axis, ...]
    warps: tuple[int, int]
    frags: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that the fragments cover."""
        return self.warps[0] * self.frags[0] * 16, self.warps[1] * self.frags[1] * 8

    @property
    def registers(self) -> int:
        """Elements that a thread holds."""
        return self.frags[0] * self.frags[1] * 4

    def element(self, warp: int, lane: int, register: int) -> tuple[int, int]:
        """Return the row and column that a thread's register holds."""
        a, b = divmod(warp, self.warps[1])
        fragment, part = divmod(register, 4)
        i, j = divmod(fragment, self.frags[1])
        row = (i * self.warps[0] + a) * 16 + part // 2 * 8 + lane // 4
        col = ((j // 2 * self.warps[1] + b) * 2 + j % 2) * 8 + lane % 4 * 2 + part % 2
        return row, col


@dataclass(frozen=True, slots=True)
class FmaLayout:
    """How threads hold a matrix that they multiply one element at a time.

    Thread ``(a, b)`` of ``threads`` has rows ``a, a + threads[0], …`` (``each[0]`` of them) and
    columns ``b, b + threads[1], …``.
    """

    rows: tuple[Axis, ...]
    cols: tuple[Axis, ...]
    threads: tuple[int, int]
    each: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that the threads cover."""
        return self.threads[0] * self.each[0], self.threads[1] * self.each[1]

    @property
    def registers(self) -> int:
        """Elements that a thread holds."""
        return self.each[0] * self.each[1]

    def element(self, warp: int, lane: int, register: int) -> tuple[int, int]:
        """Return the row and column that a thread's register holds."""
        a, b = divmod(warp * WARP + lane, self.threads[1])
        i, j = divmod(register, self.each[1])
        return a + i * self.threads[0], b + j * self.threads[1]


Layout = MmaLayout | FmaLayout


@dataclass(eq=False, slots=True)
class Fragment:
    """A matrix in registers, known by identity."""

    name: str
    dtype: DType
    layout: Layout

    def __repr__(self) -> str:
        return self.name


# ---- what a thread does with one element --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Coordinate:
    """Names for where an element is: ``at`` in the tile of ``axis``, ``position`` in the range."""

    axis: Axis
    at: str
    position: str
    start: Scalar
    size: Scalar
    limit: int


@dataclass(frozen=True, slots=True)
class Set:
    """``const dtype name = value;``."""

    name: str
    dtype: DType
    value: Scalar


@dataclass(frozen=True, slots=True)
class Fetch:
    """``name = tensor[index]``, or ``default`` where a guarded index is outside."""

    name: str
    dtype: DType
    tensor: Tensor
    index: tuple[Scalar, ...]
    guards: tuple[bool, ...] = ()
    default: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Get:
    """``name = buffer[index]``."""

    name: str
    dtype: DType
    buffer: Buffer
    index: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Pick:
    """``name`` is the element of ``fragment``."""

    name: str
    dtype: DType
    fragment: Fragment


Step = Set | Fetch | Get | Pick


@dataclass(frozen=True, slots=True)
class Put:
    """``buffer[index] = value``."""

    buffer: Buffer
    index: tuple[Scalar, ...]
    value: Scalar


@dataclass(frozen=True, slots=True)
class Write:
    """``tensor[index] = value``, or an atomic update; not where a guarded index is outside."""

    tensor: Tensor
    index: tuple[Scalar, ...]
    value: Scalar
    atomic: Lit["", "add", "max", "min"] = ""
    guards: tuple[bool, ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    disjoint_in_loops: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """The element of ``fragment`` becomes ``value``."""

    fragment: Fragment
    value: Scalar


@dataclass(frozen=True, slots=True)
class Show:
    """Print a line: ``text`` with its ``{}`` filled in."""

    text: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """End the launch with ``text`` where ``condition`` does not hold."""

    condition: Scalar
    text: str


Effect = Put | Write | Keep | Show | Claim


# ---- how a pass deals its elements out ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sweep:
    """Rows to groups of ``width`` threads, a row's elements to the threads of its group.

    The last coordinate runs along the row; the others are taken together.
    """

    coordinates: tuple[Coordinate, ...]
    width: int


@dataclass(frozen=True, slots=True)
class Panel:
    """All of a ``rows`` x ``cols`` buffer; where a coordinate is outside its tile, 0 is put.

    The two lists flatten to row and column by their limits; ``chunk``, where there is one, is a
    local that is added to the row (``by_depth``) or column: a contraction is taken in chunks.
    """

    rows: int
    cols: int
    row: tuple[Coordinate, ...]
    col: tuple[Coordinate, ...]
    chunk: str
    by_depth: bool


@dataclass(frozen=True, slots=True)
class Registers:
    """Every thread's elements of ``layout``, where the coordinates are inside their tiles."""

    layout: Layout
    row: tuple[Coordinate, ...]
    col: tuple[Coordinate, ...]


@dataclass(frozen=True, slots=True)
class Once:
    """One element, done by one thread."""


Domain = Sweep | Panel | Registers | Once


# ---- statements ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, with the text it comes from."""

    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Let(Statement):
    """``const dtype name = value;`` in every thread."""

    step: Step


@dataclass(frozen=True, slots=True)
class Variable(Statement):
    """``dtype name = value;`` in every thread."""

    name: str
    dtype: DType
    value: Scalar


@dataclass(frozen=True, slots=True)
class Update(Statement):
    """``name = value;`` in every thread."""

    name: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class Accumulators(Statement):
    """Declare ``fragment``, with 0 in it."""

    fragment: Fragment


@dataclass(frozen=True, slots=True)
class Map(Statement):
    """For each element of ``domain``: the steps, then the effects."""

    domain: Domain
    steps: tuple[Step, ...]
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Fold(Statement):
    """``result[rows] = reduction(value over cols)``.

    A team of ``width`` threads does a row; it shares out the last of ``cols``. ``steps`` compute
    ``value`` and, for argmax and argmin, its ``position``; ``effects`` happen besides. The result
    goes to ``buffer`` under the rows' coordinates, or, without rows, to the local ``name`` of every
    thread.
    """

    reduction: Reduction
    dtype: DType
    result: DType
    name: str
    rows: tuple[Coordinate, ...]
    cols: tuple[Coordinate, ...]
    width: int
    steps: tuple[Step, ...]
    value: Scalar
    position: Scalar | None
    effects: tuple[Effect, ...]
    buffer: Buffer | None
    scratch: Buffer | None


@dataclass(frozen=True, slots=True)
class ScanRows(Statement):
    """``buffer = cumsum(value along axis)``, a warp a row."""

    reduction: Reduction
    dtype: DType
    rows: tuple[Coordinate, ...]
    along: Coordinate
    steps: tuple[Step, ...]
    value: Scalar
    buffer: Buffer
    index: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class RankRows(Statement):
    """Sort by counting: an element goes where as many elements of its row stand before it.

    ``steps`` compute ``value`` at ``at``; ``peer_steps`` compute ``peer_value`` at ``peer``, for
    each of the ``size`` elements of the row. The number of those that stand before is ``rank``; the
    effects happen if it is below ``limit``.
    """

    domain: Sweep
    dtype: DType
    steps: tuple[Step, ...]
    value: Scalar
    peer: Coordinate
    peer_steps: tuple[Step, ...]
    peer_value: Scalar
    rank: str
    descending: bool
    limit: Scalar
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class CopyPanel(Statement):
    """Put rows of ``tensor`` into ``buffer``: ``rows`` of them, ``cols`` elements each, then 0.

    ``first`` is the index of the first element; ``step`` rows of dim ``dim`` lie between two.
    """

    buffer: Buffer
    tensor: Tensor
    first: tuple[Scalar, ...]
    dim: int
    step: Scalar
    rows: Scalar
    cols: Scalar


@dataclass(frozen=True, slots=True)
class Multiply(Statement):
    """``fragment += a @ b`` over ``depth`` columns of the panels.

    ``a`` lies as rows x contraction, or the other way round where ``a_by_depth``; likewise ``b``.
    Columns from ``cols`` on are not there, so their fragments are left out.
    """

    fragment: Fragment
    a: Buffer
    b: Buffer
    a_by_depth: bool
    b_by_depth: bool
    depth: Scalar
    cols: Scalar


@dataclass(frozen=True, slots=True)
class Loop(Statement):
    """``for (int name = lo; name < hi; name += step)``; ``axis`` is the range, where it is one.

    ``unroll`` is how many turns the compiler is to write out; 0 is all of them.
    """

    name: str
    lo: Scalar
    hi: Scalar
    step: int
    body: tuple["Stmt", ...]
    axis: Axis | None = None
    unroll: int | None = None


@dataclass(frozen=True, slots=True)
class Branch(Statement):
    """``if (condition)``; all threads of a block agree."""

    condition: Scalar
    then: tuple["Stmt", ...]
    orelse: tuple["Stmt", ...]


@dataclass(frozen=True, slots=True)
class Barrier(Statement):
    """All threads of the block wait for each other; shared and global memory are seen by all."""


Stmt = (
    Let | Variable | Update | Accumulators | Map | Fold | ScanRows | RankRows | CopyPanel | Multiply
    | Loop | Branch | Barrier
)  # fmt: skip


# ---- programs -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TensorParam:
    """A tensor of the kernel under its C++ name; ``shape`` as the program knows it."""

    name: str
    tensor: Tensor
    shape: tuple[Scalar, ...]
    written: bool
    read: bool


@dataclass(frozen=True, slots=True)
class GridRange:
    """A grid range: its domain, and the names for the tile's number, start and size.

    A range of single positions has no ``size`` and ``tile`` 1.
    """

    axis: Axis
    lo: Scalar
    hi: Scalar
    tile: int
    lo_name: str
    hi_name: str
    count: str
    start: str
    size: str


@dataclass(frozen=True, slots=True)
class Program:
    """A kernel for a GPU.

    ``dims`` and ``scalars`` pair the kernel's names with those of the program. The first
    ``walked`` grid ranges decide about later ones, so every block walks over them and counts
    programs; the others are numbered. ``host_counts`` says that the launcher can tell the number
    of programs.
    """

    name: str
    target: Target
    threads: int
    tensors: tuple[TensorParam, ...]
    tables: tuple[TensorParam, ...]
    dims: tuple[tuple[str, str], ...]
    scalars: tuple[tuple[ScalarParam, str], ...]
    facts: tuple[tuple[Fact, Scalar], ...]
    grid: tuple[GridRange, ...]
    walked: int
    swizzle: int
    host_counts: bool
    body: tuple[Stmt, ...]
    buffers: tuple[Buffer, ...]
    shared_bytes: int
    tiles: tuple[tuple[str, int], ...]
    doc: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)


def product(sizes: tuple[int, ...]) -> int:
    """Return the product."""
    return reduce(mul, sizes, 1)


def statements(body: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """Yield every statement, outer ones before those inside them."""
    for statement in body:
        yield statement
        match statement:
            case Loop(body=inner):
                yield from statements(inner)
            case Branch(then=then, orelse=orelse):
                yield from statements(then)
                yield from statements(orelse)
            case _:
                pass
