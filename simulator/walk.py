"""A core that does nothing: it only goes where the program goes, for many programs at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tiledsl.npu import program as npu
from tiledsl.ops.registry import Array
from tiledsl.simulator.core import CUBE, Core, Launch, Line
from tiledsl.simulator.places import GlobalArea, NotUniformError, Place, Spot, Value, same
from tiledsl.types import DType


class Walker:
    """A core that runs all programs ``numbers`` of a launch at once, and does nothing."""

    def __init__(self, launch: Launch, numbers: Array, index: int, blocks: int) -> None:
        self.launch, self.numbers = launch, numbers
        self.index, self.sub = index, index if index != CUBE else 0
        self.block, self.blocks = numbers % blocks, blocks

    buffer = Core.buffer
    tensor = Core.tensor
    dim = Core.dim
    scalar = Core.scalar
    element = Core.element
    loop = Core.loop

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return a method that does nothing."""
        return _nothing

    def same(self, value: Value) -> Any:
        """Return a number that is the same for all programs."""
        return same(value)

    def workspace(self, name: str) -> GlobalArea:
        """Return scratch in global memory, which is not followed."""
        space = next(w for w in self.launch.program.workspaces if w.name == name)
        return GlobalArea(name, space.dtype, np.zeros(0, np.uint8), space.slots, space.elements)

    def programs(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield the numbers of all programs."""
        yield self.numbers

    def cross_wait(self, line: Line, event: int, queue: str) -> Iterator[None]:
        """Go on."""
        return iter(())

    def print_line(self, line: Line, text: str, values: Sequence[Value]) -> None:
        """Print nothing; what would be printed may differ."""

    def require(self, line: Line, condition: Value, text: str) -> None:
        """Do nothing."""

    def read_scalar(self, line: Line, src: Place) -> Value:
        """Return some number; a condition holds."""
        return int(src.dtype is DType.U8)


# Operands that may differ among programs that run together: by instruction, the number of each.
_VALUES = {
    "copy_in": 6, "fill": 1, "write_scalar": 1, "iota": 1, "with_scalar": 3, "compare": 3,
    "select": 3, "row_reduce": 6, "col_reduce": 5,
}  # fmt: skip


class _Parting(Walker):
    """A core that raises a `NotUniformError` where its programs take different sizes."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return a method that looks at the sizes of an instruction."""
        free = _VALUES.get(name, -1)

        def method(line: Line, *operands: Any) -> None:
            for at, operand in enumerate(operands):
                if type(operand) is tuple:
                    for part in operand:
                        same(part)
                elif isinstance(operand, np.ndarray) and at != free:
                    same(operand)
                elif isinstance(operand, Spot):
                    same(operand.slot)

        return method


def walk(function: Callable[[Any], Iterator[None] | None], walker: Walker) -> None:
    """Run a core's function to its end."""
    waits = function(walker)
    for _ in waits if waits is not None else ():
        pass


def together(
    functions: Sequence[Callable[[Any], Iterator[None] | None]], indices: Sequence[int],
    launch: Launch, numbers: Array,
) -> list[Array]:  # fmt: skip
    """Return the programs in groups that go the same way; where they part, each way starts anew."""
    found: list[Array] = []
    waiting = [numbers]
    while waiting:
        group = waiting.pop()
        try:
            for function, index in zip(functions, indices, strict=True):
                walk(function, _Parting(launch, group, index, 1))
        except NotUniformError as parting:
            _, ways = np.unique(parting.values, return_inverse=True)
            waiting += [group[ways == way] for way in range(int(ways.max()), -1, -1)]
        else:
            found.append(group)
    return found


def reads_scalars(program: npu.Program) -> bool:
    """Whether the program takes numbers out of tiles."""
    return any(_reads(core.body) for core in program.cores)


def _nothing(*operands: Any) -> None:
    """Do nothing."""


def _reads(body: tuple[npu.Step, ...]) -> bool:
    for step in body:
        match step:
            case npu.ReadScalar():
                return True
            case npu.For(body=inner) if _reads(inner):
                return True
            case npu.If(then=then, orelse=orelse) if _reads(then) or _reads(orelse):
                return True
    return False
