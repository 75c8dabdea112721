"""What the prover tells: accesses outside, spans without a bound, races, outputs never stored."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tiledsl.diagnostics import Diagnostic
from tiledsl.source import Span


@dataclass(frozen=True)
class MayBeOutside(Diagnostic):
    """An index that is not proven to be inside, in an access without a default."""

    code: ClassVar[str] = "B101"
    tensor: str
    dim: int
    index: str
    size: str
    stores: bool
    missing: tuple[str, ...]
    divisors: tuple[str, ...]
    witness: str
    instead: str = ""  # the access with the ranges that run over its dims

    @property
    def message(self) -> str:
        """Name the index and the tensor."""
        return f"`{self.index}` may be outside of `{self.tensor}`"

    @property
    def label(self) -> str:
        """Name the dim and its size."""
        return f"dim {self.dim} of `{self.tensor}` has {_elements(self.size)}"

    @property
    def notes(self) -> tuple[tuple[Span | None, str], ...]:
        """Say what could not be derived, and where it fails."""
        lines = [f"not proven: {' and '.join(f'`{claim}`' for claim in self.missing)}"]
        lines += [f"`{each}` is a divisor and may be 0: `where {each} >= 1` rules that out"
                  for each in self.divisors]  # fmt: skip
        if self.witness:
            lines.append(self.witness)
        return tuple((None, line) for line in lines)

    @property
    def help(self) -> str:
        """Show the access with the ranges of its dims, or with a default."""
        word = "skip" if self.stores else "0"
        written = _with_default(self.span.text, word)
        if self.instead:
            return f"did you mean `{self.instead}`? Else write a default: `{written}`"
        if self.stores:
            return f"`else skip` drops what falls outside: `{written}`"
        return f"write a default: `{written}`"


@dataclass(frozen=True)
class NeedlessDefault(Diagnostic):
    """A default, or a skip, that nothing needs."""

    code: ClassVar[str] = "W501"
    severity: ClassVar[Literal["error", "warning"]] = "warning"
    tensor: str
    stores: bool

    @property
    def message(self) -> str:
        """Say that every index is inside."""
        what = "`else skip`" if self.stores else "the default"
        return f"{what} of this access is never used"

    @property
    def label(self) -> str:
        """Say that every index is inside."""
        return f"every index is proven to be inside of `{self.tensor}`"

    @property
    def help(self) -> str:
        """Say what to leave out."""
        return "leave out `else …`"


@dataclass(frozen=True)
class UnboundedSpan(Diagnostic):
    """A span whose extent has no bound at compile time."""

    code: ClassVar[str] = "B201"
    axis: str
    extent: str

    @property
    def message(self) -> str:
        """Name the span."""
        return f"span `{self.axis}` needs a bound"

    @property
    def label(self) -> str:
        """Say what is not known."""
        return "all of it is one tile, and nothing says how many positions that is at most"

    @property
    def help(self) -> str:
        """Show both ways out."""
        loop = f"`for {self.span.text} by B{self.axis.upper()}:`"
        if "[" in self.extent:  # a fact is about sizes, not about elements of tensors
            return f"an end at a known distance, `lo .. lo + 64`, or a loop: {loop}"
        return f"`where {self.extent} <= 8192`, or a loop: {loop}"


@dataclass(frozen=True)
class ProgramsCollide(Diagnostic):
    """A store that two programs of the grid may make to one element."""

    code: ClassVar[str] = "R101"
    tensor: str
    axis: str

    @property
    def message(self) -> str:
        """Name the tensor and the range."""
        return f"programs along `{self.axis}` write the same elements of `{self.tensor}`"

    @property
    def label(self) -> str:
        """Say what does not follow."""
        return f"`{self.axis}` does not follow from the indices"

    @property
    def help(self) -> str:
        """List the ways out."""
        return (f"index `{self.tensor}` by `{self.axis}`, loop over it in one program, or write "
                f"`atomic {self.tensor}[…] += …`; `disjoint {self.tensor}[…] = …` is a promise "
                "that they never meet")  # fmt: skip


@dataclass(frozen=True)
class LanesCollide(Diagnostic):
    """A store in which two lanes may write one element."""

    code: ClassVar[str] = "R102"
    tensor: str
    axis: str

    @property
    def message(self) -> str:
        """Name the tensor and the range."""
        return f"lanes of `{self.axis}` write the same element of `{self.tensor}`"

    @property
    def label(self) -> str:
        """Say what does not follow."""
        return f"the position on `{self.axis}` does not follow from the indices"

    @property
    def help(self) -> str:
        """List the ways out."""
        return (f"index `{self.tensor}` by `{self.axis}`, reduce over it first, or write "
                f"`atomic {self.tensor}[…] += …`; `disjoint {self.tensor}[…] = …` is a promise "
                "that they never meet")  # fmt: skip


@dataclass(frozen=True)
class StoresCollide(Diagnostic):
    """Two stores by which two programs may write one element."""

    code: ClassVar[str] = "R103"
    tensor: str
    axis: str
    other: Span

    @property
    def message(self) -> str:
        """Name the tensor and the range."""
        return (f"programs along `{self.axis}` may meet in `{self.tensor}` with those of another "
                "store")  # fmt: skip

    @property
    def label(self) -> str:
        """Name the place of the other store."""
        return f"may write an element that line {self.other.line} writes"

    @property
    def notes(self) -> tuple[tuple[Span | None, str], ...]:
        """Show the other store."""
        return ((self.other, f"`{_line(self.other)}`"),)

    @property
    def help(self) -> str:
        """List the ways out."""
        return (f"index both by `{self.axis}`, make the stores `atomic`, or promise with "
                "`disjoint` that they never meet")  # fmt: skip


@dataclass(frozen=True)
class ReadMeetsWrite(Diagnostic):
    """A read that another program's store may meet."""

    code: ClassVar[str] = "R104"
    tensor: str
    axis: str
    other: Span

    @property
    def message(self) -> str:
        """Name the tensor and the range."""
        return f"`{self.tensor}` is read where another program along `{self.axis}` may write"

    @property
    def label(self) -> str:
        """Name the place of the store."""
        return f"another program may have run line {self.other.line} by now, or not"

    @property
    def notes(self) -> tuple[tuple[Span | None, str], ...]:
        """Show the store."""
        return ((self.other, f"`{_line(self.other)}`"),)

    @property
    def help(self) -> str:
        """List the ways out."""
        return (f"read and write under the same `{self.axis}`, or write to another output, or "
                "make two kernels of it in an `op`")  # fmt: skip


@dataclass(frozen=True)
class NeverStored(Diagnostic):
    """An output that no statement writes."""

    code: ClassVar[str] = "R201"
    tensor: str

    @property
    def message(self) -> str:
        """Name the output."""
        return f"nothing is stored to the output `{self.tensor}`"

    @property
    def label(self) -> str:
        """Say what it would hold."""
        return "its elements would be undefined"

    @property
    def help(self) -> str:
        """Show both ways out."""
        return f"store to it, or give it a value to start with: `{self.tensor}: … = 0`"


def _elements(size: str) -> str:
    return "1 element" if size == "1" else f"{size} elements"


def _line(span: Span) -> str:
    return span.source.line(span.line).strip()


def _with_default(text: str, word: str) -> str:
    """Return the access with ``else word`` in its first pair of brackets."""
    depth = 0
    for at, char in enumerate(text):
        if char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if depth == 0:
                return f"{text[:at]} else {word}]"
    return f"… else {word}]"
