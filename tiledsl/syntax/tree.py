"""The syntax tree: what was written, each piece with its span.

``compare=False`` on spans: two trees are equal when they say the same.
"""

from dataclasses import dataclass, field
from typing import Literal as Lit

from tiledsl.source import Source, Span


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of the tree."""

    span: Span = field(compare=False, repr=False)


# ---- expressions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number(Node):
    """``1_000``, ``0xFF`` (an ``int``), ``0.5``, ``1e-6`` (a ``float``)."""

    value: int | float


@dataclass(frozen=True, slots=True)
class String(Node):
    """``"text"``, unescaped."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A name of a tile, a tensor, a range, a dim, a parameter or a type; ``true``, ``inf`` too."""

    id: str


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``-x``, ``+x``, ``~x``, ``not x``."""

    op: Lit["-", "+", "~", "not"]
    operand: "Expr"


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """``a + b`` and the like: ``+ - * / // % @ ** & | ^ << >>``."""

    op: str
    left: "Expr"
    right: "Expr"


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``a < b <= c``: ``first`` and then pairs of an operator and an operand."""

    first: "Expr"
    rest: tuple[tuple[str, "Expr"], ...]


@dataclass(frozen=True, slots=True)
class Logical(Node):
    """``a and b and c``, ``a or b``."""

    op: Lit["and", "or"]
    operands: tuple["Expr", ...]


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """``then if condition else other``."""

    condition: "Expr"
    then: "Expr"
    other: "Expr"


@dataclass(frozen=True, slots=True)
class Over(Node):
    """One name after ``over``; with a domain it declares a span for this expression."""

    name: Name
    domain: "Domain | None"


@dataclass(frozen=True, slots=True)
class Becomes(Node):
    """``i -> j``, in ``rename(t, i -> j)``."""

    old: Name
    new: Name


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``f(a, b over k, e in D into j)``: also ``where(c, a, b)`` and casts ``T(x)``."""

    function: Name
    args: tuple["Expr | Becomes", ...]
    over: tuple[Over, ...] = ()
    into: Name | None = None


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """``lo .. hi`` inside brackets; an end may be missing."""

    lo: "Expr | None"
    hi: "Expr | None"


@dataclass(frozen=True, slots=True)
class Index(Node):
    """``x[p + 1, ids[q] else 0]``; as a domain also ``L[lo .. hi]``."""

    base: "Expr"
    indices: tuple["Expr | Slice", ...]
    default: "Expr | None" = None


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    """``target.l0c``, in schedules."""

    base: "Expr"
    name: str


@dataclass(frozen=True, slots=True)
class Tuple(Node):
    """``(a, b)``, in tests and schedules; ``(a,)`` has one item."""

    items: tuple["Expr", ...]


@dataclass(frozen=True, slots=True)
class List(Node):
    """``[a, b]``: a table."""

    items: tuple["Expr", ...]


Expr = (
    Number | String | Name | Unary | Binary | Compare | Logical | Conditional | Call | Index
    | Attribute | Tuple | List
)  # fmt: skip


# ---- ranges -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Between(Node):
    """``lo .. hi`` as a domain, unclipped."""

    lo: Expr
    hi: Expr


Domain = Expr | Between


@dataclass(frozen=True, slots=True)
class Range(Node):
    """``m in M by BM``."""

    name: Name
    domain: Domain
    by: Expr | None


# ---- types and parameters ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Star(Node):
    """``*R``: any number of axes taken as one."""

    name: Name


@dataclass(frozen=True, slots=True)
class Type(Node):
    """``f32``, ``T[M, N]``, ``wide(T)[r]``: ``argument`` is the ``T`` of ``wide(T)``."""

    name: Name
    argument: Name | None
    dims: tuple[Expr | Star, ...] | None


@dataclass(frozen=True, slots=True)
class Param(Node):
    """``x: T[M, N]``, ``inout c: T[P]``, ``const causal: bool = true``, ``y: f32[N] = 0``.

    ``default`` is the expression after ``=``; ``bias: T[N] = none`` has the `Name` ``none``.
    """

    kind: Lit["", "inout", "const"]
    name: Name
    type: Type
    default: Expr | None


@dataclass(frozen=True, slots=True)
class Generic(Node):
    """``T in (f16, bf16)``."""

    name: Name
    choices: tuple[Name, ...]


# ---- statements -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grid(Node):
    """``grid m in M by BM, n in N``."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class SpanStmt(Node):
    """``span d in D, e in E``."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Var(Node):
    """``var acc: f32[m, n] = 0``."""

    name: Name
    type: Type
    value: Expr


@dataclass(frozen=True, slots=True)
class Bind(Node):
    """``x = e``, ``x: f32[m] = e``, ``v, i = sort(…)``; also an assignment to a ``var``."""

    names: tuple[Name, ...]
    type: Type | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Augment(Node):
    """``acc += e``; ``op`` is ``+ - * / max min``."""

    name: Name
    op: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Store(Node):
    """``y[i, j else skip] = e``, ``disjoint y[…] = e``, ``atomic y[i] += e``.

    ``mode`` is ``store``, ``disjoint`` or ``atomic``; ``op`` is ``""``, or what an atomic does:
    ``+ max min``.
    """

    mode: Lit["store", "disjoint", "atomic"]
    tensor: Name
    indices: tuple[Expr, ...]
    skip: bool
    op: str
    value: Expr


@dataclass(frozen=True, slots=True)
class For(Node):
    """``for k in K by BK:``."""

    range: Range
    body: tuple["Stmt", ...]


@dataclass(frozen=True, slots=True)
class If(Node):
    """``if`` with its ``elif`` arms; ``orelse`` is ``()`` where there is no ``else``."""

    arms: tuple[tuple[Expr, tuple["Stmt", ...]], ...]
    orelse: tuple["Stmt", ...]


@dataclass(frozen=True, slots=True)
class Where(Node):
    """``where N <= 8192, H % G == 0``: facts at the top of a body."""

    facts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Assert(Node):
    """``assert cond, "text"``."""

    condition: Expr
    text: str | None


@dataclass(frozen=True, slots=True)
class Return(Node):
    """``return a, b``, at the end of a block ``fn``."""

    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class CallStmt(Node):
    """A call for its effect: ``print("m = {}", top)``."""

    call: Call


@dataclass(frozen=True, slots=True)
class Temp(Node):
    """``temp part: f32[48, N]``, in an ``op``."""

    name: Name
    type: Type
    value: Expr | None


@dataclass(frozen=True, slots=True)
class Step(Node):
    """``rows(x, dy) -> (dx, part)``, in an ``op``."""

    kernel: Name
    args: tuple[Expr, ...]
    outputs: tuple[Name, ...]


Stmt = (
    Grid | SpanStmt | Var | Bind | Augment | Store | For | If | Where | Assert | Return | CallStmt
    | Temp | Step
)  # fmt: skip


# ---- schedule and test ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetSize(Node):
    """``BM = 128``."""

    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Tune(Node):
    """``tune BM in (64, 128)``."""

    name: Name
    choices: Expr


@dataclass(frozen=True, slots=True)
class Directive(Node):
    """Any other line of a schedule.

    ``pipeline k depth 2``, ``swizzle m, n by 4``, ``unroll k by 2``, ``place acc in l0c``,
    ``cores 20``, ``warps 8``, ``split m over vector``, ``split k over l0 by 64``,
    ``skew j by 2``, ``bypass a, b``, ``where e``: ``word`` is the first word, ``names`` the names
    after it, ``argument`` the expression at the end (for ``place`` and ``split`` the `Name` of the
    place, with the ``step`` after it).
    """

    word: str
    names: tuple[Name, ...]
    argument: Expr | None
    step: Expr | None = None


@dataclass(frozen=True, slots=True)
class Case(Node):
    """``T in (f16, f32)`` or ``(M, N) in ((1, 2), (3, 4))`` after ``for``."""

    names: tuple[Name, ...]
    values: Expr


@dataclass(frozen=True, slots=True)
class Given(Node):
    """``given x = normal(0, 3)``."""

    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Tolerance(Node):
    """``tolerance 2e-3``, or two numbers: relative, absolute."""

    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Exact(Node):
    """``exact``."""


@dataclass(frozen=True, slots=True)
class Cycles(Node):
    """``cycles < 9000 on ascend910b3``."""

    op: str
    limit: Expr
    target: str


@dataclass(frozen=True, slots=True)
class Fails(Node):
    """``fails "text"``."""

    text: str


@dataclass(frozen=True, slots=True)
class Cases(Node):
    """A ``for`` line of a test: a product of its parts."""

    cases: tuple[Case, ...]


# ---- items ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Import(Node):
    """``from "nn.tile" import relu, gelu as g``; ``names`` pairs a name with its local name.

    ``path`` is the string, or the dotted name, as written; ``dotted`` tells which. A plain
    ``import "x.tile" as x`` has ``names`` = ``()`` and ``alias`` set.
    """

    path: str
    dotted: bool
    names: tuple[tuple[Name, Name], ...]
    alias: Name | None


@dataclass(frozen=True, slots=True)
class Const(Node):
    """``const EPS = 1e-6``."""

    name: Name
    type: Type | None
    value: Expr
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Fn(Node):
    """``fn relu(x) = e`` has an `Expr` as body; a block ends in `Return`."""

    name: Name
    params: tuple[Name, ...]
    body: "Expr | tuple[Stmt, ...]"
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Kernel(Node):
    """``kernel name[generics](params) -> (outputs):``."""

    name: Name
    generics: tuple[Generic, ...]
    params: tuple[Param, ...]
    outputs: tuple[Param, ...]
    body: tuple[Stmt, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Op(Node):
    """``op name[generics](params) -> (outputs):``; its body has `Temp`, `Step`, `Where`, `Bind`."""

    name: Name
    generics: tuple[Generic, ...]
    params: tuple[Param, ...]
    outputs: tuple[Param, ...]
    body: tuple[Stmt, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Reference(Node):
    """``reference name:``."""

    name: Name
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Schedule(Node):
    """``schedule name for target:``; ``target`` is ``""`` where none is given."""

    name: Name
    target: str
    directives: tuple[SetSize | Tune | Directive, ...]


@dataclass(frozen=True, slots=True)
class Test(Node):
    """``test name:``."""

    name: Name
    lines: tuple[Cases | Given | Tolerance | Exact | Cycles | Fails, ...]


Item = Import | Const | Fn | Kernel | Op | Reference | Schedule | Test


@dataclass(frozen=True, slots=True)
class File:
    """A whole file."""

    source: Source
    items: tuple[Item, ...]
