"""No two programs write one element, no two lanes of a store do, and no read meets a write.

Two programs are two frames over the same launch. That the elements which they touch are the same is
assumed; each grid range must then be proven to stand at the same tile in both.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.check.bounds import Access
from tiledsl.check.poly import Poly
from tiledsl.check.prove_errors import (
    LanesCollide,
    ProgramsCollide,
    ReadMeetsWrite,
    StoresCollide,
)
from tiledsl.check.prove_facts import Scope, equal
from tiledsl.check.prove_terms import Frame
from tiledsl.diagnostics import Diagnostic


def races(frame: Frame, launch: Scope, accesses: Sequence[Access]) -> Iterator[Diagnostic]:
    """Yield what may collide."""
    grid = frame.kernel.grid
    stores = [a for a in accesses if a.kind != "read"]
    plain = [a for a in stores if a.kind == "store"]
    colliding: set[sc.Tensor] = set()
    for store in plain:
        axis = _meeting(frame, launch, grid, store, store)
        if axis is not None:
            colliding.add(store.tensor)
            yield ProgramsCollide(store.span, store.tensor.name, axis.name)
            continue
        lane = _meeting_lane(frame, launch, store)
        if lane is not None:
            yield LanesCollide(store.span, store.tensor.name, lane.name)
    for first, second in combinations(stores, 2):
        kinds = {first.kind, second.kind}
        if "disjoint" in kinds or kinds == {"atomic"} or first.tensor in colliding:
            continue
        if first.tensor is second.tensor:
            axis = _meeting(frame, launch, grid, first, second)
            if axis is not None:
                colliding.add(first.tensor)
                place = first.span
                yield StoresCollide(second.span, second.tensor.name, axis.name, place)
    reads: set[tuple[int, int]] = set()
    for read in accesses:
        if read.kind != "read":
            continue
        for store in stores:
            if store.tensor is not read.tensor or (id(read.span), id(store.span)) in reads:
                continue
            axis = _meeting(frame, launch, grid, read, store)
            if axis is not None:
                reads.add((id(read.span), id(store.span)))
                yield ReadMeetsWrite(read.span, read.tensor.name, axis.name, store.span)
                break


def _meeting(
    frame: Frame, launch: Scope, grid: tuple[sc.Axis, ...], a: Access, b: Access
) -> sc.Axis | None:
    """Return a grid range along which two programs may touch one element; None if there is none."""
    same = _obvious(grid, a, b)
    if len(same) == len(grid):
        return None
    here, there = frame.other(""), frame.other("'")
    scope = _entered(there, _entered(here, launch, a), b)
    known: list[Poly] = []
    for x, y in zip(a.index, b.index, strict=True):
        known += equal(here.index(x, scope), there.index(y, scope))
    left = list(grid)
    progress = True
    while left and progress:
        progress = False
        for axis in left:
            one, two = here.range(axis, scope), there.range(axis, scope)
            shift = one.number - two.number
            if axis in same or _equal(frame, shift, known, scope):
                known += equal(one.number, two.number)
                known += equal(one.start, two.start)
                left.remove(axis)
                progress = True
                break
    return left[0] if left else None


def _equal(frame: Frame, shift: Poly, known: list[Poly], scope: Scope) -> bool:
    """Whether ``shift`` must be 0 where the facts ``known`` hold."""
    facts = frame.facts
    return not shift.terms or (
        facts.refute((shift - 1, *known), scope) and facts.refute((-shift - 1, *known), scope)
    )


def _meeting_lane(frame: Frame, launch: Scope, store: Access) -> sc.Axis | None:
    """Return a range of which two positions may write one element; None if there is none."""
    lanes = sorted(store.lanes, key=lambda axis: axis.name)
    left = [axis for axis in lanes if not any(i.bare is axis for i in store.index)]
    if not left:
        return None
    here = frame.other("")
    scope = _entered(here, launch, store)
    moved = {}
    for axis in lanes:
        own = here.range(axis, scope)
        facts = frame.facts
        low = facts.lower(own.position)
        moved[axis] = facts.atom(("other lane", axis, low), f"{axis.name}'", low)
    there = here.at(moved)
    scope = there.lanes(store.lanes, scope)
    known = [
        fact for i in store.index for fact in equal(here.index(i, scope), there.index(i, scope))
    ]
    progress = True
    while left and progress:
        progress = False
        for axis in left:
            shift = here.position(axis, scope) - moved[axis]
            if _equal(frame, shift, known, scope):
                known += equal(here.position(axis, scope), moved[axis])
                left.remove(axis)
                progress = True
                break
    return left[0] if left else None


def _entered(frame: Frame, scope: Scope, access: Access) -> Scope:
    """Return the scope in which one program makes one lane of an access."""
    steps = (*(a for a in frame.kernel.grid if a not in access.path), *access.path)
    for step in steps:
        if isinstance(step, tuple):
            condition, wanted = step
            scope = scope.assume(frame.condition(condition, scope, negate=not wanted))
        else:
            scope = frame.enter(step, scope)
    return frame.lanes(access.lanes, scope)


def _obvious(grid: tuple[sc.Axis, ...], a: Access, b: Access) -> set[sc.Axis]:
    """Return the grid ranges that both index by, bare, and that start at the same number."""
    bare = {
        axis
        for x, y in zip(a.index, b.index, strict=True)
        if (axis := _bare(x)) is not None and axis is _bare(y)
    }
    same: set[sc.Axis] = set()
    for axis in grid:
        if axis in bare and _named(axis.lo) <= same:
            same.add(axis)
    return same


def _bare(index: ir.Index) -> sc.Axis | None:
    match index:
        case ir.Index(terms=(), offset=sc.Position(axis=axis), gather=None):
            return axis
        case _:
            return index.bare


def _named(scalar: sc.Scalar) -> set[sc.Axis]:
    """Return the ranges whose numbers ``scalar`` uses."""
    return {
        s.axis for s in sc.walk(scalar) if isinstance(s, sc.Position | sc.Start | sc.End)
    }
