"""The kernel under construction: what is emitted, what names mean, what was wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from tiledsl import ir, scalar
from tiledsl.check.errors import AlreadyBound, Finding, Hints, ReservedName, UnknownName, UnusedName
from tiledsl.check.modules import Definition, Module
from tiledsl.check.names import RESERVED_VALUES
from tiledsl.check.terms import Affine, Term
from tiledsl.diagnostics import Diagnostic, Report
from tiledsl.ops import OPS
from tiledsl.scalar import Axis, Scalar, Tensor
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.types import DTYPES, DType


@dataclass(frozen=True, slots=True)
class Absent:
    """An optional parameter that this build leaves out."""

    name: str


@dataclass(frozen=True, slots=True)
class Broken:
    """What a name means after an error, so that one mistake is reported once."""


BROKEN = Broken()
Meaning = Term | Axis | Tensor | ir.Var | DType | Absent | Broken


@dataclass(slots=True, eq=False)
class Bound:
    """What a name is bound to, and where; ``watched`` names are warned about when never read."""

    meaning: Meaning
    kind: str
    span: Span
    watched: bool = False
    used: bool = False


@dataclass(slots=True, eq=False)
class Scope:
    """Names of a block, inside those of the blocks around it."""

    parent: "Scope | None" = None
    names: dict[str, Bound] = field(default_factory=dict)

    def find(self, name: str) -> Bound | None:
        """Return what ``name`` is bound to, here or further out."""
        scope: Scope | None = self
        while scope is not None:
            bound = scope.names.get(name)
            if bound is not None:
                return bound
            scope = scope.parent
        return None

    def visible(self) -> tuple[str, ...]:
        """Return all names in scope."""
        inner = tuple(self.names)
        return inner if self.parent is None else inner + self.parent.visible()


@dataclass(frozen=True, slots=True)
class Walkers:
    """How the parts of the language are walked: they contain each other, so they meet here."""

    expression: "Callable[[Builder, tree.Expr], Term | None]"
    statement: "Callable[[Builder, tree.Stmt], None]"
    constant: "Callable[[Builder, str], Meaning | None]"


@dataclass(eq=False, slots=True)
class Builder:
    """Everything that the rules of the language read and change while they walk a body."""

    module: Module
    walkers: Walkers
    report: Report = field(default_factory=Report)
    ended: dict[str, Bound] = field(default_factory=dict)
    unused: list[UnusedName] = field(default_factory=list)
    said: set[tuple[type[Finding], str, int, int]] = field(default_factory=set)
    scope: Scope = field(default_factory=Scope)
    bodies: list[list[ir.Stmt]] = field(default_factory=lambda: [[]])
    made: list[dict[object, ir.Value]] = field(default_factory=lambda: [{}])
    order: dict[Axis, int] = field(default_factory=dict)
    tile_sizes: dict[str, None] = field(default_factory=dict)
    tables: dict[Tensor, None] = field(default_factory=dict)
    constants: dict[Definition[tree.Const], "Meaning | None"] = field(default_factory=dict)
    evaluating: list[Definition[tree.Const]] = field(default_factory=list)
    symbols: set[str] = field(default_factory=set)  # `const` parameters without a number
    calls: tuple[Span, ...] = ()
    expanding: tuple[tree.Fn, ...] = ()
    expansions: int = 0
    weights: dict[int, tuple[Scalar, int, int]] = field(default_factory=dict)
    listed: frozenset[Axis] = frozenset()
    grid: list[Axis] = field(default_factory=list)
    depth: int = 0  # of blocks inside the kernel's body
    count: int = 0

    def expression(self, node: tree.Expr) -> Term | None:
        """Return what ``node`` is; None after an error that has been reported."""
        return self.walkers.expression(self, node)

    def statement(self, node: tree.Stmt) -> None:
        """Check and emit one statement."""
        self.walkers.statement(self, node)

    # ---- what was wrong

    def error(self, diagnostic: Finding) -> None:
        """Report it, with the calls that led here; one of a kind at one place."""
        span = diagnostic.span
        key = (type(diagnostic), span.source.name, span.start, span.end)
        if key not in self.said:
            self.said.add(key)
            told = replace(diagnostic, calls=self.calls) if self.calls else diagnostic
            self.report.found.append(told)

    def findings(self) -> list[Diagnostic]:
        """Return what was wrong; names that nobody reads only where nothing else is."""
        if not self.report.errors:
            for warning in self.unused:
                self.error(warning)
        return self.report.found

    # ---- names

    def look(self, name: tree.Name) -> Meaning | None:
        """Return what ``name`` means; report a name that means nothing."""
        bound = self.scope.find(name.id)
        if bound is not None:
            bound.used = True
            return None if isinstance(bound.meaning, Broken) else bound.meaning
        if name.id in self.module.consts:
            return self.walkers.constant(self, name.id)
        if name.id in DTYPES:
            return DTYPES[name.id]
        known = (*self.scope.visible(), *self.module.consts)
        self.error(UnknownName(name.span, name.id, known, **self.hints(name.id)))
        # Said once for each block: later uses are the same mistake.
        self.scope.names[name.id] = Bound(BROKEN, "an unknown name", name.span)
        return None

    def hints(self, name: str) -> Hints:
        """Return what is known of a name that nothing in scope has."""
        ended = self.ended.get(name)
        if ended is not None:
            return {"inner": ended.span, "of_range": ended.kind == "a range"}
        dims = (k for k in self.scope.visible() if k.lower() == name != k)
        same = (k for k in dims if (b := self.scope.find(k)) is not None and b.kind == "a dim")
        return {"dim": next(same, "")}

    def bind(
        self, name: tree.Name, meaning: Meaning | None, kind: str, *, watched: bool = False
    ) -> None:
        """Give ``name`` a meaning in this block; report a name that has one already."""
        if name.id == "_":
            return
        first = self.scope.find(name.id)
        if name.id in RESERVED_VALUES or name.id in DTYPES:
            self.error(ReservedName(name.span, name.id, "a word of the language"))
        elif first is not None:
            if first.kind != "an unknown name":
                first.used = True
                self.error(AlreadyBound(name.span, name.id, first.kind, first.span))
            self.scope.names[name.id] = Bound(BROKEN, kind, name.span)
            return
        elif name.id in self.module.consts:
            where = self.module.consts[name.id].item.name.span
            self.error(AlreadyBound(name.span, name.id, "a constant", where))
        watched = watched and not name.id.startswith("_")
        self.scope.names[name.id] = Bound(
            BROKEN if meaning is None else meaning, kind, name.span, watched
        )

    @contextmanager
    def block(self) -> Iterator[list[ir.Stmt]]:
        """Open a block with names and statements of its own; yield its statements."""
        body: list[ir.Stmt] = []
        self.bodies.append(body)
        self.made.append({})
        self.depth += 1
        with self.names():
            yield body
        self.depth -= 1
        self.made.pop()
        self.bodies.pop()

    @contextmanager
    def names(self) -> Iterator[None]:
        """Open a scope for names only; warn about those that nobody read."""
        self.scope = Scope(self.scope)
        yield
        self.close_scope()

    def close_scope(self) -> None:
        """Leave the innermost scope; warn about names that nobody read."""
        for name, bound in self.scope.names.items():
            if not isinstance(bound.meaning, Broken):
                self.ended[name] = bound
                if bound.watched and not bound.used:
                    word = {"a value": "value", "a range": "range", "state": "state"}[bound.kind]
                    self.unused.append(UnusedName(bound.span, name, word, calls=self.calls))
        assert self.scope.parent is not None
        self.scope = self.scope.parent

    @contextmanager
    def listing(self, axes: tuple[Axis, ...]) -> Iterator[None]:
        """Let the expression inside make outer products of ``axes``: the statement lists them."""
        before, self.listed = self.listed, frozenset(axes)
        yield
        self.listed = before

    # ---- ranges and values

    def axis(self, axis: Axis) -> Axis:
        """Note when ``axis`` came into scope."""
        self.order[axis] = len(self.order)
        return axis

    def in_order(self, axes: set[Axis]) -> tuple[Axis, ...]:
        """Return ``axes`` in the order in which they came into scope."""
        return tuple(sorted(axes, key=self.order.__getitem__)) if len(axes) > 1 else tuple(axes)

    def value(self, dtype: DType, axes: tuple[Axis, ...]) -> ir.Value:
        """Return a new value, named by a number until a binding names it."""
        self.count += 1
        return ir.Value(str(self.count), ir.TileType(dtype, axes))

    def emit(self, statement: ir.Stmt) -> None:
        """Append ``statement`` to the innermost block."""
        self.bodies[-1].append(statement)

    def operand(self, term: Term, span: Span) -> ir.Operand:
        """Return ``term`` as an operand; positions are computed now."""
        return self.tile(term, span) if isinstance(term, Affine) else term

    def tile(self, term: Affine, span: Span) -> ir.Value:
        """Return the tile of ``term``, computed once in a block."""
        return self.once(term, lambda: self._positions(term, span))

    def cast(self, operand: ir.Value, dtype: DType, span: Span) -> ir.Value:
        """Return ``operand`` as ``dtype``, computed once in a block."""
        return self.once((operand, dtype), lambda: self.compute("cast", (operand,), dtype, span))

    def once(self, key: object, compute: Callable[[], ir.Value]) -> ir.Value:
        """Return what ``compute`` gave for ``key`` in this block or one around it."""
        for made in reversed(self.made):
            if key in made:
                return made[key]
        value = compute()
        self.made[-1][key] = value
        return value

    def _positions(self, term: Affine, span: Span) -> ir.Value:
        (axis, mult), *more = term.terms
        if not more and mult == scalar.ONE and term.offset == scalar.ZERO:
            value = self.value(DType.I32, (axis,))
            self.emit(ir.Positions(span, value, axis))
            return value
        terms = sorted(term.terms, key=lambda t: _negative(t[1]))  # i - j, not -j + i
        total: ir.Operand | None = None
        for axis, mult in terms:
            bare = self.tile(Affine(((axis, scalar.ONE),), scalar.ZERO), span)
            if total is not None and mult == scalar.Literal(-1):
                total = self.compute("sub", (total, bare), DType.I32, span)
                continue
            part: ir.Operand = bare
            if mult != scalar.ONE:
                part = self.compute("mul", (bare, mult), DType.I32, span)
            total = part if total is None else self.compute("add", (total, part), DType.I32, span)
        assert isinstance(total, ir.Value)
        if term.offset == scalar.ZERO:
            return total
        op, offset = "add", term.offset
        if isinstance(offset, scalar.Literal) and offset.value < 0:
            op, offset = "sub", scalar.Literal(-offset.value)
        return self.compute(op, (total, offset), DType.I32, span)

    def weigh(self, number: Scalar) -> tuple[int, int]:
        """Return how many parts a number has, and how deep they are nested."""
        known = self.weights.get(id(number))
        if known is not None:
            return known[1:]
        parts, depth = 1, 1
        for child in scalar.children(number):
            more, deeper = self.weigh(child)
            parts, depth = parts + more, max(depth, deeper + 1)
        self.weights[id(number)] = (number, parts, depth)  # the number is kept, and so its id
        return parts, depth

    def compute(
        self, op: str, operands: tuple[ir.Operand, ...], dtype: DType, span: Span
    ) -> ir.Value:
        """Emit ``op`` on operands of which one is a tile; return its result."""
        axes: set[Axis] = set()
        for operand in operands:
            if isinstance(operand, ir.Value):
                axes.update(operand.type.axes)
        value = self.value(dtype, self.in_order(axes))
        self.emit(ir.Compute(span, value, OPS[op], operands))
        return value


def _negative(mult: Scalar) -> bool:
    return isinstance(mult, scalar.Literal) and mult.value < 0
