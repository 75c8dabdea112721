"""Source text, and the spans that point into it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Source:
    """A named piece of text."""

    name: str
    text: str = field(repr=False)

    def position(self, offset: int) -> tuple[int, int]:
        """Return the one-based line and column of ``offset``."""
        before = self.text[:offset]
        return before.count("\n") + 1, offset - before.rfind("\n")

    def line(self, number: int) -> str:
        """Return line ``number``, counted from one, without its end."""
        lines = self.text.split("\n")
        return lines[number - 1].rstrip("\r") if number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """The characters from ``start`` up to ``end``."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        """The one-based line on which it starts."""
        return self.source.position(self.start)[0]

    def to(self, other: "Span") -> "Span":
        """Return the span from the start of this one to the end of ``other``."""
        return Span(self.source, self.start, other.end)

    def __repr__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"


NOWHERE = Span(Source("<built in>", ""), 0, 0)
