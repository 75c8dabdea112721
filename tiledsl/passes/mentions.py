"""Which ranges statements mention, and which values differ from tile to tile of a range."""

from collections.abc import Iterable, Iterator

from tiledsl import ir
from tiledsl.scalar import Axis, End, Position, Scalar, Start, walk


def ranges_of(body: Iterable[ir.Stmt]) -> set[Axis]:
    """Return the ranges that statements mention, and those that the domains of these mention."""
    return with_domains(axis for s in ir.statements(tuple(body)) for axis in _mentioned(s))


def with_domains(axes: Iterable[Axis]) -> set[Axis]:
    """Return ranges, and those on which their domains hang."""
    found: set[Axis] = set()
    pending = list(axes)
    while pending:
        axis = pending.pop()
        if axis not in found:
            found.add(axis)
            pending += domain_ranges(axis)
    return found


def domain_ranges(axis: Axis) -> list[Axis]:
    """Return the ranges that the domain of ``axis`` mentions."""
    source = [axis.source] if axis.source is not None else []
    return [*source, *_in_scalar(axis.lo), *_in_scalar(axis.hi)]


def varying(body: tuple[ir.Stmt, ...], axis: Axis) -> set[ir.Value | ir.Var]:
    """Return the values and variables of ``body`` that may differ along ``axis``.

    What is read of a tensor that the kernel writes is among them.
    """
    written = {s.tensor for s in ir.statements(body) if isinstance(s, ir.Store)}
    found: set[ir.Value | ir.Var] = set()

    def block(inner: tuple[ir.Stmt, ...], decided: bool) -> None:
        for statement in inner:
            varies = decided or axis in _ranges_of_one(statement)
            match statement:
                case ir.Read(var=var):
                    varies = varies or var in found
                case ir.Load(tensor=tensor):
                    varies = varies or tensor in written
                case _:
                    pass
            varies = varies or any(
                isinstance(x, ir.Value) and x in found for x in ir.operands(statement)
            )
            match statement:
                case ir.For(body=loop):
                    block(loop, varies)
                case ir.If(then=then, orelse=orelse):
                    block(then, varies)
                    block(orelse, varies)
                case ir.Declare(var=var) | ir.Assign(var=var) if varies:
                    found.add(var)
                case _ if varies:
                    found.update(ir.results(statement))

    before = -1
    while len(found) > before:  # loops carry what varies back to their begin
        before = len(found)
        block(body, False)
    return found


def _ranges_of_one(statement: ir.Stmt) -> set[Axis]:
    """Return the ranges that ``statement`` mentions outside its blocks, with their domains'."""
    match statement:
        case ir.For():
            return ranges_of((ir.For(statement.span, statement.axis, ()),))
        case ir.If():
            return ranges_of((ir.If(statement.span, statement.condition, (), ()),))
        case _:
            return ranges_of((statement,))


def _mentioned(statement: ir.Stmt) -> Iterator[Axis]:
    for value in ir.results(statement):
        yield from value.type.axes
    for operand in ir.operands(statement):
        if isinstance(operand, ir.Value):
            yield from operand.type.axes
        else:
            yield from _in_scalar(operand)
    match statement:
        case ir.Load(index=index) | ir.Store(index=index):
            yield from (axis for position in index for axis, _ in position.terms)
        case ir.Declare(var=var) | ir.Assign(var=var) | ir.Read(var=var):
            yield from var.type.axes
        case ir.For(axis=axis):
            yield axis
        case _:
            pass


def _in_scalar(scalar: Scalar) -> Iterator[Axis]:
    return (part.axis for part in walk(scalar) if isinstance(part, Position | Start | End))
