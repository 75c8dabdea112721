"""Fold what is known at compile time."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.passes.rewriting import rebuild, substitute
from tiledsl.scalar import Literal


def fold_constants(kernel: ir.Kernel) -> ir.Kernel:
    """Drop steps that change nothing, and branches that are never taken.

    Only what is exact for every value: ``x * 1``, ``x / 1``, and for integers ``x + 0``; never
    ``x + 0.0``, which turns -0 into 0.

    Before::

        %1: f32[i] = mul(%0, 1.0)
        store y[i] = %1

    After::

        store y[i] = %0
    """
    same: dict[ir.Value, ir.Operand] = {}

    def block(body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
        out: list[ir.Stmt] = []
        for statement in body:
            new = substitute(statement, same)
            kept = _unchanged(new)
            if kept is not None and isinstance(new, ir.Compute):
                same[new.result] = kept
                continue
            if isinstance(new, ir.If) and isinstance(new.condition, Literal):
                out += block(new.then if new.condition.value else new.orelse)
                continue
            out.append(rebuild(new, block))
        return tuple(out)

    return replace(kernel, body=block(kernel.body))


def _unchanged(statement: ir.Stmt) -> ir.Value | None:
    """Return the operand that ``statement`` only repeats."""
    if not isinstance(statement, ir.Compute):
        return None
    match statement.op.name, statement.operands:
        case ("mul", (ir.Value() as x, Literal(value=1))) | (
            "mul",
            (Literal(value=1), ir.Value() as x),
        ):
            pass
        case "div", (ir.Value() as x, Literal(value=1)):
            pass
        case ("add" | "sub", (ir.Value() as x, Literal(value=0))) if x.type.dtype.is_integer:
            pass
        case "cast", (ir.Value() as x,):
            pass
        case _:
            return None
    return x if x.type == statement.result.type else None
