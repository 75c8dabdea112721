"""A trace over time: what memory holds when, and the trace events that Perfetto opens."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tiledsl.simulator.core import Line
from tiledsl.simulator.trace import QUEUES, Trace, where

_Key = tuple[str, str, str, int, int]


@dataclass(frozen=True, slots=True)
class Life:
    """One slot of a buffer from a first write to the last read before it is written anew."""

    core: str
    memory: str
    buffer: str
    slot: int
    offset: int
    size: int
    start: float
    end: float
    line: Line


def lives(trace: Trace) -> list[Life]:
    """Return what each slot of a buffer holds, and for how long."""
    touched: dict[_Key, list[tuple[float, float, bool, bool, Line]]] = {}
    sizes: dict[_Key, int] = {}
    for piece in trace.slices:
        kinds: dict[_Key, tuple[bool, bool]] = {}
        for touch in piece.touches:
            key = (piece.core, touch.memory, touch.name, touch.slot, touch.offset)
            reads, writes = kinds.get(key, (False, False))
            kinds[key] = (reads or not touch.written, writes or touch.written)
            sizes[key] = touch.size
        for key, (reads, writes) in kinds.items():
            moment = (piece.start, piece.end, reads, writes, piece.line)
            touched.setdefault(key, []).append(moment)
    found: list[Life] = []
    for key, moments in touched.items():
        core, memory, buffer, slot, offset = key
        for start, end, line in _spans(sorted(moments, key=lambda m: m[:2])):
            found.append(Life(core, memory, buffer, slot, offset, sizes[key], start, end, line))
    return found


def peak_in_use(found: Iterable[Life]) -> dict[tuple[str, str], int]:
    """Return the most bytes of each memory of each core that hold something at one time."""
    return {key: max(size for _, size in steps) for key, steps in _in_use(found).items()}


def chrome_trace(traces: Sequence[Trace]) -> dict[str, Any]:
    """Return the traces of launches, one after the other, in the format of Chrome's tracing.

    A core is a process, a queue a thread; the bytes in use of each memory are counters. Times are
    microseconds of the chip.
    """
    events: list[dict[str, Any]] = []
    begin, cores = 0.0, list(dict.fromkeys(core for trace in traces for core in trace.tallies))
    for number, core in enumerate(cores, 1):
        events.append(_meta("process_name", number, 0, core))
        events += [_meta("thread_name", number, i, name) for i, name in enumerate(QUEUES, 1)]
    for trace in traces:
        mhz, home = trace.chip.mhz, trace.program.span.source.name
        outer = trace.timing.cycles - trace.block_cycles
        for piece in trace.slices:
            events.append({
                "name": piece.op, "cat": trace.program.name, "ph": "X",
                "ts": begin + (outer + piece.start) / mhz, "dur": (piece.end - piece.start) / mhz,
                "pid": cores.index(piece.core) + 1, "tid": QUEUES.index(piece.queue) + 1,
                "args": {
                    "line": where(piece.line, home), "what": piece.words,
                    "cycles": round(piece.end - piece.start, 1), "kernel": trace.program.name,
                },
            })  # fmt: skip
        for (core, memory), steps in _in_use(lives(trace)).items():
            events += [
                {"name": f"{memory} bytes", "ph": "C", "ts": begin + (outer + at) / mhz,
                 "pid": cores.index(core) + 1, "args": {"in use": size}}
                for at, size in steps
            ]  # fmt: skip
        begin += trace.timing.cycles / mhz
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def _spans(
    moments: list[tuple[float, float, bool, bool, Line]],
) -> Iterator[tuple[float, float, Line]]:
    """Yield the spans from a fresh write to the last use before the next one."""
    begin, last, line = moments[0][0], moments[0][1], moments[0][4]
    was_read = moments[0][2]
    for start, end, reads, writes, where_ in moments[1:]:
        if writes and not reads and was_read:
            yield begin, last, line
            begin, line, was_read = start, where_, False
        was_read = was_read or reads
        last = max(last, end)
    yield begin, last, line


def _in_use(found: Iterable[Life]) -> dict[tuple[str, str], list[tuple[float, int]]]:
    """Return the bytes in use of each memory of each core, from each moment on."""
    changes: dict[tuple[str, str], dict[float, int]] = {}
    for life in found:
        own = changes.setdefault((life.core, life.memory), {})
        own[life.start] = own.get(life.start, 0) + life.size
        own[life.end] = own.get(life.end, 0) - life.size
    steps: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for key, own in changes.items():
        size = 0
        for at in sorted(own):
            size += own[at]
            steps.setdefault(key, []).append((at, size))
    return steps


def _meta(name: str, pid: int, tid: int, text: str) -> dict[str, Any]:
    return {"name": name, "ph": "M", "pid": pid, "tid": tid, "args": {"name": text}}
