"""What a schedule leaves open to a search, and a schedule with what was found."""

from collections.abc import Mapping
from itertools import chain

from tiledsl.check import Module
from tiledsl.schedule import schedule_for
from tiledsl.syntax import tree
from tiledsl.syntax.walk import walk
from tiledsl.tuning.model import kernel_names


def opened(
    module: Module, name: str, target: str
) -> tuple[dict[str, tuple[int, ...]], frozenset[str]]:
    """Return the sizes that `tune` lines offer, and the names that a schedule has settled."""
    offered: dict[str, tuple[int, ...]] = {}
    settled: set[str] = set()
    for line in _lines(module, name, target):
        match line:
            case tree.SetSize(name=size):
                settled.add(size.id)
            case tree.Tune(name=size, choices=tree.Tuple(items=items)):
                numbers = [item.value for item in items if isinstance(item, tree.Number)]
                offered[size.id] = tuple(int(number) for number in numbers)
            case _:
                pass
    return offered, frozenset(settled)


def pasted(module: Module, name: str, target: str, sizes: Mapping[str, int]) -> str:
    """Return the text of a schedule with ``sizes``, and with the other lines that hold today."""
    lines = _lines(module, name, target)
    kept = [line.span.text for line in lines if isinstance(line, tree.Directive)]
    texts = []
    for kernel, names in _kernels(module, name):
        mine = [f"{size} = {sizes[size]}" for size in names if size in sizes]
        body = ([", ".join(mine)] if mine else []) + (kept if kernel == name else [])
        if body:
            texts.append(f"schedule {kernel} for {target}:\n" + "".join(f"    {t}\n" for t in body))
    return "\n".join(texts)


def _lines(
    module: Module, name: str, target: str
) -> tuple[tree.SetSize | tree.Tune | tree.Directive, ...]:
    found = [
        schedule_for(module.kernels[kernel].module.schedules.get(kernel, ()), target)
        for kernel, _ in _kernels(module, name)
    ]
    return tuple(chain.from_iterable(s.directives for s in found if s is not None))


def _kernels(module: Module, name: str) -> list[tuple[str, list[str]]]:
    """Return a kernel, or the steps of an op, each with the names of its tile sizes."""
    names = kernel_names(module, name)
    return [(kernel, tile_names(module.kernels[kernel].item)) for kernel in names]


def tile_names(kernel: tree.Kernel) -> list[str]:
    """Return the names after ``by``, in the order of the text."""
    ranges = (node for node in walk(kernel.body) if isinstance(node, tree.Range))
    return list(dict.fromkeys(r.by.id for r in ranges if isinstance(r.by, tree.Name)))
