"""The tile IR: a kernel in which every name is resolved, every type known, every cast explicit.

Values are single-assignment and stand in the order in which they are computed; state is a `Var`
that is read and assigned; control is structured. Axes are by name: an operand that lacks an axis
of the result is broadcast along it. What a statement needs of run-time integers is a `Scalar`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal as Lit

from tiledsl.ops import Op, Reduction
from tiledsl.scalar import Axis, Scalar, Tensor
from tiledsl.source import NOWHERE, Span
from tiledsl.types import DType

__all__ = ["Axis", "Scalar", "Tensor"]


@dataclass(frozen=True, slots=True)
class TileType:
    """An element type and a set of axes, kept in the order in which they came into scope."""

    dtype: DType
    axes: tuple[Axis, ...] = ()

    def __str__(self) -> str:
        names = ", ".join(axis.name for axis in self.axes)
        return f"{self.dtype}[{names}]" if names else str(self.dtype)


@dataclass(eq=False, slots=True)
class Value:
    """A tile, known by identity; its name is for the reader. Without axes it is one element."""

    name: str
    type: TileType

    def __repr__(self) -> str:
        return self.name


@dataclass(eq=False, slots=True)
class Var:
    """State: ``var acc: f32[m, n] = 0``."""

    name: str
    type: TileType
    span: Span = NOWHERE

    def __repr__(self) -> str:
        return self.name


Operand = Value | Scalar


@dataclass(frozen=True, slots=True)
class Index:
    """The position in one dim of a tensor: ``offset + sum(mult * position(axis)) + gather``.

    A bare range ``m`` is ``terms=((m, 1),)``; a scalar range is inside ``offset``, as `Position`.
    ``gather`` is an integer tile: a lookup, or an index that is not affine.
    """

    terms: tuple[tuple[Axis, Scalar], ...]
    offset: Scalar
    gather: Value | None = None

    @property
    def bare(self) -> Axis | None:
        """The range, where the index is one range and nothing else."""
        from tiledsl.scalar import ONE, ZERO

        plain = self.gather is None and self.offset == ZERO and len(self.terms) == 1
        return self.terms[0][0] if plain and self.terms[0][1] == ONE else None


# ---- statements ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    """A step of a kernel, with the text it comes from."""

    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Compute(Statement):
    """``result = op(operands)``, element by element.

    Operands have the type that the op wants (casts are statements of their own, with the op
    ``cast``); the result's axes are the union of the operands'. Scalars broadcast.
    """

    result: Value
    op: Op
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Positions(Statement):
    """``result`` is the i32 tile of the positions of ``axis``."""

    result: Value
    axis: Axis


@dataclass(frozen=True, slots=True)
class Rename(Statement):
    """The elements of ``operand`` with axis ``old`` called ``new``."""

    result: Value
    operand: Value
    old: Axis
    new: Axis


@dataclass(frozen=True, slots=True)
class Reduce(Statement):
    """``result = reduction(operand over axes)``: sum prod max min any all argmax argmin.

    The checker has cast ``operand`` to the type in which it is reduced; ``mean`` is a sum and a
    division. ``argmax`` and ``argmin`` have one axis and give i32 positions.
    """

    result: Value
    reduction: Reduction
    operand: Value
    axes: tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Scan(Statement):
    """``cumsum cumprod cummax cummin`` along ``axis``; ``reduction`` is what is accumulated."""

    result: Value
    reduction: Reduction
    operand: Value
    axis: Axis


@dataclass(frozen=True, slots=True)
class Contract(Statement):
    """``a @ b``: multiply and sum over ``axes``, which both have; other common axes are a batch.

    ``a`` and ``b`` have one element type; the result is f32 or i32 (f64 in precise mode).
    """

    result: Value
    a: Value
    b: Value
    axes: tuple[Axis, ...]

    @property
    def batch(self) -> frozenset[Axis]:
        """The axes that both sides have and the result keeps."""
        return frozenset(self.a.type.axes) & frozenset(self.b.type.axes) - frozenset(self.axes)


@dataclass(frozen=True, slots=True)
class Sort(Statement):
    """``values, positions = sort(operand over axis)`` (ascending, stable) or ``topk … into``.

    For topk (``into`` set) the order is descending and the results have ``into`` for ``axis``.
    """

    values: Value
    positions: Value
    operand: Value
    axis: Axis
    into: Axis | None


@dataclass(frozen=True, slots=True)
class Random(Statement):
    """Philox 4x32-10 of (``seed``, ``offset``): ``rand`` (f32 in [0, 1)) or ``bits`` (u32)."""

    result: Value
    function: Lit["rand", "bits"]
    seed: Operand
    offset: Operand


@dataclass(frozen=True, slots=True)
class Load(Statement):
    """Read the tile of ``tensor`` under ``index``.

    ``guards`` tells for each dim whether its index was not proven to be inside: there the element
    is ``default``.
    """

    result: Value
    tensor: Tensor
    index: tuple[Index, ...]
    default: Operand | None = None
    guards: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Store(Statement):
    """Write ``value`` (of the tensor's type) under ``index``; ``atomic`` is ``"" add max min``.

    Axes of the index that ``value`` lacks are broadcast. ``skip``: elements outside are dropped,
    in the dims that ``guards`` marks.
    """

    tensor: Tensor
    index: tuple[Index, ...]
    value: Operand
    mode: Lit["store", "disjoint", "atomic"] = "store"
    atomic: Lit["", "add", "max", "min"] = ""
    skip: bool = False
    guards: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Declare(Statement):
    """``var x = value``; ``value`` has the variable's element type and may lack axes of it."""

    var: Var
    value: Operand


@dataclass(frozen=True, slots=True)
class Assign(Statement):
    """``x = value``; like `Declare`."""

    var: Var
    value: Operand


@dataclass(frozen=True, slots=True)
class Read(Statement):
    """``result`` is what ``var`` holds now."""

    result: Value
    var: Var


@dataclass(frozen=True, slots=True)
class For(Statement):
    """A sequential loop over the tiles, or the positions, of ``axis``."""

    axis: Axis
    body: tuple["Stmt", ...]


@dataclass(frozen=True, slots=True)
class If(Statement):
    """``condition`` is a bool scalar, or a bool value without axes."""

    condition: Operand
    then: tuple["Stmt", ...]
    orelse: tuple["Stmt", ...]


@dataclass(frozen=True, slots=True)
class Print(Statement):
    """``print("m = {}", top)``, in the simulator and with ``--debug``."""

    text: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Assert(Statement):
    """``assert condition, "text"``; of a tile every element must hold."""

    condition: Operand
    text: str

    @property
    def message(self) -> str:
        """What is said where it fails: the place and the text."""
        file = self.span.source.name.replace("\\", "/").rsplit("/", 1)[-1]
        return f"{file}:{self.span.line}: assertion failed: {self.text}"


Stmt = (
    Compute | Positions | Rename | Reduce | Scan | Contract | Sort | Random | Load | Store
    | Declare | Assign | Read | For | If | Print | Assert
)  # fmt: skip


# ---- kernels ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScalarParam:
    """``scale: f32 = 1.0``; a ``const`` parameter is gone from the IR: it is a number."""

    name: str
    dtype: DType
    default: int | float | bool | None
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Fact:
    """A ``where`` line: ``condition`` holds at launch; ``text`` is how it was written.

    ``defines`` is the dim that the fact gives an output (``P == …``), with ``value`` its size.
    """

    condition: Scalar
    text: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    defines: str = ""
    value: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """What makes a kernel one kernel: types, ``const`` parameters, absent ones, pinned dims."""

    types: tuple[tuple[str, DType], ...] = ()
    consts: tuple[tuple[str, int | float | bool], ...] = ()
    absent: frozenset[str] = frozenset()
    pinned: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel for one `Binding`.

    ``params`` are all tensors and scalars in the order of the header, then ``outputs``; ``tables``
    the constants that it reads. ``dims`` are the dims that are not pinned, in order of
    appearance. ``grid`` in the order written; the last varies fastest. ``tile_sizes`` are the
    names that a schedule may set, in order of appearance. ``origin`` is the kernel of the text, if
    this is a part of it (see `tiledsl.passes.cut`): its schedule holds.
    """

    name: str
    binding: Binding
    params: tuple[Tensor | ScalarParam, ...]
    outputs: tuple[Tensor, ...]
    tables: tuple[Tensor, ...]
    dims: tuple[str, ...]
    facts: tuple[Fact, ...]
    grid: tuple[Axis, ...]
    body: tuple[Stmt, ...]
    tile_sizes: tuple[str, ...]
    doc: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    origin: str = ""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensor parameters, then the outputs."""
        return (*(p for p in self.params if isinstance(p, Tensor)), *self.outputs)

    @property
    def scalars(self) -> tuple[ScalarParam, ...]:
        """The scalar parameters."""
        return tuple(p for p in self.params if isinstance(p, ScalarParam))


@dataclass(frozen=True, slots=True)
class Step:
    """One launch of an op: a kernel under a binding, with what its parameters are given.

    ``args`` are tensors or scalars of the op, in the order of the kernel's parameters. ``dims``
    are dims that the op knows under the same names, whether a tensor shows them or not.
    """

    kernel: Kernel
    args: tuple[Tensor | Scalar, ...]
    outputs: tuple[Tensor, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    dims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpGraph:
    """An ``op``: kernels one after the other, with temporaries between them."""

    name: str
    binding: Binding
    params: tuple[Tensor | ScalarParam, ...]
    outputs: tuple[Tensor, ...]
    temps: tuple[Tensor, ...]
    dims: tuple[str, ...]
    facts: tuple[Fact, ...]
    steps: tuple[Step, ...]
    doc: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)


def statements(body: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """Yield every statement, outer ones before those inside them."""
    for statement in body:
        yield statement
        match statement:
            case For(body=inner):
                yield from statements(inner)
            case If(then=then, orelse=orelse):
                yield from statements(then)
                yield from statements(orelse)
            case _:
                pass


def results(statement: Stmt) -> tuple[Value, ...]:
    """Return the values that ``statement`` defines."""
    match statement:
        case Sort(values=values, positions=positions):
            return (values, positions)
        case Store() | Declare() | Assign() | For() | If() | Print() | Assert():
            return ()
        case _:
            return (statement.result,)


def operands(statement: Stmt) -> tuple[Operand, ...]:
    """Return the values and scalars that ``statement`` itself reads; not those in its blocks."""
    match statement:
        case Compute(operands=ops) | Print(operands=ops):
            return ops
        case Rename(operand=x) | Reduce(operand=x) | Scan(operand=x) | Sort(operand=x):
            return (x,)
        case Contract(a=a, b=b):
            return (a, b)
        case Random(seed=seed, offset=offset):
            return (seed, offset)
        case Load(index=index, default=default):
            return _index_operands(index) + ((default,) if default is not None else ())
        case Store(index=index, value=value):
            return (*_index_operands(index), value)
        case Declare(value=value) | Assign(value=value):
            return (value,)
        case If(condition=condition) | Assert(condition=condition):
            return (condition,)
        case Positions() | Read() | For():
            return ()


def _index_operands(index: tuple[Index, ...]) -> tuple[Operand, ...]:
    found: list[Operand] = []
    for position in index:
        found += [mult for _, mult in position.terms]
        found.append(position.offset)
        if position.gather is not None:
            found.append(position.gather)
    return tuple(found)
