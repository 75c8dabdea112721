"""After a mistake: report it, and find the place where the parser can go on.

The line at fault counts as a statement without content. Where it opens a block, it counts as the
shortest line that opens one of that kind, so that the block below is read as well.
"""

import re
from collections.abc import Iterator

from tiledsl.diagnostics import Diagnostic, Report
from tiledsl.source import Source, Span
from tiledsl.syntax.automaton import Stacks, rows
from tiledsl.syntax.errors import (
    ExpectedBlock,
    MissingColon,
    NeverClosed,
    UnfinishedBlock,
    UnknownWord,
)
from tiledsl.syntax.explain import Mistake, explain
from tiledsl.syntax.lexer import DEDENT, INDENT, NEWLINE, UNCLOSED, WRONG, Lexer, Token
from tiledsl.syntax.table import END, table

# What a mistake is taken for: one of the parts that a body repeats.
_LINES = ("stmt", "where_", "op_stmt", "directive", "check", "item")
_WITHOUT_NEWLINE = ("where_", "op_stmt", "directive", "check")
# The shortest lines that open a block.
_HEADERS = {
    "kernel": ("kernel", "NAME", "(", ")", ":"),
    "op": ("op", "NAME", "(", ")", ":"),
    "fn": ("fn", "NAME", "(", ")", ":"),
    "reference": ("reference", "NAME", ":"),
    "schedule": ("schedule", "NAME", ":"),
    "test": ("test", "NAME", ":"),
    "for": ("for", "NAME", "in", "NAME", ":"),
    "if": ("if", "NAME", ":"),
    "elif": ("elif", "NAME", ":"),
    "else": ("else", ":"),
}


_BLANK = re.compile(r"[ \t]*")
_WORD = re.compile(r"[a-z]+")


class Recovery:
    """What is known between one mistake and the next."""

    def __init__(
        self, source: Source, lexer: Lexer, tokens: Iterator[Token], stacks: Stacks, report: Report
    ) -> None:
        self.source = source
        self.lexer = lexer
        self.tokens = tokens
        self.stacks = stacks
        self.report = report
        self._colon_added = False  # that no block follows is then no news
        self._kept = (-1, "")  # the last token that was not skipped

    def recover(self, token: Token) -> list[Token]:
        """Report a token that cannot stand here; return what to go on with, last token first.

        An empty list says that there is no use in going on.
        """
        kind, start, _ = token
        base, line = self._line(start)
        bracket = self._unclosed(token, line)
        found: Diagnostic | None = None
        if bracket is not None:
            sign, offset = bracket
            self.report.add(NeverClosed(Span(self.source, offset, offset + 1), sign))
            self.lexer.resume_after(offset)
            token = NEWLINE, offset, offset
        elif kind == WRONG and self.source.text[start] == "{" and self.stacks.accept(":"):
            return [next(self.tokens), (":", start, start)]
        elif kind == WRONG and self.lexer.string_open:
            self.lexer.string_open = False
            self.lexer.resume_after(start)  # what would close the brackets may be in the string
            token = NEWLINE, start, start
        elif kind != WRONG:
            found = explain(self._mistake(token, base, line))
            if not (self._colon_added and isinstance(found, ExpectedBlock)):
                self.report.add(found)
            self._colon_added = isinstance(found, MissingColon)
            if self._colon_added:
                return [token, (":", start, start)]
        if token[0] in (DEDENT, END) or isinstance(found, ExpectedBlock):
            if self._kept != (start, kind):
                self._kept = start, kind
                return [token, *self._without_content(base, line, found)]
            if token[0] in (DEDENT, END):
                return []
        token = self._skip_line(token, self._indentation(line))
        if token[0] == INDENT:
            header = self._header(base, line, found)
            if header:
                return [token, *header]
            token = self._skip_block()
        return [token, *self._without_content(base, line, found)]

    def _line(self, start: int) -> tuple[int, int]:
        """Return the place on the stacks above which the line at fault is, and where it starts."""
        stacks, gotos = self.stacks, table().gotos
        top = len(stacks.states) - 1
        base = top
        while base and gotos[stacks.states[base]].keys().isdisjoint(_LINES):
            base -= 1
        for at in range(top, base + 1, -1):
            if stacks.values[at] in ("elif", "else") and self._starts_line(stacks.starts[at]):
                return at - 1, stacks.starts[at]
        return base, stacks.starts[base + 1] if base < top else start

    def _unclosed(self, token: Token, line: int) -> tuple[str, int] | None:
        """Return the bracket that was to be closed before ``token``, going by the indentation."""
        kind, start, _ = token
        brackets = self.lexer.brackets
        if brackets and brackets[-1][1] == start:
            brackets = brackets[:-1]
        if not brackets or kind in (UNCLOSED, END):
            return brackets[-1] if brackets else None
        below = brackets[-1][1] < self.source.text.rfind("\n", 0, start)
        if below and self._indentation(start) <= self._indentation(line):
            return brackets[-1]
        return None

    def _indentation(self, offset: int) -> int:
        """Return the indentation of the line that ``offset`` is in."""
        blank = _BLANK.match(self.source.text, self.source.text.rfind("\n", 0, offset) + 1)
        return blank.end() - blank.start() if blank else 0

    def _starts_line(self, offset: int) -> bool:
        first = self.source.text.rfind("\n", 0, offset) + 1
        return first + self._indentation(offset) >= offset

    def _mistake(self, token: Token, base: int, line: int) -> Mistake:
        kind, start, end = token
        state = self.stacks.states[-1]
        starters = {word for word in rows()[self.stacks.states[base]] if word[0].islower()}
        return Mistake(
            source=self.source,
            kind=kind,
            start=start,
            end=end,
            line=line,
            before=self.source.text[line : self.stacks.ends[-1]] if line < start else "",
            accepted=frozenset(kind for kind in rows()[state] if self.stacks.accept(kind)),
            starters=tuple(sorted(starters - {"max", "min"})),
            in_brackets=bool(self.lexer.brackets),
        )

    def _skip_line(self, token: Token, indentation: int) -> Token:
        """Return the token after the logical line of ``token``."""
        lexer = self.lexer
        line = lexer.line_start
        while token[0] not in (NEWLINE, INDENT, DEDENT):
            if token[0] == END:
                if not lexer.brackets:
                    return token
                lexer.brackets.clear()
            token = next(self.tokens)
            if lexer.brackets and lexer.line_start != line:
                kind, start, _ = token
                line = lexer.line_start
                if start - line <= indentation and kind not in (")", "]"):
                    lexer.resume_at(start)
                    token = NEWLINE, start, start
        return next(self.tokens) if token[0] == NEWLINE else token

    def _skip_block(self) -> Token:
        """Return the token after the block that was just opened."""
        depth = 1
        while depth:
            kind, _, _ = next(self.tokens)
            depth += {INDENT: 1, DEDENT: -1}.get(kind, 0)
            if kind in (UNCLOSED, END):
                sign, offset = self.lexer.brackets[-1]
                self.report.add(NeverClosed(Span(self.source, offset, offset + 1), sign))
                self.lexer.resume_after(offset)
        return next(self.tokens)

    def _header(self, base: int, line: int, found: Diagnostic | None) -> list[Token]:
        """Return the shortest line that opens the same kind of block; nothing if none does."""
        first = _WORD.match(self.source.text, line)
        word = first.group() if first else ""
        if isinstance(found, UnknownWord):
            word = found.suggestion or ""
        states = self.stacks.states[: base + 1]
        if word not in _HEADERS or not Stacks(states).accept(word):
            return []
        self.stacks.cut(base + 1)
        return [(kind, line, line) for kind in (NEWLINE, *reversed(_HEADERS[word]))]

    def _without_content(self, base: int, line: int, found: Diagnostic | None) -> list[Token]:
        """Put a line without content where the mistake was; return the rest of that line."""
        stacks, gotos = self.stacks, table().gotos
        while base and gotos[stacks.states[base]].keys().isdisjoint(_LINES):
            base -= 1
        goto = gotos[stacks.states[base]]
        order: tuple[str, ...] = _LINES
        if isinstance(found, UnfinishedBlock):
            order = (found.missing, *_LINES)
        elif self.source.text.startswith("where", line):
            order = ("where_", *_LINES)
        origin = next(name for name in order if name in goto)
        stacks.cut(base + 1)
        stacks.push(goto[origin], [], line)
        return [(NEWLINE, line, line)] if origin in _WITHOUT_NEWLINE else []
