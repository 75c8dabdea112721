"""The compiler: a file's text in, checked kernels out, and from each a program and its files.

``build`` is the whole line: parse → check → tile IR → passes → schedule → program → files.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tiledsl.diagnostics import CompileError, Diagnostic, Report
from tiledsl.runtime.errors import ArgumentError

if TYPE_CHECKING:
    from tiledsl.check import Module
    from tiledsl.check.winners import Winner
    from tiledsl.ir import Binding, Kernel, OpGraph
    from tiledsl.runtime.devices import Compiled, Parted
    from tiledsl.runtime.kernel import Module as RuntimeModule
    from tiledsl.schedule import Plan
    from tiledsl.syntax.tree import Schedule

# What can be built for, and what each is.
TARGETS = {
    "ascend910b1": "Ascend C for 24 cube and 48 vector cores",
    "ascend910b2": "Ascend C for 24 cube and 48 vector cores",
    "ascend910b3": "Ascend C for 20 cube and 40 vector cores",
    "ascend910b4": "Ascend C for 20 cube and 40 vector cores",
    "ascend310p": "Ascend C for 8 unified cores",
    "cuda.sm80": "CUDA C for compute capability 8.0",
    "cuda.sm90": "CUDA C for compute capability 9.0",
    "numpy": "the NumPy module that the simulator runs",
}
NUMPY_CHIP = "ascend910b3"


def load(path: str | Path, *, search: tuple[str | Path, ...] = ()) -> "RuntimeModule":
    """Return the kernels and ops of a file; raise `CompileError` with all that is wrong in it.

    ``"std:attention"`` is a file of the library.
    """
    return load_checked(located(path), search=tuple(map(Path, search)))[1]


def located(path: str | Path) -> Path:
    """Return the file at ``path``, or that of the library that ``"std:NAME"`` means."""
    if isinstance(path, Path) or not path.startswith("std:"):
        return Path(path)
    from tiledsl.check import library
    from tiledsl.runtime.binding import did_you_mean

    files, name = library(), path.removeprefix("std:")
    if name not in files:
        hint = did_you_mean(name, files) or f"; there are {', '.join(files)}"
        raise ArgumentError(f"path: the library has no `{name}`{hint}")
    return files[name]


def load_checked(path: Path, *, search: tuple[Path, ...] = ()) -> "tuple[Module, RuntimeModule]":
    """Return a file's module as the checker knows it, and the kernels to call."""
    from tiledsl.runtime.kernel import Kernel as RuntimeKernel
    from tiledsl.runtime.kernel import Module as RuntimeModule

    module = checked(path, search=search)
    compiler = ModuleCompiler(module)
    headers = {n: (module.kernels.get(n) or module.ops[n]).item for n in module.own}
    kernels = {n: RuntimeKernel(h, compiler) for n, h in headers.items()}
    return module, RuntimeModule(module.source.name, kernels)


def checked(path: Path, *, search: tuple[Path, ...] = ()) -> "Module":
    """Return the module of a file in which the checker finds no error."""
    from tiledsl.check import check_module, load_module

    module = load_module(path, search=search)
    report = Report()
    for diagnostic in check_module(module):
        report.add(diagnostic)
    report.raise_errors()
    return module


def check_file(path: Path, *, search: tuple[Path, ...] = ()) -> list[Diagnostic]:
    """Return all that is wrong with a file, warnings included, in order of place."""
    from tiledsl.check import check_module, load_module

    try:
        module = load_module(path, search=search)
        found = check_module(module)
        if module.winners_path is not None and os.path.lexists(module.winners_path):
            from tiledsl.check.winners import check_winners

            found += check_winners(module)
        return found
    except CompileError as error:
        return list(error.diagnostics)


def reschedule(module: "Module", name: str, text: str) -> int | None:
    """Let the directives ``text``, with ``;`` between them, hold for a kernel over its schedules.

    To be called before the kernel is compiled. Returns the number of cores, where they name it.
    """
    from dataclasses import replace

    from tiledsl.check.items import check_items
    from tiledsl.source import Source
    from tiledsl.syntax import tree
    from tiledsl.syntax.parser import parse

    if name not in module.kernels:
        raise ArgumentError(f"{name}: an op has several kernels: schedule one of them")
    lines = "".join(f"    {line.strip()}\n" for line in text.split(";"))
    source = Source("--schedule", f"schedule {name}:\n{lines}")
    items = parse(source).items
    report = Report()
    for diagnostic in check_items(replace(module, file=tree.File(source, items))):
        report.add(diagnostic)
    report.raise_errors()
    own = next(item for item in items if isinstance(item, tree.Schedule))
    home = module.kernels[name].module
    before = home.schedules.get(name, ())
    if not any(item.target == "" for item in before):
        before = (*before, replace(own, directives=()))
    # Each target takes one schedule, and later lines of it hold over earlier ones.
    home.schedules[name] = tuple(
        replace(item, directives=(*item.directives, *own.directives)) for item in before
    )
    counts = [
        line.argument.value
        for line in own.directives
        if isinstance(line, tree.Directive) and line.word == "cores"
        if isinstance(line.argument, tree.Number)
    ]
    return int(counts[-1]) if counts else None


def compile_kernel(
    module: "Module", kernel: "Kernel", target: str, tiles: Mapping[str, int]
) -> "Compiled":
    """Return the program of ``kernel`` for ``target``; ``tiles`` come before any schedule.

    Sizes under their own names hold; those of ``"*"``, and the winners of a search, as far as they
    fit. In a part of a kernel all hold as far as they fit, for they are chosen for the whole.
    """
    from dataclasses import replace

    from tiledsl.schedule import plan_for

    schedules, chip = _schedules(module, kernel, target), _chip_name(target)
    winner, warnings = _winner(module, kernel, chip) if "*" not in tiles else (None, [])
    plan = plan_for(schedules, kernel, chip, tiles, winner.tiles if winner else None)
    if winner is not None and plan.passed:
        reason = "the `where` lines of its schedule do not hold for them"
        warnings.append(winner.unused(home_of(module, kernel), reason))
    try:
        found = _planned(kernel, target, plan)
    except CompileError:
        soft = frozenset(kernel.tile_sizes) if kernel.origin else plan.soft | plan.won
        if plan.soft == soft:
            raise
        found = _planned(kernel, target, replace(plan, soft=soft))
    free = [name for name in found.tiles if name not in plan.tiles]
    warnings += plan.limits.broken(found.tiles, free)
    return replace(found, warnings=(*warnings, *found.warnings)) if warnings else found


def _winner(
    module: "Module", kernel: "Kernel", chip: str
) -> "tuple[Winner | None, list[Diagnostic]]":
    """Return what is kept of a search for ``kernel``, and what is not of use."""
    home = home_of(module, kernel)
    if home.winners_path is None or not os.path.lexists(home.winners_path):
        return None, []
    from tiledsl.check.winners import winner_for

    return winner_for(home, kernel, chip)


def _planned(kernel: "Kernel", target: str, plan: "Plan") -> "Compiled":
    """Return the program of ``kernel`` for ``target`` under ``plan``."""
    from tiledsl.passes import run_passes
    from tiledsl.runtime.devices import Compiled

    if target.startswith("cuda."):
        from tiledsl import gpu

        kernel = run_passes(kernel)
        sizes = gpu.choose_tiles(kernel, target, plan.tiles, plan)
        found = gpu.lower(kernel, sizes, target, plan)
        warnings = gpu.without_effect(plan, found)
        return Compiled(kernel, target, sizes, found, warnings=warnings)
    from tiledsl import npu
    from tiledsl.chips import load as load_chip

    chip = load_chip(_chip_name(target))
    kernel, plan = npu.fit(kernel, chip, plan)
    program = npu.lower(kernel, chip, plan)
    idle = npu.without_effect(kernel, chip, plan, program)
    return Compiled(kernel, target, plan.tiles, program, plan.cores, plan.bypass, idle)


def part_kernel(module: "Module", kernel: "Kernel", target: str) -> "Parted":
    """Return ``kernel`` as it is launched on ``target``: whole, or cut where its schedule says."""
    from tiledsl.passes.cut import cut
    from tiledsl.runtime.devices import Parted
    from tiledsl.schedule import NoEffect, cuts_for

    lines = cuts_for(_schedules(module, kernel, target), _chip_name(target))
    if not lines:
        return Parted(kernel)
    found = cut(kernel, lines, module.kernels)
    idle = tuple(
        NoEffect(lines[name].span, _chip_name(target), f"place {name}", reason)
        for name, reason in found.refused.items()
    )
    return Parted(found.graph, idle)


def _schedules(module: "Module", kernel: "Kernel", target: str) -> "tuple[Schedule, ...]":
    """Return the schedules of the kernel of the text, of which ``kernel`` may be a part."""
    if target not in TARGETS:
        raise ArgumentError(f"target: expected one of {', '.join(TARGETS)}, got {target!r}")
    return home_of(module, kernel).schedules.get(kernel.origin or kernel.name, ())


def home_of(module: "Module", kernel: "Kernel") -> "Module":
    """Return the module in which a kernel stands: that of a step may be one that no name is of."""
    pending = [module]
    while pending:
        one = pending.pop(0)
        if one.source is kernel.span.source:
            return one
        pending += one.imports.values()
    return module


def _chip_name(target: str) -> str:
    return NUMPY_CHIP if target == "numpy" else target


def emit(compiled: "Compiled") -> dict[str, str]:
    """Return the files of a compiled kernel, by name."""
    from tiledsl.npu.program import Program

    program = compiled.program
    if not isinstance(program, Program):
        from tiledsl.backends import cuda

        return cuda.emit(program)
    if compiled.target == "numpy":
        from tiledsl.backends import numpy

        return numpy.emit(program)
    from tiledsl.backends import ascend

    return ascend.emit(program)


class ModuleCompiler:
    """The compiler for the kernels of one module, as `tiledsl.runtime.kernel` wants it."""

    def __init__(self, module: "Module") -> None:
        self.module = module

    def instantiate(self, name: str, binding: "Binding") -> "Kernel | OpGraph":
        """Return the tile IR of a kernel or op for one binding."""
        from tiledsl.check import instantiate

        return instantiate(self.module, name, binding)

    def part(self, kernel: "Kernel", target: str) -> "Parted":
        """Return a kernel as its schedule has it launched on a target."""
        return part_kernel(self.module, kernel, target)

    def compile(self, kernel: "Kernel", target: str, tiles: Mapping[str, int]) -> "Compiled":
        """Return its program for a target."""
        return compile_kernel(self.module, kernel, target, tiles)

    def emit(self, compiled: "Compiled") -> dict[str, str]:
        """Return its files."""
        return emit(compiled)
