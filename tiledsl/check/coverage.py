"""Which outputs are provably written everywhere; the simulator looks after the others.

For each dim of an output a store covers an interval of positions. It starts as one position and
grows by one range at a time: where ``[low(p), high(p))`` touches its neighbour ``p + 1``, all
positions of ``p`` together cover ``[low(first), high(last))``. Two stores that agree on the other
dims join when their intervals touch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

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
        self.launch = launch
        self.access = access

    def intervals(self) -> list[Interval] | None:
        """Return an interval a dim, or None where that is not known."""
        access, frame = self.access, self.frame
        if any(i.gather is not None for i in access.index):
            return None
        axes: list[sc.Axis] = []
        scope = self.launch
        for step in access.path:
            if isinstance(step, tuple):
                return None  # a store under a condition may not happen
            if not self._runs(step, scope):
                return None
            axes.append(step)
            scope = frame.enter(step, scope)
        for axis in access.lanes:
            if axis not in axes:
                axes.append(axis)
        scope = frame.lanes(access.lanes, scope)
        used: set[sc.Axis] = set()
        result = []
        for index in access.index:
            here = frame.index(index, scope)
            own = {a for a in axes if not self._position(a, scope).atoms.isdisjoint(here.atoms)}
            if used & own:
                return None
            free = [a for a in axes if a not in used]
            grown = self._grown(Interval(here, here + 1), free, used, scope)
            if grown is None:
                return None
            result.append(grown)
        return result

    def _runs(self, axis: sc.Axis, scope: Scope) -> bool:
        """Whether the range has a position wherever it is met, unless the dim that it runs over."""
        own = self.frame.scalar(axis.hi, scope) - self.frame.scalar(axis.lo, scope)
        in_index = any(axis is a for i in self.access.index for a in _axes(i.terms, i.offset))
        return in_index or self.frame.facts.prove(own - 1, scope)

    def _position(self, axis: sc.Axis, scope: Scope) -> Poly:
        return self.frame.range(axis, scope).position

    def _grown(
        self, interval: Interval, axes: list[sc.Axis], used: set[sc.Axis], scope: Scope
    ) -> Interval | None:
        """Return the interval that all positions cover, one range after the other, inner first."""
        facts, frame = self.frame.facts, self.frame
        for axis in reversed(axes):
            if not (self._plain(interval.low, scope) and self._plain(interval.high, scope)):
                return None
            (at,) = self._position(axis, scope).atoms
            if at not in interval.low.atoms | interval.high.atoms:
                continue
            low, high = interval.low, interval.high
            first, last = frame.scalar(axis.lo, scope), frame.scalar(axis.hi, scope) - 1
            if not facts.prove(high - low.replace({at: atom(at) + 1}), scope):
                return None
            low, high = low.replace({at: first}), high.replace({at: last})
            backwards = interval.low.replace({at: first}) - interval.high.replace({at: first - 1})
            if not facts.prove(last - first, scope) and not facts.prove(backwards, scope):
                return None
            interval = Interval(low, high)
            used.add(axis)
        return interval

    def _plain(self, poly: Poly, scope: Scope) -> bool:
        """Whether only positions that stand in ``poly`` itself vary from program to program."""
        facts = self.frame.facts
        return all(
            facts.atoms[a].kind in _VARYING or facts.sources(a) <= _CONSTANT for a in poly.atoms
        )


def _axes(terms: tuple[tuple[sc.Axis, sc.Scalar], ...], offset: sc.Scalar) -> set[sc.Axis]:
    named = (s.axis for s in sc.walk(offset) if isinstance(s, sc.Position | sc.Start | sc.End))
    return set(chain((axis for axis, _ in terms), named))
