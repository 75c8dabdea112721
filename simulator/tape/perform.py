"""Tapes played: views of an arena and of the tensors, chunk by chunk."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Launch
from tiledsl.simulator.halves import widen
from tiledsl.simulator.tape.plan import Tape
from tiledsl.simulator.tape.storage import Each, Ref, Root, Step

# A function with its operands and its result, and which of these each chunk has anew: operands by
# number, the result as -1.
Call = tuple[Callable[..., Any], list[Any], Any, list[tuple[int, Ref | Each]]]

_MOST_MARKED = 1 << 24  # elements of a tensor up to which those that are written are marked
_own = threading.local()  # the arena of each thread


@dataclass(slots=True, eq=False)
class Bound:
    """The calls of a tape on the arena of a thread, by how many programs run at once."""

    arena: Array
    calls: dict[int, list[Call]] = field(default_factory=dict)


def perform(tapes: Sequence[Tape], launch: Launch) -> None:
    """Run the programs of all classes."""
    tensors = {name: area.bytes for name, area in launch.tensors.items()}
    wide: dict[str, Array] = {}
    for name in dict.fromkeys(name for tape in tapes for name in tape.wide):
        wide[name] = widen(tensors[name].view(np.float16)).view(np.uint8)
    for tape in tapes:
        _play(tape, tensors, wide)


def covered(tapes: Sequence[Tape], launch: Launch) -> frozenset[str]:
    """Return the outputs of which tapes write every element."""
    stores = [(tape, step.out) for tape in tapes for step in tape.steps if step.out.root.tensor]
    found: list[str] = []
    for tensor in launch.program.tensors:
        mine = [(tape, out) for tape, out in stores if out.root.tensor == tensor.name]
        unit = min((out.dtype.itemsize for _, out in mine), default=1)
        count = launch.tensors[tensor.name].bytes.size // unit
        if tensor.role == "out" and count <= _MOST_MARKED:
            mark = np.zeros(count, np.bool_)
            for tape, out in mine:
                _mark(mark, unit, tape, out)
            found += [tensor.name] if mark.all() else []
    return frozenset(found)


def _mark(marks: Array, unit: int, tape: Tape, out: Ref) -> None:
    """Mark what a store of all programs writes; a mark stands for ``unit`` bytes."""
    root, offset, dims, dtype = out
    there = Root(0, root.tensor, root.starts // unit)
    steps = *((n, s // unit) for n, s in dims), (dtype.itemsize // unit, 1)
    small = Ref(there, offset // unit, steps, np.dtype(np.bool_))
    whole = _moving(small, tape.count, {root.tensor: marks}, {})
    for first, last in [(0, tape.count)] if root.even else tape.chunks:
        whole[slice(first, last)][...] = True


def _play(tape: Tape, tensors: Mapping[str, Array], wide: Mapping[str, Array]) -> None:
    arena = _arena(tape.size * tape.most)
    if tape.bound is None or tape.bound.arena is not arena:
        tape.bound = Bound(arena)
    bound: Bound = tape.bound
    moved: dict[int, Any] = {}

    def whole(what: Ref | Each) -> Any:
        """Return what each chunk takes its part of."""
        if id(what) not in moved:
            moved[id(what)] = _moving(what, tape.count, tensors, wide)
        return moved[id(what)]

    def ready(count: int) -> list[Any]:
        """Return the calls for so many programs, with what moves from chunk to chunk."""
        if count not in bound.calls:
            bound.calls[count] = [_call(tape, step, bound.arena, count) for step in tape.steps]
        return [
            (
                function, sources, out, [(at, whole(what)) for at, what in moving if at >= 0],
                next((whole(what) for at, what in moving if at < 0), None),
            )
            for function, sources, out, moving in bound.calls[count]
        ]  # fmt: skip

    calls: list[Any] = []
    count = -1
    for first, last in tape.chunks:
        if last - first != count:
            count = last - first
            calls = ready(count)
        part = slice(first, last)
        for function, sources, out, parts, target in calls:
            if parts:
                sources = sources.copy()
                for at, view in parts:
                    sources[at] = view[part]
            function(*sources, out=out if target is None else target[part])


def _arena(size: int) -> Array:
    """Return scratch of this thread, at least so many bytes: always the same, while it suffices."""
    arena: Array | None = getattr(_own, "arena", None)
    if arena is None or arena.size < size:
        arena = _own.arena = np.empty(size, np.uint8)
    return arena


def _call(tape: Tape, step: Step, arena: Array, count: int) -> Call:
    """Return the call of a step for so many programs.

    NumPy's `maximum` and `minimum` with one number go one by one, those with a row do not.
    """
    sources: list[Any] = []
    moving: list[tuple[int, Ref | Each]] = []
    for at, source in enumerate(step.sources):
        if isinstance(source, Each):
            values = source.values.reshape(-1, *(1,) * len(step.out.dims))
            moving.append((at, Each(values)))
        elif isinstance(source, Ref) and source.root.tensor:
            moving.append((at, source))
        elif isinstance(source, Ref):
            sources.append(_scratch(tape, source, arena, count))
            continue
        else:
            slow = step.function in (np.maximum, np.minimum)
            sources.append(np.full(step.out.shape[-1:], source) if slow else source)
            continue
        sources.append(None)
    if step.out.root.tensor:
        return step.function, sources, None, [*moving, (-1, step.out)]
    return step.function, sources, _scratch(tape, step.out, arena, count), moving


def _scratch(tape: Tape, ref: Ref, arena: Array, count: int) -> Array:
    root = ref.root
    shape = (count, *(n for n, _ in ref.dims))
    strides = (root.size, *(s for _, s in ref.dims))
    return np.ndarray(shape, ref.dtype, arena, tape.places[root] * tape.most + ref.offset, strides)


def _moving(
    what: Ref | Each, count: int, tensors: Mapping[str, Array], wide: Mapping[str, Array]
) -> "Array | _Uneven":
    """Return what is cut into the parts of chunks."""
    if isinstance(what, Each):
        return what.values
    root = what.root
    base = (wide if root.wide else tensors)[root.tensor]
    if not root.even:
        return _Uneven(what, base)
    step = int(root.starts[1]) if count > 1 else 0
    shape = (count, *(n for n, _ in what.dims))
    return np.ndarray(shape, what.dtype, base, what.offset, (step, *(s for _, s in what.dims)))


class _Uneven:
    """Elements of a tensor of programs that are at equal distances only within a chunk."""

    def __init__(self, ref: Ref, base: Array) -> None:
        self.starts, self.base = ref.root.starts.tolist(), base
        self.offset, self.dtype = ref.offset, ref.dtype
        self.shape = tuple(n for n, _ in ref.dims)
        self.strides = tuple(s for _, s in ref.dims)

    def __getitem__(self, part: slice) -> Array:
        first, last = part.start, part.stop
        start = self.starts[first]
        step = self.starts[first + 1] - start if last - first > 1 else 0
        return np.ndarray(
            (last - first, *self.shape), self.dtype, self.base, start + self.offset,
            (step, *self.strides),
        )  # fmt: skip
