"""What the checker tells about names and types: one class a mistake.

Codes: ``N1xx`` names and items, ``T2xx`` types and ranges, ``R3xx`` what may be written, ``W4xx``
warnings. The prover's are in ``prove_errors.py``.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import ClassVar, Literal, TypedDict

from tiledsl.diagnostics import Diagnostic
from tiledsl.source import Span


@dataclass(frozen=True)
class Finding(Diagnostic):
    """A mistake; ``calls`` are the calls of functions that led to it, outermost first."""

    calls: tuple[Span, ...] = field(default=(), kw_only=True)

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """Facts that the message rests on."""
        return ()

    @property
    def notes(self) -> tuple[tuple[Span | None, str], ...]:
        """The reasons, and the calls that led here."""
        calls = tuple((c, f"in the expansion of `{_short(c.text)}`") for c in self.calls)
        return self.reasons + calls


def near(name: str, known: tuple[str, ...]) -> str | None:
    """Return a help line that names what ``name`` may have meant."""
    found = get_close_matches(name, known, 1, 0.6)
    if not found:  # short names and other cases: `bn` for `BN`
        found = [k for k in known if k.lower() == name.lower()][:1]
    return f"did you mean `{found[0]}`?" if found else None


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 50 else flat[:47] + "..."


def _names(words: tuple[str, ...]) -> str:
    quoted = [f"`{w}`" for w in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


# ---- names --------------------------------------------------------------------------------------


class Hints(TypedDict, total=False):
    """What may be known of an unknown name: see `UnknownName`."""

    inner: Span
    of_range: bool
    dim: str


@dataclass(frozen=True)
class UnknownName(Finding):
    """A name that nothing in scope has."""

    code: ClassVar[str] = "N101"
    name: str
    known: tuple[str, ...] = field(compare=False)
    inner: Span | None = field(default=None, compare=False)  # where a block that is over binds it
    of_range: bool = False  # it is a range there
    dim: str = ""  # a dim of the same letters
    hint: str = ""

    @property
    def message(self) -> str:
        """Name it."""
        return f"unknown name `{self.name}`"

    @property
    def label(self) -> str:
        """Say where it was looked for."""
        return "nothing in scope is called so"

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """Point at a binding in a block that is over."""
        if self.inner is None:
            return ()
        return ((self.inner, f"this `{self.name}` ends with its block"),)

    @property
    def help(self) -> str | None:
        """Tell of state or of ranges, or offer the nearest name."""
        if self.dim:
            forms = f"`span {self.name} in {self.dim}`, `for {self.name} in {self.dim} by …:`"
            return f"declare a range: {forms}, or, for one fold, `over {self.name} in {self.dim}`"
        if self.of_range:
            return f"what uses `{self.name}` belongs into its block; or declare another range"
        if self.inner is not None:
            return f"declare state before the block: `var {self.name}: f32[...] = ...`"
        return near(self.name, self.known) or self.hint or None


@dataclass(frozen=True)
class UnknownFunction(Finding):
    """A call of what is no function."""

    code: ClassVar[str] = "N102"
    name: str
    known: tuple[str, ...] = field(compare=False)
    value: str = ""

    @property
    def message(self) -> str:
        """Name it."""
        return f"unknown function `{self.name}`"

    @property
    def label(self) -> str:
        """Say what the name is instead."""
        return f"`{self.name}` is {self.value}" if self.value else ""

    @property
    def help(self) -> str | None:
        """Offer brackets for a tensor, or the nearest function."""
        if self.value == "a tensor":
            return f"a tensor is read with brackets: `{self.name}[...]`"
        return near(self.name, self.known)


@dataclass(frozen=True)
class UnknownType(Finding):
    """A type that there is not."""

    code: ClassVar[str] = "N103"
    name: str
    known: tuple[str, ...] = field(compare=False)

    @property
    def message(self) -> str:
        """Name it."""
        return f"unknown type `{self.name}`"

    @property
    def label(self) -> str:
        """Say what is wanted."""
        return "an element type is wanted here"

    @property
    def help(self) -> str | None:
        """Offer the nearest type, or a generic one."""
        guess = {"float": "f32", "half": "f16", "double": "f64", "int": "i32", "float32": "f32",
                 "float16": "f16", "bfloat16": "bf16", "int32": "i32", "int8": "i8"}  # fmt: skip
        if self.name in guess:
            return f"write `{guess[self.name]}`"
        generic = (
            f"a generic type is declared after the name: `kernel f[{self.name} in (f16, f32)](...)`"
        )
        return near(self.name, self.known) or (generic if self.name[0].isupper() else None)


@dataclass(frozen=True)
class AlreadyBound(Finding):
    """A name bound twice, or hidden."""

    code: ClassVar[str] = "N104"
    name: str
    kind: str
    first: Span = field(compare=False)

    @property
    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` is bound already"

    @property
    def label(self) -> str:
        """Say what the name is."""
        return f"the name of {self.kind}"

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """Point at the first."""
        return ((self.first, f"`{self.name}` is bound here"),)

    @property
    def help(self) -> str | None:
        """Tell of state."""
        if self.kind == "a value":
            return f"take another name; for state write `var {self.name}: f32[...] = ...`"
        return "take another name"


@dataclass(frozen=True)
class DuplicateItem(Finding):
    """Two items of one name."""

    code: ClassVar[str] = "N105"
    kind: str
    name: str
    first: Span = field(compare=False)

    @property
    def message(self) -> str:
        """Name it."""
        return f"{self.kind} `{self.name}` is defined twice"

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """Point at the first."""
        return ((self.first, "the first is here"),)

    @property
    def help(self) -> str | None:
        """Say what to do."""
        return "rename one; an import takes a new name with `as`"


@dataclass(frozen=True)
class UnknownImport(Finding):
    """A name that the imported file has not."""

    code: ClassVar[str] = "N106"
    name: str
    path: str
    known: tuple[str, ...] = field(compare=False)

    @property
    def message(self) -> str:
        """Name it."""
        return f"`{self.path}` has no `{self.name}`"

    @property
    def help(self) -> str | None:
        """Offer the nearest name, or list what there is."""
        listing = f"it has {_names(self.known[:8])}" if self.known else "it defines nothing"
        return near(self.name, self.known) or listing


@dataclass(frozen=True)
class NoSuchFile(Finding):
    """An import of a file that is nowhere."""

    code: ClassVar[str] = "N107"
    path: str
    tried: tuple[str, ...] = field(compare=False)
    library: tuple[str, ...] = field(default=(), compare=False)

    @property
    def message(self) -> str:
        """Name it."""
        return f"there is no `{self.path}`"

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """List where it was looked for."""
        return tuple((None, f"looked for {t}") for t in self.tried)

    @property
    def help(self) -> str | None:
        """Offer a file of the library."""
        return near(self.path, self.library)


@dataclass(frozen=True)
class ImportCycle(Finding):
    """Files that import each other."""

    code: ClassVar[str] = "N108"
    cycle: tuple[str, ...]

    @property
    def message(self) -> str:
        """Print the cycle."""
        return "imports form a cycle: " + " -> ".join(self.cycle)

    @property
    def help(self) -> str | None:
        """Say how to break it."""
        return "move what both need into a file of its own"


@dataclass(frozen=True)
class PathOutside(Finding):
    """An import that leaves the project."""

    code: ClassVar[str] = "N109"
    path: str
    why: str

    @property
    def message(self) -> str:
        """Name it."""
        return f"the import `{self.path}` leaves the project"

    @property
    def label(self) -> str:
        """Say how."""
        return self.why

    @property
    def help(self) -> str | None:
        """Offer the search path."""
        return "put the file into the project, or its folder on the search path"


@dataclass(frozen=True)
class UnknownKernel(Finding):
    """A reference, test, schedule or step that names no kernel."""

    code: ClassVar[str] = "N110"
    what: str
    name: str
    known: tuple[str, ...] = field(compare=False)

    @property
    def message(self) -> str:
        """Name it."""
        return f"{self.what} for `{self.name}`, which is no kernel of this file"

    @property
    def help(self) -> str | None:
        """Offer the nearest kernel."""
        return near(self.name, self.known)


@dataclass(frozen=True)
class NotState(Finding):
    """An assignment to what cannot change."""

    code: ClassVar[str] = "N111"
    name: str
    kind: str
    first: Span = field(compare=False)

    @property
    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` cannot be assigned"

    @property
    def label(self) -> str:
        """Say what it is."""
        return f"{self.kind}, bound once"

    @property
    def reasons(self) -> tuple[tuple[Span | None, str], ...]:
        """Point at its binding."""
        return ((self.first, f"`{self.name}` is bound here"),)

    @property
    def help(self) -> str | None:
        """Tell of state, or of stores."""
        if self.kind == "a tensor":
            return f"a tensor is written with brackets: `{self.name}[...] = ...`"
        return f"state is declared with `var`: `var {self.name}: f32[...] = ...`"


@dataclass(frozen=True)
class WrongKind(Finding):
    """A name of one kind where another is wanted."""

    code: ClassVar[str] = "N112"
    name: str
    kind: str
    wanted: str
    hint: str = ""

    @property
    def message(self) -> str:
        """Say what it is and what was wanted."""
        return f"`{self.name}` is {self.kind}, not {self.wanted}"

    @property
    def label(self) -> str:
        """Say what is wanted."""
        return f"{self.wanted} is wanted here"

    @property
    def help(self) -> str | None:
        """Give the hint."""
        return self.hint or None


@dataclass(frozen=True)
class Recursion(Finding):
    """A function that calls itself, or a constant that needs itself."""

    code: ClassVar[str] = "N113"
    kind: Literal["function", "constant"]
    name: str

    @property
    def message(self) -> str:
        """Name it."""
        if self.kind == "function":
            return f"function `{self.name}` calls itself"
        return f"constant `{self.name}` needs itself"

    @property
    def label(self) -> str:
        """Say why it cannot be."""
        return "functions are expanded in place" if self.kind == "function" else ""

    @property
    def help(self) -> str | None:
        """Offer a loop."""
        return "write a `for` loop in the kernel" if self.kind == "function" else None


@dataclass(frozen=True)
class ReservedName(Finding):
    """A name that the language has taken."""

    code: ClassVar[str] = "N114"
    name: str
    what: str

    @property
    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` is {self.what}"

    @property
    def label(self) -> str:
        """Say so."""
        return "cannot be the name of anything else"

    @property
    def help(self) -> str | None:
        """Say what to do."""
        return "take another name"


@dataclass(frozen=True)
class Misplaced(Finding):
    """A statement where it cannot stand."""

    code: ClassVar[str] = "N115"
    what: str
    why: str
    hint: str = ""

    @property
    def message(self) -> str:
        """Name the statement."""
        return f"{self.what} cannot stand here"

    @property
    def label(self) -> str:
        """Say why."""
        return self.why

    @property
    def help(self) -> str | None:
        """Say where it can."""
        return self.hint or None


@dataclass(frozen=True)
class AbsentParameter(Finding):
    """A use of a parameter that may be left out."""

    code: ClassVar[str] = "N116"
    name: str

    @property
    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` may be left out, and is used without asking"

    @property
    def label(self) -> str:
        """Say when it fails."""
        return f"there is no `{self.name}` when the caller gives none"

    @property
    def help(self) -> str | None:
        """Tell of has."""
        return f"put it under `if has({self.name}):`"


@dataclass(frozen=True)
class PlainImport(Finding):
    """``import "x.tile" as x``."""

    code: ClassVar[str] = "N117"
    path: str

    @property
    def message(self) -> str:
        """Say so."""
        return "an import lists the names it takes"

    @property
    def help(self) -> str | None:
        """Show the form."""
        return f'write `from "{self.path}" import name`'


# ---- warnings -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class UnusedName(Finding):
    """A binding that nobody reads."""

    code: ClassVar[str] = "W401"
    severity: ClassVar[Literal["error", "warning"]] = "warning"
    name: str
    kind: str

    @property
    def message(self) -> str:
        """Name it."""
        return f"{self.kind} `{self.name}` is never read"

    @property
    def help(self) -> str | None:
        """Say what to do."""
        return f"remove it, or call it `_{self.name}`"
