"""Text into a syntax tree, or all that is wrong with it.

The table is Lark's; the loop that runs it is here. It knows the span of every rule from its first
and last token, and it goes on after a mistake: the line at fault, with the block below it, counts
as a statement without content, so that one run reports the mistakes of the whole file.
"""

import gc
from functools import cache
from pathlib import Path
from typing import Any

from tiledsl.diagnostics import CompileError, Report
from tiledsl.source import Source, Span
from tiledsl.syntax import build, tree
from tiledsl.syntax.errors import (
    ExpectedBlock,
    MissingColon,
    NeverClosed,
    TooMuch,
    UnfinishedBlock,
    Unreadable,
)
from tiledsl.syntax.explain import Mistake, explain
from tiledsl.syntax.lexer import (
    DEDENT,
    INDENT,
    NEWLINE,
    SOFT,
    UNCLOSED,
    WRONG,
    GiveUp,
    Lexer,
    Token,
)
from tiledsl.syntax.table import END, table

MAX_FILE_BYTES = 1 << 20
MAX_DEPTH = 200
MAX_ERRORS = 50

# What a mistake is taken for: one of the parts that a body repeats.
_LINES = ("stmt", "where_", "op_stmt", "directive", "check", "item")
_WITHOUT_NEWLINE = ("where_", "op_stmt", "directive", "check")


def parse(source: Source) -> tree.File:
    """Return the tree of ``source``, or raise a `CompileError` with every mistake in it."""
    if len(source.text) > MAX_FILE_BYTES:
        raise CompileError([_too_large(source)])
    run = _Run(source)
    collecting = gc.isenabled()
    gc.disable()  # a tree has no cycles, and looking for them takes a quarter of the time
    try:
        items = run.items()
    finally:
        if collecting:
            gc.enable()
    run.report.raise_errors()
    return tree.File(source, items)


def read_source(path: Path) -> Source:
    """Return the text of a file, or raise a `CompileError` that says why there is none."""
    nothing = Source(str(path), "")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CompileError([Unreadable(Span(nothing, 0, 0), why)]) from None
    if len(content) > MAX_FILE_BYTES:
        raise CompileError([_too_large(nothing)])
    try:
        return Source(str(path), content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        why = f"byte {content[error.start]:#04x} in line {line} is not UTF-8"
        raise CompileError([Unreadable(Span(nothing, 0, 0), why)]) from None


def _too_large(source: Source) -> Unreadable:
    return Unreadable(Span(source, 0, 0), f"it is larger than {MAX_FILE_BYTES >> 20} MiB")


# How a reduction makes its value.
_SAME, _LIST, _ALL, _SOME = range(4)


@cache
def _plans() -> tuple[tuple[str, int, int, Any, Any], ...]:
    """Return for each rule its origin, length, way to make a value, parts, and action."""
    plans = []
    way: int
    parts: Any
    for rule in table().rules:
        way, parts = _ALL, rule.keep
        if rule.action == "":
            way, parts = _SAME, rule.keep[0]
        elif rule.action == "_":
            way, parts = _LIST, [(place, place in rule.splice) for place in rule.keep]
        elif rule.keep != tuple(range(rule.length)):
            way = _SOME
        plans.append((rule.origin, rule.length, way, parts, build.ACTIONS.get(rule.action)))
    return tuple(plans)


@cache
def _rows() -> tuple[dict[str, int], ...]:
    made = table()
    return tuple(made.rows[shape] for shape in made.shape)


@cache
def _only_way(state: int) -> int | None:
    """Return the reduction that a state makes for every token that it knows, if there is one."""
    ways = set(_rows()[state].values())
    return way if len(ways) == 1 and (way := ways.pop()) < 0 else None


_jumps: dict[tuple[int, int, str], int] = {}
"""Where a chain of rules with one part each ends (precedence makes a dozen for each operand)."""


class _Run:
    """One run over a source: the stacks of the automaton, and where the lexer stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.report = Report()
        self.lexer = Lexer(source, self.report)
        self.tokens = iter(self.lexer)
        # Four stacks in step: states, what they stand for, and its first and last offset.
        self.states = [table().start]
        self.values: list[Any] = [None]
        self.starts = [0]
        self.ends = [0]
        # A colon was put in: that no block follows is then no news.
        self.repaired = False
        self.stuck = (-1, "")

    def items(self) -> tuple[tree.Item, ...]:
        """Return the items; they mean nothing when the report has errors."""
        try:
            items = self._reduce_all()
        except GiveUp:
            return ()
        if not self.report.errors:
            for item in items:
                self._check_depth(item)
        return items

    def _reduce_all(self) -> tuple[tree.Item, ...]:
        source, text, report, tokens = self.source, self.source.text, self.report, self.tokens
        states, values, starts, ends = self.states, self.values, self.starts, self.ends
        rows, plans, gotos, accepting = _rows(), _plans(), table().gotos, table().end
        queue: list[Token] = []
        kind, start, end = next(tokens)
        value: Any
        while True:
            row = rows[states[-1]]
            if kind == "NAME" and (word := text[start:end]) in SOFT and word in row:
                kind = word
            act = row.get(kind)
            if act is None and (forced := _only_way(states[-1])) is not None:
                act = forced  # what is complete is complete, whatever follows
            if act is None:
                queue = self._recover((kind, start, end))
                if not queue:
                    return ()
                kind, start, end = queue.pop()
                continue
            if act >= 0:
                if kind == "NAME":
                    value = tree.Name(Span(source, start, end), text[start:end])
                elif kind == "NUMBER":
                    value = build.number(Span(source, start, end), report)
                elif kind == "STRING":
                    value = build.string(Span(source, start, end), report)
                else:
                    value = kind
                states.append(act)
                values.append(value)
                starts.append(start)
                ends.append(end)
                kind, start, end = queue.pop() if queue else next(tokens)
                continue
            origin, length, way, keep, action = plans[~act]
            if length == 1 and way == _SAME:
                chain = states[-2], states[-1], kind
                states[-1] = _jumps.get(chain) or _jump(*chain)
                continue
            if length:
                parts = values[-length:]
                first, last = starts[-length], ends[-1]
                del states[-length:], values[-length:], starts[-length:], ends[-length:]
            else:
                parts = []
                first = last = ends[-1]
            if way == _ALL:
                value = action(Span(source, first, last), *parts)
            elif way == _SOME:
                chosen = [parts[place] if place >= 0 else None for place in keep]
                value = action(Span(source, first, last), *chosen)
            elif way == _LIST:
                value = []
                for place, several in keep:
                    if not several:
                        value.append(parts[place])
                    elif value:
                        value += parts[place]
                    else:
                        value = parts[place]
            else:
                value = parts[keep]
            states.append(gotos[states[-1]][origin])
            values.append(value)
            starts.append(first)
            ends.append(last)
            if kind == END and states[-1] == accepting:
                items: tuple[tree.Item, ...] = value
                return items

    def _recover(self, token: Token) -> list[Token]:
        """Report a token that cannot stand here; return what to go on with, last token first."""
        kind, start, _ = token
        if len(self.report.found) >= MAX_ERRORS:
            return []
        at = self._line_state()
        line = self.starts[at + 1] if at + 1 < len(self.states) else start
        bracket = self._unclosed(token, line)
        keep = kind in (DEDENT, END)
        ending = "stmt"
        if bracket is not None:
            sign, offset = bracket
            self.report.add(NeverClosed(Span(self.source, offset, offset + 1), sign))
            self.lexer.resume_after(offset)
            token = NEWLINE, offset, offset
            keep = False
        elif kind != WRONG:
            mistake = self._mistake(token, at, line)
            found = explain(mistake)
            if isinstance(found, ExpectedBlock):
                keep = True
            if not (self.repaired and keep):
                self.report.add(found)
            self.repaired = isinstance(found, MissingColon)
            if self.repaired:
                return [token, (":", start, start)]
            if isinstance(found, UnfinishedBlock) and found.missing == "return":
                ending = "return_"
        elif self.source.text[start] == "{" and self._accepts(":"):
            return [next(self.tokens), (":", start, start)]
        elif self.lexer.string_open:
            self.lexer.string_open = False
            self.lexer.resume_after(start)  # what would close the brackets may be in the string
            token = NEWLINE, start, start
        if keep and (start, kind) == self.stuck:
            if kind in (DEDENT, END):
                return []
            keep = False
        self.stuck = start, kind
        queue = [token if keep else self._skip(token, self._indentation(line))]
        self._finish_line(at, line, ending, queue)
        return queue

    def _line_state(self) -> int:
        """Return the innermost place on the stacks where a line could start."""
        gotos = table().gotos
        for at in range(len(self.states) - 1, 0, -1):
            if not gotos[self.states[at]].keys().isdisjoint(_LINES):
                return at
        return 0

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
        line = self.source.text[self.source.text.rfind("\n", 0, offset) + 1 : offset]
        return len(line) - len(line.lstrip())

    def _starts_line(self, offset: int) -> bool:
        return not self.source.text[self.source.text.rfind("\n", 0, offset) + 1 : offset].strip()

    def _mistake(self, token: Token, at: int, line: int) -> Mistake:
        kind, start, end = token
        row = _rows()[self.states[-1]]
        starters = {word for word in _rows()[self.states[at]] if word[0].islower()}
        return Mistake(
            source=self.source,
            kind=kind,
            start=start,
            end=end,
            line=line,
            before=self.source.text[line : self.ends[-1]] if line < start else "",
            accepted=frozenset(kind for kind in row if self._accepts(kind)),
            starters=tuple(sorted(starters - {"max", "min"})),
            in_brackets=bool(self.lexer.brackets),
        )

    def _accepts(self, kind: str) -> bool:
        """Return whether a token of this kind could stand here: a row of LALR promises too much."""
        rows, plans, gotos = _rows(), _plans(), table().gotos
        states = list(self.states)
        while True:
            act = rows[states[-1]].get(kind)
            if act is None or act >= 0:
                return act is not None
            origin, length, *_ = plans[~act]
            del states[len(states) - length :]
            goto = gotos[states[-1]].get(origin)
            if goto is None:
                return False
            states.append(goto)
            if kind == END and goto == table().end:
                return True

    def _skip(self, token: Token, indentation: int) -> Token:
        """Return the token after the logical line of ``token`` and the block below that."""
        lexer = self.lexer
        while token[0] not in (NEWLINE, INDENT, DEDENT):
            if token[0] == END:
                if not lexer.brackets:
                    return token
                lexer.brackets.clear()
            token = next(self.tokens)
            kind, start, _ = token
            ends = kind not in (")", "]") and self._indentation(start) <= indentation
            if lexer.brackets and ends and self._starts_line(start):
                lexer.resume_at(start)
                token = NEWLINE, start, start
        if token[0] == NEWLINE:
            token = next(self.tokens)
        if token[0] != INDENT:
            return token
        depth = 1
        while depth:
            token = next(self.tokens)
            depth += {INDENT: 1, DEDENT: -1}.get(token[0], 0)
            if token[0] in (UNCLOSED, END):
                sign, offset = lexer.brackets[-1]
                self.report.add(NeverClosed(Span(self.source, offset, offset + 1), sign))
                lexer.resume_after(offset)
        return next(self.tokens)

    def _finish_line(self, at: int, line: int, ending: str, queue: list[Token]) -> None:
        """Put a line without content where the mistake was."""
        gotos = table().gotos[self.states[at]]
        first = self.source.text[line : line + 6]
        facts = first.startswith("where") and queue[0][0] != DEDENT
        order = ("where_", *_LINES) if facts else (ending, *_LINES)
        origin = next(name for name in order if name in gotos)
        for stack in (self.states, self.values, self.starts, self.ends):
            del stack[at + 1 :]
        self.states.append(gotos[origin])
        self.values.append([])
        self.starts.append(line)
        self.ends.append(line)
        if origin in _WITHOUT_NEWLINE:
            queue.append((NEWLINE, line, line))

    def _check_depth(self, item: tree.Item) -> None:
        """Report an expression that nests too deeply, such as a sum of a thousand terms."""
        long_lines = self.lexer.long_lines
        if not any(item.span.start <= line <= item.span.end for line in long_lines):
            return
        pending: list[tuple[Any, int]] = [(item, 0)]
        while pending:
            value, depth = pending.pop()
            if isinstance(value, tuple):
                pending += [(part, depth) for part in value]
            elif isinstance(value, tree.Node):
                if depth > MAX_DEPTH:
                    limit = TooMuch(value.span, "parts nested in an expression", MAX_DEPTH)
                    self.report.add(limit)
                    return
                names = type(value).__slots__
                pending += [(getattr(value, name), depth + 1) for name in names]


def _jump(below: int, state: int, kind: str) -> int:
    """Return where rules with one part lead from ``state``, which stands on ``below``."""
    chain = below, state, kind
    rows, plans, gotos = _rows(), _plans(), table().gotos
    while (act := rows[state].get(kind, _only_way(state))) is not None and act < 0:
        origin, length, way, _, _ = plans[~act]
        if length != 1 or way != _SAME:
            break
        state = gotos[below][origin]
    _jumps[chain] = state
    return state
