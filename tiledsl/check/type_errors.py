"""What the checker tells about types and ranges."""

import re
from dataclasses import dataclass
from typing import ClassVar

from tiledsl.check.errors import Finding

_UPDATE = re.compile(r"(\w+) ([-+*/])= (.*)")


def quoted(words: tuple[str, ...]) -> str:
    """Return the words in quotes, joined by commas and an ``and``."""
    marks = [f"`{w}`" for w in words]
    return marks[0] if len(marks) == 1 else f"{', '.join(marks[:-1])} and {marks[-1]}"


@dataclass(frozen=True)
class IntegerMeetsFloat(Finding):
    """An integer tile beside a float."""

    code: ClassVar[str] = "T201"
    type: str
    other: str

    @property
    def message(self) -> str:
        """Say which types meet."""
        return f"an integer tile, `{self.type}`, meets `{self.other}`"

    @property
    def label(self) -> str:
        """Say what it is."""
        return f"this is `{self.type}`"

    @property
    def help(self) -> str | None:
        """Spell the cast."""
        text = " ".join(self.span.text.split())
        return f"write `f32({text})`" if len(text) <= 40 else "cast it with `f32(...)`"


@dataclass(frozen=True)
class NoCommonType(Finding):
    """Two types between which nothing chooses."""

    code: ClassVar[str] = "T202"
    left: str
    right: str

    @property
    def message(self) -> str:
        """Name both."""
        return f"`{self.left}` and `{self.right}` have no common type"

    @property
    def help(self) -> str | None:
        """Tell of casts."""
        if "bool" in (self.left, self.right):
            other = self.right if self.left == "bool" else self.left
            return f"a truth value becomes a number with a cast: `{other}(...)`"
        return f"cast one of them: `{self.left}(...)` or `{self.right}(...)`"


@dataclass(frozen=True)
class WrongOperand(Finding):
    """An operand of a type that the operation does not take."""

    code: ClassVar[str] = "T203"
    op: str
    wanted: str
    type: str
    hint: str = ""

    @property
    def message(self) -> str:
        """Say what is wanted and what came."""
        subject = self.op if " " in self.op else f"`{self.op}`"
        return f"{subject} takes {self.wanted}, not `{self.type}`"

    @property
    def label(self) -> str:
        """Say what it is."""
        return f"this is `{self.type}`"

    @property
    def help(self) -> str | None:
        """Give the hint."""
        return self.hint or None


@dataclass(frozen=True)
class LiteralDoesNotFit(Finding):
    """A number that the type it meets does not hold."""

    code: ClassVar[str] = "T206"
    value: str
    type: str
    why: str

    @property
    def message(self) -> str:
        """Name both."""
        return f"`{self.value}` is no `{self.type}`"

    @property
    def label(self) -> str:
        """Say why it has to be one."""
        return self.why

    @property
    def help(self) -> str | None:
        """Say what to do."""
        if self.value in ("inf", "-inf"):
            word = "lowest" if self.value == "-inf" else "highest"
            return f"write `{word}({self.type})`"
        return "cast the tile it meets, or take another number"


@dataclass(frozen=True)
class NeedsCast(Finding):
    """A store, or an assignment, that would lose something silently."""

    code: ClassVar[str] = "T207"
    what: str
    have: str
    want: str

    @property
    def message(self) -> str:
        """Name both types."""
        return f"{self.what} is `{self.want}`, the value `{self.have}`"

    @property
    def label(self) -> str:
        """Say what it is."""
        return f"this is `{self.have}`"

    @property
    def help(self) -> str | None:
        """Spell the cast."""
        text = " ".join(self.span.text.split())
        update = _UPDATE.match(text)
        if update:  # `acc += x` is `acc = acc + x`
            text = f"{update[1]} {update[2]} {update[3]}"
        inner = text if len(text) <= 40 else "..."
        floats = self.have[0] in "fb" and self.have != "bool"
        if floats and self.want[0] in "iu":
            cast = f"{self.want}(round({inner}))"
            return f"round, then cast: `{f'{update[1]} = {cast}' if update else cast}`"
        cast = f"{self.want}({inner})"
        return f"write the cast: `{f'{update[1]} = {cast}' if update else cast}`"


@dataclass(frozen=True)
class OuterProduct(Finding):
    """Two float tiles of which neither has all ranges of the other."""

    code: ClassVar[str] = "T208"
    left: tuple[str, ...]
    right: tuple[str, ...]
    union: str

    @property
    def message(self) -> str:
        """Name the ranges."""
        a, b = ", ".join(self.left), ", ".join(self.right)
        return f"an outer product of ranges [{a}] and [{b}] that is not spelled"

    @property
    def label(self) -> str:
        """Say what it would make."""
        return f"this would be `{self.union}`"

    @property
    def help(self) -> str | None:
        """Spell the annotation."""
        return f"if it is meant, bind it with its type: `t: {self.union} = ...`"


@dataclass(frozen=True)
class ExtraRanges(Finding):
    """A value with ranges that its target has not."""

    code: ClassVar[str] = "T209"
    what: str
    extra: tuple[str, ...]
    type: str

    @property
    def message(self) -> str:
        """Name the ranges."""
        return f"the value has {quoted(self.extra)}, which {self.what} has not"

    @property
    def label(self) -> str:
        """Say what it is."""
        return f"this is `{self.type}`"

    @property
    def help(self) -> str | None:
        """Tell of reductions."""
        return f"reduce it, `sum(... over {', '.join(self.extra)})`, or give the target the range"


@dataclass(frozen=True)
class MissingRanges(Finding):
    """An annotation with ranges that the value has not."""

    code: ClassVar[str] = "T210"
    name: str
    missing: tuple[str, ...]
    type: str

    @property
    def message(self) -> str:
        """Name the ranges."""
        return f"`{self.name}` is said to have {quoted(self.missing)}, which its value has not"

    @property
    def label(self) -> str:
        """Say what the value is."""
        return f"this is `{self.type}`"

    @property
    def help(self) -> str | None:
        """Say what to do."""
        return "leave the range out: a value is repeated along a range where it meets one"


@dataclass(frozen=True)
class SharedRange(Finding):
    """A product without exactly one common range."""

    code: ClassVar[str] = "T211"
    left: str
    right: str
    shared: tuple[str, ...]

    @property
    def message(self) -> str:
        """Say what is shared."""
        if self.shared:
            return f"`@` contracts one range; both sides have {quoted(self.shared)}"
        return "`@` contracts the range that both sides share, and they share none"

    @property
    def label(self) -> str:
        """Name the types."""
        return f"`{self.left}` @ `{self.right}`"

    @property
    def help(self) -> str | None:
        """Spell the alternative."""
        if self.shared:
            return f"say which: `dot(a, b over {', '.join(self.shared)})`"
        return "for a product element by element write `*`"


@dataclass(frozen=True)
class ProductTypes(Finding):
    """A product of two element types."""

    code: ClassVar[str] = "T212"
    left: str
    right: str

    @property
    def message(self) -> str:
        """Name the types."""
        return f"a product of `{self.left}` and `{self.right}`: both sides have one type"

    @property
    def help(self) -> str | None:
        """Spell the casts."""
        left, right = (t.partition("[")[0] for t in (self.left, self.right))
        return f"cast one side: `{right}(...)` on the left or `{left}(...)` on the right"


@dataclass(frozen=True)
class LacksRange(Finding):
    """A reduction over a range that its operand has not."""

    code: ClassVar[str] = "T213"
    function: str
    range: str
    type: str
    side: str = "the operand"

    @property
    def message(self) -> str:
        """Name the range."""
        return f"`{self.function}` over `{self.range}`, which {self.side} has not"

    @property
    def label(self) -> str:
        """Say what the operand is."""
        return f"{self.side} is `{self.type}`"

    @property
    def help(self) -> str | None:
        """Tell which ranges there are."""
        return "name a range of the operand" if "[" in self.type else None


@dataclass(frozen=True)
class WrongArguments(Finding):
    """A call with too few or too many arguments, or of the wrong form."""

    code: ClassVar[str] = "T214"
    function: str
    wanted: str
    got: str

    @property
    def message(self) -> str:
        """Say what is wanted."""
        return f"`{self.function}` takes {self.wanted}"

    @property
    def label(self) -> str:
        """Say what came."""
        return self.got


@dataclass(frozen=True)
class NotScalar(Finding):
    """A tile, or a number that only the tiles know, where a scalar is wanted."""

    code: ClassVar[str] = "T215"
    what: str
    type: str
    hint: str = ""

    @property
    def message(self) -> str:
        """Say what is wanted."""
        return f"{self.what} is a scalar, this is `{self.type}`"

    @property
    def help(self) -> str | None:
        """Give the hint."""
        return self.hint or None


@dataclass(frozen=True)
class WrongRank(Finding):
    """Too few or too many indices."""

    code: ClassVar[str] = "T216"
    name: str
    shape: str
    rank: int
    got: int

    @property
    def message(self) -> str:
        """Say how many."""
        plural = "index" if self.rank == 1 else "indices"
        return f"`{self.name}` takes {self.rank} {plural}, here are {self.got}"

    @property
    def label(self) -> str:
        """Print its shape."""
        return f"`{self.name}` is `{self.shape}`"


@dataclass(frozen=True)
class TypeChoice(Finding):
    """A generic type that is not given, or not one of its choices."""

    code: ClassVar[str] = "T218"
    name: str
    given: str
    choices: tuple[str, ...]

    @property
    def message(self) -> str:
        """Say what is wrong."""
        if not self.given:
            return f"the type `{self.name}` is not given"
        return f"`{self.name}` cannot be `{self.given}`"

    @property
    def help(self) -> str | None:
        """List the choices."""
        return f"it is one of {quoted(self.choices)}"


@dataclass(frozen=True)
class NotConstant(Finding):
    """What is not known at compile time, where it has to be."""

    code: ClassVar[str] = "T219"
    what: str
    hint: str = ""

    @property
    def message(self) -> str:
        """Name what it has to be."""
        return f"{self.what} is not known at compile time"

    @property
    def help(self) -> str | None:
        """Give the hint."""
        return self.hint or None


@dataclass(frozen=True)
class BadTable(Finding):
    """A table of uneven rows, or of something that is no number."""

    code: ClassVar[str] = "T220"
    why: str

    @property
    def message(self) -> str:
        """Say what a table is."""
        return "a table holds numbers, in rows of equal length"

    @property
    def label(self) -> str:
        """Say what is wrong."""
        return self.why


@dataclass(frozen=True)
class BadParameter(Finding):
    """A parameter, an output or a dim that cannot be so."""

    code: ClassVar[str] = "T222"
    what: str
    why: str = ""
    hint: str = ""

    @property
    def message(self) -> str:
        """Say what is wrong."""
        return self.what

    @property
    def label(self) -> str:
        """Say why."""
        return self.why

    @property
    def help(self) -> str | None:
        """Give the hint."""
        return self.hint or None


@dataclass(frozen=True)
class RenameExtent(Finding):
    """A rename to a range of another extent."""

    code: ClassVar[str] = "T223"
    old: str
    new: str

    @property
    def message(self) -> str:
        """Name both."""
        return f"`{self.old}` and `{self.new}` do not have one extent"

    @property
    def help(self) -> str | None:
        """Spell the span."""
        return f"declare it over the same positions: `span {self.new} in {self.old}`"


@dataclass(frozen=True)
class ResultCount(Finding):
    """Names and results that do not match."""

    code: ClassVar[str] = "T224"
    names: int
    results: int
    function: str

    @property
    def message(self) -> str:
        """Say how many there are."""
        things = "1 value" if self.results == 1 else f"{self.results} values"
        return f"`{self.function}` gives {things}, here are {self.names} for them"

    @property
    def help(self) -> str | None:
        """Spell the binding."""
        if self.results > 1:
            names = ", ".join("abcdefgh"[: self.results])
            return f"bind all: `{names} = {self.function}(...)`"
        return None


@dataclass(frozen=True)
class FactFails(Finding):
    """A fact that the build contradicts."""

    code: ClassVar[str] = "T225"
    text: str
    values: tuple[str, ...]

    @property
    def message(self) -> str:
        """Quote the fact."""
        return f"`{self.text}` does not hold"

    @property
    def label(self) -> str:
        """Say with which values."""
        return f"with {', '.join(self.values)}" if self.values else ""


@dataclass(frozen=True)
class BadFact(Finding):
    """A fact about what the launch does not know."""

    code: ClassVar[str] = "T226"
    why: str

    @property
    def message(self) -> str:
        """Say what a fact is."""
        return "a fact is a condition on dims and scalar parameters"

    @property
    def label(self) -> str:
        """Say what this is."""
        return self.why


@dataclass(frozen=True)
class BitcastWidth(Finding):
    """A bitcast between widths."""

    code: ClassVar[str] = "T227"
    source: str
    target: str

    @property
    def message(self) -> str:
        """Name both."""
        return (
            f"`bitcast` keeps the bits: `{self.source}` and `{self.target}` have different widths"
        )


@dataclass(frozen=True)
class PrintArguments(Finding):
    """A print whose text and values do not match."""

    code: ClassVar[str] = "T229"
    holes: int
    values: int

    @property
    def message(self) -> str:
        """Count both."""
        return f"the text has {self.holes} `{{}}` for {self.values} values"


@dataclass(frozen=True)
class TooLarge(Finding):
    """What is legal, and too large for the compiler to take."""

    code: ClassVar[str] = "T230"
    what: str
    limit: str

    @property
    def message(self) -> str:
        """Name it."""
        return f"{self.what} is too large"

    @property
    def label(self) -> str:
        """Name the limit."""
        return self.limit
