"""The ``where`` lines of schedules: which tile sizes satisfy them.

A size that nobody has set leaves a line open: it neither holds nor fails.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add, eq, floordiv, ge, gt, le, lt, mod, mul, ne, sub
from typing import TYPE_CHECKING, NoReturn

from tiledsl.chips.facts import facts
from tiledsl.diagnostics import CompileError
from tiledsl.source import Span
from tiledsl.syntax import tree
from tiledsl.syntax.walk import walk

if TYPE_CHECKING:  # what a sound schedule never needs is imported where it is told
    from tiledsl.check.limit_errors import NotHeld

ARITHMETIC = {"+": add, "-": sub, "*": mul, "//": floordiv, "%": mod}
COMPARISONS = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
# Numbers beyond are refused, and so many combinations, and so many steps to settle them, are tried.
LARGEST = 2**63
MOST_TRIED = 100_000
MOST_STEPS = 1_000_000

Value = int | bool | None


def serving(schedules: Iterable[tree.Schedule], target: str) -> tree.Schedule | None:
    """Return the schedule with the longest name that ``target`` starts with."""
    fitting = [s for s in schedules if target.startswith(s.target)]
    return max(fitting, key=lambda s: len(s.target), default=None)


def sizes_of(
    schedule: tree.Schedule | None,
) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Return the sizes that a schedule sets, and the choices of those that it only opens."""
    fixed: dict[str, int] = {}
    choices: dict[str, tuple[int, ...]] = {}
    for line in schedule.directives if schedule is not None else ():
        match line:
            case tree.SetSize(name=name, value=tree.Number(value=int() as value)):
                fixed[name.id] = value
            case tree.Tune(name=name, choices=offered):
                items = offered.items if isinstance(offered, tree.Tuple) else (offered,)
                numbers = [item.value for item in items if isinstance(item, tree.Number)]
                choices[name.id] = tuple(int(number) for number in numbers)
            case _:
                pass
    return fixed, {name: sizes for name, sizes in choices.items() if name not in fixed}


@dataclass(frozen=True)
class Limits:
    """The ``where`` lines that hold for a kernel on a target."""

    lines: tuple[tree.Directive, ...] = ()
    target: str = ""

    def allow(self, sizes: Mapping[str, int]) -> bool:
        """Return whether no line fails for ``sizes``."""
        return all(self.settled(line, sizes) is not False for line in self.lines)

    def settled(self, line: tree.Directive, sizes: Mapping[str, int]) -> Value:
        """Return whether ``line`` holds; `None` where sizes that decide it are not known."""
        assert line.argument is not None
        return _Settling(line, sizes, self.target).value(line.argument)

    def broken(self, sizes: Mapping[str, int], free: Iterable[str]) -> "Iterator[NotHeld]":
        """Yield a warning for each line that fails; ``free`` are the sizes that nobody set."""
        for line in self.lines:
            if self.settled(line, sizes) is False:
                from tiledsl.check.limit_errors import NotHeld

                names = tuple(name for name in _names(line) if name in set(free))
                yield NotHeld(line.span, self.target, self.case(line, sizes), names)

    def case(self, line: tree.Directive, sizes: Mapping[str, int]) -> str:
        """Return a line with its numbers: ``BM = 128, BN = 256: 131,072 <= 65,536``."""
        known = [name for name in _names(line) if name in sizes]
        mine = ", ".join(f"{name} = {sizes[name]}" for name in known[:8])
        match line.argument:
            case tree.Compare(first=first, rest=rest):
                settling = _Settling(line, sizes, self.target)
                words = [_number(settling.value(first))]
                words += [f"{op} {_number(settling.value(operand))}" for op, operand in rest]
                return f"{mine}: {' '.join(words)} is false" if mine else " ".join(words)
            case _:
                return mine or line.span.text


def limits_of(schedule: tree.Schedule | None, target: str) -> Limits:
    """Return the ``where`` lines of a schedule."""
    lines = schedule.directives if schedule is not None else ()
    found = (s for s in lines if isinstance(s, tree.Directive) and s.word == "where")
    return Limits(tuple(found), target)


def combinations(
    limits: Limits, choices: Mapping[str, Sequence[int]], sizes: Mapping[str, int]
) -> Iterator[dict[str, int]]:
    """Yield the combinations of ``choices`` that no line fails for, the last name fastest.

    ``sizes`` are settled already. Raises `CompileError` where too much would have to be tried.
    """
    walkers = _Walk(limits, choices, dict(sizes))
    yield from walkers.found()


def first_choice(
    limits: Limits, choices: Mapping[str, Sequence[int]], sizes: Mapping[str, int], kernel: str
) -> dict[str, int]:
    """Return the first combination that no line fails for; raise `CompileError` without any."""
    walker = _Walk(limits, choices, dict(sizes))
    for found in walker.found():
        return found
    from tiledsl.check.limit_errors import NoChoice

    failed = [line for line in limits.lines if line.span in walker.failed]
    named = tuple(dict.fromkeys(name for line in failed for name in _names(line)))
    opened = tuple(name for name in named if name in choices)
    raise CompileError(
        [
            NoChoice(
                failed[0].span, kernel, limits.target, walker.tried,
                tuple(walker.failed.values())[:3],
                opened or named, bool(opened),
            )
        ]
    )  # fmt: skip


class _Walk:
    """A way through all combinations, that leaves those whose first sizes fail already."""

    def __init__(
        self, limits: Limits, choices: Mapping[str, Sequence[int]], known: dict[str, int]
    ) -> None:
        self.limits, self.choices, self.known = limits, choices, known
        self.tried = self.steps = 0
        self.failed: dict[Span, str] = {}
        places = {name: place for place, name in enumerate(choices)}
        # Each line is asked as soon as the last of its choices is made.
        self._due: dict[int, list[tuple[tree.Directive, int]]] = {}
        for line in limits.lines:
            last = max((places[n] for n in _names(line) if n in places), default=-1)
            self._due.setdefault(last, []).append((line, sum(1 for _ in walk(line.argument))))

    def found(self) -> Iterator[dict[str, int]]:
        names, offered = list(self.choices), list(self.choices.values())
        if not self.holds(-1):
            return
        if not names:
            yield {}
            return
        open_choices = [iter(offered[0])]
        while open_choices:
            place = len(open_choices) - 1
            size = next(open_choices[-1], None)
            if size is None:
                open_choices.pop()
                continue
            self.known[names[place]] = size
            if not self.holds(place):
                continue
            if place + 1 < len(names):
                open_choices.append(iter(offered[place + 1]))
            else:
                yield {name: self.known[name] for name in names}

    def holds(self, place: int) -> bool:
        self.tried += place >= 0
        for line, cost in self._due.get(place, ()):
            self.steps += cost
            if self.tried > MOST_TRIED or self.steps > MOST_STEPS:
                from tiledsl.check.limit_errors import NotComputed

                reason = f"{self.tried:,} combinations of sizes were tried"
                raise CompileError([NotComputed(line.span, reason)])
            if self.limits.settled(line, self.known) is False:
                if line.span not in self.failed:
                    self.failed[line.span] = self.limits.case(line, self.known)
                return False
        return True


class _Settling:
    """One line for one set of sizes."""

    def __init__(self, line: tree.Directive, sizes: Mapping[str, int], target: str) -> None:
        self.line, self.sizes, self.target = line, sizes, target

    def value(self, node: tree.Expr | tree.Becomes) -> Value:
        match node:
            case tree.Number(value=int() as value):
                return value
            case tree.Name(id=name):
                return self.bounded(self.sizes.get(name))
            case tree.Attribute(name=name):
                known = facts(self.target)
                if name not in known:
                    from tiledsl.check.limit_errors import UnknownFact

                    raise CompileError(
                        [UnknownFact(node.span, name, (self.target,), tuple(known), self.target)]
                    )
                return known[name]
            case tree.Unary(op=op, operand=operand):
                inner = self.value(operand)
                if inner is None:
                    return None
                return (not inner) if op == "not" else -inner if op == "-" else inner
            case tree.Binary(op=op, left=left, right=right):
                one, other = self.value(left), self.value(right)
                if one is None or other is None:
                    return None
                if op in ("//", "%") and other == 0:
                    self.fail(f"`{right.span.text[:40]}` is 0")
                return self.bounded(ARITHMETIC[op](one, other))
            case tree.Call(function=function, args=args):
                found = [self.value(arg) for arg in args]
                numbers = [number for number in found if number is not None]
                if len(numbers) < len(found):
                    return None
                return min(numbers) if function.id == "min" else max(numbers)
            case tree.Compare(first=first, rest=rest):
                return self.compared(first, rest)
            case tree.Logical(op=op, operands=operands):
                return self.joined(op, operands)
            case _:
                raise AssertionError(f"{node} is not checked")

    def compared(self, first: tree.Expr, rest: tuple[tuple[str, tree.Expr], ...]) -> Value:
        one, result = self.value(first), True
        for op, operand in rest:
            other = self.value(operand)
            if one is None or other is None:
                result = False
            elif not COMPARISONS[op](one, other):
                return False
            one = other
        return True if result else None

    def joined(self, op: str, operands: tuple[tree.Expr, ...]) -> Value:
        """Return what ``and`` or ``or`` gives; the operand that decides is the last that counts."""
        decided, known = op == "or", True
        for operand in operands:
            value = self.value(operand)
            if value is None:
                known = False
            elif bool(value) is decided:
                return decided
        return (not decided) if known else None

    def bounded(self, value: int | None) -> int | None:
        if value is not None and abs(value) >= LARGEST:
            self.fail("a number has more than 63 bits")
        return value

    def fail(self, reason: str) -> NoReturn:
        from tiledsl.check.limit_errors import NotComputed

        names = tuple((n, size) for n in _names(self.line) if (size := self.sizes.get(n, 0)))
        sizes = () if "bits" in reason else names
        raise CompileError([NotComputed(self.line.span, reason, sizes)])


def _number(value: Value) -> str:
    return "?" if value is None else f"{value:,}"


def _names(line: tree.Directive) -> tuple[str, ...]:
    """Return the tile sizes that a line names."""
    found = (n.id for n in walk(line.argument) if isinstance(n, tree.Name))
    functions = {"target", "min", "max"}
    return tuple(dict.fromkeys(name for name in found if name not in functions))
