"""A second opinion on flags: run a program's instructions in other orders that its flags allow.

It shares no reasoning with `tiledsl.simulator.hazards`. The instructions of one block are recorded,
then run queue by queue in random orders; bytes of one memory are the same bytes whatever buffer
names them; what a queue writes may land as late as its next barrier or flag. A missing flag
shows as a wrong value, or as a queue that waits for ever.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Core, Crossing, DeadlockError, Launch, Line
from tiledsl.simulator.follow import INSTRUCTIONS, copy_of, spaces_of
from tiledsl.simulator.lanes import POISON, Lanes
from tiledsl.simulator.matrix import CubeCore
from tiledsl.simulator.places import Area, GlobalArea, Place, Value, View, same
from tiledsl.simulator.values import Runnable

_QUEUE = {
    "copy_in": "MTE2", "load_nz": "MTE2", "copy_out": "MTE3", "feed": "MTE3", "load_a": "MTE1",
    "load_b": "MTE1", "mmad": "M", "fixpipe": "FIX", "read_scalar": "S", "write_scalar": "S",
}  # fmt: skip
_QUEUES = ("S", "MTE1", "MTE2", "MTE3", "V", "M", "FIX")
_LATE = ("V", "MTE1", "MTE2")  # queues whose writes on the chip may land late
_SIZES = {"UB": 1 << 18, "L1": 1 << 20, "L0A": 1 << 16, "L0B": 1 << 16, "L0C": 1 << 18}


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction or a flag: of a core's queue, issued after ``gates`` that hold the core."""

    core: int
    queue: str
    kind: str
    words: tuple[Any, ...]
    gates: int
    is_gate: bool


def outputs(runnable: Runnable, launch: Launch, seed: int | None) -> dict[str, Array]:
    """Return the bytes of each tensor after a run in some order; `None` is the order of issue."""
    launch = copy_of(launch)
    total = int(runnable.module.programs(_Recorder(launch, 0, {}, 0)))
    spaces = spaces_of(launch)
    cores = [_Recorder(launch, i, spaces, total) for i in runnable.indices]
    for function, core in zip(runnable.functions, cores, strict=True):
        for _ in function(core) or ():
            pass
    with np.errstate(all="ignore"):
        _Run(cores, seed).finish()
    return {t.name: launch.tensors[t.name].bytes for t in runnable.program.tensors}


class _ByAddress(Lanes):
    """Memories of one program in which buffers at one address are the same bytes."""

    keeps_tiles = False

    def __init__(self) -> None:
        super().__init__(1)
        self.memories = {m: np.full((1, size), POISON, np.uint8) for m, size in _SIZES.items()}

    def open(self, area: Area) -> None:
        """Let the buffer be bytes of its memory."""
        memory = self.memories[area.memory]
        self.arrays[area.name] = memory[:, area.offset : area.offset + area.size * area.slots]


class _Notes(Core):
    """A core that keeps what it is told to do."""

    def __init__(
        self, launch: Launch, index: int, spaces: dict[str, GlobalArea], total: int
    ) -> None:
        super().__init__(launch, index=index)
        self.spaces, self.total = spaces, total
        self.steps: list[Step] = []
        self.gates = 0
        self.program = np.zeros(1, np.int64)
        self.lanes = _ByAddress()
        self.twin = CubeCore(
            launch, self.program, self.lanes, spaces, index=index, crossing=Crossing()
        )

    def buffer(self, name: str, memory: str, offset: int, size: int, slots: int) -> Area:
        """Return the buffer's area, with bytes."""
        return self.twin.buffer(name, memory, offset, size, slots)

    def workspace(self, name: str) -> GlobalArea:
        """Return the block's scratch."""
        return self.spaces[name]

    def programs(self, line: Line, lo: Value, hi: Value, step: Value) -> Iterator[Value]:
        """Yield all programs, one after the other on one block."""
        yield from range(self.total)

    def keep(self, queue: str, kind: str, *words: Any, gate: bool = False) -> None:
        """Note a step; those of the scalar unit hold all that comes after."""
        gate = gate or queue == "S"
        self.steps.append(Step(self.index, queue, kind, words, self.gates, gate))
        self.gates += gate

    def set_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Note a flag."""
        self.keep(src, "set", (src, dst, same(event)))

    def wait_flag(self, line: Line, src: str, dst: str, event: Value) -> None:
        """Note a wait."""
        self.keep(dst, "wait", (src, dst, same(event)))

    def barrier(self, line: Line, queue: str | None) -> None:
        """Note a barrier."""
        self.keep(queue or "S", "barrier", queue)

    def cross_set(self, line: Line, event: int, queue: str) -> None:
        """Note a cross-core flag."""
        self.keep(queue, "cross set", event)

    def cross_wait(self, line: Line, event: int, queue: str) -> Iterator[None]:
        """Note a wait for a cross-core flag, which holds what is issued later."""
        self.keep(queue, "cross wait", event, gate=True)
        yield from ()

    def token(self, queue: str) -> None:
        """Tell nothing."""

    def receive(self, line: Line, event: int, queue: str, tokens: list[Any]) -> None:
        """Learn nothing."""


def _noting(name: str) -> Callable[..., Any]:
    queue = _QUEUE.get(name, "V")

    def method(self: _Notes, *words: Any) -> Any:
        assert name != "read_scalar", "what to do must not depend on values"
        self.keep(queue, "do", name, words)

    return method


_Recorder: Callable[..., _Notes] = type(
    "_Recorder", (_Notes,), {name: _noting(name) for name in INSTRUCTIONS}
)


class _Run:
    """The cores of one block, their queues and flags."""

    def __init__(self, cores: Sequence[_Notes], seed: int | None) -> None:
        self.cores = {core.index: core for core in cores}
        self.crossing = Crossing()
        self.flags: dict[tuple[int, Any], int] = {}
        self.passed = dict.fromkeys(self.cores, 0)
        self.seed = seed
        draw = random.Random(seed)
        names = [(core.index, queue) for core in cores for queue in _QUEUES]
        self.late = {name: draw.random() < 0.7 and seed is not None for name in names}
        self.landing: dict[tuple[int, str], list[tuple[Array, Array, Array]]] = {
            name: [] for name in names
        }
        draw.shuffle(names)
        self.queues = {name: deque[Step]() for name in names}
        for core in cores:
            for step in core.steps:
                self.queues[core.index, step.queue].append(step)
        self.places = {id(s): i for core in cores for i, s in enumerate(core.steps)}
        self.draw = draw

    def finish(self) -> None:
        """Run all steps."""
        order = list(self.queues)
        while any(self.queues.values()):
            ready = [name for name in order if self.queues[name] and self._ready(name)]
            if not ready:
                raise DeadlockError("every queue waits")
            if self.seed is None:
                name = min(ready, key=lambda n: self.places[id(self.queues[n][0])])
            else:  # mostly by rank, so that one queue runs far ahead of another
                name = ready[0] if self.draw.random() < 0.9 else self.draw.choice(ready)
            self._do(self.queues[name].popleft(), name)
        for name in self.landing:
            self._land(name)
        if any(self.flags.values()) or any(self.crossing.raised.values()):
            raise DeadlockError("a flag is up at the end")

    def _ready(self, name: tuple[int, str]) -> bool:
        step = self.queues[name][0]
        if step.gates > self.passed[step.core]:
            return False
        match step.kind:
            case "wait":
                return self.flags.get((step.core, step.words[0]), 0) > 0
            case "cross wait":
                receivers = (0, 1) if step.core == 2 else (2,)
                event = step.words[0]
                return all(self.crossing.raised.get((event, s, step.core)) for s in receivers)
            case "barrier" if step.words[0] is None:
                at = self.places[id(step)]
                heads = (q[0] for (c, _), q in self.queues.items() if c == step.core and q)
                return all(self.places[id(head)] >= at for head in heads)
        return True

    def _do(self, step: Step, name: tuple[int, str]) -> None:
        self.passed[step.core] += step.is_gate
        key = (step.core, step.words[0])
        match step.kind:
            case "do":
                self._compute(step, name)
            case "set":
                self._land(name)
                self.flags[key] = self.flags.get(key, 0) + 1
            case "wait":
                self.flags[key] -= 1
            case "barrier":
                for other in self.landing:
                    if other == name or (step.words[0] is None and other[0] == step.core):
                        self._land(other)
            case "cross set":
                self._land(name)
                self.crossing.lift(step.words[0], step.core, None)
            case "cross wait":
                self.crossing.lower(step.words[0], step.core)

    def _compute(self, step: Step, name: tuple[int, str]) -> None:
        """Do an instruction; where writes land late, put back what was there and keep the rest."""
        method, words = step.words
        core = self.cores[step.core]
        work = getattr(core.twin, method)
        place = next((w for w in words if isinstance(w, Place | View)), None)
        if step.queue not in _LATE or not self.late[name] or place is None:
            work(*words)
            return
        area = (place.place if isinstance(place, View) else place).area
        memory = core.lanes.memories[area.memory][0]
        before = memory.copy()
        work(*words)
        where = np.flatnonzero(before != memory)
        self.landing[name].append((memory, where, memory[where].copy()))
        memory[where] = before[where]

    def _land(self, name: tuple[int, str]) -> None:
        for memory, where, values in self.landing[name]:
            memory[where] = values
        self.landing[name].clear()
