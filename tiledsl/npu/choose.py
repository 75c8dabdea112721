"""Choose the tile sizes that nobody has set, so that everything fits the chip."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tiledsl import ir
from tiledsl.chips import Chip
from tiledsl.diagnostics import CompileError
from tiledsl.npu.errors import OverCapacity
from tiledsl.npu.lower import over_capacity, overflow_of
from tiledsl.npu.shape import analyse
from tiledsl.passes import run_passes
from tiledsl.passes.split_span import split_span
from tiledsl.scalar import Axis, TileSize
from tiledsl.schedule import Plan

# The passes that do not make tiles live longer.
LEAN = ("fold_constants", "drop_dead_code")
FIRST = {"m": 128, "n": 256, "k": 64, "row": 8192, "rows": 64}


def choose_tiles(
    kernel: ir.Kernel, chip: Chip, fixed: Mapping[str, int], soft: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Return a size for every name in ``kernel.tile_sizes``; those in ``fixed`` stay.

    Those that are also in ``soft`` stay as far as they fit: tile sizes never change results.

    Starts from sizes that suit the range's part (a row of the innermost dim, rows further out, the
    sides of a product) and halves the one that frees most until the kernel fits. Raises
    `CompileError` where even the smallest do not, with rings of one slot.
    """
    shape = analyse(kernel, chip)
    for depth in (2, 1):
        sizes = {**_first(kernel), **fixed}
        while True:
            overflow = overflow_of(shape, Plan(sizes), depth)
            if overflow is None:
                return sizes
            free = {n: s for n, s in sizes.items() if (n not in fixed or n in soft) and s > 1}
            if not free:
                break
            excess = overflow.needed // chip.capacity[overflow.memory.value]
            largest = max(free, key=lambda name: (free[name], name))
            step = 2 ** max(1, excess.bit_length() - 1)
            sizes[largest] = max(1, sizes[largest] // step)
    assert overflow is not None
    raise over_capacity(shape, Plan(sizes), overflow)


def fit(kernel: ir.Kernel, chip: Chip, plan: Plan) -> tuple[ir.Kernel, Plan]:
    """Return a form of ``kernel`` that fits ``chip``, and the plan with all its tile sizes.

    First the kernel after all passes; then without those that keep tiles alive to compute less;
    then with spans that are too long taken in pieces. Raises `CompileError` of the first form.
    """
    forms: list[Callable[[], ir.Kernel | None]] = [
        lambda: run_passes(kernel),
        lambda: run_passes(kernel, LEAN),
        lambda: split_span(run_passes(kernel, LEAN)),
    ]
    first: CompileError | None = None
    for form in forms:
        changed = form()
        if changed is None:
            continue
        try:
            sizes = choose_tiles(changed, chip, plan.tiles, plan.soft)
        except CompileError as error:
            if not any(isinstance(d, OverCapacity) for d in error.diagnostics):
                raise
            first = first or error
            continue
        return changed, replace(plan, tiles=sizes)
    assert first is not None
    raise first


def _first(kernel: ir.Kernel) -> dict[str, int]:
    """Return sizes to start from."""
    sides: dict[str, str] = {}
    for s in ir.statements(kernel.body):
        if isinstance(s, ir.Contract) and not _thin(s):
            shared = set(s.axes)
            for axes, side in ((s.a.type.axes, "m"), (s.b.type.axes, "n")):
                for axis in axes:
                    _note(sides, axis, "k" if axis in shared else side)
    product = bool(sides)
    for s in ir.statements(kernel.body):
        if not isinstance(s, ir.Load | ir.Store):
            continue
        order = [axis for i in s.index for axis, _ in i.terms]
        for axis in order:
            _note(sides, axis, "n" if product else "row" if axis is order[-1] else "rows")
    return {name: FIRST[sides.get(name, "rows")] for name in kernel.tile_sizes}


def _thin(s: ir.Contract) -> bool:
    shared = set(s.axes)
    return not (set(s.a.type.axes) - shared and set(s.b.type.axes) - shared)


def _name(axis: Axis) -> str:
    return axis.tile.name if isinstance(axis.tile, TileSize) else ""


def _note(sides: dict[str, str], axis: Axis, side: str) -> None:
    if _name(axis):
        sides.setdefault(_name(axis), side)
