"""The parser's table: what Lark makes of the grammar, kept in a file between runs.

Lark is imported only to make the table, so that a command that finds it kept starts quickly.
"""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tiledsl import grammar

START = "file"
END = "$END"
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Rule:
    """``action(parts…)`` makes an ``origin`` of the last ``length`` values on the stack.

    ``keep`` has the places of the parts among them, -1 for a part that was left out. The action
    ``""`` is the part itself, ``"_"`` the list of the parts; those in ``splice`` are lists already,
    and are joined to it.
    """

    origin: str
    length: int
    keep: tuple[int, ...]
    splice: tuple[int, ...]
    action: str


@dataclass(frozen=True, slots=True)
class Table:
    """An LALR table.

    ``rows[shape[s]]`` is what state ``s`` does for each kind of token: shift to that state, or
    reduce by the rule ``~n`` when the number is negative. ``gotos[s]`` is where it goes from there.
    The kind of a word or sign is its own text; ``patterns`` has the kinds that are not.
    """

    start: int
    end: int
    shape: tuple[int, ...]
    rows: tuple[dict[str, int], ...]
    gotos: tuple[dict[str, int], ...]
    rules: tuple[Rule, ...]
    literals: tuple[str, ...]
    patterns: dict[str, str]


@cache
def table() -> Table:
    """Return the table of the grammar, from the user's cache where it is there and sound."""
    text = grammar.text()
    path = _cache_path(text)
    if path is not None:
        with suppress(OSError, ValueError, TypeError, KeyError):
            check, _, payload = path.read_text(encoding="utf-8").partition("\n")
            if check == _digest(payload):
                return _decode(json.loads(payload))
    made = make_table(text)
    if path is not None:
        with suppress(OSError):
            _write(path, json.dumps(asdict(made), separators=(",", ":")))
    return made


def make_table(text: str) -> Table:
    """Return the table that Lark makes of a grammar."""
    import lark
    from lark.grammar import Rule as LarkRule
    from lark.lexer import TerminalDef

    parser = lark.Lark(text, parser="lalr", lexer="basic", start=START, maybe_placeholders=True)
    content, memo = parser.memo_serialize([TerminalDef, LarkRule])
    automaton = content["parser"]["parser"]
    patterns: dict[str, str] = {}
    literals: dict[str, str] = {}
    for entry in memo.values():
        if entry["__type__"] == "TerminalDef":
            pattern, name = entry["pattern"], entry["name"]
            if pattern["__type__"] == "PatternStr":
                literals[name] = pattern["value"]
            else:
                patterns[name] = pattern["value"]
    names = automaton["tokens"]
    numbers: dict[int, int] = {}
    rules: list[Rule] = []
    for key, entry in memo.items():
        if entry["__type__"] == "Rule":
            numbers[key] = len(rules)
            rules.append(_rule(entry))
    shape: list[int] = []
    shapes: dict[tuple[tuple[str, int], ...], int] = {}
    rows: list[dict[str, int]] = []
    gotos: list[dict[str, int]] = []
    origins = {rule.origin for rule in rules}
    for state in range(len(automaton["states"])):
        row: dict[str, int] = {}
        goto: dict[str, int] = {}
        for number, (reduce, target) in automaton["states"][state].items():
            name = names[number]
            if name in origins:
                goto[name] = target
            else:
                row[literals.get(name, name)] = ~numbers[target["@"]] if reduce else target
        # Many states reduce alike; they share one row.
        alike = tuple(sorted(row.items()))
        if alike not in shapes:
            shapes[alike] = len(rows)
            rows.append(row)
        shape.append(shapes[alike])
        gotos.append(goto)
    return Table(
        start=automaton["start_states"][START],
        end=automaton["end_states"][START],
        shape=tuple(shape),
        rows=tuple(rows),
        gotos=tuple(gotos),
        rules=tuple(rules),
        literals=tuple(literals.values()),
        patterns=patterns,
    )


def _rule(entry: Any) -> Rule:
    """Translate a rule, and how Lark would pick the parts that its tree keeps."""
    origin, options = entry["origin"]["name"], entry["options"]
    missing = _missing_before(options["empty_indices"], len(entry["expansion"]))
    keep: list[int] = []
    splice: list[int] = []
    for place, symbol in enumerate(entry["expansion"]):
        keep += [-1] * missing[place]
        if options["keep_all_tokens"] or not symbol.get("filter_out"):
            if symbol["name"].startswith("_") and symbol["__type__"] == "NonTerminal":
                splice.append(place)
            keep.append(place)
    keep += [-1] * missing[-1]
    if origin.startswith("_"):
        action = "_"
    elif options["expand1"] and len(keep) == 1 and not entry["alias"]:
        action = ""
    else:
        action = entry["alias"] or origin
    return Rule(origin, len(entry["expansion"]), tuple(keep), tuple(splice), action)


def _missing_before(marks: list[bool], length: int) -> list[int]:
    """Return how many optional parts were left out before each symbol, and at the end."""
    counts = [0] * (length + 1)
    place = 0
    for mark in marks:
        if mark:
            counts[place] += 1
        else:
            place += 1
    return counts


def _cache_path(text: str) -> Path | None:
    """Return where the table is kept; a change of the grammar or of Lark is another place."""
    try:
        home = os.environ.get("XDG_CACHE_HOME")
        folder = Path(home) if home and os.path.isabs(home) else Path.home() / ".cache"
        spec = find_spec("lark")
        assert spec is not None
        assert spec.origin is not None
        version = Path(spec.origin).read_text(encoding="utf-8")
    except (OSError, RuntimeError, ValueError):
        return None
    key = _digest(f"{_FORMAT}\n{version}\n{text}")
    return folder / "tiledsl" / f"grammar-{key[:24]}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _decode(content: dict[str, Any]) -> Table:
    return Table(
        start=content["start"],
        end=content["end"],
        shape=tuple(content["shape"]),
        rows=tuple(content["rows"]),
        gotos=tuple(content["gotos"]),
        rules=tuple(
            Rule(r["origin"], r["length"], tuple(r["keep"]), tuple(r["splice"]), r["action"])
            for r in content["rules"]
        ),
        literals=tuple(content["literals"]),
        patterns=content["patterns"],
    )


def _write(path: Path, payload: str) -> None:
    """Write the file in one step, so that no other process sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{_digest(payload)}\n{payload}")
        os.replace(name, path)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
