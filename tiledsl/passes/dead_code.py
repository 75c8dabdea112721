"""Drop what nothing reads."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.passes.rewriting import rebuild


def drop_dead_code(kernel: ir.Kernel) -> ir.Kernel:
    """Drop values and variables that no store, print, assertion or condition depends on.

    Before::

        %1: f32[i] = exp(%0)
        %2: f32[i] = add(%0, 1.0)
        store y[i] = %2

    After::

        %2: f32[i] = add(%0, 1.0)
        store y[i] = %2
    """
    live: set[ir.Value | ir.Var] = set()
    every = list(ir.statements(kernel.body))
    defined = {value: s for s in every for value in ir.results(s)}
    writers: dict[ir.Var, list[ir.Stmt]] = {}
    for s in every:
        if isinstance(s, ir.Declare | ir.Assign):
            writers.setdefault(s.var, []).append(s)
    work: list[ir.Stmt] = [
        s for s in every if isinstance(s, ir.Store | ir.Print | ir.Assert | ir.If)
    ]
    while work:
        statement = work.pop()
        if isinstance(statement, ir.Read) and statement.var not in live:
            live.add(statement.var)
            work += writers[statement.var]
        for operand in ir.operands(statement):
            if isinstance(operand, ir.Value) and operand not in live:
                live.add(operand)
                work.append(defined[operand])

    def block(body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
        kept = [rebuild(s, block) for s in body if _needed(s, live)]
        return tuple(s for s in kept if not _empty(s))

    return replace(kernel, body=block(kernel.body))


def _needed(statement: ir.Stmt, live: set[ir.Value | ir.Var]) -> bool:
    match statement:
        case ir.Declare(var=var) | ir.Assign(var=var):
            return var in live
        case _:
            results = ir.results(statement)
            return not results or any(value in live for value in results)


def _empty(statement: ir.Stmt) -> bool:
    match statement:
        case ir.For(body=()) | ir.If(then=(), orelse=()):
            return True
        case _:
            return False
