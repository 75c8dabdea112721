"""Tables that the examples print, and write into a page with the day and the machine.

    page = Page("ResNet-50", "python examples/resnet50.py", output)
    page.table("Layers", [{"layer": "add", "launches": 1, "error": 0.5}], notes=["f16"])

A row is a mapping from headings to cells. Numbers stand right-aligned.
"""

import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Cell = str | int | float | None


class Page:
    """A page of tables: each is printed when it is made, and written to ``output`` if given."""

    def __init__(self, title: str, command: str, output: Path | None = None) -> None:
        self.lines = [f"# {title}", "", f"`{command}`, {today()}, {machine()}.", ""]
        self.output = output
        print("\n".join(self.lines), flush=True)

    def table(
        self, title: str, rows: Sequence[Mapping[str, Cell]], notes: Sequence[str] = ()
    ) -> None:
        """Add a table with a heading, and ``notes`` below it."""
        lines = [f"## {title}", "", *markdown(rows), "", *notes, *([""] if notes else [])]
        print("\n".join(lines), flush=True)
        self.lines += lines
        if self.output is not None:
            self.output.write_text("\n".join(self.lines).rstrip() + "\n", encoding="utf-8")


def markdown(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Return the lines of a Markdown table whose columns stand under each other."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    numeric = [all(not isinstance(row.get(n), str) for row in rows) for n in names]
    cells = [[text(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in [names, *cells]) for i in range(len(names))]
    widths = [max(width, 4) for width in widths]

    def line(words: Sequence[str]) -> str:
        padded = [
            word.rjust(width) if right else word.ljust(width)
            for word, width, right in zip(words, widths, numeric, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + (":" if right else "-")
        for width, right in zip(widths, numeric, strict=True)
    ]
    return [line(names), line(rule), *map(line, cells)]


def text(cell: Cell) -> str:
    """Return a cell's text: whole numbers with commas, others with three digits."""
    match cell:
        case None:
            return ""
        case str():
            return cell
        case int():
            return f"{cell:,}"
        case _:
            return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"


def today() -> str:
    """Return the day in UTC."""
    return str(datetime.datetime.now(datetime.UTC).date())


def machine() -> str:
    """Return the number and name of the processors, and the versions of Python and NumPy."""
    try:
        known = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        known = ""
    names = [s.split(":", 1)[1].strip() for s in known.splitlines() if "model name" in s]
    processor = names[0] if names else platform.processor()
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"{os.cpu_count()} cores of {processor}, {versions}"
