"""The winners of a search as they are kept: ``NAME.tune.toml`` with one table for each subject."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path

from tiledsl.check import Module, library
from tiledsl.check.winners import Value, Winner, fingerprint, spelt, winners
from tiledsl.diagnostics import CompileError
from tiledsl.runtime.errors import ArgumentError
from tiledsl.source import NOWHERE
from tiledsl.tuning.model import Choice, Subject, Timed, forget, timed
from tiledsl.tuning.searching import Search

HEAD = """\
# Tile sizes that searches have found by the cycle model, to be committed: a build takes them where
# neither it nor the schedule sets a size. `tiledsl tune FILE:KERNEL NAME=VALUE... --write` writes
# this file; comments in it do not last.
"""
FINALISTS = 3  # the best plans of a search, each timed with all of its sizes set


@dataclass(frozen=True, slots=True)
class Kept:
    """The texts of files to be written, what is new in them, and kernels that have no such file."""

    files: dict[Path, str]
    new: tuple[Winner, ...]
    left: tuple[str, ...]


def keep(subject: Subject, start: Choice, search: Search) -> Kept:
    """Return the files with the winners of ``search``: one winner for each kernel that is launched.

    Nothing is new where what is built by itself, as ``start``, is faster than with any sizes set.
    """
    before = _launches(subject, start)
    finalists = [_timed(subject, search, number) for number in range(FINALISTS)]
    after = min(finalists, key=_total)
    faster = bool(after) and _total(after) <= _total(before)
    own = Path(subject.file).resolve()
    found: dict[Path, tuple[Module, list[Winner]]] = {}
    left: dict[str, None] = {}
    for one, was in zip_longest(after or before, before):
        home = one.home
        if not one.tiles:
            continue
        if home.path is None or (home.path != own and home.path in library().values()):
            left[one.kernel.name] = None
            continue
        winner = _winner(one, subject.chip, was.cycles if was is not None else 0)
        found.setdefault(home.path, (home, []))[1].append(winner)
    files = {}
    for home, new in found.values():
        assert home.winners_path is not None
        home.winners = None  # it may have been written while the search went on
        merged = _merged(home, new, faster)
        if faster or len(merged) < len(winners(home)):
            files[home.winners_path] = rendered(merged)
    forget()
    written = tuple(w for _, new in found.values() for w in new) if faster else ()
    return Kept(files, written, tuple(left))


def rendered(kept: Iterable[Winner]) -> str:
    """Return the text of a file of winners."""
    return HEAD + "".join(f"\n{_table(winner)}" for winner in kept)


def _timed(subject: Subject, search: Search, number: int) -> list[Timed]:
    """Return the launches of the plan that is so many places behind the best, all its sizes set."""
    for tried in islice(search.distinct(), number, number + 1):
        answer = tried.answer
        sizes = sorted((n, s) for n, s in answer.tiles.items() if n not in answer.apart)
        choice = Choice(tuple(sizes), tried.choice.directives)
        launches = _launches(subject, choice)
        return [replace(t, tiles=_but(t.tiles, answer.apart)) for t in launches]
    return []


def _launches(subject: Subject, choice: Choice) -> list[Timed]:
    """Return the launches under a choice; none where it does not fit."""
    try:
        return timed(subject, choice)
    except (ArgumentError, CompileError):
        return []


def _total(launches: list[Timed]) -> float:
    return sum(t.cycles for t in launches) if launches else float("inf")


def _but(tiles: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    return {name: size for name, size in tiles.items() if name not in set(names)}


def _winner(one: Timed, chip: str, before: float) -> Winner:
    binding, launch = one.kernel.binding, one.launch
    dims = dict(binding.pinned) | {name: int(size) for name, size in launch.dims.items()}
    scalars = dict(binding.consts) | {name: _plain(v) for name, v in launch.scalars.items()}
    item = one.home.kernels[one.kernel.name].item
    return Winner(
        one.kernel.name, chip, {name: dtype.value for name, dtype in binding.types}, dims, scalars,
        one.tiles, round(one.cycles), round(before), fingerprint(item), NOWHERE,
    )  # fmt: skip


def _plain(value: object) -> Value:
    """Return a number of NumPy as one of Python."""
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, bool | int) else float(str(plain))


def _merged(home: Module, new: list[Winner], faster: bool) -> list[Winner]:
    """Return what is kept beside a module with ``new`` in place of what was for their subjects.

    Where nothing is faster than what is built by itself, what is stale for a subject goes.
    """
    kept = list(winners(home))
    for winner in new:
        places = [k for k, old in enumerate(kept) if old.subject == winner.subject]
        if not faster:
            kept = [w for k, w in enumerate(kept) if k not in places or w.text == winner.text]
        elif places:
            old = kept[places[0]]
            lasting = old.text == winner.text and old.before
            kept[places[0]] = replace(winner, before=old.before) if lasting else winner
            kept = [w for k, w in enumerate(kept) if k not in places[1:]]
        else:
            last = [k for k, old in enumerate(kept) if old.kernel == winner.kernel]
            kept.insert(last[-1] + 1 if last else len(kept), winner)
    return kept


def _table(winner: Winner) -> str:
    """Return one winner as a table of TOML."""
    types = {name: _quoted(dtype) for name, dtype in winner.types.items()}
    rows = {
        "target": _quoted(winner.target),
        "types": _inline(types),
        "dims": _inline({name: spelt(value) for name, value in winner.dims.items()}),
        "parameters": _inline({name: spelt(value) for name, value in winner.parameters.items()}),
        "tiles": _inline({name: str(size) for name, size in winner.tiles.items()}),
        "cycles": str(winner.cycles),
        "before": str(winner.before or ""),
        "text": _quoted(winner.text),
    }
    lines = (f"{key} = {value}" for key, value in rows.items() if value)
    return "\n".join((f"[[{winner.kernel}]]", *lines)) + "\n"


def _inline(pairs: Mapping[str, str]) -> str:
    inner = ", ".join(f"{name} = {value}" for name, value in pairs.items())
    return f"{{ {inner} }}" if inner else ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    controls = {ord(c): f"\\u{ord(c):04X}" for c in escaped if ord(c) < 0x20 or ord(c) == 0x7F}
    return f'"{escaped.translate(controls)}"'
