"""Statements: bindings, state, loops, branches, stores."""

from tiledsl import ir
from tiledsl.check import access, calls, ranges
from tiledsl.check.builder import BROKEN, Absent, Bound, Builder
from tiledsl.check.errors import Misplaced, NotState, UnknownName, WrongKind
from tiledsl.check.operators import binary, name_value, truth, use_names
from tiledsl.check.rules import assigned, is_truth
from tiledsl.check.terms import Term, axes_of, describe
from tiledsl.check.type_errors import ExtraRanges, MissingRanges, ResultCount, TooLarge
from tiledsl.scalar import Axis, Literal, Tensor
from tiledsl.syntax import tree

_DEEPEST_BLOCK = 64


def body(b: Builder, nodes: tuple[tree.Stmt, ...]) -> None:
    """Check and emit statements, one after the other."""
    for node in nodes:
        statement(b, node)


def statement(b: Builder, node: tree.Stmt) -> None:
    """Check and emit one statement."""
    match node:
        case tree.Bind():
            _bind(b, node)
        case tree.Store():
            access.store(b, node)
        case tree.Augment():
            _augment(b, node)
        case tree.Var():
            _var(b, node)
        case tree.For():
            _for(b, node)
        case tree.If():
            _if(b, node)
        case tree.SpanStmt(ranges=parts):
            for part in parts:
                ranges.declare(b, part, "span")
        case tree.Grid():
            _grid(b, node)
        case tree.CallStmt(call=call):
            calls.print_statement(b, call)
        case tree.Assert():
            _assert(b, node)
        case tree.Where():
            hint = "facts open the body of a kernel; a condition is an `if`"
            b.error(Misplaced(node.span, "`where`", "facts come first", hint))
        case tree.Return():
            b.error(Misplaced(node.span, "`return`", "it ends the body of a `fn`"))
        case tree.Temp():
            b.error(Misplaced(node.span, "`temp`", "temporaries belong to an `op`"))
        case tree.Step():
            hint = "a kernel is a step of an `op`; a function is declared with `fn`"
            b.error(Misplaced(node.span, "a step", "kernels do not call kernels", hint))


def _bind(b: Builder, node: tree.Bind) -> None:
    if len(node.names) > 1:
        _unpack(b, node)
        return
    (name,) = node.names
    bound = b.scope.find(name.id)
    if bound is not None and isinstance(bound.meaning, ir.Var) and node.type is None:
        _assign(b, node, bound.meaning)
        return
    if bound is not None and isinstance(bound.meaning, Tensor):
        bound.used = True
        b.error(NotState(name.span, name.id, "a tensor", bound.span))
        use_names(b, node.value)
        return
    typed = node.type
    term = _annotated(b, node, typed) if typed is not None else b.expression(node.value)
    _name(b, name, term)


def _name(b: Builder, name: tree.Name, term: Term | None) -> None:
    if isinstance(term, ir.Value) and term.name.isdigit():
        term.name = name.id
    b.bind(name, term, "a value", watched=True)


def _unpack(b: Builder, node: tree.Bind) -> None:
    results: tuple[Term | None, ...] | None
    if isinstance(node.value, tree.Call):
        results = calls.calls(b, node.value)
        function = node.value.function.id
    else:
        results, function = (b.expression(node.value),), "this"
    if results is not None and len(results) != len(node.names):
        b.error(ResultCount(node.span, len(node.names), len(results), function))
        results = None
    for at, name in enumerate(node.names):
        _name(b, name, results[at] if results is not None else None)


def _annotated(b: Builder, node: tree.Bind, type_: tree.Type) -> Term | None:
    """Check a binding against its type, which also spells outer products."""
    wanted = tile_type(b, type_)
    with b.listing(wanted.axes if wanted is not None else ()):
        term = b.expression(node.value)
    if wanted is None or term is None:
        return None
    (name,) = node.names
    place = node.value.span
    if not _ranges_fit(b, term, wanted, f"`{name.id}`", node.value):
        return None
    missing = b.in_order(set(wanted.axes) - set(axes_of(term)))
    if missing:
        names = tuple(a.name for a in missing)
        b.error(MissingRanges(place, name.id, names, describe(term)))
        return None
    return assigned(b, term, wanted.dtype, place, f"`{name.id}`")


def tile_type(b: Builder, node: tree.Type) -> ir.TileType | None:
    """Return the type of a tile: ``f32[m, n]``."""
    dtype = calls.dtype_named(b, node)
    axes: set[Axis] = set()
    good = dtype is not None
    for dim in node.dims or ():
        axis = _range_name(b, dim)
        good = good and axis is not None
        if axis is not None:
            axes.add(axis)
    return ir.TileType(dtype, b.in_order(axes)) if good and dtype is not None else None


def _range_name(b: Builder, node: tree.Expr | tree.Star) -> Axis | None:
    if not isinstance(node, tree.Name):
        hint = "a tile has ranges, as declared by `grid`, `for` and `span`"
        b.error(Misplaced(node.span, "a size", "the type of a tile names ranges", hint))
        return None
    meaning = b.look(node)
    match meaning:
        case None:
            return None
        case Axis() if not meaning.is_scalar:
            return meaning
        case Axis():
            hint = "it stands at one position: leave it out of the type"
            b.error(WrongKind(node.span, node.id, "a position", "a range of a tile", hint))
        case _:
            hint = "a tile has ranges, as declared by `grid`, `for` and `span`"
            b.error(WrongKind(node.span, node.id, "no range", "a range", hint))
    return None


def _var(b: Builder, node: tree.Var) -> None:
    wanted = tile_type(b, node.type)
    with b.listing(wanted.axes if wanted is not None else ()):
        term = b.expression(node.value)
    if wanted is None:
        b.bind(node.name, None, "state")
        return
    var = ir.Var(node.name.id, wanted, node.name.span)
    if term is not None:
        value = _fitted(b, term, var, node.value)
        if value is not None:
            b.emit(ir.Declare(node.span, var, value))
    b.bind(node.name, var, "state", watched=True)


def _assign(b: Builder, node: tree.Bind, var: ir.Var) -> None:
    with b.listing(var.type.axes):
        term = b.expression(node.value)
    if term is None:
        return
    value = _fitted(b, term, var, node.value)
    if value is not None:
        b.emit(ir.Assign(node.span, var, value))


def _augment(b: Builder, node: tree.Augment) -> None:
    bound = b.scope.find(node.name.id)
    if bound is None:
        name = node.name.id
        known = tuple(n for n in b.scope.visible() if _is_var(b.scope.find(n)))
        hint = f"declare it first: `var {name}: f32[...] = 0`"
        b.error(UnknownName(node.name.span, name, known, **b.hints(name), hint=hint))
        b.scope.names[node.name.id] = Bound(BROKEN, "an unknown name", node.name.span)
        use_names(b, node.value)
        return
    if not isinstance(bound.meaning, ir.Var):
        bound.used = True
        if bound.meaning != BROKEN:
            kind = "a tensor" if isinstance(bound.meaning, Tensor | Absent) else bound.kind
            b.error(NotState(node.name.span, node.name.id, kind, bound.span))
        use_names(b, node.value)
        return
    var = bound.meaning
    seen = bound.used
    with b.listing(var.type.axes):
        old = name_value(b, node.name)
        value = b.expression(node.value)
        term = binary(b, node.op, old, value, node.name, node.value, node.span)
    bound.used = seen  # `acc += x` alone does not make `acc` read
    if term is None:
        return
    ready = _fitted(b, term, var, node)
    if ready is not None:
        b.emit(ir.Assign(node.span, var, ready))


def _is_var(bound: Bound | None) -> bool:
    return bound is not None and isinstance(bound.meaning, ir.Var)


def _fitted(b: Builder, term: Term, var: ir.Var, node: tree.Node) -> ir.Operand | None:
    """Return a value as ``var`` takes it."""
    what = f"`{var.name}`"
    if not _ranges_fit(b, term, var.type, what, node):
        return None
    ready = assigned(b, term, var.type.dtype, node.span, what)
    return None if ready is None else b.operand(ready, node.span)


def _ranges_fit(b: Builder, term: Term, type_: ir.TileType, what: str, node: tree.Node) -> bool:
    extra = b.in_order(set(axes_of(term)) - set(type_.axes))
    if extra:
        names = tuple(a.name for a in extra)
        b.error(ExtraRanges(node.span, what, names, describe(term)))
    return not extra


def _grid(b: Builder, node: tree.Grid) -> None:
    hint = "one `grid` opens a kernel, before loops, loads and state"
    if b.depth or b.expanding:
        b.error(Misplaced(node.span, "`grid`", "it is inside another block", hint))
    elif b.grid:
        hint = "write one grid: `grid m in M by BM, n in N by BN`"
        b.error(Misplaced(node.span, "a second `grid`", "a kernel has one", hint))
    elif b.bodies[-1]:
        b.error(Misplaced(node.span, "`grid`", "something is computed before it", hint))
    for part in node.ranges:
        axis = ranges.declare(b, part, "grid")
        if axis is not None:
            b.grid.append(axis)


def _for(b: Builder, node: tree.For) -> None:
    if _too_deep(b, node):
        return
    with b.names():
        axis = ranges.declare(b, node.range, "for")
        with b.block() as inner:
            body(b, node.body)
    if axis is not None:
        b.emit(ir.For(node.span, axis, tuple(inner)))


def _if(b: Builder, node: tree.If) -> None:
    _arms(b, node, 0)


def _arms(b: Builder, node: tree.If, at: int) -> None:
    """Emit the arms from ``at`` on; an arm whose condition is known is taken or left untyped."""
    if at == len(node.arms):
        body(b, node.orelse)
        return
    if _too_deep(b, node):
        return
    test, arm = node.arms[at]
    condition = truth(b, test, "the condition of `if`")
    if isinstance(condition, Literal):
        if condition.value:
            use_names(b, (node.arms[at + 1 :], node.orelse))
            with b.names():
                body(b, arm)
        else:
            use_names(b, arm)
            with b.names():
                _arms(b, node, at + 1)
        return
    with b.block() as then:
        body(b, arm)
    with b.block() as orelse:
        _arms(b, node, at + 1)
    if condition is not None:
        operand = b.operand(condition, test.span)
        b.emit(ir.If(node.span, operand, tuple(then), tuple(orelse)))


def _too_deep(b: Builder, node: tree.For | tree.If) -> bool:
    if b.depth < _DEEPEST_BLOCK:
        return False
    limit = f"blocks and `elif` arms are nested at most {_DEEPEST_BLOCK} deep"
    b.error(TooLarge(node.span, "this block", limit))
    return True


def _assert(b: Builder, node: tree.Assert) -> None:
    term = b.expression(node.condition)
    if term is None:
        return
    if not is_truth(b, "assert", term, node.condition.span):
        return
    text = node.text if node.text is not None else " ".join(node.condition.span.text.split())
    b.emit(ir.Assert(node.span, b.operand(term, node.span), text))
