"""From a token that cannot stand where it does to the mistake that its author made."""

import difflib
import re
from dataclasses import dataclass

from tiledsl.diagnostics import Diagnostic
from tiledsl.source import Source, Span
from tiledsl.syntax.errors import (
    PLACES,
    BadNumber,
    ElseOutsideBrackets,
    ExpectedBlock,
    KeywordAsName,
    LineEndsEarly,
    Misplaced,
    MissingColon,
    OverOutsideCall,
    UnexpectedIndentation,
    UnexpectedWord,
    UnfinishedBlock,
    UnknownWord,
    UpdateOfElement,
    WrongEquals,
)
from tiledsl.syntax.lexer import DEDENT, INDENT, ITEMS, NEWLINE, keywords
from tiledsl.syntax.table import END

_OPENERS = ("for", "if", "elif", "else", "fn", *sorted(ITEMS - {"import", "from", "const", "fn"}))
_SIGNS = "==", "!=", "<", "<=", ">", ">=", "|", "^", "&", "<<", ">>", "+", "-", "*", "/", "//", "%"
_INFIX = frozenset((*_SIGNS, "@", "**", ".", "[", "(", "if", "and", "or"))
_OPERAND = frozenset(("NAME", "NUMBER", "("))
_LIKELY = "= : ) ] , in by"
_UPDATES = ("+=", "-=", "*=", "/=", "max", "min")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What writers of other languages try.
_FOREIGN = {
    "def": "fn",
    "func": "fn",
    "function": "fn",
    "while": "the only loop is `for k in lo .. hi:`",
    "let": "`x = …` binds a name, without a word before it",
    "pass": "leave out the block that has nothing to do",
    "break": "a loop runs to its end; give it a shorter domain",
    "continue": "put the rest of the body under an `if`",
    "else if": "elif",
    "parallel": "grid",
    "range": "grid",
}


@dataclass(frozen=True)
class Mistake:
    """A token that cannot stand where it does.

    ``line`` is where its logical line starts, ``before`` the text of that line so far,
    ``accepted`` the kinds that could stand there, ``starters`` the words that could start the line.
    """

    source: Source
    kind: str
    start: int
    end: int
    line: int
    before: str
    accepted: frozenset[str]
    starters: tuple[str, ...]
    in_brackets: bool

    @property
    def span(self) -> Span:
        """The token."""
        return Span(self.source, self.start, self.end)

    @property
    def text(self) -> str:
        """The token's text."""
        return self.source.text[self.start : self.end]


def explain(mistake: Mistake) -> Diagnostic:
    """Return the diagnostic that helps most."""
    return _layout(mistake) or _first_words(mistake) or _known_slips(mistake) or _plain(mistake)


def _layout(m: Mistake) -> Diagnostic | None:
    if m.kind == INDENT:
        return UnexpectedIndentation(_indentation(m))
    if INDENT in m.accepted:
        # The token stands where the block should; the line above is the one to look at.
        end = len(m.source.text[: m.line].rstrip()) if not m.before else m.line + len(m.before)
        return ExpectedBlock(Span(m.source, end - 1, end))
    if m.kind == DEDENT and not m.before:
        last = Span(m.source, m.start - 1, m.start)
        return UnfinishedBlock(last, "return_" if "return" in m.accepted else "stmt")
    word = _WORD.match(m.before)
    if m.kind == NEWLINE and ":" in m.accepted and word and word.group() in _OPENERS:
        return MissingColon(m.span, word.group())
    return None


def _indentation(m: Mistake) -> Span:
    start = m.source.text.rfind("\n", 0, m.start) + 1
    return Span(m.source, start, m.start)


def _first_words(m: Mistake) -> Diagnostic | None:
    """Explain a line whose first word is not one that a line here starts with."""
    rest = m.source.text[m.end : m.end + 20].lstrip(" \t")
    if not m.before:
        if m.kind in keywords():
            # `test[i] = 3`: meant as a name, as what follows shows.
            assigned = re.match(r"=(?!=)|[-+*/]=|:|,|\[", rest) is not None
            if assigned and m.kind not in ("else", "kernel") and "NAME" in m.accepted:
                return KeywordAsName(m.span, m.kind)
            return Misplaced(m.span, m.kind) if m.kind in PLACES else None
        return _unknown_word(m, m.span) if m.kind == "NAME" else None
    first = _WORD.fullmatch(m.before)
    if first is None:
        return None
    span = Span(m.source, m.line, m.line + len(m.before))
    if m.before in keywords():
        name_like = m.kind in ("=", ":", ",", "[", ".", *_UPDATES)
        return KeywordAsName(span, m.before) if name_like else None
    if m.kind in ("NAME", "NUMBER", "STRING", NEWLINE, ":") or m.kind in keywords():
        return _unknown_word(m, span)
    return None


def _unknown_word(m: Mistake, span: Span) -> Diagnostic | None:
    word = span.text
    if word in m.starters:
        return None
    near = difflib.get_close_matches(word, m.starters, 1, 0.65)
    near = near or difflib.get_close_matches(word, (*PLACES, *_FOREIGN), 1, 0.8)
    suggestion = _FOREIGN.get(near[0], near[0]) if near else None
    lone = m.kind in (NEWLINE, ":") or m.kind in keywords()
    if suggestion is None and lone and m.before:
        return None  # `x` alone, or `x in …`: that something is missing says more
    return UnknownWord(span, word, suggestion, m.starters)


def _known_slips(m: Mistake) -> Diagnostic | None:
    following = m.source.text[m.end : m.end + 1]
    if m.kind in keywords() and "NAME" in m.accepted:
        return KeywordAsName(m.span, m.kind)
    if m.kind == "over":
        return OverOutsideCall(m.span)
    if m.kind == "else":
        return ElseOutsideBrackets(m.span)
    if m.text in _UPDATES and m.before.endswith("]") and "=" in m.accepted:
        return UpdateOfElement(m.span, " ".join(m.before.split()), m.text.rstrip("=") + "=")
    if m.kind == "=":
        condition = m.before.startswith(("if ", "elif ", "assert ", "where ", "for "))
        if m.in_brackets or condition:
            return WrongEquals(m.span, "=", m.in_brackets)
    if m.kind == "==" and "=" in m.accepted:
        return WrongEquals(m.span, "==", False)
    if m.kind == "." and following.isdigit() and "NUMBER" in m.accepted:
        end = m.end + len(re.match(r"\w*", m.source.text[m.end :])[0])  # type: ignore[index]
        return BadNumber(Span(m.source, m.start, end), m.source.text[m.start : end])
    point = re.search(r"(?<![\w.])[0-9][0-9_]*\.$", m.before)
    if point:
        start = m.line + point.start()
        return BadNumber(Span(m.source, start, m.line + point.end()), point.group())
    return None


def _plain(m: Mistake) -> Diagnostic:
    expected = _expected(m.accepted)
    if m.kind in (NEWLINE, END, DEDENT):
        return LineEndsEarly(m.span, expected)
    hint = None
    if m.kind in ("&", "|") and m.before.endswith(m.kind):
        hint = f"write `{'and' if m.kind == '&' else 'or'}`"
    elif m.before.endswith("->") and "(" in m.accepted:
        hint = "outputs stand in brackets: `-> (y: f32[N])`"
    elif m.kind in ("NAME", "NUMBER", "(") and "," in m.accepted and m.in_brackets:
        hint = "is a comma missing?"
    elif m.kind == "," and m.in_brackets and re.search(r"\[[^\]]* else [^\]]*$", m.before):
        hint = "one default stands for all, behind the last index: `x[i + 1, j else 0]`"
    elif "=" in m.accepted and _WORD.fullmatch(m.before):
        hint = "a line binds a name, `x = …`, stores, `y[i] = …`, or calls `print`"
    elif m.kind in ("->", ":") and m.accepted & {")", "]"}:
        hint = f"is `{min(m.accepted & {')', ']'})}` missing before it?"
    return UnexpectedWord(m.span, m.text, expected, hint)


def _expected(accepted: frozenset[str]) -> str:
    """Return what could stand there, in words, the likeliest first."""
    kinds = set(accepted) - {INDENT, DEDENT, END}
    words = []
    if {"grid", "assert"} <= kinds:
        return "a statement"
    if kinds >= _OPERAND:
        words.append("an expression")
        kinds -= {"NAME", "NUMBER", "STRING", "(", "[", "-", "+", "~", "not", "where"}
    operator = len(kinds & _INFIX) > 8
    if operator:
        kinds -= _INFIX
    if "NAME" in kinds:
        words.append("a name")
    others = sorted(kinds - {"NAME", "STRING", "NUMBER", NEWLINE, "max", "min"})
    others.sort(key=lambda kind: _LIKELY.find(kind) if kind in _LIKELY else len(_LIKELY))
    words += [f"`{kind}`" for kind in others]
    if "STRING" in kinds:
        words.append('a string `"…"`')
    if "NUMBER" in kinds:
        words.append("a number")
    if operator and len(words) < 4:
        words.append("an operator")
    if NEWLINE in kinds:
        words.append("the end of the line")
    if len(words) > 6:
        words = [*words[:5], "…"]
    return " or ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} or {words[-1]}"
