"""Move loads out of loops that do not change them."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.passes.rewriting import rebuild
from tiledsl.scalar import ZERO, Axis, Position


def hoist_loads(kernel: ir.Kernel) -> ir.Kernel:
    """Move each load that a loop repeats unchanged to before the loop.

    Only loads of inputs, with indices that are whole ranges over their dims: these are inside
    whether the loop runs or not.

    Before::

        for j in 0 .. L by BL:
          %0: f16[i, d] = load q[b, h, i, d]
          %1: f16[j, d] = load k[b, h, j, d]

    After::

        %0: f16[i, d] = load q[b, h, i, d]
        for j in 0 .. L by BL:
          %1: f16[j, d] = load k[b, h, j, d]
    """

    def block(body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
        out: list[ir.Stmt] = []
        for statement in body:
            new = rebuild(statement, block)
            if isinstance(new, ir.For):
                fixed = [s for s in new.body if _fixed(s, new.axis)]
                out += fixed
                new = replace(new, body=tuple(s for s in new.body if s not in fixed))
            out.append(new)
        return tuple(out)

    return replace(kernel, body=block(kernel.body))


def _fixed(statement: ir.Stmt, loop: Axis) -> bool:
    if not isinstance(statement, ir.Load) or statement.tensor.role != "in" or any(statement.guards):
        return False
    if statement.default is not None:
        return False
    for index, size in zip(statement.index, statement.tensor.shape, strict=True):
        axis = index.bare
        if (
            axis is None
            and not index.terms
            and index.gather is None
            and isinstance(index.offset, Position)
        ):
            axis = index.offset.axis
        if axis is None or axis is loop or axis.source is not None:
            return False
        if axis.lo != ZERO or axis.hi != size or axis.kind == "for":
            return False
    return True
