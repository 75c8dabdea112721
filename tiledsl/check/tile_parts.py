"""Results that hang on a tile size: what is folded over a tile of the grid and then stored.

A schedule changes speed, never results. A fold over a ``grid`` range sees one tile of it, as long
as a schedule says; only where all tiles meet again, in an ``atomic`` store, does it not matter.
"""

from collections.abc import Iterable, Iterator

from tiledsl import ir
from tiledsl.check.write_errors import OneTileOnly
from tiledsl.scalar import Axis, TileSize


def partial_results(body: tuple[ir.Stmt, ...]) -> Iterator[OneTileOnly]:
    """Yield what is wrong: each fold over a part of the grid that reaches a plain store."""
    every = list(ir.statements(body))
    users: dict[ir.Value | ir.Var, list[ir.Stmt]] = {}
    for statement in every:
        sources: list[ir.Operand | ir.Var] = list(ir.operands(statement))
        if isinstance(statement, ir.Read):
            sources.append(statement.var)
        for source in sources:
            if isinstance(source, ir.Value | ir.Var):
                users.setdefault(source, []).append(statement)
    for statement in every:
        for axis in _folded(statement):
            if axis.kind != "grid" or not isinstance(axis.tile, TileSize):
                continue
            if any(_plain(end) for end in _reached(statement, users)):
                yield OneTileOnly(statement.span, axis.name, axis.tile.name, axis.span)


def _folded(statement: ir.Stmt) -> tuple[Axis, ...]:
    match statement:
        case ir.Reduce(axes=axes) | ir.Contract(axes=axes):
            return axes
        case ir.Scan(axis=axis) | ir.Sort(axis=axis):
            return (axis,)
        case _:
            return ()


def _reached(
    start: ir.Stmt, users: dict[ir.Value | ir.Var, list[ir.Stmt]]
) -> Iterable[ir.Stmt]:
    """Return the statements that take what ``start`` gives, directly or by way of others."""
    found: dict[int, ir.Stmt] = {}
    work = [start]
    while work:
        statement = work.pop()
        given: list[ir.Value | ir.Var] = list(ir.results(statement))
        if isinstance(statement, ir.Declare | ir.Assign):
            given.append(statement.var)
        for user in (u for value in given for u in users.get(value, ())):
            if id(user) not in found:
                found[id(user)] = user
                work.append(user)
    return found.values()


def _plain(statement: ir.Stmt) -> bool:
    return isinstance(statement, ir.Store) and not statement.atomic
