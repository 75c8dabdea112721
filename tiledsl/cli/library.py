"""What the library has: its files by topic, their kernels and functions, and the manual's page."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tiledsl.check import library
from tiledsl.syntax import tree
from tiledsl.syntax.parser import parse, read_source
from tiledsl.types import DTYPES


@dataclass(frozen=True, slots=True)
class Entry:
    """A kernel, an op or a function; ``dtypes`` are the element types that its arrays may have."""

    name: str
    doc: str
    dtypes: tuple[str, ...]
    schedules: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The first sentence of its comment."""
        end = self.doc.find(". ")
        return self.doc if end < 0 else self.doc[: end + 1]


@dataclass(frozen=True, slots=True)
class Topic:
    """A file of the library: what its first comment says, and its entries in order."""

    name: str
    doc: str
    kernels: tuple[Entry, ...]
    functions: tuple[Entry, ...]


def topic_names() -> tuple[str, ...]:
    """Return the names after `std.` in their order."""
    return tuple(topic.name for topic in topics())


def topics() -> list[Topic]:
    """Return the files of the library: those with kernels, then those of functions alone."""
    found = [_topic(name, path) for name, path in library().items()]
    return sorted(found, key=lambda topic: (not topic.kernels, topic.name))


def topic_lines(name: str | None = None) -> list[str]:
    """Return a line for each topic and each of its kernels: name, element types, meaning.

    Functions are listed where nothing else is, or under a ``name``.
    """
    chosen = [topic for topic in topics() if name in (None, topic.name)]
    listed = {topic: _listed(topic, name is not None) for topic in chosen}
    cells = [_cells(entry) for entries in listed.values() for entry in entries]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines: list[str] = []
    for topic, entries in listed.items():
        lines += ["", f"std.{topic.name}: {topic.doc}"]
        for entry in entries:
            columns = zip(_cells(entry), widths, strict=True)
            left = "  ".join(f"{cell:{width}}" for cell, width in columns)
            lines.append(f"  {left}  {entry.summary}".rstrip())
    return lines[1:]


def kernels_page() -> str:
    """Return docs/kernels.md."""
    found = topics()
    count = sum(len(topic.kernels) for topic in found)
    lines = [
        "# Kernels that come along",
        "",
        "Read off the library by `tiledsl list --markdown`.",
        "",
        f'{count} kernels and ops. `tiledsl.load("std:attention")` returns those of a topic;',
        "`from std.attention import flash_attention` makes one a step of an `op`; on the command",
        "line, `std:attention:flash_attention` stands where a file and its kernel do. Each has a",
        "test: `tiledsl test std:attention`. A schedule is named where it fixes tile sizes; the",
        "compiler chooses them elsewhere.",
        "",
    ]
    for topic in found:
        if topic.kernels:
            lines += [f"## {topic.name}", "", topic.doc, ""]
            lines += ["| kernel | element types | schedules | meaning |", "|---|---|---|---|"]
            lines += [_row(e, " ".join(e.dtypes), ", ".join(e.schedules)) for e in topic.kernels]
            lines.append("")
    lines += ["# Functions", "", "For use inside kernels: `from std.nn import relu`.", ""]
    for topic in found:
        if not topic.kernels:
            lines += [f"## {topic.name}", "", topic.doc, "", "| function | meaning |", "|---|---|"]
            lines += [_row(e) for e in topic.functions] + [""]
    return "\n".join(lines).rstrip() + "\n"


def _topic(name: str, path: Path) -> Topic:
    source = read_source(path)
    items = parse(source).items
    schedules = [item for item in items if isinstance(item, tree.Schedule)]
    kernels: list[Entry] = []
    functions: list[Entry] = []
    for item in items:
        match item:
            case tree.Kernel() | tree.Op():
                targets = tuple(s.target for s in schedules if s.name.id == item.name.id)
                kernels.append(Entry(item.name.id, _flat(item.doc), _dtypes(item), targets))
            case tree.Fn():
                form = f"{item.name.id}({', '.join(p.id for p in item.params)})"
                functions.append(Entry(form, _flat(item.doc), (), ()))
            case _:
                pass
    return Topic(name, _flat("\n".join(_head(source.text))), tuple(kernels), tuple(functions))


def _head(text: str) -> Iterator[str]:
    """Yield the lines of the comment that a file starts with."""
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        yield line.removeprefix("#").strip()


def _flat(doc: str) -> str:
    return " ".join(doc.split())


def _dtypes(item: tree.Kernel | tree.Op) -> tuple[str, ...]:
    """Return the choices of a generic kernel, else the element types of its arrays."""
    if item.generics:
        choices = (c.id for generic in item.generics for c in generic.choices)
    else:
        params = (p for p in (*item.params, *item.outputs) if p.type.dims is not None)
        choices = (p.type.name.id for p in params if p.type.name.id in DTYPES)
    return tuple(dict.fromkeys(choices))


def _listed(topic: Topic, named: bool) -> tuple[Entry, ...]:
    if named:
        return (*topic.kernels, *topic.functions)
    return topic.kernels or topic.functions


def _cells(entry: Entry) -> tuple[str, str]:
    return entry.name, " ".join(entry.dtypes)


def _row(entry: Entry, *cells: str) -> str:
    texts = (f"`{entry.name}`", *cells, entry.doc)
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
