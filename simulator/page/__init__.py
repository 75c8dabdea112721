"""The profile as one page for a browser: all that it needs is in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from tiledsl.simulator.figures import Figures, Roof, Row, head, percents
from tiledsl.simulator.timeline import lives
from tiledsl.simulator.trace import QUEUES, Trace, where
from tiledsl.source import Source


@dataclass(frozen=True, slots=True)
class Shown:
    """One launch as the page shows it; ``bottleneck`` is a sentence."""

    trace: Trace
    figures: Figures
    sources: Mapping[str, Source]
    bottleneck: str


def page(launches: Sequence[Shown]) -> str:
    """Return the text of the page, which needs neither network nor other files."""
    title = ", ".join(dict.fromkeys(launch.figures.kernel for launch in launches))
    shown = [_launch(launch) for launch in launches]
    # `</` would end the script element, wherever it stands.
    words = json.dumps(shown, separators=(",", ":")).replace("</", "<\\/")
    text = _file("page.html")
    for mark, part in (
        ("{{ title }}", _escaped(title)),
        ("{{ style }}", _file("page.css")),
        ("{{ script }}", _file("page.js")),
        ("{{ launches }}", words),
    ):
        text = text.replace(mark, part, 1)
    return text


def _launch(shown: Shown) -> dict[str, Any]:
    """Return what the script draws; times are rounded to tenths of a cycle."""
    trace, found = shown.trace, shown.figures
    home = trace.program.span.source.name
    tracks = [(c, q) for c in trace.tallies for q in QUEUES if trace.tallies[c].get(("busy", q))]
    busy = {(queue.core, queue.name): queue.busy for queue in found.queues}
    ops: dict[str, int] = {}
    lines: dict[str, int] = {}
    words: dict[str, int] = {}
    slices = [
        [
            tracks.index((s.core, s.queue)), round(s.start, 1), round(s.end - s.start, 1),
            ops.setdefault(s.op, len(ops)), lines.setdefault(where(s.line, home), len(lines)),
            words.setdefault(s.words, len(words)),
        ]
        for s in trace.slices if (s.core, s.queue) in tracks
    ]  # fmt: skip
    held = [
        [life.core, life.memory, life.buffer, life.slot, life.offset, life.size,
         round(life.start, 1), round(life.end, 1),
         lines.setdefault(where(life.line, home), len(lines))]
        for life in lives(trace)
    ]  # fmt: skip
    return {
        "head": head(found),
        "kernel": found.kernel,
        "bottleneck": shown.bottleneck,
        "cycles": round(found.cycles),
        "block": round(trace.block_cycles, 1),
        "mhz": trace.chip.mhz,
        "tracks": [[core, queue, round(busy[core, queue], 4)] for core, queue in tracks],
        "slices": slices,
        "gaps": [[g.core, round(g.start, 1), round(g.end, 1), g.trips] for g in trace.gaps],
        "ops": list(ops),
        "lines": list(lines),
        "words": list(words),
        "lives": held,
        "notes": _notes(trace),
        "capacity": dict(found.capacity),
        "moved": dict(found.moved),
        "opRows": _table(found.ops),
        "lineRows": _table(found.lines),
        "roofs": [_roof(roof) for roof in found.roofs],
        "sources": {
            name: source.text.split("\n") for name, source in sorted(shown.sources.items())
        },
    }


def _table(rows: Sequence[Row]) -> list[list[Any]]:
    shares = percents(row.share for row in rows)
    return [
        [row.name, round(row.count), round(row.cycles, 1), round(row.average, 1), percent]
        for row, percent in zip(rows, shares, strict=True)
    ]


def _roof(roof: Roof) -> dict[str, Any]:
    return {
        "unit": roof.unit, "dtype": roof.dtype, "reached": roof.reached, "peak": roof.peak,
        "bandwidth": roof.bandwidth, "cache": roof.cache,
        "intensity": roof.intensity if roof.bytes else None,
        "attainable": roof.attainable, "bound": roof.bound,
    }  # fmt: skip


def _notes(trace: Trace) -> dict[str, str]:
    """Return what lives in each buffer, in the words of the ``.tile`` file."""
    return {b.name: b.note for core in trace.program.cores for b in core.buffers if b.note}


def _file(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
