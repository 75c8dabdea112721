"""Take a span that is too long for the chip in pieces."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.scalar import Axis, End, Literal, Position, Scalar, Start, walk

PIECE = 64  # elements of the span that are taken at once


def split_span(kernel: ir.Kernel) -> ir.Kernel | None:
    """Return the kernel with one span as a loop over pieces, or `None` where no span can be.

    A span can be if nothing is summed, scanned or sorted along it, no variable has it, and only
    top-level statements mention it: then its elements have nothing to do with each other.

    Before::

        %0: f32[c, d] = load po[b, h, c, d]
        %1: f32[d] = sum(%0 over c)
        store o[b, h, d] = %1

    After::

        for d in 0 .. D by 64:
          %0: f32[c, d] = load po[b, h, c, d]
          %1: f32[d] = sum(%0 over c)
          store o[b, h, d] = %1
    """
    for span in _candidates(kernel):
        piece = Axis(span.name, "for", span.lo, span.hi, Literal(PIECE), None, None, span.span)
        return _with_loop(kernel, span, piece)
    return None


def _candidates(kernel: ir.Kernel) -> list[Axis]:
    spans: dict[Axis, None] = {}
    fixed: set[Axis] = set()
    for statement in ir.statements(kernel.body):
        axes = _axes(statement)
        spans.update((a, None) for a in axes if a.kind == "span" and a.source is None)
        top = any(statement is s for s in kernel.body)
        match statement:
            case ir.Reduce(axes=gone) | ir.Contract(axes=gone):
                fixed |= set(gone)
            case ir.Scan(axis=axis):
                fixed.add(axis)
            case ir.Sort() | ir.Declare() | ir.Assign() | ir.Read() | ir.Rename():
                fixed |= axes
            case _ if not top:
                fixed |= axes
    long = [a for a in spans if a not in fixed and (a.limit or 0) > PIECE]
    return [a for a in long if not any(_mentions(s, a) for s in _scalars(kernel))]


def _axes(statement: ir.Stmt) -> set[Axis]:
    found = {axis for value in ir.results(statement) for axis in value.type.axes}
    found |= {a for x in ir.operands(statement) if isinstance(x, ir.Value) for a in x.type.axes}
    if isinstance(statement, ir.Load | ir.Store):
        found |= {axis for i in statement.index for axis, _ in i.terms}
    return found


def _scalars(kernel: ir.Kernel) -> list[Scalar]:
    every = ir.statements(kernel.body)
    return [x for s in every for x in ir.operands(s) if not isinstance(x, ir.Value)]


def _mentions(scalar: Scalar, axis: Axis) -> bool:
    return any(isinstance(p, Start | End | Position) and p.axis is axis for p in walk(scalar))


def _with_loop(kernel: ir.Kernel, span: Axis, piece: Axis) -> ir.Kernel:
    """Return the kernel with all that has ``span`` in one loop over ``piece``."""
    values: dict[ir.Value, ir.Value] = {}
    inside: list[ir.Stmt] = []
    before: list[ir.Stmt] = []
    after: list[ir.Stmt] = []
    for statement in kernel.body:
        if span in _axes(statement):
            inside.append(_renamed(statement, span, piece, values))
        elif any(isinstance(x, ir.Value) and x in values for x in ir.operands(statement)):
            return kernel
        elif isinstance(statement, ir.Store):
            after.append(statement)
        else:
            before.append(statement)
    loop = ir.For(piece.span, piece, tuple(inside))
    return replace(kernel, body=(*before, loop, *after))


def _renamed(
    statement: ir.Stmt, span: Axis, piece: Axis, values: dict[ir.Value, ir.Value]
) -> ir.Stmt:
    """Return ``statement`` over ``piece``; ``values`` maps what has been renamed so far."""

    def axis(a: Axis) -> Axis:
        return piece if a is span else a

    def value(v: ir.Value) -> ir.Value:
        if span not in v.type.axes:
            return v
        if v not in values:
            kind = ir.TileType(v.type.dtype, tuple(map(axis, v.type.axes)))
            values[v] = ir.Value(v.name, kind)
        return values[v]

    def operand(x: ir.Operand) -> ir.Operand:
        return value(x) if isinstance(x, ir.Value) else x

    def index(i: ir.Index) -> ir.Index:
        gather = None if i.gather is None else value(i.gather)
        return ir.Index(tuple((axis(a), mult) for a, mult in i.terms), i.offset, gather)

    match statement:
        case ir.Compute():
            operands = tuple(map(operand, statement.operands))
            return replace(statement, result=value(statement.result), operands=operands)
        case ir.Positions():
            return replace(statement, result=value(statement.result), axis=axis(statement.axis))
        case ir.Reduce():
            return replace(
                statement, result=value(statement.result), operand=value(statement.operand)
            )
        case ir.Contract():
            a, b = value(statement.a), value(statement.b)
            return replace(statement, result=value(statement.result), a=a, b=b)
        case ir.Load():
            default = None if statement.default is None else operand(statement.default)
            where = tuple(map(index, statement.index))
            return replace(statement, result=value(statement.result), index=where, default=default)
        case ir.Store():
            where = tuple(map(index, statement.index))
            return replace(statement, index=where, value=operand(statement.value))
        case _:
            raise AssertionError(f"{type(statement).__name__} along a span that was to be split")
