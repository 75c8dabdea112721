"""Compute equal values once."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.passes.rewriting import rebuild, substitute
from tiledsl.scalar import show

# One instruction computes these again in less than the room that keeping a tile alive takes.
CHEAP = frozenset({"add", "sub", "mul", "min", "max"})


def merge_equal_values(kernel: ir.Kernel) -> ir.Kernel:
    """Use the first of several equal loads, positions, computations and reductions for all.

    So are reads of a variable that is not assigned between. Loads of tensors that the kernel
    writes, reads for an update (``acc += x``) and the ops in `CHEAP` are left alone.

    Before::

        %0: f32[m, d] = load x[m, d]
        %1: f32[m, d] = load x[m, d]
        %2: f32[m, d] = mul(%0, %1)

    After::

        %0: f32[m, d] = load x[m, d]
        %2: f32[m, d] = mul(%0, %0)
    """
    same: dict[ir.Value, ir.Operand] = {}
    updates = _updates(kernel.body)

    def block(body: tuple[ir.Stmt, ...], known: dict[object, ir.Value]) -> tuple[ir.Stmt, ...]:
        seen = dict(known)
        out: list[ir.Stmt] = []
        for statement in body:
            new = substitute(statement, same)
            for var in _assigned(new):
                seen.pop(var, None)
            key = new.var if isinstance(new, ir.Read) and new.result not in updates else _key(new)
            if key is not None:
                (result,) = ir.results(new)
                first = seen.setdefault(key, result)
                if first is not result:
                    same[result] = first
                    continue
            out.append(rebuild(new, lambda inner: block(inner, seen)))
        return tuple(out)

    return replace(kernel, body=block(kernel.body, {}))


def _assigned(statement: ir.Stmt) -> set[ir.Var]:
    """Return the variables that a statement, or one in its blocks, assigns."""
    return {s.var for s in ir.statements((statement,)) if isinstance(s, ir.Assign)}


def _updates(body: tuple[ir.Stmt, ...]) -> set[ir.Value]:
    """Return what is read of a variable only to add to it."""
    every = list(ir.statements(body))
    users: dict[ir.Operand, list[ir.Stmt]] = {}
    for statement in every:
        for operand in ir.operands(statement):
            users.setdefault(operand, []).append(statement)
    found: set[ir.Value] = set()
    for s in every:
        if isinstance(s, ir.Read):
            match users.get(s.result):
                case [ir.Compute(result=total)]:
                    match users.get(total):
                        case [ir.Assign(var=var)] if var is s.var:
                            found.add(s.result)
    return found


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
