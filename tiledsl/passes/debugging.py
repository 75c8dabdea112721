"""Leave out what only a person who looks for a mistake wants."""

from dataclasses import replace

from tiledsl import ir
from tiledsl.passes.rewriting import rebuild


def drop_debugging(kernel: ir.Kernel) -> ir.Kernel:
    """Drop ``print`` and ``assert``.

    Before::

        %1: bool[i] = gt(%0, 0.0)
        assert %1, "positive"
        store y[i] = %0

    After::

        %1: bool[i] = gt(%0, 0.0)
        store y[i] = %0
    """

    def block(body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
        return tuple(rebuild(s, block) for s in body if not isinstance(s, ir.Print | ir.Assert))

    return replace(kernel, body=block(kernel.body))
