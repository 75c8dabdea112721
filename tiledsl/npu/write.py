"""NPU programs written by hand, in Python: buffers, loops and flags by name.

See docs/npu_programs.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tiledsl.npu import program as npu
from tiledsl.npu.program import Core, CoreProgram, Memory, Queue, Ref
from tiledsl.scalar import Literal, Local, Scalar, Tensor, integer
from tiledsl.types import DType

Size = Scalar | int


class Writer:
    """Collects the steps of a program for one kind of core.

    Buffers take the next free bytes of their memory, or those that are named.
    """

    def __init__(self, core: Core = Core.VECTOR, chip: str = "ascend910b1") -> None:
        self.core, self.chip = core, chip
        self.blocks: list[list[npu.Step]] = [[]]
        self.buffers: list[npu.Buffer] = []
        self.tensors: list[Tensor] = []
        self.count: Scalar = integer(1)

    def buffer(
        self, name: str, dtype: DType, elements: int, *, memory: Memory = Memory.UB,
        slots: int = 1, at: int | None = None, slot: Size = 0,
    ) -> Ref:  # fmt: skip
        """Return the first element of a new buffer; in its slot ``slot``."""
        size = -(-elements * dtype.size // 32) * 32
        ends = [b.offset + b.size * b.slots for b in self.buffers if b.memory is memory]
        start = at if at is not None else max(ends, default=0)
        made = npu.Buffer(name, memory, start, size, slots)
        self.buffers.append(made)
        return Ref(made, dtype, integer(0), _scalar(slot))

    def tensor(self, name: str, dtype: DType, elements: int, *, out: bool = False) -> Tensor:
        """Return a new argument of so many elements."""
        made = Tensor(name, dtype, (integer(elements),), role="out" if out else "in")
        self.tensors.append(made)
        return made

    def emit(self, *steps: npu.Step) -> None:
        """Append steps."""
        self.blocks[-1] += steps

    def set(self, src: Queue, dst: Queue, event: Size = 0) -> None:
        """Let ``src`` raise a flag for ``dst``."""
        self.emit(npu.SetFlag(src, dst, _scalar(event)))

    def wait(self, src: Queue, dst: Queue, event: Size = 0) -> None:
        """Let ``dst`` wait for a flag of ``src``."""
        self.emit(npu.WaitFlag(src, dst, _scalar(event)))

    def let(self, name: str, value: Size) -> Local:
        """Define a variable."""
        self.emit(npu.Let(name, _scalar(value)))
        return Local(name)

    @contextmanager
    def loop(self, name: str, count: Size, *, first: Size = 0, step: Size = 1) -> Iterator[Local]:
        """Open a loop of ``name`` from ``first`` to below ``count``; inside is its body."""
        self.blocks.append([])
        yield Local(name)
        body = tuple(self.blocks.pop())
        self.emit(npu.For(name, _scalar(first), _scalar(count), _scalar(step), body))

    @contextmanager
    def programs(self, count: Size) -> Iterator[Local]:
        """Open the loop over the launch's programs, which are dealt out to the cores."""
        self.count = _scalar(count)
        self.blocks.append([])
        yield Local("program")
        body = tuple(self.blocks.pop())
        self.emit(npu.For("program", Local("block"), self.count, Local("blocks"), body))

    def program(self, name: str, *, uniform: tuple[str, ...] | None = ()) -> npu.Program:
        """Return the program; ``uniform`` as in `tiledsl.npu.program.Program`."""
        (body,) = self.blocks
        core = CoreProgram(self.core, tuple(self.buffers), tuple(body))
        return npu.Program(
            name, self.chip, tuple(self.tensors), (), (), self.count, (core,), uniform=uniform
        )

    @property
    def elements(self) -> dict[str, int]:
        """The number of elements of each tensor."""
        return {t.name: s.value for t in self.tensors for s in t.shape if isinstance(s, Literal)}  # type: ignore[misc]


def _scalar(value: Size) -> Scalar:
    return integer(value) if isinstance(value, int) else value
