"""Schedules applied: which tile sizes and directives hold for a kernel on a target."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar
from typing import Literal as Lit

from tiledsl import ir
from tiledsl.check.limits import Limits, combinations, first_choice, limits_of, sizes_of
from tiledsl.check.limits import serving as schedule_for
from tiledsl.diagnostics import Diagnostic
from tiledsl.scalar import Axis, Literal, Scalar, TileSize, rewrite, walk
from tiledsl.syntax import tree

GLOBAL = "gm"  # the place of values that go from launch to launch


@dataclass(frozen=True)
class NoEffect(Diagnostic):
    """A directive of a schedule that changes nothing on a target."""

    code: ClassVar[str] = "W601"
    severity: ClassVar[Lit["error", "warning"]] = "warning"
    target: str
    word: str
    reason: str

    @property
    def message(self) -> str:
        """Name the directive and the target."""
        return f"`{self.word}` has no effect on {self.target}: {self.reason}"


@dataclass(frozen=True)
class Plan:
    """What is settled about speed: tile sizes by name, and the directives.

    ``depths`` gives the number of buffers in flight for the loop over a range (``pipeline k depth
    2``; the grid's last range stands for the loop over programs). ``cores`` limits the blocks.
    ``swizzle`` (``swizzle m, n by 4``) is the order of a grid's last two ranges: 4 tiles of m go
    through all of n together. ``bypass`` names tensors that a cache is not to keep.
    ``skews`` gives for a loop in which tiles go from core to core and back how many turns the first
    core is ahead (``skew j by 2``); 0 is none.
    ``steps`` (``split k over l0 by 64``) is how much of a product's depth goes through L0 at once,
    ``shared`` (``split m over vector``) the grid range whose rows the two vector cores share, and
    ``places`` (``place acc in ub``) says where values live; those in global memory have cut the
    kernel already: see `cuts_for`. ``unrolls`` and ``warps`` are for GPUs.
    ``said`` are the directives themselves: see `NoEffect`.
    ``soft`` are the sizes that hold only as far as they fit: those of ``tiles={"*": 16}``.
    ``won`` are those that the winners of a search give; ``passed`` tells that there were winners,
    for which the ``where`` lines (``limits``) do not hold.
    ``flexible`` are sizes of rows that grow at launch, up to the number given, where rows
    are short.
    """

    tiles: Mapping[str, int] = field(default_factory=dict)
    soft: frozenset[str] = frozenset()
    won: frozenset[str] = frozenset()
    passed: bool = False
    limits: Limits = field(default_factory=Limits)
    depths: Mapping[str, int] = field(default_factory=dict)
    cores: int | None = None
    swizzle: tuple[tuple[str, ...], int] | None = None
    flexible: Mapping[str, int] = field(default_factory=dict)
    bypass: frozenset[str] = frozenset()
    skews: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)
    shared: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    unrolls: Mapping[str, int] = field(default_factory=dict)
    warps: int | None = None
    said: tuple[tree.Directive, ...] = ()


def plan_for(
    schedules: Iterable[tree.Schedule],
    kernel: ir.Kernel,
    target: str,
    tiles: Mapping[str, int],
    winners: Mapping[str, int] | None = None,
) -> Plan:
    """Return the plan for ``kernel`` on ``target``.

    Of ``schedules`` (those of the kernel) the one with the longest name that ``target`` starts
    with holds. ``tiles`` (from the user) go first; ``"*"`` stands for every size. ``winners`` (of
    a search) are for sizes that neither sets, before the choices of ``tune``. Raises
    `CompileError` where no choice satisfies the ``where`` lines.
    """
    best = schedule_for(schedules, target)
    depths: dict[str, int] = {}
    plan = _sized(best, kernel, target, tiles, winners or {})
    skews: dict[str, int] = {}
    steps: dict[str, int] = {}
    places: dict[str, str] = {}
    unrolls: dict[str, int] = {}
    cuts = cuts_for(schedules, target)
    said = [s for s in best.directives if isinstance(s, tree.Directive)] if best else []
    placed = [s for s in said if s.word == "place" and (_global(s) or s.names[0].id in cuts)]
    said = [s for s in said if s not in placed]
    for line in best.directives if best else ():
        match line:
            case tree.Directive(word="pipeline", names=(name,), argument=tree.Number(value=depth)):
                depths[name.id] = int(depth)
            case tree.Directive(word="cores", argument=tree.Number(value=count)):
                plan = replace(plan, cores=int(count))
            case tree.Directive(word="warps", argument=tree.Number(value=count)):
                plan = replace(plan, warps=int(count))
            case tree.Directive(word="swizzle", names=names, argument=tree.Number(value=by)):
                plan = replace(plan, swizzle=(tuple(n.id for n in names), int(by)))
            case tree.Directive(word="skew", names=(name,), argument=tree.Number(value=turns)):
                skews[name.id] = int(turns)
            case tree.Directive(word="split", names=(name,), step=tree.Number(value=step)):
                steps[name.id] = int(step)
            case tree.Directive(word="split", names=(name,), argument=tree.Name(id="vector")):
                plan = replace(plan, shared=name.id)
            case tree.Directive(word="place", names=(name,), argument=tree.Name(id=place)):
                if place != GLOBAL and name.id not in cuts:
                    places[name.id] = place
            case tree.Directive(word="unroll", names=(name,), argument=tree.Number(value=by)):
                unrolls[name.id] = int(by)
            case tree.Directive(word="unroll", names=(name,)):
                unrolls[name.id] = 0
            case tree.Directive(word="bypass", names=names):
                plan = replace(plan, bypass=plan.bypass | {n.id for n in names})
            case _:
                pass
    return replace(
        plan, depths=depths, skews=skews, steps=steps, places=places, unrolls=unrolls,
        said=tuple(said),
    )  # fmt: skip


def _sized(
    best: tree.Schedule | None,
    kernel: ir.Kernel,
    target: str,
    tiles: Mapping[str, int],
    winners: Mapping[str, int],
) -> Plan:
    """Return a plan with the sizes alone."""
    names = kernel.tile_sizes
    if "*" in tiles:  # a device of tests: no choice is made
        sizes = {name: tiles.get(name, tiles["*"]) for name in names}
        return Plan(sizes, soft=frozenset(names) - set(tiles))
    fixed, choices = sizes_of(best)
    limits = limits_of(best, target)
    sizes = {**fixed, **tiles}
    kept = {name: size for name, size in winners.items() if name not in sizes}
    left = {name: offered for name, offered in choices.items() if name not in sizes}
    found = None
    if kept:
        other = {name: offered for name, offered in left.items() if name not in kept}
        found = next(combinations(limits, other, sizes | kept), None)
    passed = bool(kept) and found is None
    if found is None:
        kept, found = {}, first_choice(limits, left, sizes, kernel.origin or kernel.name)
    sizes |= kept | found
    known = {name: sizes[name] for name in names if name in sizes}
    return Plan(known, won=frozenset(kept), passed=passed, limits=limits)


def cuts_for(schedules: Iterable[tree.Schedule], target: str) -> dict[str, tree.Directive]:
    """Return the values that go through global memory on ``target``, with their directives.

    Of several places for one value the last holds.
    """
    best = schedule_for(schedules, target)
    found: dict[str, tree.Directive] = {}
    for line in best.directives if best else ():
        match line:
            case tree.Directive(word="place", names=(name,)):
                found[name.id] = line
            case _:
                pass
    return {name: line for name, line in found.items() if _global(line)}


def _global(line: tree.Directive) -> bool:
    return isinstance(line.argument, tree.Name) and line.argument.id == GLOBAL


def tile_of(axis: Axis, tiles: Mapping[str, int]) -> int | None:
    """Return the number of positions in a full tile of ``axis``; `None` where it has no ``by``."""
    if axis.tile is None:
        return None
    value = settle(axis.tile, tiles)
    assert isinstance(value, Literal), f"tile of {axis.name} is not settled"
    return int(value.value)


def limit_of(axis: Axis, tiles: Mapping[str, int]) -> int | None:
    """Return the most elements that one tile of ``axis`` has; `None` where nothing bounds it."""
    if axis.is_scalar:
        return 1
    if axis.kind != "span":
        return tile_of(axis, tiles)
    bounds = [axis.limit] if axis.limit is not None else []
    if axis.source is not None:
        source = limit_of(axis.source, tiles)
        bounds += [source] if source is not None else []
    lo, hi = settle(axis.lo, tiles), settle(axis.hi, tiles)
    if isinstance(lo, Literal) and isinstance(hi, Literal):
        bounds.append(max(0, int(hi.value) - int(lo.value)))
    return min(bounds) if bounds else None


def settle(scalar: Scalar, tiles: Mapping[str, int]) -> Scalar:
    """Return ``scalar`` with the tile sizes put in."""
    if not any(isinstance(part, TileSize) for part in walk(scalar)):
        return scalar

    def change(part: Scalar) -> Scalar | None:
        return Literal(tiles[part.name]) if isinstance(part, TileSize) else None

    return rewrite(scalar, change)


def largest_fitting(
    tiles: Mapping[str, int], fits: Callable[[dict[str, int]], bool]
) -> tuple[tuple[str, int], ...]:
    """Return for each size alone the largest half, quarter and so on of it that ``fits``."""
    found: list[tuple[str, int]] = []
    for name, size in tiles.items():
        smaller = size // 2
        while smaller and not fits({**tiles, name: smaller}):
            smaller //= 2
        if smaller:
            found.append((name, smaller))
    return tuple(found)


def would_fit(sizes: tuple[tuple[str, int], ...], now: Mapping[str, int]) -> str:
    """Return the way out of tiles that are too large: one smaller size, or none at all."""
    words = ", or ".join(f"`{name} = {size}` (not {now[name]})" for name, size in sizes)
    return f"{words} would fit; without a size the compiler takes one that does"
