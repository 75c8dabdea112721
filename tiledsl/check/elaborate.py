"""From the syntax tree of a kernel to its tile IR, for one binding."""

from tiledsl import ir
from tiledsl.check import graph, statements
from tiledsl.check.builder import Builder, Walkers
from tiledsl.check.constants import constant
from tiledsl.check.expressions import expression
from tiledsl.check.header import header
from tiledsl.check.modules import Definition, Module
from tiledsl.diagnostics import Diagnostic
from tiledsl.scalar import Tensor
from tiledsl.syntax import tree

WALKERS = Walkers(expression, statements.statement, constant)
NO_BINDING = ir.Binding()


def elaborate(
    module: Module, name: str, binding: ir.Binding = NO_BINDING
) -> tuple[ir.Kernel | ir.OpGraph, list[Diagnostic]]:
    """Return kernel or op ``name`` for ``binding``, and what is to be said about it.

    What comes beside an error is incomplete, and only good for finding more errors.
    """
    if name in module.kernels:
        return elaborate_kernel(module.kernels[name], name, binding)
    return graph.elaborate_op(module.ops[name], name, binding, WALKERS, elaborate_kernel)


def elaborate_kernel(
    definition: Definition[tree.Kernel], name: str, binding: ir.Binding
) -> tuple[ir.Kernel, list[Diagnostic]]:
    """Return a kernel for ``binding``, and what is to be said about it."""
    item = definition.item
    b = Builder(definition.module, WALKERS)
    with b.names():
        head = header(b, item, binding)
        with b.names():
            statements.body(b, head.rest)
    kernel = ir.Kernel(
        name,
        binding,
        head.params,
        head.outputs,
        tuple(t for t in b.tables if isinstance(t, Tensor)),
        head.dims,
        head.facts,
        tuple(b.grid),
        tuple(b.bodies[0]),
        tuple(b.tile_sizes),
        item.doc,
        item.span,
    )
    return kernel, b.findings()


def check_constants(module: Module) -> list[Diagnostic]:
    """Return what is wrong with the constants of a file, whether they are used or not."""
    b = Builder(module, WALKERS)
    for name, definition in module.consts.items():
        if definition.module is module:
            constant(b, name)
    return b.findings()
