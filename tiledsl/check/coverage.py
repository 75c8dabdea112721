"""Which outputs are provably written everywhere; the simulator looks after the others.

For each dim of an output a store covers an interval of positions. It starts as one position and
grows by one range at a time: where ``[low(p), high(p))`` touches its neighbour ``p + 1``, all
positions of ``p`` together cover ``[low(first), high(last))``. Two stores that agree on the other
dims join when their intervals touch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tiledsl import scalar as sc
from tiledsl.check.bounds import Access
from tiledsl.check.poly import Poly, atom
from tiledsl.check.prove_facts import Scope
from tiledsl.check.prove_terms import Frame

_VARYING = frozenset({"position"})
_CONSTANT = frozenset({"dim", "param", "times", "tile size"})


@dataclass(frozen=True, slots=True)
class Interval:
    """The positions ``low <= p < high``."""

    low: Poly
    high: Poly


def uncovered_outputs(frame: Frame, launch: Scope, accesses: Sequence[Access]) -> tuple[str, ...]:
    """Return the outputs without a first value that are not proven to be covered."""
    names = []
    for tensor in frame.kernel.outputs:
        stores = [a for a in accesses if a.tensor is tensor and a.kind != "read"]
        if tensor.initial is None and not _covered(frame, launch, tensor, stores):
            names.append(tensor.name)
    return tuple(names)


def _covered(frame: Frame, launch: Scope, tensor: sc.Tensor, stores: list[Access]) -> bool:
    sizes = [frame.scalar(size, launch) for size in tensor.shape]
    # An output without elements is covered.
    scope = launch.extend(size - 1 for size in sizes)
    pieces = []
    for store in stores:
        intervals = _Store(frame, scope, store).intervals()
        if intervals is not None:
            pieces.append(intervals)
    return _filled(frame, scope, sizes, pieces)


def _filled(
    frame: Frame, scope: Scope, sizes: list[Poly], pieces: list[list[Interval]]
) -> bool:
    """Whether pieces that are full in all dims but one fill that one together."""
    facts = frame.facts
    for dim, size in enumerate(sizes):
        left = [p for p in pieces if all(
            facts.prove(-i.low, scope) and facts.prove(i.high - s, scope)
            for at, (i, s) in enumerate(zip(p, sizes, strict=True)) if at != dim
        )]  # fmt: skip
        reached = size - size
        while left:
            touching = [p for p in left if facts.prove(reached - p[dim].low, scope)]
            if not touching:
                break
            left.remove(touching[0])
            if facts.prove(touching[0][dim].high - reached, scope):
                reached = touching[0][dim].high
            if facts.prove(reached - size, scope):
                return True
    return not sizes and bool(pieces)


class _Store:
    """One store: the intervals that all its programs, iterations and lanes cover together."""

    def __init__(self, frame: Frame, launch: Scope, access: Access) -> None:
        self.frame = frame.other("")
        self.access = access
        # Each range with the scope around it, in which it may still be empty.
        self.around: dict[sc.Axis, Scope] = {}
        self.scope = launch

    def intervals(self) -> list[Interval] | None:
        """Return an interval a dim, or None where that is not known."""
        access, frame = self.access, self.frame
        if any(i.gather is not None for i in access.index):
            return None
        for step in access.path:
            if isinstance(step, tuple):
                return None  # a store under a condition may not happen
            self.around[step] = self.scope
            self.scope = frame.enter(step, self.scope)
        for axis in sorted(access.lanes, key=lambda lane: lane.name):
            self.around.setdefault(axis, self.scope)
        self.scope = frame.lanes(access.lanes, self.scope)
        used: set[sc.Axis] = set()
        result = []
        for index in access.index:
            here = frame.index(index, self.scope)
            if any(not self._position(a).atoms.isdisjoint(here.atoms) for a in used):
                return None
            grown = self._grown(Interval(here, here + 1), used)
            if grown is None:
                return None
            result.append(grown)
        idle = [axis for axis in self.around if axis not in used]
        return result if all(self._runs(a) for a in idle) else None

    def _position(self, axis: sc.Axis) -> Poly:
        return self.frame.range(axis, self.scope).position

    def _runs(self, axis: sc.Axis) -> bool:
        """Whether the range has a position wherever it is met."""
        scope = self.around[axis]
        extent = self.frame.scalar(axis.hi, scope) - self.frame.scalar(axis.lo, scope)
        return self.frame.facts.prove(extent - 1, scope)

    def _grown(self, interval: Interval, used: set[sc.Axis]) -> Interval | None:
        """Return what all positions cover, one range after the other, inner ones first.

        Ranges that another dim has ``used`` stay: the interval is the same for all of those.
        """
        facts, frame = self.frame.facts, self.frame
        for axis in reversed([a for a in self.around if a not in used]):
            low, high = interval.low, interval.high
            if not (self._plain(low) and self._plain(high)):
                return None
            (at,) = self._position(axis).atoms
            if at not in low.atoms | high.atoms:
                continue
            if not facts.prove(high - low.replace({at: atom(at) + 1}), self.scope):
                return None
            around = self.around[axis]
            first = frame.scalar(axis.lo, around)
            last = frame.scalar(axis.hi, around) - 1
            interval = Interval(low.replace({at: first}), high.replace({at: last}))
            if not facts.prove(last - first, around):
                # Then an empty range must leave an empty interval.
                rise = high - high.replace({at: atom(at) - 1})
                before = high.replace({at: first - 1})
                if at in rise.atoms or not (
                    facts.prove(rise, around) and facts.prove(interval.low - before, around)
                ):
                    return None
            used.add(axis)
        return interval

    def _plain(self, poly: Poly) -> bool:
        """Whether only positions that stand in ``poly`` itself vary from program to program."""
        facts = self.frame.facts
        return all(
            facts.atoms[a].kind in _VARYING or facts.sources(a) <= _CONSTANT for a in poly.atoms
        )
