"""The winners of searches for tile sizes, as they are kept in ``NAME.tune.toml`` beside a file."""

import os
import re
import shlex
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from tiledsl import ir
from tiledsl.check.modules import WINNERS, Module
from tiledsl.check.winner_errors import BadWinners, UnusedWinner
from tiledsl.chips.facts import family, targets
from tiledsl.diagnostics import CompileError, Diagnostic, Report
from tiledsl.source import Source, Span
from tiledsl.syntax import tree
from tiledsl.syntax.lexer import Lexer
from tiledsl.syntax.table import END
from tiledsl.syntax.walk import walk
from tiledsl.types import DTYPES

# A file of winners is small, and short of points, of which a reader of TOML takes the square.
MOST_BYTES, MOST_POINTS = 1 << 20, 200
LARGEST_SIZE = 1 << 20

Value = int | float | bool


@dataclass(frozen=True, slots=True)
class Winner:
    """The tile sizes that a search found for a kernel, and what it was found for.

    ``parameters`` are scalars and those that are ``const``. ``cycles`` are those with these sizes,
    ``before`` those of what was built without them, 0 where that did not fit; ``text`` is the
    `fingerprint` of the kernel.
    """

    kernel: str
    target: str
    types: Mapping[str, str]
    dims: Mapping[str, int]
    parameters: Mapping[str, Value]
    tiles: Mapping[str, int]
    cycles: int
    before: int
    text: str
    span: Span

    @property
    def values(self) -> dict[str, Value]:
        """The dims and the parameters."""
        return {**self.dims, **self.parameters}

    @property
    def subject(self) -> tuple[object, ...]:
        """What it was searched for: of two winners for one subject the later replaces the other."""
        types, values = sorted(self.types.items()), sorted(self.values.items())
        return self.kernel, self.target, tuple(types), tuple(values)

    def unused(self, module: Module, reason: str) -> UnusedWinner:
        """Return the warning that it is not used."""
        pairs = [*self.types.items(), *((n, spelt(v)) for n, v in self.values.items())]
        values = " ".join(f"{name}={value}" for name, value in pairs)
        subject = shlex.quote(f"{module.source.name}:{self.kernel}")
        command = f"tiledsl tune {subject} {values} --chip {self.target} --write"
        return UnusedWinner(self.span, self.kernel, reason, command)


def spelt(value: Value) -> str:
    """Return a value as TOML, and the command line, spell it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def winners(module: Module) -> tuple[Winner, ...]:
    """Return what is kept beside a module, in the order of the file; raise `CompileError`."""
    if module.winners is None:
        place = module.winners_path
        source = None if place is None else _source(module, place)
        module.winners = () if source is None else tuple(_Reading(module, source).all())
    return module.winners


def winner_for(
    module: Module, kernel: ir.Kernel, target: str
) -> tuple[Winner | None, list[Diagnostic]]:
    """Return the winner that holds for a kernel of ``module`` on ``target``, and what is left.

    That is one for the same element types, on this very chip or on one of its family; of several
    the one for the values that are pinned, else the first.
    """
    name = kernel.origin or kernel.name
    types = {generic: dtype.value for generic, dtype in kernel.binding.types}
    fitting = [
        w for w in winners(module)
        if w.kernel == name and w.types == types and family(w.target) == family(target)
    ]  # fmt: skip
    if not fitting:
        return None, []
    text = fingerprint(module.kernels[name].item)
    stale = [w for w in fitting if w.text != text]
    warnings: list[Diagnostic] = [
        w.unused(module, "the kernel's text has changed since") for w in stale
    ]
    fresh = [w for w in fitting if w.text == text]
    near = [w for w in fresh if w.target == target] or fresh
    pinned = [*kernel.binding.pinned, *kernel.binding.consts]
    exact = [w for w in near if pinned and all(w.values.get(n) == v for n, v in pinned)]
    return next(iter(exact or near), None), warnings


def check_winners(module: Module) -> list[Diagnostic]:
    """Return what is wrong with what is kept beside a module."""
    try:
        kept = winners(module)
    except CompileError as error:
        return list(error.diagnostics)
    texts = {name: fingerprint(module.kernels[name].item) for name in {w.kernel for w in kept}}
    return [
        w.unused(module, "the kernel's text has changed since")
        for w in kept
        if w.text != texts[w.kernel]
    ]


def fingerprint(kernel: tree.Kernel) -> str:
    """Return a hash of a kernel's words: comments and blanks between them do not count."""
    source = Source("", kernel.span.text)
    words: list[str] = []
    for kind, start, end in Lexer(source, Report()):
        if kind == END:
            break
        words.append(source.text[start:end] or kind)
    return sha256(" ".join(words).encode()).hexdigest()[:16]


# ---- the file -----------------------------------------------------------------------------------


def _source(module: Module, place: Path) -> Source | None:
    """Return the text of the file; `None` where there is none."""
    name = str(Path(module.source.name).with_suffix(WINNERS))
    nothing = Source(name, "")
    try:
        if not stat.S_ISREG(os.stat(place).st_mode):
            _refuse(nothing, 0, 0, "this is no plain file")
        with place.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        _refuse(nothing, 0, 0, f"cannot be read: {error.strerror or error}")
    if len(content) > MOST_BYTES:
        _refuse(nothing, 0, 0, f"has more than {MOST_BYTES:,} bytes")
    try:
        return Source(name, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        _refuse(nothing, 0, 0, f"byte {content[error.start]:#04x} in line {line} is not UTF-8")


def _refuse(source: Source, start: int, end: int, reason: str) -> NoReturn:
    raise CompileError([BadWinners(Span(source, start, end), reason)])


class _Reading:
    """One file, read."""

    def __init__(self, module: Module, source: Source) -> None:
        self.module, self.source = module, source
        self.texts: dict[str, str] = {}

    def all(self) -> Iterator[Winner]:
        for name, tables in self.table().items():
            if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
                self.refuse(self.key(name, 0), f"a winner is a table of its own: `[[{name}]]`")
            unseen = [(0, 0)] * len(tables)
            places = [*self.headers(name), *unseen][: len(tables)]
            for table, place in zip(tables, places, strict=True):
                yield self.winner(name, table, place)

    def table(self) -> dict[str, Any]:
        text = self.source.text
        at = 0
        for line in text.splitlines(keepends=True):
            if line.count(".") > MOST_POINTS:
                self.refuse((at, at + len(line.rstrip())), f"more than {MOST_POINTS} points")
            at += len(line)
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            words, start = str(error), len(text.rstrip())
            found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", words)
            if found is not None and found[1]:
                lines = text.split("\n")
                start = sum(len(line) + 1 for line in lines[: int(found[1]) - 1])
                start += int(found[2]) - 1
            reason = words[: found.start()] if found is not None else words
            self.refuse((start, start + 1), f"no TOML: {reason[:1].lower()}{reason[1:]}")
        except (RecursionError, ValueError):
            self.refuse((0, 0), "no winners: it nests too deeply, or a number is too long")

    def winner(self, name: str, table: dict[str, Any], at: tuple[int, int]) -> Winner:
        definition = self.module.kernels.get(name)
        if definition is None or definition.module is not self.module:
            own = [n for n, d in self.module.kernels.items() if d.module is self.module]
            listed = ", ".join(own[:8]) or "none"
            kind = "an op: its steps are kernels" if name in self.module.ops else "no kernel"
            self.refuse(at, f"`{name}` is {kind} of {self.module.source.name}; there are {listed}")
        item = definition.item
        known = ("target", "types", "dims", "parameters", "tiles", "cycles", "before", "text")
        for key in table:
            if key not in known:
                self.refuse(self.key(key, *at), f"`{key}` is none of {', '.join(known)}")
        target, text = (self.text(table, key, at) for key in ("target", "text"))
        if target not in targets():
            reason = f"there is no target `{target[:60]}`; there are {', '.join(targets())}"
            self.refuse(self.key("target", *at), reason)
        types = self.pairs(table, "types", at, str)
        for generic, dtype in types.items():
            if dtype not in DTYPES:
                self.refuse(self.key(generic, *at), f"`{dtype[:60]}` is no element type")
        tiles = self.pairs(table, "tiles", at, int)
        for size, value in tiles.items():
            if not 1 <= value <= LARGEST_SIZE:
                reason = f"the tile size `{size}` is from 1 to {LARGEST_SIZE:,}"
                self.refuse(self.key(size, *at), reason)
        if name not in self.texts:
            self.texts[name] = fingerprint(item)
        if text == self.texts[name]:
            self.known(tuple(tiles), tile_names(item), at, "tile size")
            self.known(tuple(types), [g.name.id for g in item.generics], at, "element type")
        dims = self.pairs(table, "dims", at, int)
        parameters = self.pairs(table, "parameters", at, (int, float))
        cycles, before = (self.count(table, key, at) for key in ("cycles", "before"))
        span = Span(self.source, *at)
        return Winner(name, target, types, dims, parameters, tiles, cycles, before, text, span)

    def known(
        self, names: Sequence[str], there: Sequence[str], at: tuple[int, int], kind: str
    ) -> None:
        for name in names:
            if name not in there:
                listed = ", ".join(there) or "none"
                self.refuse(self.key(name, *at), f"`{name}` is no {kind}; there are {listed}")

    def text(self, table: dict[str, Any], key: str, at: tuple[int, int]) -> str:
        if key not in table:
            self.refuse(at, f"`{key}` is missing")
        if not isinstance(table[key], str):
            self.refuse(self.key(key, *at), f"`{key}` is a text, in quotes")
        return str(table[key])

    def count(self, table: dict[str, Any], key: str, at: tuple[int, int]) -> int:
        value = table.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.refuse(self.key(key, *at), f"`{key}` is a whole number")
        return value

    def pairs(
        self, table: dict[str, Any], key: str, at: tuple[int, int], kind: Any
    ) -> dict[str, Any]:
        """Return the table under ``key`` with values of one kind; `True` is no number of a size."""
        inner = table.get(key, {})
        if not isinstance(inner, dict):
            self.refuse(self.key(key, *at), f"`{key}` is a table: `{key} = {{ NAME = VALUE }}`")
        for name, value in inner.items():
            fits = isinstance(value, kind) and (kind is not int or not isinstance(value, bool))
            if not fits:
                word = {str: "a text, in quotes", int: "a whole number"}.get(kind, "a number")
                self.refuse(self.key(name, *at), f"`{name[:60]}` is {word}")
        return inner

    def headers(self, name: str) -> list[tuple[int, int]]:
        """Return where the tables of a name begin."""
        pattern = rf"^[ \t]*(\[\[[ \t]*[\"']?{re.escape(name)}[\"']?[ \t]*\]\])"
        return [found.span(1) for found in re.finditer(pattern, self.source.text, re.MULTILINE)]

    def key(self, name: str, start: int, end: int = 0) -> tuple[int, int]:
        """Return where ``name`` is given a value, in the table that begins at ``start``."""
        text = self.source.text
        begin = max(start, end)
        stop = re.compile(r"^[ \t]*\[", re.MULTILINE).search(text, begin)
        word = rf"[\"']?({re.escape(name)})[\"']?"
        pattern = re.compile(rf"(?<!\w){word}[ \t]*=|^[ \t]*\[[ \t]*{word}", re.MULTILINE)
        found = pattern.search(text, begin, stop.start() if stop and start else len(text))
        return found.span(found.lastindex or 0) if found is not None else (start, max(start, end))

    def refuse(self, at: tuple[int, int], reason: str) -> NoReturn:
        _refuse(self.source, *at, reason)


def tile_names(kernel: tree.Kernel) -> list[str]:
    """Return the names after ``by``, in the order of the text."""
    ranges = (node for node in walk(kernel.body) if isinstance(node, tree.Range))
    return list(dict.fromkeys(r.by.id for r in ranges if isinstance(r.by, tree.Name)))
