"""What the checker tells about stores, and about the steps of an op."""

from dataclasses import dataclass, field
from typing import ClassVar

from tiledsl.check.errors import Finding
from tiledsl.source import Span


@dataclass(frozen=True)
class CannotWrite(Finding):
    """A store to an input."""

    code: ClassVar[str] = "R301"
    name: str
    first: Span = field(compare=False)

    @property
    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` is an input, and is written"

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """Point at the parameter."""
        return ((self.first, f"`{self.name}` is declared here"),)

    @property
    def help(self) -> str | None:
        """Tell of inout."""
        return f"declare it `inout {self.name}: ...`, or write to an output after `->`"


@dataclass(frozen=True)
class AtomicNeedsInitial(Finding):
    """An atomic store to an output that starts undefined."""

    code: ClassVar[str] = "R302"
    name: str
    type: str
    first: Span = field(compare=False)
    start: str = "0"

    @property
    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` starts undefined, and `atomic` adds to what is there"

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """Point at the output."""
        return ((self.first, f"`{self.name}` is declared here"),)

    @property
    def help(self) -> str | None:
        """Spell the initial value."""
        return f"give it a first value: `{self.name}: {self.type} = {self.start}`"


@dataclass(frozen=True)
class NeverWritten(Finding):
    """A temporary or an output of an op that no step writes in time."""

    code: ClassVar[str] = "R304"
    name: str
    why: str

    @property
    def message(self) -> str:
        """Say what is wrong."""
        return f"`{self.name}` {self.why}"

    @property
    def help(self) -> str | None:
        """Say what to do."""
        return f"a step before must have it among its results: `... -> ({self.name})`"


@dataclass(frozen=True)
class StepMismatch(Finding):
    """An argument that a step's kernel does not take."""

    code: ClassVar[str] = "T228"
    kernel: str
    param: str
    want: str
    have: str
    first: Span = field(compare=False)

    @property
    def message(self) -> str:
        """Name both."""
        return f"`{self.param}` of `{self.kernel}` is `{self.want}`, not `{self.have}`"

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """Point at the parameter."""
        return ((self.first, f"`{self.param}` is declared here"),)


@dataclass(frozen=True)
class OneTileOnly(Finding):
    """A fold over one tile of the grid whose result is stored: it would hang on a tile size."""

    code: ClassVar[str] = "R305"
    range: str
    size: str
    first: Span = field(compare=False)

    @property
    def message(self) -> str:
        """Say what it is folded over, and on what the result hangs."""
        return (
            f"over `{self.range}` means over one tile of it here: what is stored would hang on the "
            f"tile size `{self.size}`"
        )

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """Point at the grid."""
        return ((self.first, f"each program has one tile of `{self.range}`"),)

    @property
    def help(self) -> str | None:
        """Tell of the three ways to have all of it."""
        name = self.range
        return (
            f"to fold all of it, take `{name}` out of the grid (`for {name} in ...`, or "
            f"`span {name} in ...`) or add the tiles up: `atomic y[...] += ...`; to fold blocks of "
            "a fixed length, write it: `by 32`"
        )
