"""How long a kernel takes at given sizes, without any array."""

from collections.abc import Mapping
from math import prod

from tiledsl.chips import load
from tiledsl.ir import Kernel as KernelIR
from tiledsl.npu.program import Program
from tiledsl.runtime.binding import first_binding
from tiledsl.runtime.devices import tables_of
from tiledsl.runtime.errors import ArgumentError
from tiledsl.runtime.evaluate import Number, evaluate
from tiledsl.runtime.kernel import Kernel
from tiledsl.simulator.estimate import estimate
from tiledsl.simulator.report import Simulation


def estimate_kernel(
    kernel: Kernel,
    chip: str,
    dims: Mapping[str, int],
    *,
    types: Mapping[str, str] | None = None,
    scalars: Mapping[str, Number] | None = None,
    tiles: Mapping[str, int] | None = None,
    on: str | None = None,
    cores: int | None = None,
    warm: bool = False,
    bypass: frozenset[str] = frozenset(),
) -> Simulation:
    """Return what one launch of ``kernel``, built for ``chip``, takes there; tensors read as zeros.

    ``dims`` names all dims, ``scalars`` the parameters, const ones too. ``warm``: the same launch
    ran just before. ``bypass`` names tensors that L2 is not to keep. ``on`` is the chip, where it
    is one that runs ``chip``'s programs but has no target of its own.
    """
    numbers = dict(scalars or {})
    consts = {p.name.id for p in kernel.header.params if p.kind == "const"}
    chosen = {n: v for n, v in numbers.items() if n in consts}
    graph = kernel.instance(first_binding(kernel.header, types or {}, chosen, {}))
    if not isinstance(graph, KernelIR):
        raise ArgumentError(f"{kernel.name}: an op has several launches: ask for its kernels")
    missing = [name for name in graph.dims if name not in dims]
    if missing:
        raise ArgumentError(f"{kernel.name}: dims: give {', '.join(missing)}")
    programs = kernel.compiled(graph, chip, tiles or {})
    if len(programs) > 1:
        raise ArgumentError(f"{kernel.name}: its schedule makes {len(programs)} launches of it")
    (compiled,) = programs
    program = compiled.program
    assert isinstance(program, Program)
    elements = {
        t.name: prod(int(evaluate(size, dims, numbers, {})) for size in t.shape)
        for t in program.tensors
    }
    return estimate(
        program,
        elements,
        load(on or chip),
        dims=dims,
        scalars=numbers,
        arrays=tables_of(compiled.kernel),
        cores=cores or compiled.cores,
        warm=warm,
        bypass=bypass | compiled.bypass,
    )
