"""The values that a program computes: programs of equal sizes run together, chunk by chunk."""

import re
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import numpy as np

from tiledsl.backends.numpy import emit
from tiledsl.npu.program import Program
from tiledsl.ops.registry import Array
from tiledsl.scalar import Element
from tiledsl.simulator.compute import Undo
from tiledsl.simulator.core import CUBE, Crossing, Launch, prepare, run_together
from tiledsl.simulator.lanes import POISON, Lanes, OutOfPlaceError
from tiledsl.simulator.matrix import CubeCore
from tiledsl.simulator.meeting import MarkingCore, Marks
from tiledsl.simulator.places import GlobalArea, NotUniformError, Number
from tiledsl.simulator.walk import reads_scalars, together
from tiledsl.source import Span

# So many bytes of buffers run at once: they stay in the processor's cache, and NumPy's calls
# are few for what they do.
CHUNK_BYTES = 16 << 20

Function = Callable[[Any], Iterator[None] | None]


@dataclass(frozen=True, slots=True, eq=False)
class Runnable:
    """A program as a module of some text, and the function and index of each of a block's cores.

    ``indexed`` are the tensors whose elements are in scalars; ``reads_scalars`` tells that numbers
    come out of tiles. ``launches`` is what `tiledsl.simulator.known` keeps.
    """

    program: Program
    module: ModuleType
    text: str
    functions: tuple[Function, ...]
    indices: tuple[int, ...]
    indexed: tuple[str, ...]
    reads_scalars: bool
    launches: OrderedDict[Any, Any] = field(default_factory=OrderedDict)


def run(
    program: Program,
    arrays: Mapping[str, Array],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
) -> None:
    """Run ``program`` on ``arrays``, in place; they must be contiguous."""
    launch = prepare(program, arrays, dims, scalars)
    runnable = load(program)
    run_values(runnable, launch, classes(runnable, launch))


def run_values(
    runnable: Runnable, launch: Launch, groups: Sequence[Array], marks: Marks | None = None
) -> None:
    """Run the programs of each class, in chunks; with ``marks`` note who writes what."""
    many = max(1, CHUNK_BYTES // max(1, _bytes_of(runnable.program)))
    make = CubeCore if marks is None else partial(MarkingCore, marks)
    lanes: list[Lanes] | None = None
    try:
        with np.errstate(all="ignore"):
            for group in groups:
                for first in range(0, len(group), many):
                    chunk = group[first : first + many]
                    lanes = _run_parts(runnable, launch, chunk, lanes, make)
    except (OutOfPlaceError, NotUniformError) as fault:
        text = f"{_line_of(fault, runnable)}: {fault}"
        if isinstance(fault, NotUniformError):
            raise NotUniformError(text, fault.values) from fault
        raise OutOfPlaceError(text) from fault


def classes(runnable: Runnable, launch: Launch) -> list[Array]:
    """Return the numbers of the programs that can run together, for each class.

    Where the program cannot tell, all run at once, without any work, until they part. Those whose
    ways rest on numbers out of tiles may part later, when these are known.
    """
    total = count_programs(runnable, launch)
    numbers = np.arange(total, dtype=np.int64)
    if runnable.program.uniform is None and total:
        return together(runnable.functions, runnable.indices, launch, numbers)
    columns = []
    for name, index in zip(_core_names(runnable.program), runnable.indices, strict=True):
        asker = _Asker(launch, numbers, index)
        sizes = getattr(runnable.module, f"{name}_sizes")(asker)
        columns += [np.broadcast_to(np.asarray(size, np.int64), (total,)) for size in sizes]
    if not columns or total == 0:
        return [numbers] if total else []
    keys = np.stack(columns)
    _, where = np.unique(keys, axis=1, return_inverse=True)
    where = where.reshape(-1)
    order = np.argsort(where, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(where[order])) + 1)


def count_programs(runnable: Runnable, launch: Launch) -> int:
    """Return the number of grid programs."""
    return int(runnable.module.programs(_Asker(launch, np.zeros(1, np.int64), 0)))


@lru_cache(maxsize=64)
def _load(kept: "_ById") -> Runnable:
    program = kept.program
    ((name, text),) = emit(program).items()
    module = ModuleType(f"<{name}>")
    exec(compile(text, module.__name__, "exec"), module.__dict__)
    names = _core_names(program)
    functions = tuple(getattr(module, n) for n in names)
    indices = (CUBE, 0, 1) if program.mixed else (0,)
    indexed = tuple(sorted({e.tensor.name for e in _elements(program)}))
    reads = reads_scalars(program)
    return Runnable(program, module, text, functions, indices, indexed, reads)


def _elements(part: object) -> Iterator[Element]:
    """Yield the elements of tensors that are in the scalars of a part of a program."""
    if isinstance(part, Element):
        yield part
    if isinstance(part, tuple):
        for item in part:
            yield from _elements(item)
    elif is_dataclass(part) and not isinstance(part, Span):
        for item in fields(part):
            yield from _elements(getattr(part, item.name))


def load(program: Program) -> Runnable:
    """Return the program's module, made once."""
    return _load(_ById(program))


@dataclass(frozen=True, slots=True, eq=False)
class _ById:
    """A program as a key: known by identity, for comparing whole trees is slow."""

    program: Program

    def __hash__(self) -> int:
        return id(self.program)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.program is other.program


def _core_names(program: Program) -> tuple[str, ...]:
    """Return the function of each core of a block; a vector core comes twice beside a cube."""
    if program.mixed:
        return "cube", "vector", "vector"
    return (program.cores[0].core.value,)


def _bytes_of(program: Program) -> int:
    """Return the bytes that one grid program takes on all cores of its block."""
    total = 0
    for name, core in ((c.core.value, c) for c in program.cores):
        twice = 2 if program.mixed and name == "vector" else 1
        total += twice * sum(b.size * b.slots for b in core.buffers)
    return total + sum(w.slots * w.elements * w.dtype.size for w in program.workspaces)


class _Asker(CubeCore):
    """A core that is only asked for sizes."""

    def __init__(self, launch: Launch, program: Array, index: int) -> None:
        super().__init__(launch, program, Lanes(0), {}, index=index, crossing=Crossing())


def _run_parts(
    runnable: Runnable, launch: Launch, numbers: Array, kept: list[Lanes] | None,
    make: Callable[..., CubeCore],
) -> list[Lanes] | None:  # fmt: skip
    """Run some programs at once, and where numbers out of tiles part them, each part anew."""
    if not runnable.reads_scalars:
        return _run_chunk(runnable, launch, numbers, kept, make)
    undo: Undo = []
    try:
        return _run_chunk(runnable, launch, numbers, kept, make, undo)
    except NotUniformError as parting:
        _, ways = np.unique(np.broadcast_to(parting.values, numbers.shape), return_inverse=True)
    for there, before in reversed(undo):
        there[...] = before
    if not ways.any():  # NaN, which is not even the same as itself
        ways = np.arange(len(numbers))
    for way in range(int(ways.max()) + 1):
        kept = _run_parts(runnable, launch, numbers[ways == way], kept, make)
    return kept


def _run_chunk(
    runnable: Runnable, launch: Launch, numbers: Array, kept: list[Lanes] | None,
    make: Callable[..., CubeCore], undo: Undo | None = None,
) -> list[Lanes]:  # fmt: skip
    """Run some programs at once; return their memories for the next chunk."""
    count, crossing = len(numbers), Crossing()
    spaces = {
        w.name: GlobalArea(
            w.name,
            w.dtype,
            np.full(count * w.slots * w.elements * w.dtype.size, POISON, np.uint8),
            w.slots,
            w.elements,
        )
        for w in runnable.program.workspaces
    }
    lanes = [
        Lanes(count, kept[i] if kept else None) for i in range(len(runnable.functions))
    ]
    cores = [
        make(launch, numbers, own, spaces, index=index, crossing=crossing)
        for own, index in zip(lanes, runnable.indices, strict=True)
    ]
    for core in cores:
        core.undo = undo
    run_together(runnable.functions, cores)
    return lanes


def _line_of(fault: Exception, runnable: Runnable) -> str:
    """Return the line of .tile that the module's call names in which ``fault`` was raised."""
    frames = traceback.extract_tb(fault.__traceback__)
    rows = [f.lineno for f in frames if f.filename == runnable.module.__name__]
    text = runnable.text.splitlines()[rows[-1] - 1] if rows and rows[-1] else ""
    home = runnable.program.span.source.name
    number = re.search(r"core\.\w+\((\d+|'[^']*')", text)
    if number is None:
        return home
    return f"{home}:{number[1]}" if number[1].isdigit() else number[1].strip("'")
