"""Tapes played: views of an arena and of the tensors, chunk by chunk."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Launch
from tiledsl.simulator.halves import widen
from tiledsl.simulator.tape.plan import Tape
from tiledsl.simulator.tape.storage import Each, Operand, Ref, Root

Call = tuple[Callable[..., Any], list[Any], list[tuple[int, Array]]]


def perform(tapes: Sequence[Tape], launch: Launch) -> None:
    """Run the programs of all classes."""
    wide: dict[str, Array] = {}
    for tape in tapes:
        for root in {r for step in tape.steps for r in _roots(step.sources)}:
            if root.wide and root.tensor not in wide:
                place = launch.tensors[root.tensor]
                wide[root.tensor] = widen(place.bytes.view(np.float16)).view(np.uint8)
    tensors = {name: area.bytes for name, area in launch.tensors.items()}
    for tape in tapes:
        _play(tape, tensors, wide)


def _roots(sources: Sequence[Operand]) -> list[Root]:
    return [source.root for source in sources if isinstance(source, Ref)]


def _play(tape: Tape, tensors: Mapping[str, Array], wide: Mapping[str, Array]) -> None:
    most = max((last - first for first, last in tape.chunks), default=0)
    arena = np.empty(tape.size * most, np.uint8)
    bound: dict[int, list[Call]] = {}
    for first, last in tape.chunks:
        count = last - first
        calls = _calls(tape, first, count, arena, most, tensors, wide)
        for function, operands in calls:
            function(*operands)


def _calls(
    tape: Tape, first: int, count: int, arena: Array, most: int, tensors: Mapping[str, Array],
    wide: Mapping[str, Array],
) -> list[tuple[Callable[..., Any], list[Any]]]:  # fmt: skip
    def array(ref: Ref) -> Array:
        root = ref.root
        shape = (count, *(n for n, _ in ref.dims))
        inner = tuple(s for _, s in ref.dims)
        if root.tensor:
            base = (wide if root.wide else tensors)[root.tensor]
            start = int(root.starts[first])
            step = int(root.starts[first + 1]) - start if count > 1 else 0
            return np.ndarray(shape, ref.dtype, base, start + ref.offset, (step, *inner))
        at = tape.places[root] * most
        return np.ndarray(shape, ref.dtype, arena, at + ref.offset, (root.size, *inner))

    found = []
    for step in tape.steps:
        axes = len(step.out.dims)
        operands: list[Any] = []
        for source in step.sources:
            match source:
                case Ref():
                    operands.append(array(source))
                case Each(values=values):
                    part = values[first : first + count]
                    operands.append(part.reshape(-1, *(1,) * axes))
                case _:
                    operands.append(source)
        found.append((step.function, [*operands, array(step.out)]))
    return found
