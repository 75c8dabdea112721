"""What is told about the ``where`` lines of schedules, and about the sizes that they leave."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tiledsl.check.errors import Finding, near
from tiledsl.check.type_errors import quoted


@dataclass(frozen=True)
class BadLimit(Finding):
    """A ``where`` of a schedule that says more than whole numbers can."""

    code: ClassVar[str] = "S129"
    what: str

    @property
    def message(self) -> str:
        """Say what stands there."""
        return f"a `where` of a schedule compares whole numbers; {self.what}"

    @property
    def help(self) -> str | None:
        """List what it may be made of."""
        return (
            "it takes tile sizes, `target.NAME`, whole numbers, `+ - * // %`, `min`, `max`, "
            "comparisons, `and`, `or`, `not`"
        )


@dataclass(frozen=True)
class UnknownFact(Finding):
    """A number of the target that it has not: ``target.smem`` on an NPU."""

    code: ClassVar[str] = "S130"
    name: str
    without: tuple[str, ...]
    known: tuple[str, ...] = field(compare=False)
    target: str = ""

    @property
    def message(self) -> str:
        """Name those that lack it."""
        lacking = f" on {' and '.join(self.without[:3])}" if self.without else ""
        return f"there is no `target.{self.name}`{lacking}"

    @property
    def label(self) -> str:
        """Say for what the schedule is."""
        return f"this schedule is for {self.target or 'every target that has none of its own'}"

    @property
    def help(self) -> str | None:
        """Offer the nearest, or list them."""
        close = near(self.name, self.known)
        if close is not None:
            return close
        if self.known:
            return f"it has {quoted(self.known)}"
        return "say what it is for: `schedule NAME for ascend910b:`"


@dataclass(frozen=True)
class NotComputed(Finding):
    """A ``where`` whose numbers cannot be computed, or that leaves too much to try."""

    code: ClassVar[str] = "S131"
    reason: str
    sizes: tuple[tuple[str, int], ...] = ()

    @property
    def message(self) -> str:
        """Say why not."""
        return f"this `where` cannot be settled: {self.reason}"

    @property
    def reasons(self) -> tuple[tuple[None, str], ...]:
        """Give the sizes with which it was tried."""
        sizes = ", ".join(f"{name} = {size}" for name, size in self.sizes[:8])
        return ((None, f"tried with {sizes}"),) if sizes else ()

    @property
    def help(self) -> str | None:
        """Ask for less."""
        return "let `tune` offer fewer sizes" if "combinations" in self.reason else None


@dataclass(frozen=True)
class NoChoice(Finding):
    """Tile sizes of which no combination satisfies the ``where`` lines of their schedule."""

    code: ClassVar[str] = "S132"
    kernel: str
    target: str
    tried: int
    cases: tuple[str, ...]
    sizes: tuple[str, ...]
    opened: bool

    @property
    def message(self) -> str:
        """Say how many were tried."""
        if not self.opened:
            return f"the tile sizes of `{self.kernel}` do not satisfy this on {self.target}"
        return (
            f"no choice of `tune` for `{self.kernel}` satisfies this on {self.target}"
            f" ({self.tried:,} tried)"
        )

    @property
    def reasons(self) -> tuple[tuple[None, str], ...]:
        """Give the numbers of what was tried first."""
        return tuple((None, case) for case in self.cases)

    @property
    def help(self) -> str | None:
        """Say where sizes come from."""
        if not self.opened:
            first = "".join(f": `tune {name} in (64, 128)`" for name in self.sizes[:1])
            return f"set other sizes, or open them to a choice{first}"
        return (
            f"offer other sizes of {quoted(self.sizes)}, or write a schedule of its own "
            f"for {self.target}"
        )


@dataclass(frozen=True)
class NotHeld(Finding):
    """Tile sizes that do not satisfy a ``where``, for no schedule sets them all."""

    code: ClassVar[str] = "W602"
    severity: ClassVar[Literal["error", "warning"]] = "warning"
    target: str
    case: str
    free: tuple[str, ...]

    @property
    def message(self) -> str:
        """Say what is built."""
        return f"what is built for {self.target} does not satisfy this: {self.case}"

    @property
    def help(self) -> str | None:
        """Name the sizes that nobody has set."""
        if not self.free:
            return "sizes are taken as far as they fit: set smaller ones"
        choices = ", ".join(f"{name} in (64, 128)" for name in self.free)
        return f"nobody sets {quoted(self.free)}, so the compiler does: `tune {choices}` opens it"
