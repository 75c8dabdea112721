"""From what was recorded to what is played: nothing needless, results in place, a small arena."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator import arithmetic
from tiledsl.simulator.core import Crossing, Launch, run_together
from tiledsl.simulator.tape.board import Board
from tiledsl.simulator.tape.cube import CubeRecorder
from tiledsl.simulator.tape.storage import Operand, Ref, Root, Split, Step, moved

Function = Callable[[Any], Iterator[None] | None]
_ARENA = 1 << 21  # bytes of scratch of the programs that run at once, at most
_CALL = 1 << 18  # bytes that a call writes, about: few calls, and a cache holds what they work on


@dataclass(slots=True, eq=False)
class Tape:
    """The steps of a class of ``count`` programs.

    Scratch is in an arena of ``size`` bytes a program, root by root at ``places``; the programs
    run in ``chunks``, from and to their places in the class. ``bound`` is what
    `tiledsl.simulator.tape.perform` keeps.
    """

    count: int
    steps: list[Step]
    size: int
    places: dict[Root, int]
    chunks: list[tuple[int, int]]
    bound: Any = None
    most: int = field(init=False)
    wide: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Note how many programs run at once, and which tensors of f16 are made f32."""
        self.most = max((last - first for first, last in self.chunks), default=0)
        roots = [root for step in self.steps for root in _roots(step) if root.wide]
        self.wide = list(dict.fromkeys(root.tensor for root in roots))


def record(
    functions: Sequence[Function], indices: Sequence[int], launch: Launch, group: Array
) -> Tape:
    """Return the tape of a class of programs; raise `UnplannedError` where there can be none."""
    board, crossing = Board(), Crossing()
    cores = [
        CubeRecorder(launch, group, board, index=index, crossing=crossing) for index in indices
    ]
    run_together(functions, cores)
    fixed = {t.name for t in launch.program.tensors if t.role in ("in", "table")}
    steps = _late(_needed(board.steps), fixed)
    _store_in_place(steps, {t.name for t in launch.program.tensors if t.role == "out"})
    steps = _clipped(_soon(steps))
    size, places = _arena(steps)
    return Tape(len(group), steps, size, places, _chunks(steps, len(group), size))


def _roots(step: Step) -> list[Root]:
    return [source.root for source in step.sources if isinstance(source, Ref)]


def _needed(steps: Sequence[Step]) -> list[Step]:
    """Return the steps of which something comes to global memory."""
    wanted: set[Root] = set()
    kept: list[Step] = []
    for step in reversed(steps):
        if step.out.root.tensor or step.out.root in wanted:
            kept.append(step)
            wanted.update(_roots(step))
    return kept[::-1]


def _late(steps: Sequence[Step], fixed: set[str]) -> list[Step]:
    """Put what is made from tensors that never change to where it is needed first.

    A core that runs ahead of others would fill the arena with what they take up much later.
    """
    waiting: dict[Root, list[Step]] = {}
    found: list[Step] = []
    for step in steps:
        out = step.out.root
        early = all(root.tensor in fixed for root in _roots(step))
        if early and not out.tensor:
            waiting.setdefault(out, []).append(step)
            continue
        for root in dict.fromkeys((*_roots(step), out)):
            found += waiting.pop(root, ())
        found.append(step)
    return found


# ---- results straight into global memory --------------------------------------------------------


def _store_in_place(steps: list[Step], outputs: set[str]) -> None:
    """Let steps write where their result would only be copied to, where nobody notices.

    That is in global memory, or a part of what is put together in scratch.
    """
    read = {root.tensor for step in steps for root in _roots(step) if root.tensor}
    makers: dict[Root, list[Step]] = {}
    users: dict[Root, list[Step]] = {}
    stores: dict[Root | str, list[Ref]] = {}
    for step in steps:
        makers.setdefault(step.out.root, []).append(step)
        stores.setdefault(_place(step.out), []).append(step.out)
        for root in _roots(step):
            users.setdefault(root, []).append(step)
    for at in range(len(steps) - 1, -1, -1):
        step = steps[at]
        target, (source, *_) = step.out, step.sources
        name, place = target.root.tensor, _place(target)
        if step.function is not arithmetic.put or not isinstance(source, Ref) or source.root.tensor:
            continue
        made = makers[source.root]
        open_ = not name or (name in outputs and name not in read and _apart(target))
        open_ = open_ and source.dtype == target.dtype
        if not open_ or len(made) != 1 or not source.dense or not made[0].out.dense:
            continue
        if any(other is not target and _may_meet(other, target) for other in stores[place]):
            continue
        if _moved(source.root, source, target, [made[0], *users[source.root]], step):
            stores[place].remove(target)
            stores[place].append(made[0].out)
            makers[target.root].remove(step)
            makers[target.root].append(made[0])
            users.setdefault(target.root, []).extend(u for u in users[source.root] if u is not step)
            del steps[at]


def _soon(steps: Sequence[Step]) -> list[Step]:
    """Put what goes to a tensor that is never read to where it is known: so scratch ends sooner."""
    read = {root.tensor for step in steps for root in _roots(step) if root.tensor}
    written: dict[Root, int] = {}  # the last step that writes each root
    stored: dict[str, list[tuple[int, Ref]]] = {}
    keys: list[tuple[int, int]] = []
    for at, step in enumerate(steps):
        name, before = step.out.root.tensor, at
        if name and name not in read:
            met = [i for i, ref in stored.get(name, ()) if _may_meet(ref, step.out)]
            before = max([written.get(root, -1) for root in _roots(step)] + met, default=-1)
        keys.append((before, at))
        if name:
            stored.setdefault(name, []).append((at, step.out))
        written[step.out.root] = at
    return [steps[at] for _, at in sorted(keys)]


def _clipped(steps: Sequence[Step]) -> list[Step]:
    """Let a maximum and a minimum with numbers, one after the other, be one call."""
    users: dict[Root, int] = {}
    for step in steps:
        for root in (step.out.root, *_roots(step)):
            users[root] = users.get(root, 0) + 1
    found: list[Step] = []
    for step in steps:
        before = found[-1] if found else step
        ends = _ends(before, step)
        if ends is None or before.out.root.tensor or users[before.out.root] != 2:
            found.append(step)
            continue
        found[-1] = Step(np.clip, [before.sources[0], *ends], step.out, step.inplace)
    return found


def _ends(first: Step, second: Step) -> tuple[Array, Array] | None:
    """Return the least and the most of what ``second`` makes of what ``first`` makes."""
    made = second.sources[0]
    if not isinstance(made, Ref) or made != first.out:
        return None
    if {first.function, second.function} != {np.maximum, np.minimum}:
        return None
    ends = {step.function: step.sources[-1] for step in (first, second)}
    low, high = ends[np.maximum], ends[np.minimum]
    if not isinstance(low, np.ndarray) or not isinstance(high, np.ndarray) or low > high:
        return None
    return low, high


def _place(ref: Ref) -> Root | str:
    """Return what of all places is written."""
    return ref.root.tensor or ref.root


def _apart(ref: Ref) -> bool:
    """Whether no two programs meet in a part of global memory."""
    starts = np.sort(ref.root.starts)
    return len(starts) < 2 or bool(np.diff(starts).min() >= _reach(ref))


def _reach(ref: Ref) -> int:
    return ref.dtype.itemsize + sum((n - 1) * s for n, s in ref.dims)


def _may_meet(one: Ref, other: Ref) -> bool:
    if one.root is not other.root:
        return True
    return one.offset < other.offset + _reach(other) and other.offset < one.offset + _reach(one)


def _moved(root: Root, source: Ref, target: Ref, steps: list[Step], store: Step) -> bool:
    """Let all that use ``root`` use ``target`` in its place; tell whether they can."""
    piece = moved(source, target)

    def there(ref: Ref) -> Ref | None:
        found = piece.find(ref.offset, ref.dims, ref.dtype.itemsize, ref.dtype)
        return None if isinstance(found, Split) else found

    changes: list[tuple[Step, Ref | None, list[Operand]]] = []
    for step in steps:
        if step is store:
            continue
        out: Ref | None = step.out
        if step.out.root is root:
            out = there(step.out)
            if out is None:
                return False
        sources: list[Operand] = []
        for operand in step.sources:
            if isinstance(operand, Ref) and operand.root is root:
                other = there(operand)
                if other is None:
                    return False
                sources.append(other)
            else:
                sources.append(operand)
        changes.append((step, out, sources))
    for step, out, sources in changes:
        assert out is not None
        step.out, step.sources = out, sources
    return True


# ---- scratch ------------------------------------------------------------------------------------


def _arena(steps: Sequence[Step]) -> tuple[int, dict[Root, int]]:
    """Return the size of an arena for one program, and the place of each root in it.

    A root is there from the first step that writes it to the last one that uses it.
    """
    last: dict[Root, int] = {}
    for at, step in enumerate(steps):
        for root in (step.out.root, *_roots(step)):
            last[root] = at
    places: dict[Root, int] = {}
    free: list[tuple[int, int]] = []
    size = 0
    for at, step in enumerate(steps):
        root = step.out.root
        ending = {r for r in _roots(step) if last[r] == at and r in places and r is not root}
        if not root.tensor and root not in places:
            heir = next((r for r in _alike(step) if r in ending), None)
            if heir is not None:
                places[root] = places[heir]
                ending.discard(heir)
            else:
                place = _take(free, _room(root))
                if place is None:
                    place, size = size, size + _room(root)
                places[root] = place
        if last[root] == at and root in places:
            ending.add(root)
        for gone in ending:
            _give(free, places[gone], _room(gone))
    return size, places


def _alike(step: Step) -> list[Root]:
    """Return the sources that the result may take the place of."""
    if not step.inplace or not step.out.dense:
        return []
    refs = [source for source in step.sources if isinstance(source, Ref)]
    other = {ref.root for ref in refs if not ref.dense or ref.dims != step.out.dims}
    return [ref.root for ref in refs if not ref.root.tensor and ref.root not in other]


def _room(root: Root) -> int:
    return -(-root.size // 64) * 64


def _take(free: list[tuple[int, int]], size: int) -> int | None:
    """Take room out of the smallest free part that has it."""
    fits = [part for part in free if part[1] >= size]
    if not fits:
        return None
    part = min(fits, key=lambda p: p[1])
    free.remove(part)
    if part[1] > size:
        free.append((part[0] + size, part[1] - size))
    return part[0]


def _give(free: list[tuple[int, int]], place: int, size: int) -> None:
    """Give room back, joined with its neighbours."""
    for part in list(free):
        if part[0] + part[1] == place:
            free.remove(part)
            place, size = part[0], part[1] + size
        elif place + size == part[0]:
            free.remove(part)
            size += part[1]
    free.append((place, size))


def _chunks(steps: Sequence[Step], count: int, size: int) -> list[tuple[int, int]]:
    """Return which programs run at once: few enough, and at equal distances in every tensor."""
    large = max((_bytes(step.out) for step in steps), default=1)
    many = count
    if len(steps) > 1:
        many = max(1, min(count, _CALL // max(1, large), _ARENA // max(1, size)))
    breaks: set[int] = {0, count}
    seen: set[Root] = set()
    for step in steps:
        for root in (step.out.root, *_roots(step)):
            if root.tensor and root not in seen:
                seen.add(root)
                breaks.update(_breaks(root.starts))
    found: list[tuple[int, int]] = []
    ends = sorted(breaks)
    for first, end in pairwise(ends):
        found += [(at, min(at + many, end)) for at in range(first, end, many)]
    return found


def _bytes(ref: Ref) -> int:
    return ref.dtype.itemsize * prod(n for n, _ in ref.dims)


def _breaks(starts: Array) -> list[int]:
    """Return where runs of equal distances end."""
    found: list[int] = []
    steps = np.diff(starts)
    at = 0
    while at < len(steps):
        unlike = np.flatnonzero(steps[at:] != steps[at])
        if not len(unlike):
            break
        at += int(unlike[0]) + 1
        found.append(at)
    return found
