"""Choose the tile sizes that nobody has set, so that everything fits the chip."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tiledsl import ir
from tiledsl.chips import Chip
from tiledsl.diagnostics import CompileError
from tiledsl.npu.errors import OverCapacity
from tiledsl.npu.lower import over_capacity, overflow_of
from tiledsl.npu.shape import Shape, analyse, growing_rows
from tiledsl.passes import run_passes
from tiledsl.passes.split_span import split_span
from tiledsl.scalar import Axis, TileSize
from tiledsl.schedule import Plan

# The passes that do not make tiles live longer.
LEAN = ("fold_constants", "drop_dead_code")
# Below these a smaller tile starts to cost: short bursts, idle lanes, fixed costs of instructions.
ENOUGH = {"m": 64, "n": 64, "k": 64, "row": 512, "rows": 8}
MOST_ROWS = 64
FIRST = {"m": 128, "n": 256, "k": 256, "row": 8192, "rows": 64}


def choose_tiles(
    kernel: ir.Kernel, chip: Chip, fixed: Mapping[str, int], soft: frozenset[str] = frozenset()
) -> Mapping[str, int]:
    """Return a size for every name in ``kernel.tile_sizes``; those in ``fixed`` stay.

    Those that are also in ``soft`` stay as far as they fit: tile sizes never change results.

    Starts from sizes that suit the range's part (a row of the innermost dim, rows further out, the
    sides and the depth of a product) and halves the largest until the kernel fits: the depth of
    products first, then what is more than enough, then anything. Raises
    `CompileError` where even the smallest do not, with rings of one slot.
    """
    return choose_plan(kernel, chip, Plan(fixed, soft)).tiles


def choose_plan(kernel: ir.Kernel, chip: Chip, plan: Plan) -> Plan:
    """Return ``plan`` with all tile sizes; rows that nobody has set may grow when short."""
    shape = analyse(kernel, chip, plan.places)
    fixed, soft = plan.tiles, plan.soft
    for depth in (2, 1):
        parts = _parts(kernel)
        sizes = {**{name: FIRST[part] for name, part in parts.items()}, **fixed}
        while True:
            overflow = overflow_of(shape, replace(plan, tiles=sizes), depth)
            if overflow is None:
                return _growing(shape, replace(plan, tiles=sizes), fixed, depth)
            free = {n: s for n, s in sizes.items() if (n not in fixed or n in soft) and s > 1}
            if not free:
                break
            excess = overflow.needed // chip.capacity[overflow.memory.value]
            deep = [name for name in free if parts[name] == "k" and free[name] > ENOUGH["k"]]
            ample = [name for name in free if free[name] > ENOUGH[parts[name]]]
            largest = max(deep or ample or free, key=lambda name: (free[name], name))
            step = 2 ** max(1, excess.bit_length() - 1)
            sizes[largest] = max(1, sizes[largest] // step)
    assert overflow is not None
    raise over_capacity(shape, Plan(sizes), overflow)


def _growing(shape: Shape, plan: Plan, fixed: Mapping[str, int], depth: int) -> Plan:
    """Return ``plan`` with the sizes of rows that may grow at launch, as far as the rest fits."""
    names = [n for n in growing_rows(shape) if n not in fixed and plan.tiles[n] < MOST_ROWS]
    most = MOST_ROWS
    while names and most > 1:
        flexible = {name: most for name in names if most > plan.tiles[name]}
        if not flexible:
            break
        grown = replace(plan, flexible=flexible)
        if overflow_of(shape, grown, depth) is None:
            return grown
        most //= 2
    return plan


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
            return changed, choose_plan(changed, chip, plan)
        except CompileError as error:
            if not any(isinstance(d, OverCapacity) for d in error.diagnostics):
                raise
            first = first or error
            continue
    assert first is not None
    raise first


def _parts(kernel: ir.Kernel) -> dict[str, str]:
    """Return what part the range of each tile size plays."""
    sides: dict[str, str] = {}
    for s in ir.statements(kernel.body):
        if isinstance(s, ir.Contract) and not _thin(s):
            shared = set(s.axes)
            for axes, side in ((s.a.type.axes, "m"), (s.b.type.axes, "n")):
                for axis in axes:
                    _note(sides, axis, "k" if axis in shared else side)
    product = bool(sides)
    orders = [
        [axis for i in s.index for axis, _ in i.terms]
        for s in ir.statements(kernel.body)
        if isinstance(s, ir.Load | ir.Store)
    ]
    for order in sorted(orders, key=len, reverse=True):  # a vector's range may be a matrix's rows
        for axis in order:
            _note(sides, axis, "n" if product else "row" if axis is order[-1] else "rows")
    return {name: sides.get(name, "rows") for name in kernel.tile_sizes}


def _thin(s: ir.Contract) -> bool:
    shared = set(s.axes)
    return not (set(s.a.type.axes) - shared and set(s.b.type.axes) - shared)


def _name(axis: Axis) -> str:
    return axis.tile.name if isinstance(axis.tile, TileSize) else ""


def _note(sides: dict[str, str], axis: Axis, side: str) -> None:
    if _name(axis):
        sides.setdefault(_name(axis), side)
