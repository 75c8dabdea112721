"""Text into a syntax tree, or all that is wrong with it.

The table is Lark's; the loop that runs it is here, and knows the span of every rule from its first
and last token.
"""

import gc
from pathlib import Path
from typing import Any

from tiledsl.diagnostics import CompileError, Report
from tiledsl.source import Source, Span
from tiledsl.syntax import build, tree
from tiledsl.syntax.automaton import (
    ALL,
    LIST,
    SAME,
    SOME,
    Stacks,
    jump,
    jumps,
    only_way,
    plans,
    rows,
)
from tiledsl.syntax.errors import TooMuch, Unreadable
from tiledsl.syntax.lexer import SOFT, Findings, GiveUp, Lexer, Token
from tiledsl.syntax.recovery import Recovery
from tiledsl.syntax.table import END, table

MAX_FILE_BYTES = 1 << 20
MAX_DEPTH = 200


def parse(source: Source) -> tree.File:
    """Return the tree of ``source``, or raise a `CompileError` with every mistake in it."""
    if len(source.text) > MAX_FILE_BYTES:
        raise CompileError([_too_large(source)])
    report = Findings()
    lexer = Lexer(source, report)
    collecting = gc.isenabled()
    gc.disable()  # a tree has no cycles, and looking for them takes a quarter of the time
    try:
        items = _items(source, lexer, report)
    except GiveUp:
        items = ()
    finally:
        if collecting:
            gc.enable()
    report.raise_errors()
    for item in items:
        if any(item.span.start <= line <= item.span.end for line in lexer.long_lines):
            _check_depth(item, report)
    report.raise_errors()
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
        return Source(str(path), content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        why = f"byte {error.object[error.start]:#04x} in line {line} is not UTF-8"
        raise CompileError([Unreadable(Span(nothing, 0, 0), why)]) from None


def _too_large(source: Source) -> Unreadable:
    return Unreadable(Span(source, 0, 0), f"it is larger than {MAX_FILE_BYTES >> 20} MiB")


def _items(source: Source, lexer: Lexer, report: Report) -> tuple[tree.Item, ...]:
    """Run the automaton; what it returns means nothing when the report has errors."""
    tokens, stacks, text = iter(lexer), Stacks(), source.text
    states, values, starts, ends = stacks.states, stacks.values, stacks.starts, stacks.ends
    acts, rules, gotos, accepting = rows(), plans(), table().gotos, table().end
    recovery = Recovery(source, lexer, tokens, stacks, report)
    queue: list[Token] = []
    kind, start, end = next(tokens)
    value: Any
    while True:
        row = acts[states[-1]]
        if kind == "NAME" and (word := text[start:end]) in SOFT and word in row:
            kind = word
        act = row.get(kind)
        if act is None and (forced := only_way(states[-1])) is not None:
            act = forced  # what is complete is complete, whatever follows
        if act is None:
            following = recovery.recover((kind, start, end))
            if not following:
                return ()
            queue += following
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
        origin, length, way, keep, action = rules[~act]
        if length == 1 and way == SAME:
            chain = states[-2], states[-1], kind
            states[-1] = jumps.get(chain) or jump(*chain)
            continue
        if length:
            parts = values[-length:]
            first, last = starts[-length], ends[-1]
            del states[-length:], values[-length:], starts[-length:], ends[-length:]
        else:
            parts = []
            first = last = ends[-1]
        if way == ALL:
            value = action(Span(source, first, last), *parts)
        elif way == SOME:
            chosen = [parts[place] if place >= 0 else None for place in keep]
            value = action(Span(source, first, last), *chosen)
        elif way == LIST:
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


def _check_depth(item: tree.Item, report: Report) -> None:
    """Report an expression that nests too deeply, such as a sum of a thousand terms."""
    pending: list[tuple[Any, int]] = [(item, 0)]
    while pending:
        value, depth = pending.pop()
        if isinstance(value, tuple):
            pending += [(part, depth) for part in value]
        elif isinstance(value, tree.Node):
            if depth > MAX_DEPTH:
                report.add(TooMuch(value.span, "parts nested in an expression", MAX_DEPTH))
                return
            pending += [(getattr(value, name), depth + 1) for name in type(value).__slots__]
