"""The one way to lay out a file: the same tokens and comments, with canonical space between.

Only space changes, so the meaning cannot. A line that is too long is broken inside its brackets,
at the outermost commas; one with comments inside its brackets keeps the author's breaks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tiledsl.diagnostics import Report
from tiledsl.source import Source
from tiledsl.syntax.lexer import DEDENT, INDENT, NEWLINE, Lexer, Token
from tiledsl.syntax.parser import parse
from tiledsl.syntax.table import END

WIDTH = 100
INDENTATION = 4

# A bracket narrower than this is not worth breaking.
_NARROW = 24


def format_source(source: Source) -> str:
    """Return the text of ``source`` in canonical layout; raise its mistakes as `CompileError`."""
    parse(source)
    plain = Source(source.name, source.text.removeprefix("\ufeff"))
    lines = _lines(plain)
    written: list[str] = []
    for place, line in enumerate(lines):
        if place and _blank_above(lines, place, plain.text):
            written.append("")
        written += _write(line, plain.text)
    return "".join(text + "\n" for text in written)


@dataclass(frozen=True)
class _Line:
    """A logical line, or a comment that stands alone: then ``tokens`` is empty."""

    depth: int
    start: int
    end: int
    tokens: list[Token]
    comments: list[tuple[int, int]]
    stray: bool = False
    """A comment that an item below it may not take for its own, for it is indented."""


def _lines(source: Source) -> list[_Line]:
    """Return the lines of a source, each with the comments in it or behind it."""
    lexer = Lexer(source, Report())
    lines: list[_Line] = []
    tokens: list[Token] = []
    columns = [0]  # where the open blocks start,
    above = [0]  # and where those of the line above did
    for token in lexer:
        kind, start, end = token
        if kind == INDENT:
            columns.append(_column(source.text, start))
        elif kind == DEDENT:
            columns.pop()
        elif kind == NEWLINE:
            comments = list(lexer.comments)
            lexer.comments.clear()
            last = max(end, comments[-1][1] if comments else 0)
            lines.append(_Line(len(columns) - 1, tokens[0][1], last, tokens, comments))
            tokens = []
            above = list(columns)
        elif not tokens:
            lines += [_standing(at, source.text, columns, above) for at in lexer.comments]
            lexer.comments.clear()
        if kind == END:
            break
        if kind not in (INDENT, DEDENT, NEWLINE):
            tokens.append(token)
    return lines


def _standing(at: tuple[int, int], text: str, columns: list[int], above: list[int]) -> _Line:
    """Return a comment on a line of its own, in the block that its column speaks for."""
    start, end = at
    column = _column(text, start)
    depth, deepest = len(columns) - 1, len(above) - 1
    stray = False
    if deepest >= depth:
        depth = max((d for d in range(depth, deepest + 1) if above[d] <= column), default=depth)
        if depth == 0 and column:
            depth = min(deepest, 1)
            stray = depth == 0
    return _Line(depth, start, end, [], [at], stray)


def _column(text: str, offset: int) -> int:
    return offset - text.rfind("\n", 0, offset) - 1


def _blank_above(lines: list[_Line], place: int, text: str) -> bool:
    above, line = lines[place - 1], lines[place]
    blank = text.count("\n", above.end, line.start) > 1
    if line.depth > above.depth:
        return False
    if line.depth:
        return blank
    if above.depth or above.stray:
        return True
    return blank or (bool(above.tokens) and _opens_block(lines, place, text))


def _opens_block(lines: list[_Line], place: int, text: str) -> bool:
    """Return whether this line, or the one that this comment is about, opens a block."""
    while not lines[place].tokens:
        place += 1
        if place == len(lines) or text.count("\n", lines[place - 1].end, lines[place].start) > 1:
            return False
    return lines[place].tokens[-1][0] == ":"


def _write(line: _Line, text: str) -> list[str]:
    """Return the lines of text for one line."""
    margin = " " * (INDENTATION * line.depth)
    if not line.tokens:
        (start, end) = line.comments[0]
        return [margin + text[start:end].rstrip()]
    words = _words(line.tokens, text)
    last = line.tokens[-1][2]
    inner = [at for at in line.comments if at[0] < last]
    deeper = margin + " " * (INDENTATION * (2 if line.tokens[-1][0] == ":" else 1))
    if inner:
        written = _as_broken(line, words, text, margin, deeper)
    else:
        written = list(_fill(words, margin, deeper))
    for start, end in line.comments[len(inner) :]:
        written[-1] += "  " + text[start:end].rstrip()
    return written


@dataclass(frozen=True)
class _Word:
    """A token as it is written: ``gap`` is the space before it within a line.

    ``cost`` is how bad it is to start a new line with it; none outside brackets.
    """

    text: str
    gap: str
    cost: int | None


_OPERANDS = ("NAME", "NUMBER", "STRING", ")", "]")
_BINARY = ("+", "-", "*", "/", "//", "%", "@", "**", "|", "^", "&", "<<", ">>")
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_RESULTS, _OPENED = 8, 15
_LINKS = {"..": 2, "over": 3, "into": 3, "else": 3, "if": 3, "and": 3, "or": 3}


def _words(tokens: list[Token], text: str) -> list[_Word]:
    kinds = _kinds(tokens, text)
    words: list[_Word] = []
    opened: list[int] = []  # places of open brackets
    widths = _bracket_widths(tokens)
    for place, (_, start, end) in enumerate(tokens):
        kind = kinds[place]
        before = kinds[place - 1] if place else ""
        if kind in (")", "]"):
            opened.pop()
        cost = None
        if opened and widths[opened[0]] >= _NARROW and kind not in (")", "]"):
            cost = _break_cost(before, kind)
            cost = cost if cost is None else cost + 10 * len(opened)
        elif kind == ")" and kinds[place + 1 : place + 2] == ["->"]:
            cost = _RESULTS  # between what goes in and what comes out
        gap = " " if place and _spaced(kinds, place) else ""
        words.append(_Word(text[start:end], gap, cost))
        if kind in ("(", "["):
            opened.append(place)
    return words


def _kinds(tokens: list[Token], text: str) -> list[str]:
    """Return the kinds, but ``word`` for a name that acts as one, and ``prefix`` for a sign."""
    kinds: list[str] = []
    for place, (kind, start, end) in enumerate(tokens):
        before = kinds[-1] if kinds else ""
        after = tokens[place + 1][0] if place + 1 < len(tokens) else ""
        operand = before in _OPERANDS
        if kind == "NAME" and operand:
            kind = "update" if text[start:end] in ("max", "min") and after == "=" else "word"
        elif kind == "NAME" and not place and after in ("NUMBER", "STRING", "-", "<", "<="):
            kind = "word"
        elif kind == "NAME" and not place and after == "NAME" and tokens[2:3] != []:
            kind = "NAME" if tokens[2][0] == "=" else "word"
        elif kind == "where":
            kind = "NAME" if place else "word"
        elif (kind in ("+", "-", "~") and not operand) or (kind == "*" and before in ("[", ",")):
            kind = "prefix"
        kinds.append(kind)
    return kinds


def _bracket_widths(tokens: list[Token]) -> dict[int, int]:
    """Return for each opening bracket about how wide it is."""
    widths: dict[int, int] = {}
    opened: list[tuple[int, int]] = []
    column = 0
    for place, (kind, start, end) in enumerate(tokens):
        column += end - start + 1
        if kind in ("(", "["):
            opened.append((place, column))
        elif kind in (")", "]"):
            first, at = opened.pop()
            widths[first] = column - at
    return widths


def _break_cost(before: str, kind: str) -> int | None:
    if before == ",":
        return 0
    if before in ("(", "["):
        return 5
    if kind in _BINARY or kind in _COMPARISONS:
        return 4
    return _LINKS.get(kind)


def _spaced(kinds: list[str], place: int) -> bool:
    before, kind = kinds[place - 1], kinds[place]
    if kind in (")", "]", ",", ":", ".") or before in ("(", "[", ".", "prefix"):
        return False
    if kind == "(":
        return before not in ("NAME", "]")
    if kind == "[":
        return before not in ("NAME", ")", "]")
    return not (kind == "=" and before == "update")


def _fill(words: list[_Word], margin: str, deeper: str) -> Iterator[str]:
    """Yield lines that fit `WIDTH`: two, if that keeps a bracket whole, else as full as may be."""
    lead, first = margin, 0
    half = _in_two(words, margin, deeper)
    while half is None and (after := _end_of_line(words, first, len(lead))) is not None:
        yield lead + _join(words[first:after])
        lead, first = deeper, after
    if half:
        yield margin + _join(words[:half])
        lead, first = deeper, half
    yield lead + _join(words[first:])


def _in_two(words: list[_Word], margin: str, deeper: str) -> int | None:
    """Return where to break so that two lines do; 0 when one does."""
    total = sum(len(word.gap) + len(word.text) for word in words)
    if len(margin) + total <= WIDTH:
        return 0
    found: int | None = None
    head = len(margin)
    for place, word in enumerate(words):
        tail = len(deeper) + total - head + len(margin) - len(word.gap)
        if word.cost in (_RESULTS, _OPENED) and head <= WIDTH and tail <= WIDTH:
            if word.cost == _RESULTS:
                return place
            found = place
        head += len(word.gap) + len(word.text)
    return found


def _end_of_line(words: list[_Word], first: int, width: int) -> int | None:
    """Return which word starts the next line, of those that fit the one that is cheapest."""
    width += len(words[first].text)
    best: int | None = None
    for place in range(first + 1, len(words)):
        word = words[place]
        width += len(word.gap) + len(word.text)
        if width > WIDTH and best is not None:
            return best
        cheaper = best is None or (word.cost or 0) <= (words[best].cost or 0)
        if word.cost is not None and cheaper:
            best = place
    return best if width > WIDTH else None


def _as_broken(line: _Line, words: list[_Word], text: str, margin: str, deeper: str) -> list[str]:
    """Return the lines as their author broke them, with the comments between."""
    pieces: list[tuple[int, int, str, str]] = [
        (start, end, word.text, word.gap)
        for (_, start, end), word in zip(line.tokens, words, strict=True)
    ]
    last = line.tokens[-1][2]
    pieces += [(s, e, text[s:e].rstrip(), "  ") for s, e in line.comments if s < last]
    pieces.sort()
    written = [margin]
    seen = line.start
    for start, end, piece, gap in pieces:
        if "\n" in text[seen:start]:
            written.append(deeper + piece)
        else:
            written[-1] += (gap if start > line.start else "") + piece
        seen = end
    return written


def _join(words: list[_Word]) -> str:
    return words[0].text + "".join(word.gap + word.text for word in words[1:])
