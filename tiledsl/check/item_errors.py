"""What the checker tells about references, schedules and tests."""

from dataclasses import dataclass, field
from typing import ClassVar

from tiledsl.check.errors import Finding, near
from tiledsl.check.type_errors import quoted


@dataclass(frozen=True)
class NotInKernel(Finding):
    """A schedule or a test that names what its kernel has not."""

    code: ClassVar[str] = "N121"
    name: str
    kind: str
    kernel: str
    known: tuple[str, ...] = field(compare=False)

    @property
    def message(self) -> str:
        """Say what it is not."""
        return f"`{self.name}` is no {self.kind} of `{self.kernel}`"

    @property
    def help(self) -> str | None:
        """Offer the nearest name, or list them."""
        if not self.known:
            return f"`{self.kernel}` has none"
        return near(self.name, self.known) or f"it has {quoted(self.known[:8])}"


@dataclass(frozen=True)
class BadTileSize(Finding):
    """A tile size that is no whole number from 1 on."""

    code: ClassVar[str] = "S122"
    name: str

    @property
    def message(self) -> str:
        """Say what it has to be."""
        return f"the tile size `{self.name}` is a whole number, at least 1"

    @property
    def help(self) -> str | None:
        """Spell both forms."""
        return f"write `{self.name} = 128`, or open a search: `tune {self.name} in (64, 128)`"


@dataclass(frozen=True)
class BadDirective(Finding):
    """A directive whose number or place is none that it can have."""

    code: ClassVar[str] = "S128"
    word: str
    expected: str

    @property
    def message(self) -> str:
        """Say what it takes."""
        return f"`{self.word}` takes {self.expected}"


@dataclass(frozen=True)
class UnknownTarget(Finding):
    """A schedule for what nothing is built for."""

    code: ClassVar[str] = "S127"
    target: str
    known: tuple[str, ...] = field(compare=False)

    @property
    def message(self) -> str:
        """Name it."""
        return f"there is no target `{self.target}`"

    @property
    def help(self) -> str | None:
        """Offer the nearest, or list them."""
        return near(self.target, self.known) or f"there are {quoted(self.known)}"


@dataclass(frozen=True)
class UnknownInputs(Finding):
    """A ``given`` that draws from no known source."""

    code: ClassVar[str] = "N123"
    known: tuple[str, ...] = field(compare=False)

    @property
    def message(self) -> str:
        """Say what is wanted."""
        return "inputs are a number, or drawn by a function"

    @property
    def help(self) -> str | None:
        """List the functions."""
        return f"there are {quoted(self.known)}"


@dataclass(frozen=True)
class FreeIndex(Finding):
    """A free index of a reference whose extent is not clear."""

    code: ClassVar[str] = "N124"
    name: str
    dims: tuple[str, ...]

    @property
    def message(self) -> str:
        """Say what it indexes."""
        return f"`{self.name}` indexes {quoted(self.dims)} here"

    @property
    def label(self) -> str:
        """Say what is not clear."""
        return "which of them it runs over is not clear"

    @property
    def help(self) -> str | None:
        """Spell the span."""
        return f"say it first: `span {self.name} in {self.dims[0]}`"


@dataclass(frozen=True)
class NotStated(Finding):
    """A reference that leaves an output out."""

    code: ClassVar[str] = "N125"
    name: str
    outputs: tuple[str, ...]

    @property
    def message(self) -> str:
        """Name the outputs."""
        return f"the reference of `{self.name}` does not say what {quoted(self.outputs)} is"

    @property
    def help(self) -> str | None:
        """Spell the line."""
        return f"add a line `{self.outputs[0]}[...] = ...`"


@dataclass(frozen=True)
class CaseShape(Finding):
    """A case whose values do not match its names."""

    code: ClassVar[str] = "N126"
    names: int

    @property
    def message(self) -> str:
        """Say what is wanted."""
        if self.names == 1:
            return "the values of a case stand in parentheses"
        return f"each value of this case is a tuple of {self.names}"

    @property
    def help(self) -> str | None:
        """Spell the form."""
        return "write `N in (1, 31)`, or `(M, N) in ((1, 2), (3, 4))`"
