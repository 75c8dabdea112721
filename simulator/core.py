"""A core as a generated module sees it: the methods that its functions call."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.simulator.places import (
    Area,
    GlobalArea,
    Number,
    Place,
    Spot,
    Value,
    View,
    same,
)  # fmt: skip
from tiledsl.types import DType

Line = int | str  # of the main .tile file by its number, of another as "file:number"
CUBE = 2  # the index of the cube core of a block; its vector cores are 0 and 1


class DeadlockError(Exception):
    """Cores wait for each other, or for a flag that nobody raises."""


class FailedAssertionError(Exception):
    """An ``assert`` of the kernel does not hold."""


@dataclass(eq=False)
class Launch:
    """What one run of a program is given: its arguments, with the arrays as flat bytes."""

    program: Program
    tensors: dict[str, GlobalArea]
    dims: Mapping[str, int]
    scalars: Mapping[str, Number]


def prepare(
    program: Program,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
) -> Launch:
    """Return the launch of ``program``; the arrays must be contiguous, and are used in place."""
    tensors: dict[str, GlobalArea] = {}
    for tensor in program.tensors:
        array = arrays[tensor.name]
        flat = array.reshape(-1).view(np.uint8)
        assert flat.size == 0 or np.shares_memory(flat, array), f"{tensor.name} is not contiguous"
        tensors[tensor.name] = GlobalArea(tensor.name, tensor.dtype, flat)
    return Launch(program, tensors, dims, scalars)


@dataclass(eq=False)
class Crossing:
    """The cross-core flags of one block; a raise carries what its receivers learn from it."""

    raised: dict[tuple[int, int, int], deque[Any]] = field(default_factory=dict)
    moves: int = 0

    def lift(self, event: int, sender: int, token: Any) -> int:
        """Raise ``event``; return how often it is raised now."""
        self.moves += 1
        receivers = (0, 1) if sender == CUBE else (CUBE,)
        count = 0
        for receiver in receivers:
            line = self.raised.setdefault((event, sender, receiver), deque())
            line.append(token)
            count = max(count, len(line))
        return count

    def lower(self, event: int, receiver: int) -> list[Any] | None:
        """Lower ``event`` and return the tokens of its senders, or `None` where it is not up."""
        senders = (0, 1) if receiver == CUBE else (CUBE,)
        lines = [self.raised.get((event, sender, receiver)) for sender in senders]
        if not all(lines):
            return None
        self.moves += 1
        return [line.popleft() for line in lines if line]


class Core(ABC):
    """One core of one block: its place in the launch, and what each instruction does."""

    def __init__(
        self, launch: Launch, *, index: int = 0, block: int = 0, blocks: int = 1,
        crossing: Crossing | None = None,
    ) -> None:  # fmt: skip
        self.launch = launch
        self.index = index
        self.sub = index if index != CUBE else 0
        self.block, self.blocks = block, blocks
        self.crossing = crossing or Crossing()

    # ---- what the program is given --------------------------------------------------------------

    def buffer(self, name: str, memory: str, offset: int, size: int, slots: int) -> Area:
        """Return the buffer's area."""
        return Area(name, memory, offset, size, slots)

    def tensor(self, name: str) -> GlobalArea:
        """Return an argument in global memory."""
        return self.launch.tensors[name]

    @abstractmethod
    def workspace(self, name: str) -> GlobalArea:
        """Return the block's scratch in global memory."""

    def dim(self, name: str) -> int:
        """Return the size of a dim."""
        return int(self.launch.dims[name])

    def scalar(self, name: str) -> Number:
        """Return a parameter, rounded to its type."""
        dtype = dict(self.launch.program.scalars)[name]
        value = self.launch.scalars[name]
        return float(np.asarray(value).astype(dtype.numpy)) if dtype.is_float else value

    def same(self, value: Value) -> Any:
        """Return a number that is the same for all programs that run together."""
        return same(value)

    def some(self, value: Value) -> bool:
        """Return whether a condition holds for one of the programs that run together."""
        return bool(np.any(value))

    def element(
        self, place: GlobalArea, index: Sequence[Value], shape: Sequence[Value],
        default: Value | None, kind: DType | None = None,
    ) -> Value:  # fmt: skip
        """Return an element of a tensor; ``default``, or any where it is `None`, outside.

        Of another ``kind`` than the tensor's it is its bits.
        """
        dtype = kind or place.dtype
        flat = place.bytes.view(dtype.numpy)
        at: Value = 0
        inside: Value = True
        for i, size in zip(index, shape, strict=True):
            inside = np.logical_and(inside, np.logical_and(i >= 0, i < size))
            at = at * size + np.clip(i, 0, max(size - 1, 0))
        if flat.size == 0:
            return default if default is not None else 0
        value = np.where(inside, flat[at], 0 if default is None else default)
        whole = value.astype(np.int64) if dtype.is_integer else value
        return whole if whole.ndim else whole.item()

    # ---- control --------------------------------------------------------------------------------

    @abstractmethod
    def programs(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield the numbers of the programs that run here."""

    def loop(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield the values of a loop variable."""
        for turn in range(max(0, same(-((lo - hi) // step)))):
            yield lo + turn * step

    def cross_set(self, line: Line, event: int, queue: str) -> None:
        """Raise a cross-core flag."""
        self.crossing.lift(event, self.index, self.token(queue))

    def cross_wait(self, line: Line, event: int, queue: str) -> Iterator[None]:
        """Wait for a cross-core flag; other cores go on meanwhile."""
        while (tokens := self.crossing.lower(event, self.index)) is None:
            yield
        self.receive(line, event, queue, tokens)

    @abstractmethod
    def token(self, queue: str) -> Any:
        """Return what a flag raised now by ``queue`` tells its receivers."""

    @abstractmethod
    def receive(self, line: Line, event: int, queue: str, tokens: list[Any]) -> None:
        """Learn from a flag."""

    @abstractmethod
    def set_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Raise a flag."""

    @abstractmethod
    def wait_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Wait for a flag, and lower it."""

    @abstractmethod
    def barrier(self, line: Line, queue: str | None) -> None:
        """Let a queue finish."""

    # ---- for people who look for a mistake ------------------------------------------------------

    def print_line(self, line: Line, text: str, values: Sequence[Value]) -> None:
        """Print a line; but for the core that computes, do nothing."""
        return

    def require(self, line: Line, condition: Value, text: str) -> None:
        """End the run with a text unless a condition holds; here, do nothing."""
        return

    # ---- instructions: see `tiledsl.npu.program` ------------------------------------------------

    @abstractmethod
    def copy_in(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], length: Value, pad: Value,
        left: Value = 0,
    ) -> None:  # fmt: skip
        """Copy rows from global memory to UB."""

    @abstractmethod
    def copy_out(
        self, line: Line, dst: Spot, src: Place, shape: Sequence[Value],
        dst_strides: Sequence[Value], src_strides: Sequence[Value], length: Value, atomic: str,
    ) -> None:  # fmt: skip
        """Copy rows from UB to global memory."""

    @abstractmethod
    def fill(self, line: Line, dst: Place, value: Value, count: Value) -> None:
        """Set elements to a value."""

    @abstractmethod
    def write_scalar(self, line: Line, dst: Place, value: Value) -> None:
        """Set one element to a number."""

    @abstractmethod
    def iota(self, line: Line, dst: Place, first: Value, count: Value) -> None:
        """Set elements to consecutive numbers."""

    @abstractmethod
    def unary(self, line: Line, op: str, dst: Place, src: Place, count: Value) -> None:
        """Apply an op to elements."""

    @abstractmethod
    def binary(
        self, line: Line, op: str, dst: View, a: View, b: View, rows: Value, cols: Value
    ) -> None:
        """Apply an op to two views."""

    @abstractmethod
    def with_scalar(
        self, line: Line, op: str, dst: Place, src: Place, value: Value, count: Value
    ) -> None:
        """Apply an op to elements and a number."""

    @abstractmethod
    def convert(self, line: Line, dst: Place, src: Place, mode: str, count: Value) -> None:
        """Convert elements to another type."""

    @abstractmethod
    def compare(
        self, line: Line, op: str, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Compare elements into a mask."""

    @abstractmethod
    def select(
        self, line: Line, dst: Place, mask: Place, a: Place, b: Place | Value, count: Value
    ) -> None:
        """Choose elements by a mask."""

    @abstractmethod
    def spread(self, line: Line, dst: Place, src: Place, count: Value) -> None:
        """Write each element all over a block of 32 bytes."""

    @abstractmethod
    def expand(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Write out a broadcast view."""

    @abstractmethod
    def row_reduce(
        self, line: Line, op: str, dst: Place, src: View, scratch: Place, rows: Value, cols: Value,
        identity: Value, blocks: bool = False,
    ) -> None:  # fmt: skip
        """Fold each row into one element."""

    @abstractmethod
    def col_reduce(
        self, line: Line, op: str, dst: Place, src: View, rows: Value, cols: Value, identity: Value
    ) -> None:
        """Fold all rows into one."""

    @abstractmethod
    def transpose(self, line: Line, dst: View, src: View, rows: Value, cols: Value) -> None:
        """Exchange rows and columns."""

    @abstractmethod
    def gather(self, line: Line, dst: Place, src: Place, offsets: Place, count: Value) -> None:
        """Pick elements by byte offsets."""

    @abstractmethod
    def read_scalar(self, line: Line, src: Place) -> Value:
        """Return an element as a number."""

    @abstractmethod
    def load_nz(
        self, line: Line, dst: Place, src: Spot, rows: Value, cols: Value, src_stride: Value,
        dst_rows: Value,
    ) -> None:  # fmt: skip
        """Copy a matrix from global memory to L1."""

    @abstractmethod
    def load_window(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], rows: Value, cols: Value,
        src_stride: Value, dst_rows: Value, skip: Value, clear: Value,
    ) -> None:  # fmt: skip
        """Copy rows of a matrix that lie apart from global memory to L1."""

    @abstractmethod
    def load_a(
        self, line: Line, dst: Place, src: Place, m: Value, k: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Copy the left matrix from L1 to L0A."""

    @abstractmethod
    def load_b(
        self, line: Line, dst: Place, src: Place, k: Value, n: Value, src_rows: Value,
        transposed: bool,
    ) -> None:  # fmt: skip
        """Copy the right matrix from L1 to L0B."""

    @abstractmethod
    def mmad(
        self, line: Line, dst: Place, a: Place, b: Place, m: Value, n: Value, k: Value, first: Value
    ) -> None:
        """Multiply matrices into L0C."""

    @abstractmethod
    def fixpipe(
        self, line: Line, dst: Spot, src: Place, m: Value, n: Value, dst_stride: Value, dtype: DType
    ) -> None:
        """Copy a product from L0C to global memory."""

    @abstractmethod
    def drain(
        self, line: Line, dst: View, src: Place, scratch: Place, m: Value, n: Value
    ) -> None:
        """Copy a product from L0C to UB, on a unified core."""

    @abstractmethod
    def feed(
        self, line: Line, dst: Place, src: View, rows: Value, cols: Value, dst_rows: Value
    ) -> None:
        """Copy a matrix from UB to L1, on a unified core."""


def run_together(
    functions: Sequence[Callable[[Any], Iterator[None] | None]], cores: Sequence[Core]
) -> None:
    """Run each function on its core; where one waits for a cross-core flag, the others go on."""
    running: list[Iterator[None]] = []
    for function, core in zip(functions, cores, strict=True):
        steps = function(core)
        if steps is not None:
            running.append(steps)
    while running:
        before = cores[0].crossing.moves
        still = [steps for steps in running if next(steps, _ENDED) is not _ENDED]
        if len(still) == len(running) and cores[0].crossing.moves == before:
            raise DeadlockError("every core of the block waits for a cross-core flag")
        running = still


_ENDED: Any = object()
