"""Tile sizes that nobody set: large enough to keep a block busy, small enough to fit."""

from collections.abc import Mapping
from dataclasses import replace

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.gpu.layouts import sides
from tiledsl.gpu.lower import NO_SCHEDULE, smallest
from tiledsl.gpu.program import Accumulators, Program, product, statements
from tiledsl.scalar import Axis
from tiledsl.schedule import Plan as Schedule
from tiledsl.schedule import limit_of

# The area of a product's tile, its depth, and the elements of other tiles, to begin with.
_SIDE, _DEPTH = 128, 64
_ROW, _SQUARE, _ELEMENTS = 1024, 64, 4096
# Accumulators a thread may have in all: beyond, little room is left for the rest.
_ACCUMULATORS = 96


def shared_bytes(kernel: ir.Kernel, tiles: Mapping[str, int], target: str) -> int:
    """Return the bytes of shared memory that ``kernel`` takes; more than there is does not fit."""
    return smallest(kernel, tiles, target).shared_bytes


def choose_tiles(
    kernel: ir.Kernel, target: str, fixed: Mapping[str, int], schedule: Schedule = NO_SCHEDULE
) -> dict[str, int]:
    """Return a size for every tile size of ``kernel``; those of ``fixed`` stay.

    Those that are soft in ``schedule`` stay as far as they fit. Start from what suits each range's
    part, then halve the largest until the program fits and its accumulators leave registers to
    spare.
    """
    free = [name for name in kernel.tile_sizes if name not in fixed]
    soft = [name for name in kernel.tile_sizes if name in fixed and name in schedule.soft]
    sizes = {**_wishes(kernel, fixed), **fixed}
    while free or soft:
        program = smallest(kernel, sizes, target, schedule)
        fits = program.shared_bytes <= program.target.shared_bytes
        if fits and (not free or _accumulators(program) <= _ACCUMULATORS):
            break
        able = [name for name in free if sizes[name] > 1]
        if not able and not fits:
            able = [name for name in soft if sizes[name] > 1]
        if not able:
            break
        largest = max(able, key=lambda name: sizes[name])
        sizes[largest] = max(1, sizes[largest] // 2)
    return {name: sizes[name] for name in kernel.tile_sizes}


def _accumulators(program: Program) -> int:
    """Return the most accumulators that a thread has at a time, by all fragments together."""
    found = {
        s.fragment.name: s.fragment.layout.registers
        for s in statements(program.body)
        if isinstance(s, Accumulators)
    }
    return sum(found.values())


def _wishes(kernel: ir.Kernel, fixed: Mapping[str, int]) -> dict[str, int]:
    """Return a size for each tile size by what its ranges are to products and rows."""
    sizes: dict[str, int] = {}
    by_name = _ranges(kernel)
    products = [s for s in ir.statements(kernel.body) if isinstance(s, ir.Contract)]
    plain = [(found, c) for c in products if (found := sides(c)) is not None]
    for (rows, cols), contract in plain:
        for axes, wish in ((rows, _SIDE), (cols, _SIDE), (contract.axes, _DEPTH)):
            _share(axes, wish, by_name, fixed, sizes)
    last = _last_ranges(kernel)
    along = [n for n in kernel.tile_sizes if any(axis in last for axis in by_name.get(n, ()))]
    row = _ROW if len(along) == 1 else _SQUARE
    spans = [a for a in _all_ranges(kernel) if a.kind == "span"]
    longest = max((_bound(a) for a in spans), default=1)
    for name in kernel.tile_sizes:
        if name in sizes or name in fixed:
            continue
        sizes[name] = 0 if name not in along else row if longest == 1 else 32
    rest = [name for name, size in sizes.items() if size == 0]
    taken = product(tuple(s for s in sizes.values() if s)) * longest
    for name in reversed(rest):
        size = 1
        while size < 64 and taken * size * 2 <= _ELEMENTS:
            size *= 2
        sizes[name] = size
        taken *= size
    return sizes


def _share(
    axes: tuple[Axis, ...],
    wish: int,
    by_name: Mapping[str, list[Axis]],
    fixed: Mapping[str, int],
    sizes: dict[str, int],
) -> None:
    """Give the ranges of one side of a product sizes that make ``wish`` together."""
    names = [n for a in axes for n, found in by_name.items() if a in found]
    spans = product(tuple(_bound(a) for a in axes if a.kind == "span"))
    left = max(1, wish // max(1, spans))
    for name in reversed(names):
        if name in fixed or name in sizes:
            left = max(1, left // (fixed.get(name) or sizes[name]))
    todo = [n for n in names if n not in fixed and n not in sizes]
    for k, name in enumerate(reversed(todo)):
        size = left if k == len(todo) - 1 else min(left, 16)
        sizes[name] = max(1, size)
        left = max(1, left // size)


def _bound(span: Axis) -> int:
    """Return the most elements of a span; 1 where that is the size of another range's tile."""
    if span.source is not None and span.limit is None:
        return 1 if span.source.kind != "span" else _bound(span.source)
    return limit_of(replace(span, source=None), {}) or 1


def _ranges(kernel: ir.Kernel) -> dict[str, list[Axis]]:
    """Return the ranges that each tile size divides."""
    found: dict[str, list[Axis]] = {}
    for axis in _all_ranges(kernel):
        for part in sc.walk(axis.tile) if axis.tile is not None else ():
            if isinstance(part, sc.TileSize):
                found.setdefault(part.name, []).append(axis)
    return found


def _all_ranges(kernel: ir.Kernel) -> list[Axis]:
    axes = list(kernel.grid)
    for statement in ir.statements(kernel.body):
        if isinstance(statement, ir.For):
            axes.append(statement.axis)
        for value in ir.results(statement):
            axes += value.type.axes
    return list(dict.fromkeys(axes))


def _last_ranges(kernel: ir.Kernel) -> set[Axis]:
    """Return the ranges that run along the rows of tensors; if of vectors only, then of those."""
    of_matrices: set[Axis] = set()
    of_vectors: set[Axis] = set()
    across: set[Axis] = set()
    for statement in ir.statements(kernel.body):
        if isinstance(statement, ir.Load | ir.Store) and statement.index:
            last = {axis for axis, _ in statement.index[-1].terms}
            if len(statement.index) > 1:
                of_matrices |= last
                across |= {axis for part in statement.index[:-1] for axis, _ in part.terms}
            else:
                of_vectors |= last
    return of_matrices | (of_vectors - across)
