"""Proofs about a kernel: accesses inside, spans bounded, no races, outputs covered.

`prove` marks on each access the dims that need a check at run time, gives each span its limit,
and returns what is wrong.
"""

from dataclasses import replace

from tiledsl import ir
from tiledsl.check.bounds import Bounds
from tiledsl.check.coverage import uncovered_outputs
from tiledsl.check.prove_errors import NeverStored
from tiledsl.check.prove_facts import Facts, Scope
from tiledsl.check.prove_launch import launch_scope
from tiledsl.check.prove_terms import Frame
from tiledsl.check.races import races
from tiledsl.check.tile_parts import partial_results
from tiledsl.diagnostics import Diagnostic


def prove(kernel: ir.Kernel) -> tuple[ir.Kernel, list[Diagnostic]]:
    """Return the kernel with its guards and limits set, and what is wrong with it.

    Diagnostics with severity ``warning`` are among those returned.
    """
    bounds, body, launch = _walked(kernel)
    met = list(races(bounds.frame, launch, bounds.accesses))
    for found in met or partial_results(kernel.body):  # one mistake often makes both
        bounds.report.add(found)
    written = {a.tensor for a in bounds.accesses if a.kind != "read"}
    for tensor in kernel.outputs:
        if tensor not in written and tensor.initial is None:
            bounds.report.add(NeverStored(tensor.span, tensor.name))
    return replace(kernel, body=body), bounds.report.found


def uncovered(kernel: ir.Kernel) -> tuple[str, ...]:
    """Return the outputs that are not proven to be written everywhere."""
    bounds, _, launch = _walked(kernel)
    return uncovered_outputs(bounds.frame, launch, bounds.accesses)


def _walked(kernel: ir.Kernel) -> tuple[Bounds, tuple[ir.Stmt, ...], Scope]:
    definitions = {v: s for s in ir.statements(kernel.body) for v in ir.results(s)}
    frame = Frame(Facts(), kernel, definitions, "")
    launch = launch_scope(frame)
    bounds = Bounds(kernel, frame, definitions)
    return bounds, bounds.check(launch), launch
