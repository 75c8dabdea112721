"""What the compiler tells its user.

A diagnostic is a frozen dataclass: its fields are the facts, its properties put them into words.
A stage gathers all it has to say and raises one `CompileError`. Codes are stable: ``P`` for
syntax, ``N`` names, ``T`` types, ``B`` bounds, ``R`` races and coverage, ``S`` schedules and
capacity, ``L`` what a target cannot do, ``W`` warnings. Each stage keeps its classes in a module
of its own (``syntax/errors.py``, ``check/errors.py``, …).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from tiledsl.source import Span


@dataclass(frozen=True)
class Diagnostic(ABC):
    """One thing that is wrong, and where."""

    code: ClassVar[str]
    severity: ClassVar[Literal["error", "warning"]] = "error"
    span: Span

    @property
    @abstractmethod
    def message(self) -> str:
        """Say what is wrong, in one line without a full stop."""

    @property
    def label(self) -> str:
        """Say what is wrong with the text that is underlined."""
        return ""

    @property
    def help(self) -> str | None:
        """Say what to write instead."""
        return None

    @property
    def notes(self) -> tuple[tuple[Span | None, str], ...]:
        """Facts that the message rests on, each with its place where it has one."""
        return ()

    def render(self) -> str:
        """Draw the message over the line of source it is about."""
        lines = [f"{self.span!r}: {self.severity}[{self.code}]: {self.message}"]
        lines += _excerpt(self.span, self.label)
        for span, text in self.notes:
            where = f"{span!r}: " if span is not None else ""
            lines.append(f"  = note: {where}{text}".replace("\n", "\n    "))
        if self.help:
            lines.append(f"  = help: {self.help}")
        return "\n".join(lines) + "\n"

    def json(self) -> dict[str, Any]:
        """Return the same facts for a program to read; columns count from one."""
        line, column = self.span.source.position(self.span.start)
        end_line, end_column = self.span.source.position(self.span.end)
        return {
            "file": self.span.source.name,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "label": self.label,
            "notes": [text for _, text in self.notes],
            "help": self.help,
        }


def _excerpt(span: Span, label: str) -> list[str]:
    line, column = span.source.position(span.start)
    source_line = span.source.line(line)
    margin = " " * len(str(line))
    width = max(1, min(span.end - span.start, len(source_line) - column + 1))
    if len(source_line) > 160:  # a hostile line must not flood the terminal
        first = max(0, column - 60)
        source_line, column = source_line[first : first + 140], column - first
        width = min(width, len(source_line) - column + 1)
    pad = "".join("\t" if c == "\t" else " " for c in source_line[: column - 1])
    return [
        f"{margin} |",
        f"{line} | {source_line}".rstrip(),
        f"{margin} | {pad}{'^' * max(width, 1)} {label}".rstrip(),
    ]


class CompileError(Exception):
    """A stage could not go on; ``diagnostics`` say why."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(d.render() for d in self.diagnostics))


@dataclass
class Report:
    """What a stage has found so far; the same mistake at the same place is kept once."""

    found: list[Diagnostic] = field(default_factory=list)

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep ``diagnostic`` unless an equal one is there."""
        if diagnostic not in self.found:
            self.found.append(diagnostic)

    @property
    def errors(self) -> list[Diagnostic]:
        """The diagnostics that stop a build."""
        return [d for d in self.found if d.severity == "error"]

    def raise_errors(self) -> None:
        """Raise what was found, in order of place, if any of it is an error."""
        if self.errors:
            raise CompileError(
                sorted(self.errors, key=lambda d: (d.span.source.name, d.span.start))
            )
