"""Numbers that a program knows before its tiles: sizes, positions, parameters, arithmetic on them.

A `Scalar` is an expression tree, compared by value. It has no tile in it: what a tile computes is a
`tiledsl.ir.Value`. The same trees serve the tile IR, the NPU program and the GPU program.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal as Lit

from tiledsl.source import NOWHERE, Span
from tiledsl.types import DType


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or truth value written in the text, or computed from such."""

    value: int | float | bool
    dtype: DType = DType.I32


@dataclass(frozen=True, slots=True)
class Dim:
    """The run-time size of a dim: ``M``. Never negative; may be 0."""

    name: str
    dtype: DType = DType.I32


@dataclass(frozen=True, slots=True)
class ParamValue:
    """A scalar parameter of the kernel: ``scale``, ``causal``."""

    name: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class TileSize:
    """A named tile size, ``BM``, until a schedule has set it. At least 1."""

    name: str
    dtype: DType = DType.I32


@dataclass(frozen=True, slots=True)
class Position:
    """Where a scalar range (one without ``by``) stands: ``h`` of ``grid h in H``."""

    axis: "Axis"
    dtype: DType = DType.I32


@dataclass(frozen=True, slots=True)
class Start:
    """The first position of the current tile of a range."""

    axis: "Axis"
    dtype: DType = DType.I32


@dataclass(frozen=True, slots=True)
class End:
    """One past the last position of a tile: ``min(start + tile, hi)``, a span's ``hi``."""

    axis: "Axis"
    dtype: DType = DType.I32


@dataclass(frozen=True, slots=True)
class Local:
    """A variable that a lowered program defines (``Let``, ``For``); never in the tile IR."""

    name: str
    dtype: DType = DType.I32


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a tensor that this kernel does not write: ``offsets[g + 1]``.

    ``guards`` tells for each dim whether the index may be outside, where ``default`` applies.
    """

    tensor: "Tensor"
    index: tuple["Scalar", ...]
    dtype: DType
    default: "Scalar | None" = None
    guards: tuple[bool, ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Apply:
    """An op of the op table on scalars: ``Apply("add", (a, b), i32)``; ``cast`` goes to ``dtype``.

    Integer ``floordiv`` and ``mod`` floor. Names: add sub mul div floordiv mod neg min max pow,
    eq ne lt le gt ge, and or not, bitand bitor bitxor shl shr bitnot, where, cast, and the
    element-wise functions of the table.
    """

    op: str
    args: tuple["Scalar", ...]
    dtype: DType


Scalar = Literal | Dim | ParamValue | TileSize | Position | Start | End | Local | Element | Apply


@dataclass(eq=False, slots=True)
class Axis:
    """A range, known by identity.

    It runs over the positions ``lo <= p < hi`` (none if ``hi <= lo``). ``grid`` and ``for`` ranges
    go in tiles of ``tile`` positions that start at ``lo``; without ``tile`` they are scalar: one
    position at a time. A ``span`` is one tile, ``lo .. hi``. ``limit`` bounds the elements of one
    tile at compile time (a span's proven bound; the tile size once a schedule has set it).
    ``source`` is the range whose positions a ``span j in i`` names again.
    """

    name: str
    kind: Lit["grid", "for", "span"]
    lo: Scalar
    hi: Scalar
    tile: Scalar | None = None
    limit: int | None = None
    source: "Axis | None" = None
    span: Span = NOWHERE

    @property
    def is_scalar(self) -> bool:
        """Whether the name stands for one position, not for a tile."""
        return self.kind != "span" and self.tile is None

    def __repr__(self) -> str:
        return self.name


@dataclass(eq=False, slots=True)
class Tensor:
    """An array in global memory, row-major and contiguous; known by identity.

    ``shape`` has one size a dim; a dim that ``star`` marks stands for any number of axes taken as
    one. ``role``: ``in``, ``out``, ``inout``, ``temp`` (of an op), or ``table`` (a constant, whose
    elements are in ``values``, row by row). ``initial`` is the value with which an output starts.
    """

    name: str
    dtype: DType
    shape: tuple[Scalar, ...]
    role: Lit["in", "out", "inout", "temp", "table"] = "in"
    star: tuple[bool, ...] = ()
    initial: Scalar | None = None
    values: tuple[int | float, ...] = ()
    span: Span = NOWHERE

    def __repr__(self) -> str:
        return self.name


# ---- building, with the arithmetic that costs nothing done at once ------------------------------


def integer(value: int) -> Literal:
    """Return ``value`` as an i32 scalar."""
    return Literal(value)


ZERO, ONE = Literal(0), Literal(1)

_FOLD: dict[str, Callable[..., int | bool]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b, "mod": lambda a, b: a % b, "neg": lambda a: -a,
    "min": min, "max": max, "eq": lambda a, b: a == b, "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b, "and": lambda a, b: a and b, "or": lambda a, b: a or b,
    "not": lambda a: not a, "bitand": lambda a, b: a & b, "bitor": lambda a, b: a | b,
    "bitxor": lambda a, b: a ^ b, "bitnot": lambda a: ~a,
    "shl": lambda a, b: a << b, "shr": lambda a, b: a >> b,
}  # fmt: skip
COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
BOOLEANS = COMPARISONS | {"and", "or", "not"}


def apply(op: str, *args: Scalar, dtype: DType | None = None) -> Scalar:
    """Return ``op`` of ``args``, folded where integers are known and neutral elements dropped."""
    kind = dtype or (DType.BOOL if op in BOOLEANS else args[-1].dtype)
    values = [a.value for a in args if isinstance(a, Literal)]
    exact = kind.is_integer or kind is DType.BOOL
    if exact and len(values) == len(args) and op in _FOLD:
        whole = all(isinstance(v, int) for v in values)
        divides = op not in ("floordiv", "mod") or values[1] != 0
        shifts = op not in ("shl", "shr") or 0 <= values[1] < 64
        if whole and divides and shifts:
            found = _FOLD[op](*values)
            return Literal(found % 2**32 if kind is DType.U32 else found, kind)
    if kind.is_integer and len(args) == 2:
        neutral = _neutral(op, args[0], args[1])
        if neutral is not None:
            return neutral
    return Apply(op, args, kind)


def _neutral(op: str, a: Scalar, b: Scalar) -> Scalar | None:
    x = a.value if isinstance(a, Literal) else None
    y = b.value if isinstance(b, Literal) else None
    match op:
        case "add" if x == 0 and x is not None:
            return b
        case "add" | "sub" if y == 0 and y is not None:
            return a
        case "sub" if a == b:
            return Literal(0, a.dtype)
        case "mul" if x == 1:
            return b
        case "mul" | "floordiv" if y == 1:
            return a
        case "mul" if 0 in (x, y):
            return Literal(0, a.dtype)
        case "mod" if y == 1:
            return Literal(0, a.dtype)
        case "min" | "max" if a == b:
            return a
    return None


def add(a: Scalar, b: Scalar | int) -> Scalar:
    """Return ``a + b``."""
    return apply("add", a, integer(b) if isinstance(b, int) else b)


def sub(a: Scalar, b: Scalar | int) -> Scalar:
    """Return ``a - b``."""
    return apply("sub", a, integer(b) if isinstance(b, int) else b)


def mul(a: Scalar, b: Scalar | int) -> Scalar:
    """Return ``a * b``."""
    return apply("mul", a, integer(b) if isinstance(b, int) else b)


def ceil_div(a: Scalar, b: Scalar | int) -> Scalar:
    """Return ``ceil(a / b)`` for ``b > 0``."""
    by = integer(b) if isinstance(b, int) else b
    return apply("floordiv", add(a, sub(by, 1)), by)


def round_up(a: Scalar, b: int) -> Scalar:
    """Return ``a`` rounded up to a multiple of ``b``."""
    return a if b == 1 else mul(ceil_div(a, b), b)


def minimum(a: Scalar, b: Scalar) -> Scalar:
    """Return the smaller."""
    return apply("min", a, b)


def maximum(a: Scalar, b: Scalar) -> Scalar:
    """Return the larger."""
    return apply("max", a, b)


# ---- looking and changing -----------------------------------------------------------------------


def children(scalar: Scalar) -> tuple[Scalar, ...]:
    """Return the scalars directly inside; an axis' domain is not inside."""
    match scalar:
        case Apply(args=args):
            return args
        case Element(index=index, default=default):
            return index if default is None else (*index, default)
        case _:
            return ()


def walk(scalar: Scalar) -> Iterator[Scalar]:
    """Yield ``scalar`` and all that is inside it, outermost first."""
    yield scalar
    for child in children(scalar):
        yield from walk(child)


def rewrite(scalar: Scalar, change: Callable[[Scalar], Scalar | None]) -> Scalar:
    """Return ``scalar`` with each part for which ``change`` returns another replaced by it."""
    new = change(scalar)
    if new is not None:
        return new
    match scalar:
        case Apply(op=op, args=args, dtype=dtype):
            return apply(op, *(rewrite(a, change) for a in args), dtype=dtype)
        case Element(index=index, default=default):
            return Element(
                scalar.tensor,
                tuple(rewrite(i, change) for i in index),
                scalar.dtype,
                rewrite(default, change) if default is not None else None,
                scalar.guards,
                scalar.span,
            )
        case _:
            return scalar


_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "eq": "==",
    "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "and": "and", "or": "or",
    "bitand": "&", "bitor": "|", "bitxor": "^", "shl": "<<", "shr": ">>", "pow": "**",
}  # fmt: skip


def show(scalar: Scalar) -> str:
    """Return ``scalar`` in the notation of the language."""
    match scalar:
        case Literal(value=bool() as value):
            return "true" if value else "false"
        case Literal(value=value):
            return repr(value)
        case Dim(name=name) | ParamValue(name=name) | TileSize(name=name) | Local(name=name):
            return name
        case Position(axis=axis):
            return axis.name
        case Start(axis=axis):
            return f"start({axis.name})"
        case End(axis=axis):
            return f"end({axis.name})"
        case Element(tensor=tensor, index=index, default=default):
            tail = f" else {show(default)}" if default is not None else ""
            return f"{tensor.name}[{', '.join(map(show, index))}{tail}]"
        case Apply(op=op, args=(a, b)) if op in _INFIX:
            return f"({show(a)} {_INFIX[op]} {show(b)})"
        case Apply(op="cast", args=(a,), dtype=dtype):
            return f"{dtype}({show(a)})"
        case Apply(op=op, args=args):
            return f"{op}({', '.join(map(show, args))})"
