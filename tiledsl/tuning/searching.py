"""The best plans for a kernel at some sizes: what its schedule leaves open, tried step by step."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, permutations
from math import inf

from tiledsl.check.limits import Limits, combinations
from tiledsl.tuning.kept import answer
from tiledsl.tuning.model import Answer, Choice, Subject

FACTORS = (2, 4, 8)  # how much larger or smaller a size is tried at once
CENTERS = 3  # the best plans, whose neighbours have all been tried at the end


@dataclass(frozen=True, slots=True)
class Tried:
    """A choice and what the model says of it."""

    choice: Choice
    answer: Answer

    @property
    def cycles(self) -> float:
        """Its cycles; those of a plan that does not fit are without end."""
        return inf if self.answer.cycles is None else self.answer.cycles


@dataclass(frozen=True, slots=True)
class Search:
    """What was found: the start (what a build takes), and all plans, the fastest first."""

    start: Tried
    tried: tuple[Tried, ...] = field(repr=False)

    @property
    def best(self) -> Tried:
        """The fastest plan."""
        return self.tried[0]

    def distinct(self) -> Iterator[Tried]:
        """Yield the plans that fit, the fastest first, each set of tile sizes once."""
        seen: set[tuple[object, ...]] = set()
        for tried in self.tried:
            sizes = (*_sizes(tried), tried.choice.directives)
            if tried.answer.cycles is not None and sizes not in seen:
                seen.add(sizes)
                yield tried


def search(
    subject: Subject,
    choices: Mapping[str, Sequence[int]] | None = None,
    *,
    fixed: Iterable[str] = (),
    starts: Sequence[Choice] = (Choice(),),
    limits: Limits | None = None,
    settled: Mapping[str, int] | None = None,
    limit: int = 200,
    jobs: int = 1,
) -> Search:
    """Return what is found among at most ``limit`` plans, ``jobs`` of them asked at once.

    ``choices`` gives the sizes that some names may have, ``fixed`` the names that stay; all other
    sizes are free. From ``starts`` on, sizes of the best plans are changed one by one and in pairs.
    Sizes for which ``limits`` do not hold are not tried, but with a choice that leaves the schedule
    out; ``settled`` are the sizes that the schedule has set.
    """
    allowed = _Allowed(choices or {}, frozenset(fixed), limits or Limits(), settled or {})
    if jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            return _search(subject, allowed, starts, limit, partial(pool.map, chunksize=1))
    return _search(subject, allowed, starts, limit, map)


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What a search may try."""

    given: Mapping[str, Sequence[int]]
    stay: frozenset[str]
    limits: Limits
    settled: Mapping[str, int]

    def choice(self, choice: Choice, sizes: Mapping[str, int]) -> bool:
        """Return whether ``choice`` may be tried; what it does not set are ``sizes``."""
        return choice.bare or self.limits.allow({**sizes, **dict(choice.tiles)})


def _search(
    subject: Subject,
    allowed: _Allowed,
    starts: Sequence[Choice],
    limit: int,
    each: Callable[..., Iterable[Answer]],
) -> Search:
    tried: dict[Choice, Tried] = {}

    def ask(wanted: Iterable[Choice]) -> None:
        fresh = (choice for choice in wanted if choice not in tried)
        new: dict[Choice, None] = {}
        while len(tried) + len(new) < limit and (choice := next(fresh, None)) is not None:
            new[choice] = None
        for choice, found in zip(new, each(partial(answer, subject), new), strict=True):
            tried[choice] = Tried(choice, found)

    ask(starts)
    ask(_opened(starts[0], allowed))
    left: set[tuple[tuple[str, int], ...]] = set()
    while True:
        ranked = sorted(tried.values(), key=lambda t: t.cycles)
        result = Search(tried[starts[0]], tuple(ranked))
        centers = [c for c in islice(result.distinct(), CENTERS) if _sizes(c) not in left]
        if not centers or len(tried) >= limit:
            return result
        left.update(map(_sizes, centers))
        ask(near for center in centers for near in _near(center, allowed))


def _sizes(tried: Tried) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(tried.answer.tiles.items()))


def _opened(start: Choice, allowed: _Allowed) -> Iterator[Choice]:
    """Yield all combinations of the sizes that are given."""
    if allowed.given:
        limits = Limits() if start.bare else allowed.limits
        settled = {**allowed.settled, **dict(start.tiles)}
        left = {name: sizes for name, sizes in allowed.given.items() if name not in settled}
        for sizes in combinations(limits, left, settled):
            choice = start
            for name, size in sizes.items():
                choice = choice.with_tile(name, size)
            yield choice


def _near(center: Tried, allowed: _Allowed) -> Iterator[Choice]:
    """Yield the choices near ``center`` that are allowed."""
    for choice in _neighbours(center, {*allowed.stay, *allowed.given}):
        if allowed.choice(choice, center.answer.tiles):
            yield choice


def _neighbours(center: Tried, stay: Container[str]) -> Iterator[Choice]:
    """Yield the choices that differ from ``center`` in one size, or in two that make up for it."""
    sizes = {n: s for n, s in center.answer.tiles.items() if n not in stay}
    for name, size in sizes.items():
        for factor in FACTORS:
            yield center.choice.with_tile(name, size * factor)
            if size // factor:
                yield center.choice.with_tile(name, size // factor)
    for more, less in permutations(sizes, 2):
        for factor in FACTORS[:2]:
            if sizes[less] // factor:
                larger = center.choice.with_tile(more, sizes[more] * factor)
                yield larger.with_tile(less, sizes[less] // factor)
