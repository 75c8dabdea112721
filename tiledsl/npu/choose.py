"""Choose the tile sizes that nobody has set, so that everything fits the chip."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil, log2, prod

from tiledsl import ir
from tiledsl.chips import Chip
from tiledsl.diagnostics import CompileError
from tiledsl.npu import program as npu
from tiledsl.npu.errors import OverCapacity
from tiledsl.npu.lower import over_capacity, overflow_of
from tiledsl.npu.place import CapacityError
from tiledsl.npu.shape import Shape, analyse, growing_rows
from tiledsl.passes import run_passes
from tiledsl.passes.split_span import split_span
from tiledsl.scalar import Axis, TileSize
from tiledsl.schedule import Plan

# The passes that do not make tiles live longer.
LEAN = ("fold_constants", "drop_dead_code")
# Below these a smaller tile starts to cost: short bursts, idle lanes, fixed costs of instructions.
ENOUGH = {"m": 64, "n": 64, "k": 64, "row": 512, "rows": 8, "scan": 64}
MOST_ROWS = 64
# So few rows cost more than waiting for them does, if without rings there are so many times more.
FEW_ROWS, WORTH = 16, 4
# Sides that are tried where cores work on a tile in turn; not those that would need so many times
# the memory if it went with the tile's area.
HOPELESS = 1.4
TURNS = ((128, 512), (128, 256), (64, 512), (64, 256), (64, 128))
# What is tried first; the depth in bytes.
FIRST = {"m": 128, "n": 256, "k": 512, "row": 8192, "rows": 64, "scan": 128}


def choose_tiles(
    kernel: ir.Kernel, chip: Chip, fixed: Mapping[str, int], soft: frozenset[str] = frozenset()
) -> Mapping[str, int]:
    """Return a size for every name in ``kernel.tile_sizes``; those in ``fixed`` stay.

    Those that are also in ``soft`` stay as far as they fit: tile sizes never change results.

    Starts from sizes that suit the range's part (a row of the innermost dim, rows further out, the
    sides and the depth of a product, what is scanned along rows) and halves the largest of those
    that matter to the memory that is full: the depth of products first, then what is more than
    enough, then what is farthest above its part. Where both kinds of cores work on a tile in turn,
    its sides are taken from a list, the largest first. Rings have two slots, but for those of cores
    that hand tiles over, and where one slot gives several times more of too few rows.
    Raises `CompileError` where even the smallest do not fit, with rings of one slot.
    """
    return choose_plan(kernel, chip, Plan(fixed, soft)).tiles


def choose_plan(kernel: ir.Kernel, chip: Chip, plan: Plan) -> Plan:
    """Return ``plan`` with all tile sizes; rows that nobody has set may grow when short."""
    shape = analyse(kernel, chip, plan.places)
    parts = _parts(shape)
    found: Plan | None = None
    # Of cores that hand tiles over, the cube has two slots also where the vector cores have one.
    both = chip.separate and shape.marks.cube and shape.marks.vector
    for depth in (1,) if both else (2, 1):
        try:
            chosen = _at_depth(shape, plan, parts, depth)
        except _NoRoom as problem:
            full = problem
            continue
        rows = [n for n, part in parts.items() if part == "rows" and n not in plan.tiles]
        if found is None:
            found = chosen
        elif all(chosen.tiles[n] >= WORTH * found.tiles[n] for n in rows):
            return chosen
        if not any(chosen.tiles[n] < FEW_ROWS for n in rows):
            return found
    if found is not None:
        return found
    raise over_capacity(shape, Plan(full.sizes), full.overflow)


@dataclass(eq=False)
class _NoRoom(Exception):  # noqa: N818  it is caught where it becomes an error
    """Even the smallest sizes do not fit."""

    sizes: dict[str, int]
    overflow: CapacityError


def _at_depth(shape: Shape, plan: Plan, parts: Mapping[str, str], depth: int) -> Plan:
    """Return ``plan`` with sizes that fit with rings of ``depth``."""
    fixed, soft, chip = plan.tiles, plan.soft, shape.chip
    needed = 0.0  # parts of the memory, for each element of a tile: that of the larger ones
    for sizes in _ladder(shape, parts, fixed):
        if needed * prod(sizes.values()) > HOPELESS:
            continue
        overflow = overflow_of(shape, replace(plan, tiles=sizes), depth)
        if overflow is None:
            return _growing(shape, replace(plan, tiles=sizes), fixed, depth)
        needed = overflow.needed / chip.capacity[overflow.memory.value] / prod(sizes.values())
    sizes = {**{name: _first(shape, part) for name, part in parts.items()}, **_several(shape)}
    sizes |= fixed
    while True:
        overflow = overflow_of(shape, replace(plan, tiles=sizes), depth)
        if overflow is None:
            return _growing(shape, replace(plan, tiles=sizes), fixed, depth)
        free = {n: s for n, s in sizes.items() if (n not in fixed or n in soft) and s > 1}
        free = {n: free[n] for n in free if n in _inside(shape, overflow.memory)} or free
        if not free:
            raise _NoRoom(sizes, overflow)
        excess = overflow.needed / chip.capacity[overflow.memory.value]
        if len(free) == 1:  # half of it needs half as much or more
            (only,) = free
            sizes[only] = max(1, sizes[only] // 2 ** max(1, ceil(log2(excess))))
            continue
        deep = [name for name in free if parts[name] == "k" and free[name] > ENOUGH["k"]]
        ample = [name for name in free if free[name] > ENOUGH[parts[name]]]
        step = 2 ** max(1, int(excess).bit_length() - 1)
        if deep or ample:
            largest = max(deep or ample, key=lambda name: (free[name], name))
            sizes[largest] = max(ENOUGH[parts[largest]], sizes[largest] // step)
            continue
        largest = max(free, key=lambda name: (free[name] / ENOUGH[parts[name]], name))
        sizes[largest] = max(1, sizes[largest] // min(step, 4))


def _first(shape: Shape, part: str) -> int:
    """Return the size that is tried first: the depth of a product is so many bytes."""
    narrow = min((p.a.type.dtype.size for p in shape.marks.products), default=1)
    return FIRST[part] // narrow if part == "k" else FIRST[part]


def _several(shape: Shape) -> dict[str, int]:
    """Return the sizes of sides of products that several ranges make up: most is the innermost's.

    That is the last in the order of the tiles; the one before it has two positions.
    """
    found: dict[str, int] = {}
    for product in shape.marks.products:
        for operand, part in ((product.a, "m"), (product.b, "n")):
            axes = [a for a in operand.type.axes if a not in product.axes and _name(a)]
            if len(axes) > 1:
                *outer, second, last = sorted(axes, key=shape.rank.__getitem__)
                found |= {_name(axis): 1 for axis in outer}
                found |= {_name(second): 2, _name(last): FIRST[part] // 2}
    return found


def _in_turns(shape: Shape) -> bool:
    """Return whether both kinds of cores work on one tile in turn."""
    return shape.chip.separate and bool(shape.marks.to_cube) and bool(shape.marks.to_vector)


def _ladder(
    shape: Shape, parts: Mapping[str, str], fixed: Mapping[str, int]
) -> Iterator[dict[str, int]]:
    """Yield sizes for the sides of tiles that cores work on in turn, the largest tiles first."""
    free = {part: name for name, part in parts.items() if name not in fixed}
    if _in_turns(shape) and sorted(parts.values()) == ["m", "n"] and len(free) == 2:
        for m, n in TURNS:
            yield {free["m"]: m, free["n"]: n}


def _inside(shape: Shape, memory: npu.Memory) -> set[str]:
    """Return the names of the sizes that tiles in ``memory`` have, as far as that is known."""
    if memory is not npu.Memory.UB or not shape.chip.separate:
        return set(shape.kernel.tile_sizes)
    return {_name(axis) for value in shape.marks.vector_values for axis in value.type.axes}


def _growing(shape: Shape, plan: Plan, fixed: Mapping[str, int], depth: int) -> Plan:
    """Return ``plan`` with the sizes of rows that may grow at launch, as far as the rest fits."""
    names = [n for n in growing_rows(shape) if n not in fixed and plan.tiles[n] < MOST_ROWS]
    most = MOST_ROWS
    while names and most > 1:
        flexible = {name: most for name in names if most > plan.tiles[name]}
        if not flexible:
            break
        grown = replace(plan, flexible=flexible)
        overflow = overflow_of(shape, grown, depth)
        if overflow is None:
            return grown
        # Half the rows need half as much or more: those that need too much still are not tried.
        excess = overflow.needed / shape.chip.capacity[overflow.memory.value]
        most //= 2 ** max(1, ceil(log2(excess)))
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


def _parts(shape: Shape) -> dict[str, str]:
    """Return what part the range of each tile size plays."""
    kernel = shape.kernel
    sides: dict[str, str] = {}
    for s in ir.statements(kernel.body):
        if isinstance(s, ir.Contract) and not _thin(s):
            shared = set(s.axes)
            for axes, side in ((s.a.type.axes, "m"), (s.b.type.axes, "n")):
                for axis in axes:
                    _note(sides, axis, "k" if axis in shared else side)
    product = bool(sides)
    for s in ir.statements(kernel.body):
        if isinstance(s, ir.Scan) and len(s.operand.type.axes) > 1:
            _note(sides, s.axis, "scan")
    orders = [
        [axis for i in s.index for axis, _ in i.terms]
        for s in ir.statements(kernel.body)
        if isinstance(s, ir.Load | ir.Store)
    ]
    orders += [sorted(v.type.axes, key=shape.rank.__getitem__) for v in shape.defined]
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
