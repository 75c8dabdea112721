"""``--dump-ir``: a kernel at one of the stages on its way."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

import click

from tiledsl.cli.settings import Settings

if TYPE_CHECKING:
    from tiledsl.runtime.kernel import Kernel

STAGES = ("tree", "ir", "program")


def stages(
    kernel: "Kernel",
    settings: Settings,
    targets: Sequence[str],
    stage: str,
    debug: bool = False,
) -> Iterator[str]:
    """Yield the text of ``stage``: one for the tree and the IR, one a target for the program.

    ``after:NAME`` is the IR after a pass. Programs have no ``print`` without ``debug``.
    """
    from tiledsl.ir import OpGraph
    from tiledsl.ir_text import show
    from tiledsl.passes import PASSES
    from tiledsl.passes import stages as pass_stages
    from tiledsl.runtime.binding import first_binding

    after = stage.removeprefix("after:") if stage.startswith("after:") else ""
    if stage not in STAGES and after not in PASSES:
        known = (*STAGES, *(f"after:{name}" for name in PASSES))
        raise click.ClickException(f"no stage `{stage}`; there are {', '.join(known)}")
    if stage == "tree":
        yield outline(kernel.header)
        return
    numbers = {n: v for n, v in settings.parameters.items() if not isinstance(v, str)}
    graph = kernel.instance(first_binding(kernel.header, settings.types, numbers, settings.dims))
    if stage == "ir":
        yield show(graph)
        return
    if after:
        for one in [step.kernel for step in graph.steps] if isinstance(graph, OpGraph) else [graph]:
            yield show(dict(pass_stages(one))[after])
        return
    if not targets:
        raise click.ClickException("a program is for a target: give --target")
    for target in targets:
        for compiled in kernel.compiled(graph, target, settings.tiles, debug):
            sizes = " ".join(f"{name}={size}" for name, size in compiled.tiles.items())
            yield f"# {compiled.kernel.name} for {target}: {sizes}"
            yield program_text(compiled.program)


def program_text(program: object) -> str:
    """Return the program of either kind as text."""
    from tiledsl.gpu.program import Program as GpuProgram
    from tiledsl.npu.program import Program

    if isinstance(program, Program):
        from tiledsl.npu.text import show_program

        return show_program(program)
    assert isinstance(program, GpuProgram)
    from tiledsl.gpu.text import show_program as show_gpu_program

    return show_gpu_program(program)


def outline(value: object, depth: int = 0) -> str:
    """Return ``value`` as an indented outline: one line a step, blocks below their heads."""
    pad = "  " * depth
    if isinstance(value, tuple):
        return "\n".join(outline(part, depth) for part in value)
    if not is_dataclass(value) or isinstance(value, type):
        return f"{pad}{value!r}"
    shown = [f for f in fields(value) if f.repr and f.name != "span"]
    blocks = [f.name for f in shown if _is_block(getattr(value, f.name))]
    flat = [f"{f.name}={getattr(value, f.name)!r}" for f in shown if f.name not in blocks]
    lines = [f"{pad}{type(value).__name__} {', '.join(flat)}".rstrip()]
    for name in blocks:
        lines.append(f"{pad}  {name}:")
        lines.append(outline(getattr(value, name), depth + 2))
    return "\n".join(lines)


def _is_block(value: object) -> bool:
    """Whether ``value`` is a sequence of steps, which are shown one a line."""
    return isinstance(value, tuple) and len(value) > 0 and all(map(is_dataclass, value))
