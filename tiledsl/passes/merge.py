"""Compute equal values once."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.passes.rewriting import rebuild, substitute
from tiledsl.scalar import show


# One instruction computes these again in less than the room that keeping a tile alive takes.
CHEAP = frozenset({"add", "sub", "mul", "min", "max"})


def merge_equal_values(kernel: ir.Kernel) -> ir.Kernel:
    """Use the first of several equal loads, positions, computations and reductions for all.

    Loads of tensors that the kernel writes, reads of variables and the ops in `CHEAP` are left alone.

    Before::

        %0: f32[m, d] = load x[m, d]
        %1: f32[m, d] = load x[m, d]
        %2: f32[m, d] = mul(%0, %1)

    After::

        %0: f32[m, d] = load x[m, d]
        %2: f32[m, d] = mul(%0, %0)
    """
    same: dict[ir.Value, ir.Operand] = {}

    def block(body: tuple[ir.Stmt, ...], known: dict[object, ir.Value]) -> tuple[ir.Stmt, ...]:
        seen = dict(known)
        out: list[ir.Stmt] = []
        for statement in body:
            new = substitute(statement, same)
            key = _key(new)
            if key is not None:
                (result,) = ir.results(new)
                first = seen.setdefault(key, result)
                if first is not result:
                    same[result] = first
                    continue
            out.append(rebuild(new, lambda inner: block(inner, seen)))
        return tuple(out)

    return replace(kernel, body=block(kernel.body, {}))


def _key(statement: ir.Stmt) -> object:
    """Return what makes a value equal to another; `None` for what is never merged."""
    match statement:
        case ir.Load(tensor=tensor, index=index, default=default, guards=guards, result=result):
            if tensor.role not in ("in", "table"):
                return None
            return ("load", tensor, index, _exact(default), guards, result.type)
        case ir.Compute(op=op, operands=operands, result=result) if op.name not in CHEAP:
            return (op.name, tuple(_exact(x) for x in operands), result.type)
        case ir.Positions(axis=axis):
            return ("positions", axis)
        case ir.Reduce(reduction=reduction, operand=operand, axes=axes):
            return ("reduce", reduction.name, operand, axes)
        case _:
            return None


def _exact(operand: ir.Operand | None) -> object:
    """Return what tells an operand from others; 0.0 and -0.0 are equal numbers but not the same."""
    if operand is None or isinstance(operand, ir.Value):
        return operand
    return show(operand), operand.dtype, operand
