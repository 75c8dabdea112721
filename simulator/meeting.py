"""Who writes which element of the outputs? A core that computes, and marks what it writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tiledsl.simulator.core import Launch, Line
from tiledsl.simulator.lanes import windows
from tiledsl.simulator.matrix import CubeCore
from tiledsl.simulator.places import GlobalArea, Place, Spot, Value, same
from tiledsl.types import DType

_LIMIT = 1 << 24  # elements of a tensor up to which they are marked


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two programs that write one element, and the line of the later write."""

    line: Line
    tensor: str
    programs: tuple[int, int]


@dataclass(eq=False)
class Marks:
    """For each element of each output the program that wrote it, counted from 1."""

    areas: dict[str, GlobalArea]
    found: dict[tuple[Line, str], Meeting] = field(default_factory=dict)


def unwritten(launch: Launch, marks: Marks) -> Iterator[tuple[str, int]]:
    """Yield each output with the first of its elements that no program has written."""
    for tensor in launch.program.tensors:
        area = marks.areas.get(tensor.name)
        if tensor.role == "out" and tensor.initial is None and area is not None:
            writers = area.bytes.view(np.int32)
            if not writers.all():
                yield tensor.name, int(np.argmin(writers != 0))


def marks_of(launch: Launch) -> Marks:
    """Return marks for the tensors that the program may write; nothing is marked yet."""
    areas: dict[str, GlobalArea] = {}
    for tensor in launch.program.tensors:
        count = launch.tensors[tensor.name].bytes.size // tensor.dtype.size
        if tensor.role not in ("in", "table") and count <= _LIMIT:
            empty = np.zeros(count, np.int32).view(np.uint8)
            areas[tensor.name] = GlobalArea(tensor.name, DType.I32, empty)
    return Marks(areas)


class MarkingCore(CubeCore):
    """A core that marks what it stores; what programs add to one element is no fault."""

    def __init__(self, marks: Marks, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.marks = marks

    def copy_out(
        self, line: Line, dst: Spot, src: Place, shape: Sequence[Value],
        dst_strides: Sequence[Value], src_strides: Sequence[Value], length: Value, atomic: str,
    ) -> None:  # fmt: skip
        """Copy rows to global memory, and mark them."""
        super().copy_out(line, dst, src, shape, dst_strides, src_strides, length, atomic)
        if not atomic:
            strides = [same(s) for s in dst_strides]
            self._mark(line, dst, [*(same(n) for n in shape), same(length)], [*strides, 1])

    def fixpipe(
        self, line: Line, dst: Spot, src: Place, m: Value, n: Value, dst_stride: Value, dtype: DType
    ) -> None:
        """Copy a product to global memory, and mark it."""
        super().fixpipe(line, dst, src, m, n, dst_stride, dtype)
        self._mark(line, dst, [same(m), same(n)], [same(dst_stride), 1])

    def _mark(self, line: Line, spot: Spot, shape: list[int], strides: list[int]) -> None:
        area = self.marks.areas.get(spot.place.name)
        if area is None or 0 in shape:
            return
        there = spot._replace(place=area)
        for lanes, window in windows(there, DType.I32, self.count, shape, strides, True):
            mine = (self.program[lanes] + 1).reshape(-1, *(1 for _ in shape))
            clash = (window != 0) & (window != mine)
            key = line, area.name
            if clash.any() and key not in self.marks.found:
                at = tuple(int(i[0]) for i in np.nonzero(clash))
                pair = int(window[at]) - 1, int(mine[at[0]].flat[0]) - 1
                self.marks.found[key] = Meeting(line, area.name, pair)
            window[...] = mine
