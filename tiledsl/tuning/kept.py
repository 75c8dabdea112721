"""Answers kept on disk, by the hash of all that they depend on."""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path

from tiledsl.backends.backend import cache_directory
from tiledsl.check import Module, load_module
from tiledsl.tuning.model import Answer, Choice, Subject, predict

ROOT = Path(__file__).parent.parent
SOURCES = ("*.py", "*.toml", "*.tile", "*.jinja", "*.lark")


def answer(subject: Subject, choice: Choice) -> Answer:
    """Return what `predict` says, from the disk if it was asked before."""
    folder = cache_directory("tune")
    if folder is None:
        return predict(subject, choice)
    place = folder / f"{key(subject, choice)}.json"
    try:
        told = json.loads(place.read_text(encoding="utf-8"))
        return Answer(**{**told, "apart": tuple(told["apart"])})
    except (OSError, ValueError, TypeError, KeyError):
        pass
    found = predict(subject, choice)
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
        json.dump(asdict(found), file)
    os.replace(file.name, place)
    return found


def key(subject: Subject, choice: Choice) -> str:
    """Return the hash of a question: of texts, not of the places where they are."""
    texts, places = _sources(subject.file, subject.search)
    if not choice.bare:  # what a build takes of itself depends on the winners of searches
        texts = (*texts, *(text for place in places if (text := _winners(place))))
    asked = asdict(subject) | {"file": texts, "search": ()}
    words = json.dumps([asked, asdict(choice), _compiler()], sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()[:40]


def _winners(place: Path) -> str:
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


@cache
def _sources(file: str, search: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Return the texts of a file and of all that it imports, and the places of their winners."""
    seen: dict[str, Path | None] = {}
    pending: list[Module] = [load_module(Path(file), search=tuple(map(Path, search)))]
    while pending:
        module = pending.pop()
        if module.source.text not in seen:
            seen[module.source.text] = module.winners_path
            pending += module.imports.values()
    return tuple(seen), tuple(place for place in seen.values() if place is not None)


@cache
def _compiler() -> str:
    """Return the hash of the compiler and of its cycle model."""
    found = hashlib.sha256()
    for top in (ROOT, ROOT / "backends", ROOT / "simulator", ROOT / "grammar"):
        for pattern in SOURCES:
            for path in sorted(top.resolve().rglob(pattern)):
                found.update(str(path.relative_to(top.resolve())).encode() + path.read_bytes())
    return found.hexdigest()
