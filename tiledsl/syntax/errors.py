"""What can be wrong with the text of a file: the diagnostics P001 and on."""

# ruff: noqa: D102  (a property's docstring is that of `Diagnostic`)

import unicodedata
from dataclasses import dataclass
from typing import ClassVar, Literal

from tiledsl.diagnostics import Diagnostic
from tiledsl.source import Span


@dataclass(frozen=True)
class TabInIndentation(Diagnostic):
    """A tab before the first word of a line."""

    code: ClassVar[str] = "P001"

    @property
    def message(self) -> str:
        return "a tab in the indentation"

    @property
    def label(self) -> str:
        return "blocks are made by spaces"

    @property
    def help(self) -> str:
        return "indent with spaces, four for each level; `tiledsl fmt` keeps it so"


@dataclass(frozen=True)
class NeverClosed(Diagnostic):
    """A bracket whose partner is missing."""

    code: ClassVar[str] = "P002"
    bracket: str

    @property
    def message(self) -> str:
        return f"`{self.bracket}` is never closed"

    @property
    def label(self) -> str:
        return "opened here"

    @property
    def help(self) -> str:
        return f"add `{_PARTNER[self.bracket]}`; inside brackets a line may go on in the next one"


@dataclass(frozen=True)
class UnexpectedCharacter(Diagnostic):
    """A character that starts no word of the language."""

    code: ClassVar[str] = "P003"
    character: str

    @property
    def message(self) -> str:
        return f"unexpected character {describe_character(self.character)}"

    @property
    def help(self) -> str | None:
        return _CHARACTER_HELP.get(self.character, _character_help(self.character))


@dataclass(frozen=True)
class MismatchedBracket(Diagnostic):
    """A closing bracket that closes nothing, or the wrong kind."""

    code: ClassVar[str] = "P004"
    bracket: str
    opened: str
    opened_at: Span | None

    @property
    def message(self) -> str:
        if self.opened_at is None:
            return f"`{self.bracket}` closes nothing"
        return f"`{self.bracket}` cannot close `{self.opened}`"

    @property
    def label(self) -> str:
        return "" if self.opened_at is None else f"expected `{_PARTNER[self.opened]}`"

    @property
    def notes(self) -> tuple[tuple[Span | None, str], ...]:
        return () if self.opened_at is None else ((self.opened_at, f"`{self.opened}` opened here"),)

    @property
    def help(self) -> str:
        if self.opened_at is None:
            return f"remove it, or open `{_OPENER[self.bracket]}` before it"
        return "close brackets in the reverse order of opening them"


@dataclass(frozen=True)
class UnevenIndentation(Diagnostic):
    """A line that stands between two levels of indentation."""

    code: ClassVar[str] = "P005"
    width: int
    levels: tuple[int, ...]

    @property
    def message(self) -> str:
        return "this line's indentation matches no block above it"

    @property
    def label(self) -> str:
        return f"{self.width} spaces"

    @property
    def help(self) -> str:
        levels = " or ".join(str(level) for level in self.levels)
        return f"indent it by {levels}, like the block that it continues"


@dataclass(frozen=True)
class UnexpectedIndentation(Diagnostic):
    """A line deeper than the block it stands in."""

    code: ClassVar[str] = "P006"

    @property
    def message(self) -> str:
        return "unexpected indentation"

    @property
    def label(self) -> str:
        return "deeper than the line above"

    @property
    def help(self) -> str:
        return "only a line that ends with `:` opens a block; a long line goes on inside brackets"


@dataclass(frozen=True)
class ExpectedBlock(Diagnostic):
    """A line that ends with a colon, and nothing below it."""

    code: ClassVar[str] = "P007"

    @property
    def message(self) -> str:
        return "expected an indented block"

    @property
    def help(self) -> str:
        return "the line above ends with `:`, so at least one line must stand below it, indented"


@dataclass(frozen=True)
class MissingColon(Diagnostic):
    """A line that opens a block without its colon."""

    code: ClassVar[str] = "P008"
    word: str

    @property
    def message(self) -> str:
        return f"expected `:` at the end of this `{self.word}` line"

    @property
    def label(self) -> str:
        return "`:` is missing"

    @property
    def help(self) -> str | None:
        if self.word == "fn":
            return "write `fn f(x) = x + 1`, or `fn f(x):` and a block that ends in `return`"
        return None


@dataclass(frozen=True)
class OverOutsideCall(Diagnostic):
    """``sum(x) over n``."""

    code: ClassVar[str] = "P009"

    @property
    def message(self) -> str:
        return "`over` belongs inside the call"

    @property
    def help(self) -> str:
        return "write `sum(x over n)`"


@dataclass(frozen=True)
class ElseOutsideBrackets(Diagnostic):
    """A default or a skip behind the brackets."""

    code: ClassVar[str] = "P010"

    @property
    def message(self) -> str:
        return "`else` is not expected here"

    @property
    def help(self) -> str:
        return "a default stands inside the brackets: `x[i else 0]`"


@dataclass(frozen=True)
class KeywordAsName(Diagnostic):
    """A reserved word where a name must stand."""

    code: ClassVar[str] = "P011"
    word: str

    @property
    def message(self) -> str:
        return f"`{self.word}` is a keyword, not a name"

    @property
    def help(self) -> str:
        return f"choose another name, `{self.word}_` say"


@dataclass(frozen=True)
class UnknownWord(Diagnostic):
    """A line that starts with a word that starts no line."""

    code: ClassVar[str] = "P012"
    word: str
    suggestion: str | None
    known: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"no line here starts with `{self.word}`"

    @property
    def help(self) -> str:
        if self.suggestion in PLACES or self.suggestion in self.known:
            place = "" if self.suggestion in self.known else f" {PLACES[self.suggestion]}"
            return f"did you mean `{self.suggestion}`?{place}"
        if self.suggestion:
            return self.suggestion
        return f"lines here start with {', '.join(f'`{word}`' for word in self.known)}"


@dataclass(frozen=True)
class WrongEquals(Diagnostic):
    """``=`` for ``==``, or the other way round."""

    code: ClassVar[str] = "P013"
    sign: str
    argument: bool

    @property
    def message(self) -> str:
        return f"`{self.sign}` is not expected here"

    @property
    def help(self) -> str:
        if self.argument:
            return "`==` compares; arguments are given by position, without names"
        return "`==` compares; `=` binds a name or stores"


@dataclass(frozen=True)
class LineEndsEarly(Diagnostic):
    """A line that something is missing from."""

    code: ClassVar[str] = "P014"
    expected: str

    @property
    def message(self) -> str:
        return "the line ends too early"

    @property
    def label(self) -> str:
        return f"expected {self.expected}"

    @property
    def help(self) -> str:
        return "a line goes on in the next one only inside brackets"


@dataclass(frozen=True)
class UnexpectedWord(Diagnostic):
    """Anything else that cannot stand where it does."""

    code: ClassVar[str] = "P015"
    text: str
    expected: str
    hint: str | None = None

    @property
    def message(self) -> str:
        return f"unexpected `{shorten(self.text)}`"

    @property
    def label(self) -> str:
        return f"expected {self.expected}"

    @property
    def help(self) -> str | None:
        return self.hint


@dataclass(frozen=True)
class Misplaced(Diagnostic):
    """A kind of line that belongs elsewhere."""

    code: ClassVar[str] = "P016"
    word: str

    @property
    def message(self) -> str:
        article = "an" if self.word[0] in "aeio" else "a"
        return f"{article} `{self.word}` line cannot stand here"

    @property
    def help(self) -> str:
        return PLACES[self.word]


@dataclass(frozen=True)
class BadNumber(Diagnostic):
    """A number that is not written like one, or does not fit."""

    code: ClassVar[str] = "P017"
    text: str
    why: str = ""

    @property
    def message(self) -> str:
        return f"`{shorten(self.text)}` is not a number" if not self.why else self.why

    @property
    def help(self) -> str:
        if self.why:
            return "integers have at most 64 bits, and floats at most 1.8e308; `inf` is infinity"
        return "write `10`, `1_000`, `0xFF`, `0.5`, `1e-6`: digits on both sides of a point"


@dataclass(frozen=True)
class BadString(Diagnostic):
    """A string without an end, or with an escape that does not exist."""

    code: ClassVar[str] = "P018"
    escape: str

    @property
    def message(self) -> str:
        if self.escape:
            return f"unknown escape `{self.escape}` in a string"
        return "this string has no end"

    @property
    def help(self) -> str:
        if self.escape:
            return 'the escapes are `\\n`, `\\t`, `\\"` and `\\\\`'
        return 'a string ends with `"` on the line it starts on'


@dataclass(frozen=True)
class TooMuch(Diagnostic):
    """A limit that keeps the compiler quick and safe whatever it is given."""

    code: ClassVar[str] = "P019"
    what: str
    limit: int

    @property
    def message(self) -> str:
        return f"{self.what}: at most {self.limit} are allowed"

    @property
    def help(self) -> str | None:
        return "name parts of it, each on a line of its own" if "nested" in self.what else None


@dataclass(frozen=True)
class Unreadable(Diagnostic):
    """A file that gives no text."""

    code: ClassVar[str] = "P020"
    why: str

    @property
    def message(self) -> str:
        return f"cannot read this file: {self.why}"


@dataclass(frozen=True)
class UpdateOfElement(Diagnostic):
    """``y[i] += v`` without ``atomic``."""

    code: ClassVar[str] = "P021"
    text: str
    sign: str

    @property
    def message(self) -> str:
        return f"`{self.sign}` on an element of a tensor"

    @property
    def help(self) -> str:
        if self.sign in ("+=", "max=", "min="):
            return (
                f"write `atomic {self.text} {self.sign} …` where programs may meet, "
                f"else `{self.text} = …`"
            )
        return f"write `{self.text} = …` with the whole new value"


@dataclass(frozen=True)
class UnfinishedBlock(Diagnostic):
    """A block that ends without the line it needs: a ``return``, or any statement."""

    code: ClassVar[str] = "P022"
    missing: Literal["return_", "stmt"]

    @property
    def message(self) -> str:
        if self.missing == "return_":
            return "this `fn` ends without `return`"
        return "this body has facts, but no statement"

    @property
    def label(self) -> str:
        return "its last line is here"

    @property
    def help(self) -> str | None:
        if self.missing == "return_":
            return "the last line of a block `fn` is `return x`, or `return a, b`"
        return None


PLACES = {
    "import": "imports stand at the top level, in column one",
    "from": "imports stand at the top level, in column one",
    "const": "a `const` stands at the top level; in a body, `x = …` binds a name",
    "fn": "functions stand at the top level, in column one",
    "kernel": "kernels stand at the top level, in column one",
    "op": "an `op` stands at the top level, in column one",
    "reference": "a `reference` stands at the top level, in column one",
    "schedule": "a `schedule` stands at the top level, in column one",
    "test": "a `test` stands at the top level, in column one",
    "where": "`where` lines open the body of a kernel or an op, or stand in a schedule",
    "grid": "`grid` lines stand in the body of a kernel",
    "span": "`span` lines stand in the body of a kernel, a `fn` or a reference",
    "for": "loops stand in the body of a kernel, a `fn` or a reference; a test has one per line",
    "if": "`if` stands in the body of a kernel, a `fn` or a reference",
    "elif": "`elif` follows the block of an `if`, with the same indentation",
    "else": "`else` follows the block of an `if`, with the same indentation",
    "var": "state stands in the body of a kernel, a `fn` or a reference",
    "atomic": "`atomic` stores stand in the body of a kernel",
    "disjoint": "`disjoint` stores stand in the body of a kernel",
    "assert": "`assert` stands in the body of a kernel, an op, a `fn` or a reference",
    "return": "`return` is the last line of a block `fn`; a kernel stores into its outputs",
    "temp": "`temp` tensors belong to an `op`",
}

_PARTNER = {"(": ")", "[": "]"}
_OPENER = {")": "(", "]": "["}
_CHARACTER_HELP = {
    "{": "blocks are made by indentation after `:`; a table is written `[…]`",
    "}": "blocks are made by indentation after `:`; a table is written `[…]`",
    ";": "one statement stands on a line",
    "'": 'strings stand in double quotes, `"…"`',
    "!": "write `not`; unequal is `!=`",
    "?": "a choice is written `a if c else b`",
    "\\": "a line goes on in the next one inside brackets, without `\\`",
    "`": 'strings stand in double quotes, `"…"`',
    "$": "names consist of letters, digits and `_`",
    "\r": "lines end with LF or CRLF",
    "\u2212": "write the minus of the keyboard, `-`",
    "\u00d7": "write `*`",
    "\u2264": "write `<=`",
    "\u2265": "write `>=`",
    "\u2260": "write `!=`",
    "\u2192": "write `->`",
    "\u2026": "a range of numbers is written `lo .. hi`",
}


def shorten(text: str) -> str:
    """Return ``text``, cut where it is too long to be quoted."""
    return text if len(text) <= 40 else text[:37] + "…"


def describe_character(character: str) -> str:
    """Return a character as a reader can see it."""
    if character.isascii() and character.isprintable() and character != " ":
        return f"`{character}`"
    name = unicodedata.name(character, "a control character").lower()
    shown = f" `{character}`" if character.isprintable() and not character.isspace() else ""
    return f"U+{ord(character):04X}{shown} ({name})"


def _character_help(character: str) -> str:
    if character.isspace():
        return "write a plain space"
    if unicodedata.category(character) in ("Pi", "Pf"):
        return 'strings stand in double quotes, `"…"`'
    if character.isalpha():
        return "names consist of ASCII letters, digits and `_`"
    return "remove it"
