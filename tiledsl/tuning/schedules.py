"""What a schedule leaves open to a search, and a schedule with what was found."""

from collections.abc import Mapping
from itertools import chain

from tiledsl.check import Module
from tiledsl.check.limits import Limits, limits_of, sizes_of
from tiledsl.check.limits import serving as schedule_for
from tiledsl.check.winners import tile_names, winners
from tiledsl.syntax import tree
from tiledsl.tuning.model import kernel_names


def opened(
    module: Module, name: str, target: str
) -> tuple[dict[str, tuple[int, ...]], frozenset[str]]:
    """Return the sizes that `tune` lines offer, and the names that a schedule has settled."""
    pairs = [sizes_of(schedule) for schedule in _schedules(module, name, target)]
    offered = {size: choices for _, opens in pairs for size, choices in opens.items()}
    return offered, frozenset(size for fixed, _ in pairs for size in fixed)


def limits(module: Module, name: str, target: str) -> tuple[Limits, dict[str, int]]:
    """Return the `where` lines that a search keeps to, and the sizes that a schedule sets."""
    schedules = _schedules(module, name, target)
    lines = chain.from_iterable(limits_of(schedule, target).lines for schedule in schedules)
    settled = {size: value for s in schedules for size, value in sizes_of(s)[0].items()}
    return Limits(tuple(lines), target), settled


def read_winners(module: Module, name: str) -> None:
    """Read what is kept of earlier searches; raise `CompileError` where it cannot be read."""
    for kernel, _ in _kernels(module, name):
        winners(module.kernels[kernel].module)


def pasted(module: Module, name: str, target: str, sizes: Mapping[str, int]) -> str:
    """Return the text of a schedule with ``sizes``, and with the other lines that hold today.

    A `where` says nothing of sizes that are all set.
    """
    lines = chain.from_iterable(s.directives for s in _schedules(module, name, target))
    directives = [line for line in lines if isinstance(line, tree.Directive)]
    kept = [line.span.text for line in directives if line.word != "where"]
    texts = []
    for kernel, names in _kernels(module, name):
        mine = [f"{size} = {sizes[size]}" for size in names if size in sizes]
        body = ([", ".join(mine)] if mine else []) + (kept if kernel == name else [])
        if body:
            texts.append(f"schedule {kernel} for {target}:\n" + "".join(f"    {t}\n" for t in body))
    return "\n".join(texts)


def _schedules(module: Module, name: str, target: str) -> list[tree.Schedule]:
    """Return the schedule of a kernel, or those of the steps of an op, where there are such."""
    homes = [module.kernels[kernel] for kernel, _ in _kernels(module, name)]
    found = [
        schedule_for(home.module.schedules.get(home.item.name.id, ()), target) for home in homes
    ]
    return [schedule for schedule in found if schedule is not None]


def _kernels(module: Module, name: str) -> list[tuple[str, list[str]]]:
    """Return a kernel, or the steps of an op, each with the names of its tile sizes."""
    names = kernel_names(module, name)
    return [(kernel, tile_names(module.kernels[kernel].item)) for kernel in names]
