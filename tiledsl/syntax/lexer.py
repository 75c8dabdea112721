"""Text into words, signs and layout: the tokens of a file.

The words, signs and patterns are those of the grammar. What a grammar cannot say is here: a
line's indentation makes ``_INDENT`` and ``_DEDENT``, its end ``_NEWLINE``, and inside brackets
neither counts.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import NoReturn

from tiledsl.diagnostics import Diagnostic, Report
from tiledsl.source import Source, Span
from tiledsl.syntax.errors import (
    BadNumber,
    BadString,
    MismatchedBracket,
    TabInIndentation,
    TooMuch,
    UnevenIndentation,
    UnexpectedCharacter,
)
from tiledsl.syntax.table import END, table

Token = tuple[str, int, int]
"""A kind, and the characters from the first offset up to the second."""

NEWLINE, INDENT, DEDENT = "_NEWLINE", "_INDENT", "_DEDENT"
WRONG = "_WRONG"
"""A token that was reported already: its line is to be skipped."""
UNCLOSED = "_UNCLOSED"
"""The first word of an item, met inside brackets."""

# The words of schedules and tests, and the `max=` of an update: a name everywhere else.
_SCHEDULE = "tune", "pipeline", "depth", "swizzle", "unroll", "place", "cores", "warps", "split"
_TEST = "given", "tolerance", "exact", "cycles", "fails", "on"
SOFT = frozenset((*_SCHEDULE, "skew", "bypass", *_TEST, "max", "min"))
ITEMS = frozenset(
    ("import", "from", "const", "fn", "kernel", "op", "reference", "schedule", "test")
)

MAX_BRACKETS = 100
MAX_LEVELS = 60
MAX_NAME = 200
LONG_LINE = 200
MAX_ERRORS = 50

# Neither control characters nor those that reorder a line for the eye stand in text.
_TEXT = r"[^\x00-\x08\x0a-\x1f\x7f\u202a-\u202e\u2066-\u2069]"


@cache
def keywords() -> frozenset[str]:
    """Return the words that are reserved everywhere."""
    return frozenset(word for word in table().literals if word.isidentifier()) - SOFT


class GiveUp(Exception):  # noqa: N818
    """What comes after would make no sense; why is in the report."""


class Findings(Report):
    """A report that gives up when there is more in it than anyone reads."""

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep ``diagnostic``, or raise `GiveUp`."""
        if len(self.found) >= MAX_ERRORS:
            raise GiveUp
        super().add(diagnostic)


class Lexer:
    """The tokens of a source, one after the other, and its comments.

    ``brackets`` are those open where it stands. A mistake of layout is repaired after it is
    reported; any other yields a `WRONG` token.
    """

    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.report = report
        self.brackets: list[tuple[str, int]] = []
        self.comments: list[tuple[int, int]] = []
        self.long_lines: list[int] = []
        self.string_open = False
        self._position = 1 if source.text.startswith("\ufeff") else 0
        self.line_start = self._position
        self._fresh = True
        self._levels = [0]
        self._tab_seen = False
        self._rejected = -1

    def resume_after(self, offset: int) -> None:
        """Go on at the line below ``offset``, outside all brackets."""
        end = self.source.text.find("\n", offset)
        self._resume(len(self.source.text) if end < 0 else end + 1)

    def resume_at(self, offset: int) -> None:
        """Go on at the start of the line that ``offset`` is in, outside all brackets."""
        self._resume(self.source.text.rfind("\n", 0, offset) + 1)

    def _resume(self, offset: int) -> None:
        self._position = self.line_start = offset
        self._fresh = True
        self.brackets.clear()

    def __iter__(self) -> Iterator[Token]:
        text = self.source.text
        match = _scanner().match
        reserved = keywords()
        first = last = self._position
        while True:
            found = match(text, self._position)
            assert found is not None
            group = found.lastgroup
            start, end = found.span(found.lastindex or 0)
            self._position = end
            if group == "newline":
                if not self.brackets and not self._fresh:
                    self._fresh = True
                    if last - first > LONG_LINE:
                        self.long_lines.append(first)
                    yield NEWLINE, last, last
                self.line_start = end
                continue
            if group == "comment":
                self.comments.append((start, end))
                continue
            if group == "end":
                if not self._fresh and not self.brackets:
                    yield NEWLINE, last, last
                if not self.brackets:
                    for _ in self._levels[1:]:
                        yield DEDENT, last, last
                    del self._levels[1:]
                yield END, start, start
                continue
            if self._fresh and not self.brackets:
                self._fresh = False
                first = start
                yield from self._indent(start, last)
            kind = text[start:end]
            if group == "NAME":
                if kind not in reserved:
                    kind = "NAME"
                    if end - start > MAX_NAME:
                        span = Span(self.source, start, end)
                        self.report.add(TooMuch(span, "letters of a name", MAX_NAME))
                        kind = WRONG
                elif self.brackets and start == self.line_start and kind in ITEMS - {"const"}:
                    kind = UNCLOSED
            elif group != "mark":
                kind = group or ""
                if group == "bad":
                    self._position = end = self._reject(start)
                    kind = WRONG
            elif kind in "([":
                self.brackets.append((kind, start))
                if len(self.brackets) > MAX_BRACKETS:
                    self._give_up(start, "nested brackets", MAX_BRACKETS)
            elif kind in ")]" and not self._close(kind, start):
                kind = WRONG
            yield kind, start, end
            last = end

    def _indent(self, start: int, last: int) -> Iterator[Token]:
        indentation = self.source.text[self.line_start : start]
        if "\t" in indentation:
            if not self._tab_seen:  # one is enough: they come in files full
                at = self.line_start + indentation.index("\t")
                self.report.add(TabInIndentation(Span(self.source, at, at + 1)))
                self._tab_seen = True
            indentation = indentation.expandtabs(4)
        width, levels = len(indentation), self._levels
        if width > levels[-1]:
            levels.append(width)
            if len(levels) > MAX_LEVELS:
                self._give_up(start, "nested blocks", MAX_LEVELS)
            yield INDENT, start, start
        while width < levels[-1]:
            if width > levels[-2]:
                span = Span(self.source, self.line_start, start)
                self.report.add(UnevenIndentation(span, width, (levels[-2], levels[-1])))
                if levels[-1] - width <= width - levels[-2]:
                    break
                width = levels[-2]
            levels.pop()
            yield DEDENT, last, last

    def _give_up(self, start: int, what: str, limit: int) -> NoReturn:
        self.report.add(TooMuch(Span(self.source, start, start + 1), what, limit))
        raise GiveUp

    def _close(self, bracket: str, start: int) -> bool:
        opened = "(" if bracket == ")" else "["
        span = Span(self.source, start, start + 1)
        if not self.brackets:
            self.report.add(MismatchedBracket(span, bracket, "", None))
            return False
        found, at = self.brackets.pop()
        if found != opened:
            place = Span(self.source, at, at + 1)
            self.report.add(MismatchedBracket(span, bracket, found, place))
            return False
        return True

    def _reject(self, start: int) -> int:
        """Report what no pattern fits, and return where it ends."""
        text = self.source.text
        span = Span(self.source, start, start + 1)
        found: Diagnostic = UnexpectedCharacter(span, text[start])
        number = _NUMBER_LIKE.match(text, start)
        string = _open_string().match(text, start)
        if number:
            span = Span(self.source, start, number.end())
            found = BadNumber(span, number.group())
        elif string:
            end = string.end()
            if text[end : end + 1] in ("", "\r", "\n", "\\"):
                span = Span(self.source, start, end)
                found = BadString(span, "")
                self.string_open = True
            else:
                span = Span(self.source, end, end + 1)
                found = UnexpectedCharacter(span, text[end])
        if self._rejected != self.line_start:  # one character in a line calls for the next
            self._rejected = self.line_start
            self.report.add(found)
        return span.end


_NUMBER_LIKE = re.compile(r"[0-9][0-9A-Za-z_.]*")


@cache
def _open_string() -> re.Pattern[str]:
    return re.compile(table().patterns["STRING"].removesuffix('"'))


@cache
def _scanner() -> re.Pattern[str]:
    patterns = [f"(?P<{name}>{pattern})" for name, pattern in table().patterns.items()]
    marks = [re.escape(sign) for sign in table().literals if not sign.isidentifier()]
    marks.sort(key=len, reverse=True)
    return re.compile(
        rf"[ \t]*(?:{'|'.join(patterns)}|(?P<mark>{'|'.join(marks)})|(?P<newline>\r?\n)"
        rf"|(?P<comment>#{_TEXT}*)|(?P<end>\Z)|(?P<bad>.))",
        re.DOTALL,
    )
