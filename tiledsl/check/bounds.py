"""Every access inside its tensor by proof, and every span bounded at compile time."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal as Lit
from typing import assert_never

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.check.poly import Poly, constant
from tiledsl.check.prove_errors import MayBeOutside, NeedlessDefault, UnboundedSpan
from tiledsl.check.prove_facts import Scope
from tiledsl.check.prove_terms import Frame
from tiledsl.check.prove_witness import Step, witness
from tiledsl.diagnostics import Report
from tiledsl.source import Span

# A span of more positions is as good as unbounded: no chip holds it.
MOST_POSITIONS = 1 << 20
# What a tile size is taken to be at most, when a span's bound is to follow from one.
MOST_OF_A_TILE_SIZE = 1 << 12


@dataclass(frozen=True, slots=True)
class Access:
    """A read or write of global memory: where, and under which ranges and conditions."""

    tensor: sc.Tensor
    index: tuple[ir.Index, ...]
    kind: Lit["read", "store", "disjoint", "atomic"]
    path: tuple[Step, ...]
    span: Span

    @property
    def lanes(self) -> frozenset[sc.Axis]:
        """The ranges of the tile that is read or written."""
        return lanes(self.index)


def lanes(index: tuple[ir.Index, ...]) -> frozenset[sc.Axis]:
    """Return the ranges of the tile under ``index``."""
    found: set[sc.Axis] = set()
    for place in index:
        found.update(axis for axis, _ in place.terms)
        if place.gather is not None:
            found.update(place.gather.type.axes)
    return frozenset(found)


@dataclass(slots=True)
class Bounds:
    """A walk over a kernel that proves what it can and marks, or reports, the rest."""

    kernel: ir.Kernel
    frame: Frame
    definitions: dict[ir.Value, ir.Stmt]
    report: Report = field(default_factory=Report)
    accesses: list[Access] = field(default_factory=list)
    limited: dict[sc.Axis, tuple[Scope, int | None]] = field(default_factory=dict)
    seen: set[sc.Axis] = field(default_factory=set)

    def check(self, launch: Scope) -> tuple[ir.Stmt, ...]:
        """Return the body with every guard set."""
        scope, path = launch, tuple[Step, ...]()
        for axis in self.kernel.grid:
            self._domain(axis, scope, path)
            scope = self.frame.enter(axis, scope)
            path = (*path, axis)
        return self._block(self.kernel.body, scope, path)

    # ---- statements

    def _block(
        self, body: tuple[ir.Stmt, ...], scope: Scope, path: tuple[Step, ...]
    ) -> tuple[ir.Stmt, ...]:
        return tuple(self._statement(s, scope, path) for s in body)

    def _statement(self, statement: ir.Stmt, scope: Scope, path: tuple[Step, ...]) -> ir.Stmt:
        for axis in _ranges(statement):
            if axis.kind == "span":
                self._span(axis, scope, path)
        new = self._guarded(statement, scope, path)
        if new is not statement:
            for value in ir.results(new):
                self.definitions[value] = new
        return new

    def _guarded(self, s: ir.Stmt, scope: Scope, path: tuple[Step, ...]) -> ir.Stmt:
        match s:
            case ir.Load():
                return self._load(s, scope, path)
            case ir.Store():
                return self._store(s, scope, path)
            case ir.For(axis=axis, body=body):
                self._domain(axis, scope, path)
                inner = self.frame.enter(axis, scope)
                return replace(s, body=self._block(body, inner, (*path, axis)))
            case ir.If(condition=condition, then=then, orelse=orelse):
                checked = self._operand(condition, scope, path)
                yes = scope.assume(self.frame.condition(checked, scope))
                no = scope.assume(self.frame.condition(checked, scope, negate=True))
                return replace(
                    s,
                    condition=checked,
                    then=self._block(then, yes, (*path, (checked, True))),
                    orelse=self._block(orelse, no, (*path, (checked, False))),
                )
            case ir.Compute(operands=operands) | ir.Print(operands=operands):
                return replace(s, operands=self._operands(operands, scope, path))
            case ir.Declare(value=value) | ir.Assign(value=value):
                return replace(s, value=self._operand(value, scope, path))
            case ir.Random(seed=seed, offset=offset):
                first, second = self._operands((seed, offset), scope, path)
                return replace(s, seed=first, offset=second)
            case ir.Assert(condition=condition):
                return replace(s, condition=self._operand(condition, scope, path))
            case (
                ir.Positions() | ir.Rename() | ir.Reduce() | ir.Scan() | ir.Contract() | ir.Sort()
                | ir.Read()
            ):  # fmt: skip
                return s
            case _:
                assert_never(s)

    def _load(self, load: ir.Load, scope: Scope, path: tuple[Step, ...]) -> ir.Load:
        index = self._index(load.index, scope, path)
        default = load.default
        if default is not None:
            default = self._operand(default, scope, path)
        optional = default is not None
        guards = self._guards(load.tensor, index, optional, "read", load.span, scope, path)
        return replace(load, index=index, default=default, guards=guards)

    def _store(self, store: ir.Store, scope: Scope, path: tuple[Step, ...]) -> ir.Store:
        index = self._index(store.index, scope, path)
        value = self._operand(store.value, scope, path)
        guards = self._guards(store.tensor, index, store.skip, store.mode, store.span, scope, path)
        return replace(store, index=index, value=value, guards=guards)

    def _index(
        self, index: tuple[ir.Index, ...], scope: Scope, path: tuple[Step, ...]
    ) -> tuple[ir.Index, ...]:
        def checked(scalar: sc.Scalar) -> sc.Scalar:
            return self._scalar(scalar, scope, path)

        return tuple(
            replace(i, terms=tuple((a, checked(m)) for a, m in i.terms), offset=checked(i.offset))
            for i in index
        )

    # ---- operands

    def _operands(
        self, operands: tuple[ir.Operand, ...], scope: Scope, path: tuple[Step, ...]
    ) -> tuple[ir.Operand, ...]:
        return tuple(self._operand(o, scope, path) for o in operands)

    def _operand(self, operand: ir.Operand, scope: Scope, path: tuple[Step, ...]) -> ir.Operand:
        if isinstance(operand, ir.Value):
            return operand
        return self._scalar(operand, scope, path)

    def _scalar(self, scalar: sc.Scalar, scope: Scope, path: tuple[Step, ...]) -> sc.Scalar:
        """Return ``scalar`` with the guards of the elements in it set."""
        if not _has_element(scalar):
            return scalar

        def change(part: sc.Scalar) -> sc.Scalar | None:
            if not isinstance(part, sc.Element):
                return None
            index = tuple(self._scalar(i, scope, path) for i in part.index)
            default = part.default
            if default is not None:
                default = self._scalar(default, scope, path)
            places = tuple(ir.Index((), i) for i in index)
            guards = self._guards(
                part.tensor, places, default is not None, "read", part.span, scope, path
            )
            return replace(part, index=index, default=default, guards=guards)

        return sc.rewrite(scalar, change)

    # ---- one access

    def _guards(
        self,
        tensor: sc.Tensor,
        index: tuple[ir.Index, ...],
        optional: bool,
        mode: Lit["read", "store", "disjoint", "atomic"],
        span: Span,
        scope: Scope,
        path: tuple[Step, ...],
    ) -> tuple[bool, ...]:
        """Return for each dim whether its index may be outside; report that without a default."""
        self.accesses.append(Access(tensor, index, mode, path, span))
        inner = self.frame.lanes(lanes(index), scope)
        guards = []
        for dim, (place, size) in enumerate(zip(index, tensor.shape, strict=True)):
            low, high = self._inside(place, size, inner)
            guards.append(not (low and high))
            if not ((low and high) or optional):
                text, extent = _written(span, dim, index), _bare(sc.show(size))
                claims = (f"{text} >= 0",) * (not low) + (f"{text} < {extent}",) * (not high)
                self.report.add(
                    MayBeOutside(
                        span,
                        tensor.name,
                        dim,
                        text,
                        extent,
                        mode != "read",
                        claims,
                        tuple(dict.fromkeys(self._divisors(place, inner))),
                        witness(self.kernel, self.definitions, path, place, size),
                        self._meant(tensor, index),
                    )
                )
        special = self.kernel.binding.consts or self.kernel.binding.pinned
        if optional and not any(guards) and not special:
            self.report.add(NeedlessDefault(span, tensor.name, mode != "read"))
        return tuple(guards)

    def _meant(self, tensor: sc.Tensor, index: tuple[ir.Index, ...]) -> str:
        """Return the access with a range for each dim that runs over just that, if there is one."""
        own = [_range_of(place) for place in index]
        if not all(own):
            return ""
        ranges = dict.fromkeys((*(axis for axis in own if axis), *self.kernel.grid))
        names: list[str] = []
        for size in tensor.shape:
            over = (a.name for a in ranges if a.lo == sc.ZERO and a.hi == size)
            names.append(next((name for name in over if name not in names), ""))
        return f"{tensor.name}[{', '.join(names)}]" if all(names) else ""

    def _inside(self, place: ir.Index, size: sc.Scalar, scope: Scope) -> tuple[bool, bool]:
        """Return whether an index is proven not to be negative, and to be less than the size."""
        facts = self.frame.facts
        at, extent = self.frame.index(place, scope), self.frame.scalar(size, scope)
        return facts.prove(at, scope), facts.prove(extent - 1 - at, scope)

    def _divisors(self, place: ir.Index, scope: Scope) -> Iterator[str]:
        """Yield the divisors in an index that may be 0, and make it unknown."""
        parts: list[ir.Operand] = [place.offset]
        if place.gather is not None:
            parts.append(place.gather)
        while parts:
            part = parts.pop()
            match self.definitions.get(part) if isinstance(part, ir.Value) else part:
                case ir.Compute(op=row, operands=inside):
                    op = row.name
                case sc.Apply(op=named, args=inside):
                    op = named
                case _:
                    continue
            parts += inside
            by = inside[-1]
            if op in ("floordiv", "mod") and not isinstance(by, ir.Value):
                size = self.frame.scalar(by, scope)
                if not self.frame.facts.prove(size - 1, scope):
                    yield _bare(sc.show(by))

    # ---- ranges

    def _domain(self, axis: sc.Axis, scope: Scope, path: tuple[Step, ...]) -> None:
        """Check the elements that the domain of ``axis`` reads."""
        if _has_element(axis.lo) or _has_element(axis.hi):
            lo, hi = self._scalar(axis.lo, scope, path), self._scalar(axis.hi, scope, path)
            first = axis not in self.seen
            self.seen.add(axis)
            axis.lo = lo if first else _either(axis.lo, lo)
            axis.hi = hi if first else _either(axis.hi, hi)

    def _span(self, axis: sc.Axis, scope: Scope, path: tuple[Step, ...]) -> None:
        """Set the limit of a span; once for all the scopes inside the one in which it is met."""
        before = self.limited.get(axis)
        if before is not None and _inside(scope, before[0]):
            return
        self._domain(axis, scope, path)
        own = self.frame.range(axis, scope)
        extent = own.end - own.start
        limit = self._most(extent, scope)
        if axis.source is None:
            if limit is None and not self._bounded_by_tiles(extent, scope):
                lo = _bare(sc.show(axis.lo))
                size = _bare(sc.show(axis.hi)) + ("" if lo == "0" else f" - {lo}")
                self.report.add(UnboundedSpan(axis.span, axis.name, size))
            elif limit is not None and before is not None and before[1] is not None:
                limit = max(limit, before[1])
            axis.limit = limit
        self.limited[axis] = (scope, limit)

    def _most(self, extent: Poly, scope: Scope) -> int | None:
        """Return the least number that is proven to be an upper bound of ``extent``."""
        facts = self.frame.facts
        high = facts.highest(extent, scope)
        if high is not None and high <= MOST_POSITIONS:
            # Of two ends that move together the intervals tell too little.
            if len(extent.terms) < 2 or not facts.prove(constant(high // 2) - extent, scope):
                return max(high, 1)
        elif not facts.prove(constant(MOST_POSITIONS) - extent, scope):
            return None
        low, most = 1, MOST_POSITIONS
        while low < most:
            middle = (low + most) // 2
            if facts.prove(constant(middle) - extent, scope):
                most = middle
            else:
                low = middle + 1
        return most

    def _bounded_by_tiles(self, extent: Poly, scope: Scope) -> bool:
        """Whether a bound follows once tile sizes and ``const`` parameters are numbers."""
        facts = self.frame.facts
        open_names = {("param", p.name) for p in self.kernel.scalars}
        later = [
            constant(MOST_OF_A_TILE_SIZE) - Poly({(at,): 1})
            for key, at in facts.known.items()
            if key[0] == "tile size" or (key[0] == "param" and key not in open_names)
        ]
        return bool(later) and self._most(extent, scope.extend(later)) is not None


def _range_of(place: ir.Index) -> sc.Axis | None:
    """Return the range, tiled or scalar, that an index is and nothing else."""
    if not place.terms and place.gather is None and isinstance(place.offset, sc.Position):
        return place.offset.axis
    return place.bare


def _written(span: Span, dim: int, index: tuple[ir.Index, ...]) -> str:
    """Return how an index was written, or how it is understood where that is not to be had."""
    pieces = [""]
    depth = 0
    for char in span.text:
        depth -= char in ")]"
        if depth == 0 and char == "]":
            break
        if depth == 1 and char == ",":
            pieces.append("")
        elif depth > 0:
            pieces[-1] += char
        depth += char in "(["
    if len(pieces) != len(index) or not all(pieces):
        return show_index(index[dim])
    return " ".join(pieces[dim].split(" else ")[0].split())


def show_index(index: ir.Index) -> str:
    """Return ``index`` in the notation of the language."""
    pieces = []
    for axis, mult in index.terms:
        pieces.append(axis.name if mult == sc.ONE else f"{axis.name} * {sc.show(mult)}")
    if index.gather is not None:
        pieces.append(index.gather.name)
    match index.offset:
        case sc.Literal(value=value):
            text = " + ".join(pieces)
            if not pieces:
                return str(value)
            return f"{text} {'-' if value < 0 else '+'} {abs(value)}" if value else text
        case offset:
            return " + ".join([*pieces, _bare(sc.show(offset))])


def _bare(text: str) -> str:
    """Return ``text`` without the parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0 and at < len(text) - 1:
            return text
    return text[1:-1]


def _has_element(scalar: sc.Scalar) -> bool:
    match scalar:
        case sc.Element():
            return True
        case sc.Apply(args=args):
            return any(_has_element(a) for a in args)
        case _:
            return False


def _ranges(statement: ir.Stmt) -> Iterator[sc.Axis]:
    """Yield the ranges of the tiles that a statement makes or writes."""
    for value in ir.results(statement):
        yield from value.type.axes
    match statement:
        case ir.Load(index=index) | ir.Store(index=index):
            yield from lanes(index)
        case ir.Declare(var=var):
            yield from var.type.axes
        case ir.Reduce(axes=axes):
            yield from axes
        case _:
            pass


def _inside(scope: Scope, outer: Scope) -> bool:
    place: Scope | None = scope
    while place is not None:
        if place is outer:
            return True
        place = place.outer
    return False


def _either(a: sc.Scalar, b: sc.Scalar) -> sc.Scalar:
    """Return the same scalar with the guards of both."""
    match a, b:
        case sc.Element(), sc.Element():
            pairs = zip(a.guards, b.guards, strict=True)
            index = tuple(_either(x, y) for x, y in zip(a.index, b.index, strict=True))
            return replace(a, index=index, guards=tuple(x or y for x, y in pairs))
        case sc.Apply(), sc.Apply():
            return replace(a, args=tuple(map(_either, a.args, b.args)))
        case _:
            return a
